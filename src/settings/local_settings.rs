//! `local.settings.json`: its `Values` and `ConnectionStrings`, as Core Tools reads them.

use std::{fs, io, path::Path};

use serde_json::{Map, Value};

use crate::{
    jsonc::{self, Cause, Invalid},
    system,
};

/// What Core Tools puts before the name of a connection string.
pub(super) const CONNECTION_STRINGS: &str = "ConnectionStrings:";

/// In their order.
pub(super) type NamedValues = Vec<(String, String)>;

/// What `local.settings.json` gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LocalFile {
    /// It was not looked for.
    NotRead,
    /// There is none.
    Missing,
    /// It has no `Values`.
    NoValues,
    /// Its `Values`, even if they are none.
    Values,
}

/// `local.settings.json` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LocalSettingsError {
    /// The file is there and cannot be read.
    #[error("local.settings.json: cannot be read: {why}", why = system::reason(*.0))]
    Unreadable(io::ErrorKind),
    /// Not a JSON object.
    #[error(
        "local.settings.json: line {line}, column {column}: {cause}{example}",
        line = .0.line, column = .0.column, cause = .0.cause,
        example = if .0.cause == Cause::NotAnObject { "\"Values\": {" } else { "" }
    )]
    Invalid(Invalid),
    /// `Values` or `ConnectionStrings` has another type.
    #[error("local.settings.json: {0} is not an object of names and texts")]
    NotAnObject(&'static str),
    /// One of the `Values` is not a text.
    #[error("local.settings.json: the value of {0} is not a text; put it into quotes")]
    NotText(String),
    /// Core Tools can encrypt the file with a key that only it has.
    #[error("local.settings.json: is encrypted; run `func settings decrypt`")]
    Encrypted,
}

/// What the file in `folder` says. None is no error.
pub(super) fn read(folder: &Path) -> Result<(LocalFile, NamedValues), LocalSettingsError> {
    match fs::read_to_string(folder.join("local.settings.json")) {
        Ok(text) => parse(&text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Ok((LocalFile::Missing, NamedValues::new()))
        }
        Err(error) => Err(LocalSettingsError::Unreadable(error.kind())),
    }
}

fn parse(text: &str) -> Result<(LocalFile, NamedValues), LocalSettingsError> {
    let file = jsonc::parse(text).map_err(|invalid| {
        let cause = match invalid.cause {
            Cause::Shape => Cause::NotAnObject,
            cause => cause,
        };
        LocalSettingsError::Invalid(Invalid { cause, ..invalid })
    })?;
    values(&file)
}

/// What the members of such a file say.
pub(super) fn values(
    file: &Map<String, Value>,
) -> Result<(LocalFile, NamedValues), LocalSettingsError> {
    // Core Tools ignores the case of these two.
    let member = |wanted: &str| {
        let mut members = file.iter();
        let found = members.find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value)
    };
    if member("IsEncrypted") == Some(&Value::Bool(true)) {
        return Err(LocalSettingsError::Encrypted);
    }
    let connection_strings = match member("ConnectionStrings") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(all)) => all.clone(),
        Some(_) => return Err(LocalSettingsError::NotAnObject("ConnectionStrings")),
    };
    let connection_strings = connection_strings.into_iter().map(|(name, value)| {
        let value = match value {
            Value::Object(mut members) => members.remove("ConnectionString").unwrap_or_default(),
            value => value,
        };
        (format!("{CONNECTION_STRINGS}{name}"), value)
    });
    let (state, values) = match member("Values") {
        None | Some(Value::Null) if connection_strings.len() == 0 => {
            (LocalFile::NoValues, Map::new())
        }
        None | Some(Value::Null) => (LocalFile::Values, Map::new()),
        Some(Value::Object(values)) => (LocalFile::Values, values.clone()),
        Some(_) => return Err(LocalSettingsError::NotAnObject("Values")),
    };
    let settings = values.into_iter().chain(connection_strings);
    let settings = settings.map(|(name, value)| match value {
        Value::String(value) => Ok((name, value)),
        _ => Err(LocalSettingsError::NotText(name)),
    });
    let settings: Result<_, _> = settings.collect();
    Ok((state, settings?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_strings_are_named_as_core_tools_names_them() {
        let file = r#"{"Values":{"B":"file"},
            "ConnectionStrings":{"A":"text","B":{"ConnectionString":"object","ProviderName":"x"}}}"#;
        let (_, values) = parse(file).expect("valid");
        let expected = [
            ("B", "file"),
            ("ConnectionStrings:A", "text"),
            ("ConnectionStrings:B", "object"),
        ];
        assert_eq!(
            values,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn a_file_that_cannot_be_used_says_why() {
        for (content, why) in [
            ("{", "line 1, column 1: not JSON"),
            ("[]", "line 1, column 1: not an object"),
            ("5", "not an object; begin with {\"Values\": {"),
            (r#"{"Values":"x"}"#, "Values is not an object"),
            (r#"{"Values":{"A":1}}"#, "the value of A is not a text"),
            (
                r#"{"ConnectionStrings":{"A":{"ProviderName":"x"}}}"#,
                "the value of ConnectionStrings:A is not a text",
            ),
            (r#"{"IsEncrypted":true,"Values":{"A":"x"}}"#, "decrypt"),
        ] {
            let error = parse(content).expect_err(content).to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn no_file_is_no_error() {
        let nowhere = std::env::temp_dir().join("no-such-folder-for-settings");
        assert!(matches!(read(&nowhere), Ok((LocalFile::Missing, _))));
    }
}
