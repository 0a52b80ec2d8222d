//! The text of a Key Vault reference, in every documented form:
//!
//! - `@Microsoft.KeyVault(SecretUri=https://HOST/secrets/NAME[/VERSION][/])`
//! - `@Microsoft.KeyVault(VaultName=VAULT;SecretName=NAME[;SecretVersion=VERSION])`, any order
//!
//! Letter case of the fixed words and white space around the parts do not matter here. The
//! platform does not document either, so [`Reference`] prints the canonical form.
//! Source: Azure App Service documentation, "Use Key Vault references"; the second form's
//! vault is in the public cloud, as in Core Tools.

use std::fmt;

use super::kind::{BYTE_ORDER_MARK, MARK, find_mark, is_wrapping, strip_prefix_ignoring_case};
use crate::key_vault::{
    ObjectId, ObjectKind, ObjectName, ObjectVersion, VaultUrl, names::InvalidObjectVersion,
};

const KEYS: [&str; 4] = ["SecretUri", "VaultName", "SecretName", "SecretVersion"];
const PUBLIC_SUFFIX: &str = ".vault.azure.net";

/// A well-formed reference.
#[derive(Debug, Clone)]
pub struct Reference {
    /// The vault's address.
    pub vault: VaultUrl,
    /// The secret's name.
    pub name: ObjectName,
    /// The version as it is written; `None` follows the latest.
    pub version: Option<String>,
    /// Whether the text differs from the documented spelling in letter case or white space,
    /// which the platform may not forgive.
    pub has_unusual_spelling: bool,
    is_by_uri: bool,
}

/// What is wrong with a reference, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind} (character {at})")]
pub struct SyntaxError {
    /// What is wrong.
    pub kind: SyntaxErrorKind,
    /// Where: the character's number in the setting's value, counted from 1.
    pub at: usize,
}

/// What is wrong with a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxErrorKind {
    /// Does not start as a reference does.
    #[error("a reference starts with @Microsoft.KeyVault(")]
    NotAReference,
    /// In quotes.
    #[error("quotes stand around the reference")]
    Quoted,
    /// Behind a byte-order mark, which nobody sees.
    #[error("a byte-order mark stands before the reference")]
    ByteOrderMark,
    /// Only a part of the value.
    #[error("other text stands around the reference")]
    TextAround,
    /// `@Microsoft.KeyVault (`.
    #[error("white space stands before the parenthesis")]
    SpaceBeforeParenthesis,
    /// No closing parenthesis.
    #[error("the closing parenthesis is missing")]
    NotClosed,
    /// Not `key=value`.
    #[error("a part is not of the form key=value")]
    NotAPair,
    /// A key that no form has.
    #[error("only SecretUri, VaultName, SecretName and SecretVersion are known here")]
    UnknownKey,
    /// A key that was there already.
    #[error("a key is given twice")]
    RepeatedKey,
    /// `SecretUri` together with others.
    #[error("SecretUri cannot be combined with other keys")]
    MixedForms,
    /// No `VaultName` and no `SecretUri`.
    #[error("VaultName (or SecretUri) is missing")]
    NoVault,
    /// No `SecretName`.
    #[error("SecretName is missing")]
    NoSecret,
    /// Not a vault's name.
    #[error("a vault's name has 3 to 24 letters, digits and single hyphens, a letter first")]
    VaultName,
    /// Not a secret's name.
    #[error("a secret's name has 1 to 127 letters, digits and hyphens")]
    SecretName,
    /// Not a secret's version.
    #[error("a secret's version has only letters and digits")]
    SecretVersion,
    /// Not the address of a secret.
    #[error(
        "SecretUri looks like https://VAULT.vault.azure.net/secrets/NAME/ with an optional version"
    )]
    SecretUri,
}

/// What is wrong, and the part of the value that it begins with.
struct Wrong<'a>(SyntaxErrorKind, &'a str);

impl Reference {
    /// Parses the value of an app setting.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, and where.
    pub fn parse(value: &str) -> Result<Self, SyntaxError> {
        read(value).map_err(|Wrong(kind, part)| {
            let offset = part.as_ptr().addr() - value.as_ptr().addr();
            let at = value[..offset].chars().count() + 1;
            SyntaxError { kind, at }
        })
    }

    /// The same reference, pinned to `version`.
    #[must_use]
    pub fn at_version(&self, version: &ObjectVersion) -> Self {
        Self {
            version: Some(version.to_string()),
            ..self.clone()
        }
    }

    /// A `SecretUri` of a vault in the public cloud in its other form, `VaultName=...`.
    #[must_use]
    pub fn other_form(&self) -> Option<String> {
        self.by_name().filter(|_| self.is_by_uri)
    }

    /// The secret in the vault.
    ///
    /// # Errors
    ///
    /// A version that no secret can have, such as the recipe's `abc123def456`.
    pub fn secret(&self) -> Result<ObjectId, InvalidObjectVersion> {
        let version = self.version.as_deref().map(ObjectVersion::parse);
        Ok(ObjectId {
            kind: ObjectKind::Secret,
            name: self.name.clone(),
            version: version.transpose()?,
        })
    }

    /// A host can have labels, or a port, that no `VaultName` has.
    fn by_name(&self) -> Option<String> {
        let vault = self.vault.authority().strip_suffix(PUBLIC_SUFFIX)?;
        let version = self.version.as_ref();
        let version = version.map(|version| format!(";SecretVersion={version}"));
        let version = version.unwrap_or_default();
        is_vault_name(vault).then(|| {
            format!(
                "{MARK}(VaultName={vault};SecretName={}{version})",
                self.name
            )
        })
    }

    /// With the slash at its end, a URI without version follows the latest one.
    fn by_uri(&self) -> String {
        let (vault, name) = (&self.vault, &self.name);
        let version = self.version.as_deref().unwrap_or_default();
        format!("{MARK}(SecretUri={vault}secrets/{name}/{version})")
    }
}

impl fmt::Display for Reference {
    /// Prints the canonical form, which parses to an equal reference.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by_name = self.by_name().filter(|_| !self.is_by_uri);
        f.write_str(&by_name.unwrap_or_else(|| self.by_uri()))
    }
}

impl PartialEq for Reference {
    /// Whether both point at the same version of a secret, however they are written.
    fn eq(&self, other: &Self) -> bool {
        let version = |reference: &Self| reference.version.as_deref().map(str::to_ascii_lowercase);
        (&self.vault, &self.name, version(self)) == (&other.vault, &other.name, version(other))
    }
}

impl Eq for Reference {}

fn read(value: &str) -> Result<Reference, Wrong<'_>> {
    let inside = inside(value)?;
    let values = values_by_key(inside)?;
    let (vault, name, version) = match values {
        [Some(uri), None, None, None] => read_uri(uri)?,
        [Some(uri), ..] => return Err(Wrong(SyntaxErrorKind::MixedForms, uri)),
        [None, None, ..] => return Err(Wrong(SyntaxErrorKind::NoVault, inside)),
        [None, _, None, _] => return Err(Wrong(SyntaxErrorKind::NoSecret, inside)),
        [None, Some(vault), Some(name), version] => {
            let url = is_vault_name(vault).then(|| VaultUrl::of_public_vault(vault).ok());
            let url = url.flatten();
            let url = url.ok_or(Wrong(SyntaxErrorKind::VaultName, vault))?;
            (url, name, version)
        }
    };
    let parsed = ObjectName::parse(name).map_err(|_| Wrong(SyntaxErrorKind::SecretName, name))?;
    // An empty version means the latest.
    let version = version.filter(|version| !version.is_empty());
    if let Some(version) = version
        && !version.bytes().all(|byte| byte.is_ascii_alphanumeric())
    {
        return Err(Wrong(SyntaxErrorKind::SecretVersion, version));
    }
    Ok(Reference {
        vault,
        name: parsed,
        version: version.map(str::to_owned),
        has_unusual_spelling: !is_spelt_as_documented(value, inside),
        is_by_uri: values[0].is_some(),
    })
}

/// What stands between the parentheses of a `value` that is a reference and nothing else.
fn inside(value: &str) -> Result<&str, Wrong<'_>> {
    let all = value.trim();
    let mark = find_mark(all).ok_or(Wrong(SyntaxErrorKind::NotAReference, all))?;
    if let Some(kind) = what_is_around(&all[..mark]) {
        return Err(Wrong(kind, all));
    }
    let rest = &all[mark + MARK.len()..];
    let Some(opened) = rest.strip_prefix('(') else {
        let is_spaced = rest.trim_start().starts_with('(');
        let kind = if is_spaced {
            SyntaxErrorKind::SpaceBeforeParenthesis
        } else {
            SyntaxErrorKind::NotAReference
        };
        return Err(Wrong(kind, rest));
    };
    let end = &opened[opened.len()..];
    let closed = opened.split_once(')');
    let (inside, after) = closed.ok_or(Wrong(SyntaxErrorKind::NotClosed, end))?;
    what_is_around(after).map_or(Ok(inside), |kind| Err(Wrong(kind, after)))
}

/// What is wrong with `text` that stands on one side of a reference.
fn what_is_around(text: &str) -> Option<SyntaxErrorKind> {
    let first = text.chars().next()?;
    let is_wrapping = text.chars().all(|c| c.is_whitespace() || is_wrapping(c));
    Some(match first {
        BYTE_ORDER_MARK if is_wrapping => SyntaxErrorKind::ByteOrderMark,
        _ if is_wrapping => SyntaxErrorKind::Quoted,
        _ => SyntaxErrorKind::TextAround,
    })
}

/// The values of [`KEYS`], in their order.
fn values_by_key(inside: &str) -> Result<[Option<&str>; 4], Wrong<'_>> {
    let mut values = [None; 4];
    // One semicolon too many at the end does no harm.
    let pairs = inside.trim_end().strip_suffix(';').unwrap_or(inside);
    for pair in pairs.split(';').map(str::trim) {
        let (key, value) = pair
            .split_once('=')
            .ok_or(Wrong(SyntaxErrorKind::NotAPair, pair))?;
        let key = key.trim_end();
        let index = KEYS
            .iter()
            .position(|known| known.eq_ignore_ascii_case(key));
        let index = index.ok_or(Wrong(SyntaxErrorKind::UnknownKey, key))?;
        if values[index].replace(value.trim()).is_some() {
            return Err(Wrong(SyntaxErrorKind::RepeatedKey, key));
        }
    }
    Ok(values)
}

/// Vault, name and version of a `SecretUri`.
fn read_uri(uri: &str) -> Result<(VaultUrl, &str, Option<&str>), Wrong<'_>> {
    let wrong = |part| Wrong(SyntaxErrorKind::SecretUri, part);
    let rest = strip_prefix_ignoring_case(uri, "https://").ok_or(wrong(uri))?;
    let (authority, path) = rest.split_once('/').ok_or(wrong(rest))?;
    // A URL's parser forgives more than the platform may.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte);
    let has_port = |port: &str| {
        (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit())
    };
    // The colons of an IPv6 address are in brackets.
    let after_host = authority.rsplit(']').next().unwrap_or(authority);
    let is_whole = after_host
        .split_once(':')
        .is_none_or(|(_, port)| has_port(port));
    let is_plain = authority.bytes().all(is_plain) && is_whole;
    let vault = is_plain.then_some(authority);
    let vault = vault.and_then(|vault| VaultUrl::parse(&format!("https://{vault}")).ok());
    let vault = vault.ok_or(wrong(authority))?;
    let path = strip_prefix_ignoring_case(path, "secrets/").ok_or(wrong(path))?;
    let mut segments = path.splitn(3, '/');
    let (name, version) = (segments.next().unwrap_or(path), segments.next());
    match segments.next() {
        Some(more) if !more.is_empty() => Err(wrong(more)),
        _ => Ok((vault, name, version)),
    }
}

fn is_vault_name(text: &str) -> bool {
    (3..=24).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && !text.contains("--")
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn is_spelt_as_documented(value: &str, inside: &str) -> bool {
    let mut keys = inside.split(';').filter_map(|pair| pair.split_once('='));
    value.starts_with(MARK)
        && !value.contains(char::is_whitespace)
        && keys.all(|(key, _)| KEYS.contains(&key))
}

#[cfg(test)]
mod tests;
