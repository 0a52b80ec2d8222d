//! The text of a Key Vault reference, in every documented form:
//!
//! - `@Microsoft.KeyVault(SecretUri=https://HOST/secrets/NAME[/VERSION][/])`
//! - `@Microsoft.KeyVault(VaultName=VAULT;SecretName=NAME[;SecretVersion=VERSION])`, any order
//!
//! Letter case of the fixed words and white space around the parts do not matter here. The
//! platform does not document either, so [`Reference`] prints the canonical form.
//! Source: Azure App Service documentation, "Use Key Vault references"; the second form's
//! vault is in the public cloud, as in Core Tools.
//!
//! [`ReferenceKind::of`] is wider than that: it also finds what a person meant as a reference and
//! the platform leaves as it is, for example a reference in quotes. [`Reference::parse`] says why.

use std::{fmt, ops::Range};

use serde::Serialize;

use crate::key_vault::{
    SecretId, SecretName, SecretVersion, VaultUrl,
    names::{InvalidSecretVersion, InvalidVaultUrl},
};

/// How a Key Vault reference begins, without its parenthesis.
const MARK: &str = "@Microsoft.KeyVault";
const OPENING: &str = "@Microsoft.KeyVault(";
const APP_CONFIGURATION_MARK: &str = "@Microsoft.AppConfiguration";
const PUBLIC_SUFFIX: &str = ".vault.azure.net";
const BYTE_ORDER_MARK: char = '\u{feff}';

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

/// Where the first [`MARK`] stands, in any letter case.
fn find_mark(value: &str) -> Option<usize> {
    value
        .match_indices('@')
        .map(|(at, _)| at)
        .find(|at| strip_prefix_ignoring_case(&value[*at..], MARK).is_some())
}

fn is_quote(c: char) -> bool {
    matches!(
        c,
        '"' | '\'' | '`' | '\u{2018}'..='\u{201f}' | '\u{ab}' | '\u{bb}'
    )
}

/// What editors and shells leave around a text.
fn is_wrapping(c: char) -> bool {
    c == BYTE_ORDER_MARK || is_quote(c)
}

/// A well-formed reference. Holds one copy of its text.
#[derive(Debug, Clone)]
pub struct Reference {
    text: Box<str>,
    vault: Place,
    name: Range<usize>,
    version: Option<Range<usize>>,
}

#[derive(Debug, Clone)]
enum Place {
    /// Host and port of a `SecretUri`.
    Authority(Range<usize>),
    /// A `VaultName`.
    Name(Range<usize>),
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
    #[error("a vault's name has 3 to 24 letters, digits and hyphens, a letter first")]
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

impl Reference {
    /// Parses the value of an app setting.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, and where.
    pub fn parse(value: &str) -> Result<Self, SyntaxError> {
        let parts = Parts::parse(value)?;
        Ok(Self {
            text: value.into(),
            vault: parts.vault,
            name: parts.name,
            version: parts.version,
        })
    }

    /// Whether the text differs from the documented spelling in letter case or white space,
    /// which the platform may not forgive.
    #[must_use]
    pub fn has_unusual_spelling(&self) -> bool {
        let inside = self.text.strip_prefix(OPENING);
        let is_usual = inside.is_some_and(|inside| {
            let keys = inside.trim_end_matches(')').split(';');
            keys.filter(|pair| !pair.is_empty()).all(|pair| {
                ["SecretUri=", "VaultName=", "SecretName=", "SecretVersion="]
                    .iter()
                    .any(|key| pair.starts_with(key))
            })
        });
        !is_usual || self.text.contains(char::is_whitespace)
    }

    /// A `SecretUri` of a vault in the public cloud in its other form, `VaultName=...`.
    #[must_use]
    pub fn other_form(&self) -> Option<String> {
        let Place::Authority(_) = &self.vault else {
            return None;
        };
        let authority = self.authority();
        let vault = authority.strip_suffix(PUBLIC_SUFFIX)?;
        let name = self.secret_name();
        let version = self.secret_version();
        let version = version.map(|version| format!(";SecretVersion={version}"));
        let version = version.unwrap_or_default();
        let other = format!("{OPENING}VaultName={vault};SecretName={name}{version})");
        // A host can have labels that no vault's name has.
        Self::parse(&other).is_ok().then_some(other)
    }

    /// The vault's host, with its port if one is given.
    #[must_use]
    pub fn authority(&self) -> String {
        match &self.vault {
            Place::Authority(place) => self.text[place.clone()].to_ascii_lowercase(),
            Place::Name(place) => {
                let mut host = self.text[place.clone()].to_ascii_lowercase();
                host.push_str(PUBLIC_SUFFIX);
                host
            }
        }
    }

    /// The secret's name as it is written.
    #[must_use]
    pub fn secret_name(&self) -> &str {
        &self.text[self.name.clone()]
    }

    /// The version as it is written; `None` follows the latest.
    #[must_use]
    pub fn secret_version(&self) -> Option<&str> {
        self.version.clone().map(|place| &self.text[place])
    }

    /// The vault's address.
    ///
    /// # Errors
    ///
    /// A port or host that no URL can have.
    pub fn vault(&self) -> Result<VaultUrl, InvalidVaultUrl> {
        VaultUrl::parse(&format!("https://{}", self.authority()))
    }

    /// The secret in that vault.
    ///
    /// # Errors
    ///
    /// A version that no secret can have, such as the recipe's `abc123def456`.
    pub fn secret(&self) -> Result<SecretId, InvalidSecretVersion> {
        Ok(SecretId {
            // Parsing has checked the name by the same rule.
            name: SecretName::parse(self.secret_name()).map_err(|_| InvalidSecretVersion)?,
            version: self
                .secret_version()
                .map(SecretVersion::parse)
                .transpose()?,
        })
    }
}

impl fmt::Display for Reference {
    /// Prints the canonical form, which parses to an equal reference.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.vault {
            Place::Authority(place) => {
                let authority = &self.text[place.clone()];
                let name = self.secret_name();
                // With the slash at its end, a URI without version follows the latest one.
                write!(f, "{OPENING}SecretUri=https://{authority}/secrets/{name}/")?;
                f.write_str(self.secret_version().unwrap_or_default())?;
            }
            Place::Name(place) => {
                let vault = &self.text[place.clone()];
                write!(
                    f,
                    "{OPENING}VaultName={vault};SecretName={}",
                    self.secret_name()
                )?;
                if let Some(version) = self.secret_version() {
                    write!(f, ";SecretVersion={version}")?;
                }
            }
        }
        f.write_str(")")
    }
}

impl PartialEq for Reference {
    fn eq(&self, other: &Self) -> bool {
        let version = |reference: &Self| reference.secret_version().map(str::to_ascii_lowercase);
        self.authority() == other.authority()
            && self.secret_name().eq_ignore_ascii_case(other.secret_name())
            && version(self) == version(other)
    }
}

impl Eq for Reference {}

/// What stands between the parentheses of a `value` that is a reference and nothing else.
fn inside(value: &str) -> Result<Slice<'_>, SyntaxError> {
    let all = Slice::new(value).trim();
    let mark = find_mark(value).ok_or_else(|| all.error(SyntaxErrorKind::NotAReference))?;
    if let Some(kind) = around(&value[all.start..mark]) {
        return Err(all.error(kind));
    }
    let start = mark + MARK.len();
    let rest = Slice { start, ..all };
    let Some(rest) = rest.strip_prefix("(") else {
        let is_spaced = rest.text().trim_start().starts_with('(');
        return Err(rest.error(if is_spaced {
            SyntaxErrorKind::SpaceBeforeParenthesis
        } else {
            SyntaxErrorKind::NotAReference
        }));
    };
    let Some((inside, after)) = rest.split_once(b')') else {
        let start = rest.end;
        return Err(Slice { start, ..rest }.error(SyntaxErrorKind::NotClosed));
    };
    match around(after.text()) {
        Some(kind) => Err(after.error(kind)),
        None => Ok(inside),
    }
}

/// What is wrong with `text` that stands on one side of a reference.
fn around(text: &str) -> Option<SyntaxErrorKind> {
    let first = text.chars().next()?;
    let is_wrapping = text.chars().all(|c| c.is_whitespace() || is_wrapping(c));
    Some(match first {
        BYTE_ORDER_MARK if is_wrapping => SyntaxErrorKind::ByteOrderMark,
        _ if is_wrapping => SyntaxErrorKind::Quoted,
        _ => SyntaxErrorKind::TextAround,
    })
}

struct Parts {
    vault: Place,
    name: Range<usize>,
    version: Option<Range<usize>>,
}

/// A part of the value that remembers where it stands.
#[derive(Clone, Copy)]
struct Slice<'a> {
    whole: &'a str,
    start: usize,
    end: usize,
}

impl<'a> Slice<'a> {
    fn new(whole: &'a str) -> Self {
        let end = whole.len();
        let start = 0;
        Self { whole, start, end }
    }

    fn text(self) -> &'a str {
        &self.whole[self.start..self.end]
    }

    fn range(self) -> Range<usize> {
        self.start..self.end
    }

    fn trim(self) -> Self {
        let start = self.end - self.text().trim_start().len();
        let end = start + self.whole[start..self.end].trim_end().len();
        Self { start, end, ..self }
    }

    fn strip_prefix(self, prefix: &str) -> Option<Self> {
        let rest = strip_prefix_ignoring_case(self.text(), prefix)?;
        let start = self.end - rest.len();
        Some(Self { start, ..self })
    }

    /// Splits at the first `separator`, which belongs to neither side.
    fn split_once(self, separator: u8) -> Option<(Self, Self)> {
        let at = self.start + self.text().bytes().position(|byte| byte == separator)?;
        let (end, start) = (at, at + 1);
        Some((Self { end, ..self }, Self { start, ..self }))
    }

    fn error(self, kind: SyntaxErrorKind) -> SyntaxError {
        let before = &self.whole[..self.start];
        let at = before.chars().count() + 1;
        SyntaxError { kind, at }
    }

    fn check(self, kind: SyntaxErrorKind, is_valid: bool) -> Result<Self, SyntaxError> {
        is_valid.then_some(self).ok_or_else(|| self.error(kind))
    }
}

impl Parts {
    fn parse(value: &str) -> Result<Self, SyntaxError> {
        let inside = inside(value)?;
        let pairs = Pairs::parse(inside)?;
        match pairs {
            Pairs {
                uri: Some(uri),
                vault: None,
                name: None,
                version: None,
            } => Self::from_uri(uri),
            Pairs { uri: Some(uri), .. } => Err(uri.error(SyntaxErrorKind::MixedForms)),
            Pairs { vault: None, .. } => Err(inside.error(SyntaxErrorKind::NoVault)),
            Pairs { name: None, .. } => Err(inside.error(SyntaxErrorKind::NoSecret)),
            Pairs {
                vault: Some(vault),
                name: Some(name),
                version,
                ..
            } => {
                let is_vault = (3..=24).contains(&vault.text().len())
                    && vault.text().starts_with(|c: char| c.is_ascii_alphabetic())
                    && is_name(vault.text());
                let vault = vault.check(SyntaxErrorKind::VaultName, is_vault)?;
                Ok(Self {
                    vault: Place::Name(vault.range()),
                    name: secret_name(name)?,
                    // `SecretVersion=` with nothing behind it means the latest.
                    version: version
                        .filter(|version| !version.text().is_empty())
                        .map(secret_version)
                        .transpose()?,
                })
            }
        }
    }

    fn from_uri(uri: Slice<'_>) -> Result<Self, SyntaxError> {
        let wrong = SyntaxErrorKind::SecretUri;
        let rest = uri
            .strip_prefix("https://")
            .ok_or_else(|| uri.error(wrong))?;
        let (authority, path) = rest.split_once(b'/').ok_or_else(|| rest.error(wrong))?;
        let authority = authority.check(wrong, is_authority(authority.text()))?;
        let path = path
            .strip_prefix("secrets/")
            .ok_or_else(|| path.error(wrong))?;
        let (name, version) = match path.split_once(b'/') {
            Some((name, version)) => (name, Some(version)),
            None => (path, None),
        };
        let version = version
            .map(|version| match version.split_once(b'/') {
                Some((version, end)) => end.check(wrong, end.text().is_empty()).map(|_| version),
                None => Ok(version),
            })
            .transpose()?
            .filter(|version| !version.text().is_empty());
        Ok(Self {
            vault: Place::Authority(authority.range()),
            name: secret_name(name)?,
            version: version.map(secret_version).transpose()?,
        })
    }
}

#[derive(Default)]
struct Pairs<'a> {
    uri: Option<Slice<'a>>,
    vault: Option<Slice<'a>>,
    name: Option<Slice<'a>>,
    version: Option<Slice<'a>>,
}

impl<'a> Pairs<'a> {
    fn parse(inside: Slice<'a>) -> Result<Self, SyntaxError> {
        let mut pairs = Self::default();
        let mut rest = Some(inside);
        while let Some(slice) = rest {
            let (pair, next) = match slice.split_once(b';') {
                Some((pair, next)) => (pair, Some(next)),
                None => (slice, None),
            };
            rest = next;
            let pair = pair.trim();
            // One semicolon too many at the end does no harm.
            if pair.text().is_empty() && next.is_none() && pair.start > inside.start {
                break;
            }
            let (key, value) = pair
                .split_once(b'=')
                .ok_or_else(|| pair.error(SyntaxErrorKind::NotAPair))?;
            let (key, value) = (key.trim(), value.trim());
            let place = pairs
                .place(key.text())
                .ok_or_else(|| key.error(SyntaxErrorKind::UnknownKey))?;
            if place.replace(value).is_some() {
                return Err(key.error(SyntaxErrorKind::RepeatedKey));
            }
        }
        Ok(pairs)
    }

    fn place(&mut self, key: &str) -> Option<&mut Option<Slice<'a>>> {
        let is = |name: &str| key.eq_ignore_ascii_case(name);
        if is("SecretUri") {
            Some(&mut self.uri)
        } else if is("VaultName") {
            Some(&mut self.vault)
        } else if is("SecretName") {
            Some(&mut self.name)
        } else if is("SecretVersion") {
            Some(&mut self.version)
        } else {
            None
        }
    }
}

fn secret_name(slice: Slice<'_>) -> Result<Range<usize>, SyntaxError> {
    let is_valid = (1..=SecretName::MAX_LEN).contains(&slice.text().len()) && is_name(slice.text());
    slice
        .check(SyntaxErrorKind::SecretName, is_valid)
        .map(Slice::range)
}

fn secret_version(slice: Slice<'_>) -> Result<Range<usize>, SyntaxError> {
    let is_valid = slice
        .text()
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric());
    slice
        .check(SyntaxErrorKind::SecretVersion, is_valid)
        .map(Slice::range)
}

fn is_name(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// `host`, `host:port` or `[address]:port`.
fn is_authority(text: &str) -> bool {
    let (host, rest, is_host) = if let Some(bracketed) = text.strip_prefix('[') {
        let (address, rest) = bracketed.split_once(']').unwrap_or_default();
        let is_address = |b: u8| b.is_ascii_hexdigit() || b == b':';
        (address, rest, address.bytes().all(is_address))
    } else {
        let (host, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
        let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
        (host, rest, host.bytes().all(is_name))
    };
    let is_port = rest.is_empty()
        || rest
            .strip_prefix(':')
            .is_some_and(|port| port.len() <= 5 && port.parse::<u16>().is_ok());
    !host.is_empty() && is_host && is_port
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix)
        .then(|| &text[prefix.len()..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VERSION: &str = "ec96f02080254f109c51a1f14cdb1931";

    fn parse(inside: &str) -> Result<Reference, SyntaxError> {
        Reference::parse(&format!("@Microsoft.KeyVault({inside})"))
    }

    fn read(inside: &str) -> (String, String, Option<String>) {
        let reference = parse(inside).expect(inside);
        let version = reference.secret_version().map(str::to_owned);
        (
            reference.authority(),
            reference.secret_name().to_owned(),
            version,
        )
    }

    #[test]
    fn every_documented_form_is_read() {
        let host = "your-kv.vault.azure.net".to_owned();
        let latest = (host.clone(), "Ab-1".to_owned(), None);
        let pinned = (host, "Ab-1".to_owned(), Some(VERSION.to_owned()));
        for inside in [
            "SecretUri=https://your-kv.vault.azure.net/secrets/Ab-1",
            "SecretUri=https://your-kv.vault.azure.net/secrets/Ab-1/",
            "VaultName=your-kv;SecretName=Ab-1",
            "SecretName=Ab-1;VaultName=your-kv",
            " VaultName = your-kv ; SecretName = Ab-1 ; ",
            "vaultname=Your-KV;secretname=Ab-1;SecretVersion=",
        ] {
            assert_eq!(read(inside), latest, "{inside}");
        }
        for inside in [
            format!("SecretUri=https://your-kv.vault.azure.net/secrets/Ab-1/{VERSION}"),
            format!("SecretUri=https://your-kv.vault.azure.net/secrets/Ab-1/{VERSION}/"),
            format!("SecretVersion={VERSION};SecretName=Ab-1;VaultName=your-kv"),
        ] {
            assert_eq!(read(&inside), pinned, "{inside}");
        }
    }

    #[test]
    fn other_clouds_and_own_hosts_come_by_uri() {
        for host in [
            "your-kv.vault.azure.cn",
            "your-kv.vault.usgovcloudapi.net",
            "localhost:8443",
            "[::1]:8443",
        ] {
            let (authority, ..) = read(&format!("SecretUri=https://{host}/secrets/n/"));
            assert_eq!(authority, host);
        }
    }

    #[test]
    fn the_recipes_short_version_is_syntax_and_no_version() {
        let reference = parse("SecretUri=https://your-kv.vault.azure.net/secrets/n/abc123def456");
        let reference = reference.expect("well-formed");
        assert_eq!(reference.secret_version(), Some("abc123def456"));
        assert_eq!(reference.secret().err(), Some(InvalidSecretVersion));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        use SyntaxErrorKind as Kind;
        for (value, kind, at) in [
            ("plain", Kind::NotAReference, 1),
            ("\"@Microsoft.KeyVault(x)\"", Kind::Quoted, 1),
            ("\u{201c}@Microsoft.KeyVault(x)", Kind::Quoted, 1),
            ("@Microsoft.KeyVault(x)' ", Kind::Quoted, 23),
            ("\u{feff}@Microsoft.KeyVault(x)", Kind::ByteOrderMark, 1),
            ("\u{feff}\"@Microsoft.KeyVault(x)", Kind::ByteOrderMark, 1),
            ("\"\u{feff}@Microsoft.KeyVault(x)", Kind::Quoted, 1),
            ("@Microsoft.KeyVault (x)", Kind::SpaceBeforeParenthesis, 20),
            ("@Microsoft.KeyVault", Kind::NotAReference, 20),
            ("@Microsoft.KeyVault[x]", Kind::NotAReference, 20),
            (" ä@Microsoft.KeyVault(x)", Kind::TextAround, 2),
            ("\"a\":\"@Microsoft.KeyVault(x)\"", Kind::TextAround, 1),
            ("@Microsoft.KeyVault(x); b", Kind::TextAround, 23),
            (
                "@Microsoft.KeyVault(VaultName=abc;SecretName=n",
                Kind::NotClosed,
                47,
            ),
            ("@Microsoft.KeyVault(x)y", Kind::TextAround, 23),
            ("@Microsoft.KeyVault()", Kind::NotAPair, 21),
            ("@Microsoft.KeyVault(VaultName)", Kind::NotAPair, 21),
            ("@Microsoft.KeyVault(Vault=abc)", Kind::UnknownKey, 21),
            (
                "@Microsoft.KeyVault(VaultName=abc;VaultName=abc)",
                Kind::RepeatedKey,
                35,
            ),
            (
                "@Microsoft.KeyVault(SecretUri=https://h/secrets/n;SecretName=n)",
                Kind::MixedForms,
                31,
            ),
            ("@Microsoft.KeyVault(SecretName=n)", Kind::NoVault, 21),
            ("@Microsoft.KeyVault(VaultName=abc)", Kind::NoSecret, 21),
            (
                "@Microsoft.KeyVault(VaultName=a.b.c;SecretName=n)",
                Kind::VaultName,
                31,
            ),
            (
                "@Microsoft.KeyVault(VaultName=ab;SecretName=n)",
                Kind::VaultName,
                31,
            ),
            (
                "@Microsoft.KeyVault(VaultName=abc;SecretName=a_b)",
                Kind::SecretName,
                46,
            ),
            (
                "@Microsoft.KeyVault(VaultName=abc;SecretName=)",
                Kind::SecretName,
                46,
            ),
            (
                "@Microsoft.KeyVault(VaultName=abc;SecretName=n;SecretVersion=-)",
                Kind::SecretVersion,
                62,
            ),
            (
                "@Microsoft.KeyVault(SecretUri=http://h/secrets/n)",
                Kind::SecretUri,
                31,
            ),
            (
                "@Microsoft.KeyVault(SecretUri=https://h/keys/n)",
                Kind::SecretUri,
                41,
            ),
            (
                "@Microsoft.KeyVault(SecretUri=https://u@h/secrets/n)",
                Kind::SecretUri,
                39,
            ),
            (
                "@Microsoft.KeyVault(SecretUri=https://h:x/secrets/n)",
                Kind::SecretUri,
                39,
            ),
            (
                "@Microsoft.KeyVault(SecretUri=https://h/secrets/n/v/w)",
                Kind::SecretUri,
                53,
            ),
            (
                "@Microsoft.KeyVault(SecretUri=https://h/secrets/n?x=1)",
                Kind::SecretName,
                49,
            ),
        ] {
            let error = Reference::parse(value).expect_err(value);
            assert_eq!(error, SyntaxError { kind, at }, "{value}");
        }
    }

    #[test]
    fn the_canonical_form_parses_to_the_same_reference() {
        for inside in [
            "SecretUri=https://your-kv.vault.azure.net/secrets/Ab",
            &format!("SecretUri=https://localhost:8443/secrets/Ab/{VERSION}/"),
            " secretname=Ab ; vaultname=your-kv",
            &format!("SecretVersion={VERSION};VaultName=your-kv;SecretName=Ab"),
        ] {
            let reference = parse(inside).expect(inside);
            let printed = reference.to_string();
            assert_eq!(Reference::parse(&printed).expect(&printed), reference);
            assert_eq!(
                Reference::parse(&printed).expect(&printed).to_string(),
                printed
            );
        }
    }

    #[test]
    fn a_spelling_that_is_not_documented_is_noticed() {
        for (value, unusual) in [
            ("@Microsoft.KeyVault(VaultName=abc;SecretName=n;)", false),
            ("@Microsoft.KeyVault(SecretUri=https://h/secrets/n)", false),
            ("@microsoft.keyvault(VaultName=abc;SecretName=n)", true),
            ("@Microsoft.KeyVault(vaultname=abc;SecretName=n)", true),
            ("@Microsoft.KeyVault(VaultName=abc; SecretName=n)", true),
            (" @Microsoft.KeyVault(VaultName=abc;SecretName=n)", true),
        ] {
            let reference = Reference::parse(value).expect(value);
            assert_eq!(reference.has_unusual_spelling(), unusual, "{value}");
        }
    }

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

    /// A well-formed reference, with white space and letter case as people write them.
    fn well_formed() -> impl Strategy<Value = String> {
        let space = "[ \t]{0,2}";
        let version = proptest::option::of("[0-9a-f]{32}");
        let by_name = (
            "[a-zA-Z][a-zA-Z0-9-]{2,23}",
            "[a-zA-Z0-9-]{1,127}",
            version.clone(),
            space,
            Just(()).prop_perturb(|(), mut random| random.random::<u32>()),
        )
            .prop_map(|(vault, name, version, space, order)| {
                let mut pairs = vec![
                    format!("VaultName={space}{vault}"),
                    format!("secretName{space}={name}"),
                ];
                pairs.extend(version.map(|version| format!("SECRETVERSION={version}{space}")));
                let by = order as usize % pairs.len();
                pairs.rotate_left(by);
                format!(
                    "{space}@Microsoft.KeyVault({}){space}",
                    pairs.join(&format!("{space};{space}"))
                )
            });
        let by_uri = (
            "[a-z0-9][a-z0-9.-]{0,40}(:[1-9][0-9]{0,3})?",
            "[a-zA-Z0-9-]{1,127}",
            version,
            "/?",
        )
            .prop_map(|(host, name, version, slash)| {
                let version = version
                    .map(|version| format!("/{version}"))
                    .unwrap_or_default();
                format!(
                    "@Microsoft.KeyVault(SecretUri=https://{host}/secrets/{name}{version}{slash})"
                )
            });
        prop_oneof![by_name, by_uri]
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_fail_otherwise_than_by_saying_so(text in ".*") {
            if let Ok(reference) = Reference::parse(&text) {
                prop_assert!(is_reference(&text));
                prop_assert!(SecretName::parse(reference.secret_name()).is_ok());
            }
        }

        #[test]
        fn nor_does_a_text_that_almost_is_one(inside in "[VaultNameSecretUriVersion=;:/@ a-z0-9-]{0,60}") {
            let text = format!("@Microsoft.KeyVault({inside})");
            if let Err(error) = Reference::parse(&text) {
                prop_assert!((1..=text.chars().count() + 1).contains(&error.at));
            }
        }

        #[test]
        fn what_is_no_reference_is_never_taken_for_one(text in "[^@].*") {
            prop_assume!(!text.to_lowercase().contains("@microsoft."));
            prop_assert!(!is_reference(&text));
            prop_assert!(Reference::parse(&text).is_err());
        }

        #[test]
        fn a_well_formed_one_is_read_and_printed_and_read_again(text in well_formed()) {
            let reference = Reference::parse(&text).map_err(|error| TestCaseError::fail(format!("{error}: {text}")))?;
            let printed = reference.to_string();
            let again = Reference::parse(&printed).map_err(|error| TestCaseError::fail(format!("{error}: {printed}")))?;
            prop_assert_eq!(&again, &reference);
            prop_assert_eq!(again.to_string(), printed);
        }
    }
}
