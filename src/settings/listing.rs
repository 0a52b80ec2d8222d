//! The settings of an app as other programs list them: `az functionapp config appsettings list`,
//! `az webapp config connection-string list`, `local.settings.json`, or lines `NAME=value`.
//!
//! Only references are kept. Whatever else is in the list is forgotten here.

use serde_json::Value;

use super::local_settings::{self, CONNECTION_STRINGS, LocalFile};
use crate::{
    jsonc::{self, Invalid},
    references::{AppSetting, ConnectionStringType, SettingKind, is_reference},
};

/// What a list was understood as.
#[derive(Debug)]
pub struct Listing {
    /// The settings that are meant as references, in their order.
    pub references: Vec<AppSetting>,
    /// How many settings there are.
    pub settings: usize,
    /// It is a `local.settings.json`, which is where its settings are changed.
    pub is_local_file: bool,
}

/// Why a text is no list of settings. Nothing of it is quoted: it may hold secrets.
#[derive(Debug, thiserror::Error)]
pub enum ListingError {
    /// There is nothing in it.
    #[error("nothing is in it; {EXPECTED}")]
    Empty,
    /// No text at all.
    #[error("this is no text; {EXPECTED}")]
    NotText,
    /// It begins as JSON and is none.
    #[error("line {}, column {}: {}; {EXPECTED}", .0.line, .0.column, .0.cause)]
    Json(Invalid),
    /// JSON of another kind.
    #[error("this JSON is no list of settings; {EXPECTED}")]
    OtherJson,
    /// A line without `=`.
    #[error("line {0} is not NAME=value; {EXPECTED}")]
    Line(usize),
    /// A member of a `local.settings.json`.
    #[error("the value of {0} is not a text; put it into quotes")]
    NotAText(String),
    /// Core Tools can encrypt the file with a key that only it has.
    #[error("the file is encrypted; run `func settings decrypt`")]
    Encrypted,
}

const EXPECTED: &str = "expected is what `az functionapp config appsettings list -o json` prints, a local.settings.json, or lines NAME=value";

impl Listing {
    /// Understands a file: UTF-8, or UTF-16 with its mark, which Windows PowerShell writes.
    ///
    /// # Errors
    ///
    /// Why it is no list.
    pub fn read(bytes: &[u8]) -> Result<Self, ListingError> {
        let units = |of_pair: fn([u8; 2]) -> u16| {
            let pairs = bytes[2..].chunks_exact(2);
            let units = pairs.map(move |pair| of_pair([pair[0], pair[1]]));
            let text: Result<String, _> = char::decode_utf16(units).collect();
            text.map_err(|_| ListingError::NotText)
        };
        let text = match bytes {
            [0xff, 0xfe, ..] => units(u16::from_le_bytes)?,
            [0xfe, 0xff, ..] => units(u16::from_be_bytes)?,
            _ => str::from_utf8(bytes)
                .map_err(|_| ListingError::NotText)?
                .to_owned(),
        };
        Self::parse(&text)
    }

    /// Understands a list.
    ///
    /// # Errors
    ///
    /// Why it is none.
    pub fn parse(text: &str) -> Result<Self, ListingError> {
        let begins = text.trim_start_matches('\u{feff}').trim_start();
        match begins.chars().next() {
            None => Err(ListingError::Empty),
            Some('[') => {
                let all = jsonc::parse_any(text).map_err(ListingError::Json)?;
                from_array(all)
            }
            Some('{') => {
                let all = jsonc::parse_any(text).map_err(ListingError::Json)?;
                from_object(all)
            }
            Some(_) => from_lines(text),
        }
    }

    fn of(settings: impl Iterator<Item = (String, SettingKind, String)>, is_local: bool) -> Self {
        let mut listing = Self {
            references: Vec::new(),
            settings: 0,
            is_local_file: is_local,
        };
        for (name, kind, value) in settings {
            listing.settings += 1;
            if is_reference(&value) {
                let setting = AppSetting::new(printable(&name), value.into()).of_kind(kind);
                listing.references.push(setting);
            }
        }
        listing
    }
}

/// A name that moves no cursor: the list may be anybody's.
#[must_use]
pub fn printable(name: &str) -> String {
    let plain = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    name.chars().map(plain).collect()
}

/// `[{"name": …, "value": …}]`, and of connection strings with their `type`.
fn from_array(all: Value) -> Result<Listing, ListingError> {
    let Value::Array(all) = all else {
        return Err(ListingError::OtherJson);
    };
    let settings: Option<Vec<_>> = all.into_iter().map(entry).collect();
    let settings = settings.ok_or(ListingError::OtherJson)?;
    Ok(Listing::of(settings.into_iter(), false))
}

fn entry(entry: Value) -> Option<(String, SettingKind, String)> {
    let Value::Object(mut entry) = entry else {
        return None;
    };
    let Some(Value::String(name)) = entry.remove("name") else {
        return None;
    };
    let mut value = entry.remove("value")?;
    let mut of_type = entry.remove("type");
    // Resource Manager's own shape, which `az` prints too.
    if let Value::Object(inner) = &mut value {
        of_type = inner.remove("type").or(of_type);
        value = inner.remove("value")?;
    }
    let value = match value {
        Value::String(value) => value,
        // A slot setting without a value.
        Value::Null => String::new(),
        _ => return None,
    };
    let kind = match of_type {
        Some(Value::String(name)) => {
            let mut known = ConnectionStringType::ALL.iter();
            let known = known.find(|(_, one)| one.as_str().eq_ignore_ascii_case(&name));
            let known = known.map_or(ConnectionStringType::CUSTOM, |(_, one)| *one);
            SettingKind::ConnectionString(known)
        }
        _ => SettingKind::AppSetting,
    };
    Some((name, kind, value))
}

/// `local.settings.json`, Resource Manager's `{"properties": {NAME: value}}`, or `{NAME: value}`.
fn from_object(all: Value) -> Result<Listing, ListingError> {
    let Value::Object(mut all) = all else {
        return Err(ListingError::OtherJson);
    };
    let has = |name: &str| all.keys().any(|key| key.eq_ignore_ascii_case(name));
    if has("Values") || has("ConnectionStrings") || has("IsEncrypted") {
        return match local_settings::values(&all) {
            Ok((LocalFile::Values | LocalFile::NoValues, values)) => {
                let settings = values.into_iter().map(|(name, value)| {
                    match name.strip_prefix(CONNECTION_STRINGS) {
                        Some(name) => {
                            let kind = SettingKind::ConnectionString(ConnectionStringType::CUSTOM);
                            (name.to_owned(), kind, value)
                        }
                        None => (name, SettingKind::AppSetting, value),
                    }
                });
                Ok(Listing::of(settings, true))
            }
            Err(local_settings::LocalSettingsError::Encrypted) => Err(ListingError::Encrypted),
            Err(local_settings::LocalSettingsError::NotText(name)) => {
                Err(ListingError::NotAText(printable(&name)))
            }
            _ => Err(ListingError::OtherJson),
        };
    }
    let (flat, is_resource_managers) = match all.remove("properties") {
        Some(Value::Object(properties)) => (properties, true),
        _ => (all, false),
    };
    let settings = flat.into_iter().map(|(name, value)| match value {
        // Connection strings, as Resource Manager lists them.
        Value::Object(mut inner) => {
            inner.insert("name".to_owned(), name.into());
            entry(Value::Object(inner))
        }
        Value::String(value) => Some((name, SettingKind::AppSetting, value)),
        _ => None,
    });
    let settings: Option<Vec<_>> = settings.collect();
    let settings = settings.ok_or(ListingError::OtherJson)?;
    // `host.json` is such an object, too. An app's list without any reference is rare.
    let is_plain = !settings.iter().any(|(_, _, value)| is_reference(value));
    if is_plain && !is_resource_managers {
        return Err(ListingError::OtherJson);
    }
    Ok(Listing::of(settings.into_iter(), false))
}

/// `NAME=value`, as in a file for a shell or a container.
fn from_lines(text: &str) -> Result<Listing, ListingError> {
    let mut settings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start_matches('\u{feff}').trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let pair = line.split_once('=');
        let pair = pair.map(|(name, value)| (name.trim(), value.trim()));
        // `NAME: value`, for one, is another format.
        let pair = pair.filter(|(name, _)| is_name(name));
        let (name, value) = pair.ok_or(ListingError::Line(index + 1))?;
        let value = without_comment(value).to_owned();
        settings.push((name.to_owned(), SettingKind::AppSetting, value));
    }
    if settings.is_empty() {
        return Err(ListingError::Empty);
    }
    Ok(Listing::of(settings.into_iter(), false))
}

/// What a variable can be called, and an app setting.
fn is_name(text: &str) -> bool {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | ':' | '-');
    !text.is_empty() && text.chars().all(is_plain)
}

/// The value without its quotes and what stands behind them.
fn without_comment(value: &str) -> &str {
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
    let quoted = quote.and_then(|quote| {
        let (inside, rest) = value[1..].split_once(quote)?;
        let rest = rest.trim_start();
        (rest.is_empty() || rest.starts_with('#')).then_some(inside)
    });
    quoted.unwrap_or_else(|| value.split(" #").next().unwrap_or(value).trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFERENCE: &str = "@Microsoft.KeyVault(VaultName=your-kv;SecretName=A)";

    fn names(text: &str) -> Result<(Vec<String>, usize), String> {
        let listing = Listing::parse(text).map_err(|error| error.to_string())?;
        let names = listing.references.iter().map(|one| one.name().to_owned());
        Ok((names.collect(), listing.settings))
    }

    #[test]
    fn every_form_is_understood() {
        let array = format!(
            r#"[{{"name":"A","slotSetting":false,"value":"{REFERENCE}"}},
                {{"name":"B","slotSetting":true,"value":"canary"}},{{"name":"C","value":null}}]"#
        );
        let typed = format!(
            r#"[{{"name":"A","type":"SQLAzure","value":"{REFERENCE}"}},
                {{"name":"B","value":{{"type":"Custom","value":"canary"}}}},{{"name":"C","value":""}}]"#
        );
        let local = format!(
            "{{\"Values\": {{\"A\": \"{REFERENCE}\", \"B\": \"canary\", \"C\": \"\"}}, // a comment\n}}"
        );
        let arm = format!(r#"{{"properties":{{"A":"{REFERENCE}","B":"canary","C":""}}}}"#);
        let flat = format!(r#"{{"A":"{REFERENCE}","B":"canary","C":""}}"#);
        let arm_typed = format!(
            r#"{{"properties":{{"A":{{"type":"SQLAzure","value":"{REFERENCE}"}},
                "B":{{"type":"Custom","value":"canary"}},"C":{{"type":"Custom","value":""}}}}}}"#
        );
        let commented = format!("A='{REFERENCE}' # why\nB=canary # why\nC=\"\" # why\n");
        let lines = format!("# a comment\n\nexport A=\"{REFERENCE}\"\nB=canary=\nC=\n");
        for text in [array, typed, local, arm, flat, arm_typed, commented, lines] {
            assert_eq!(names(&text), Ok((vec!["A".to_owned()], 3)), "{text}");
        }
    }

    #[test]
    fn what_windows_powershell_writes_is_understood() {
        let text = format!("A={REFERENCE}\r\n");
        let utf_16 = |of_unit: fn(u16) -> [u8; 2]| -> Vec<u8> {
            let units = ['\u{feff}'].into_iter().chain(text.chars());
            let units = units.flat_map(|c| c.encode_utf16(&mut [0; 2]).to_vec());
            units.flat_map(of_unit).collect()
        };
        let mut with_mark = vec![0xef, 0xbb, 0xbf];
        with_mark.extend_from_slice(text.as_bytes());
        for bytes in [
            utf_16(u16::to_le_bytes),
            utf_16(u16::to_be_bytes),
            with_mark,
        ] {
            let listing = Listing::read(&bytes).expect("understood");
            assert_eq!(listing.references[0].name(), "A");
            assert!(listing.references[0].reference().is_some());
        }
        for bytes in [&[0xff, 0xfe, 0, 0xd8][..], &[0x80]] {
            let error = Listing::read(bytes).expect_err("refused").to_string();
            assert!(error.starts_with("this is no text"), "{error}");
        }
    }

    #[test]
    fn a_name_moves_no_cursor() {
        let text = format!(r#"{{"A\u001b[2J\u0007":"{REFERENCE}"}}"#);
        let known = names(&text).expect("understood");
        assert_eq!(known.0, ["A\u{fffd}[2J\u{fffd}"]);
    }

    #[test]
    fn a_connection_string_has_its_type() {
        let text = format!(r#"[{{"name":"A","type":"sqlazure","value":"{REFERENCE}"}}]"#);
        let listing = Listing::parse(&text).expect("understood");
        let kind = listing.references[0].kind();
        let SettingKind::ConnectionString(kind) = kind else {
            panic!("{kind:?}");
        };
        assert_eq!(kind.as_str(), "SQLAzure");
    }

    #[test]
    fn what_is_no_list_says_what_was_expected_and_quotes_nothing() {
        for (text, begins) in [
            ("", "nothing is in it"),
            (" \n\t", "nothing is in it"),
            ("# only a comment", "nothing is in it"),
            ("[{\"name\": \"canary\"", "line 1, column "),
            ("[1]", "this JSON is no list of settings"),
            ("[{\"canary\": 1}]", "this JSON is no list of settings"),
            (
                "{\"canary\": {\"a\": 1}}",
                "this JSON is no list of settings",
            ),
            ("{}", "this JSON is no list of settings"),
            ("{\"version\": \"2.0\"}", "this JSON is no list of settings"),
            ("{\"Values\": {\"N\": 5}}", "the value of N is not a text"),
            (
                "services:\n  A: \"@Microsoft.KeyVault(VaultName=a;SecretName=b)\"",
                "line 1 is not NAME=value",
            ),
            (
                "A: \"@Microsoft.KeyVault(VaultName=a;SecretName=b)\"",
                "line 1 is not NAME=value",
            ),
            (
                "{\"Values\": [\"canary\"]}",
                "this JSON is no list of settings",
            ),
            (
                "{\"IsEncrypted\": true, \"Values\": {}}",
                "the file is encrypted",
            ),
            ("A=1\ncanary", "line 2 is not NAME=value"),
            ("<html>canary", "line 1 is not NAME=value"),
        ] {
            let error = names(text).expect_err(text);
            assert!(error.starts_with(begins), "{text}: {error}");
            assert!(!error.contains("canary"), "{error}");
        }
    }
}
