//! What a value is meant as: a Key Vault reference, one to App Configuration, or neither.
//!
//! This is wider than what resolves. It also finds what a person meant as a reference and the
//! platform leaves as it is, for example a reference in quotes;
//! [`Reference::parse`](super::Reference::parse) says why.

use serde::Serialize;

/// How a Key Vault reference begins, without its parenthesis.
pub(super) const MARK: &str = "@Microsoft.KeyVault";
const APP_CONFIGURATION_MARK: &str = "@Microsoft.AppConfiguration";
pub(super) const BYTE_ORDER_MARK: char = '\u{feff}';

/// What a reference points at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum ReferenceKind {
    /// A secret: `@Microsoft.KeyVault(...)`.
    KeyVault,
    /// A key of an App Configuration store: `@Microsoft.AppConfiguration(...)`.
    AppConfiguration,
}

impl ReferenceKind {
    /// The kind of reference that an app setting's `value` is meant as, well-formed or not. Such a
    /// value is never a secret that arrived: the reference was not resolved.
    ///
    /// A Key Vault reference counts wherever it stands in the value, because a part of a value is
    /// never resolved. An App Configuration reference counts where it begins the value.
    #[must_use]
    pub fn of(value: &str) -> Option<Self> {
        let begins = value.trim_start_matches(|c: char| c.is_whitespace() || is_wrapping(c));
        let is_app_configuration = strip_prefix_ignoring_case(begins, APP_CONFIGURATION_MARK)
            .is_some_and(|rest| rest.trim_start().starts_with('('));
        if is_app_configuration {
            Some(Self::AppConfiguration)
        } else {
            find_mark(value).map(|_| Self::KeyVault)
        }
    }
}

/// Whether an app setting's value is meant as a reference of any kind, well-formed or not.
#[must_use]
pub fn is_reference(value: &str) -> bool {
    ReferenceKind::of(value).is_some()
}

/// The offset of the first [`MARK`], in any letter case.
pub(super) fn find_mark(value: &str) -> Option<usize> {
    let mut starts = value.match_indices('@').map(|(start, _)| start);
    starts.find(|start| strip_prefix_ignoring_case(&value[*start..], MARK).is_some())
}

/// What editors and shells leave around a text: a byte-order mark, or quotes.
pub(super) fn is_wrapping(c: char) -> bool {
    matches!(
        c,
        BYTE_ORDER_MARK | '"' | '\'' | '`' | '\u{2018}'..='\u{201f}' | '\u{ab}' | '\u{bb}'
    )
}

pub(super) fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_recognised_even_if_it_is_broken() {
        for value in [
            "@Microsoft.KeyVault(",
            " @microsoft.keyvault(x)",
            "@Microsoft.KeyVault(SecretUri=x)",
            "@Microsoft.KeyVault",
            "x@@MICROSOFT.KEYVAULT (",
            "{\"a\":\"@Microsoft.KeyVault(x)\"}",
        ] {
            assert_eq!(
                ReferenceKind::of(value),
                Some(ReferenceKind::KeyVault),
                "{value}"
            );
        }
        for value in [
            "@Microsoft.AppConfiguration(Endpoint=https://s.azconfig.io; Key=K)",
            " \"@microsoft.appconfiguration (",
            "\u{feff}@Microsoft.AppConfiguration(",
            "@Microsoft.AppConfiguration(Key=@Microsoft.KeyVault(x))",
        ] {
            assert_eq!(
                ReferenceKind::of(value),
                Some(ReferenceKind::AppConfiguration),
                "{value}"
            );
        }
        for value in [
            "",
            "Microsoft.KeyVault(",
            "sk-abc",
            "@Microsoft.KeyVäult(",
            "@Microsoft.AppConfiguration",
            "a@Microsoft.AppConfiguration(",
        ] {
            assert!(!is_reference(value), "{value}");
        }
    }
}
