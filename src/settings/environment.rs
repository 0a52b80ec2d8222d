//! Where settings come from: the process's environment and, standalone, the `Values` and
//! `ConnectionStrings` of `local.settings.json` beneath it.

use std::{fmt, fs, io, path::Path};

use serde_json::{Map, Value};

use super::{HOST_PORTS, names};
use crate::{
    jsonc::{self, Cause, Invalid},
    system,
    telemetry::LineStyle,
};

/// What Core Tools puts before the name of a connection string of `local.settings.json`.
pub(super) const CONNECTION_STRINGS: &str = "ConnectionStrings:";

/// Names and values. It cannot be printed: some values are secrets.
pub struct Environment {
    process: Pairs,
    local: Pairs,
    pub(super) file: LocalFile,
}

/// Names and values in their order.
type Pairs = Vec<(String, String)>;

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

impl Environment {
    /// The process's environment. Bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn of_process() -> Self {
        let values = std::env::vars_os()
            .map(|(name, value)| {
                (
                    name.to_string_lossy().into(),
                    value.to_string_lossy().into(),
                )
            })
            .collect();
        Self {
            process: values,
            local: Pairs::new(),
            file: LocalFile::NotRead,
        }
    }

    /// Just these, for tests.
    #[must_use]
    pub fn of(pairs: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self {
            process: pairs.iter().map(owned).collect(),
            local: Pairs::new(),
            file: LocalFile::NotRead,
        }
    }

    /// Adds the `Values` of `local.settings.json` in `folder` for names that are not set, and its
    /// `ConnectionStrings` as Core Tools names them.
    /// No file is no error, but a warning; one that cannot be used adds nothing.
    pub fn with_local_settings(self, folder: &Path) -> (Self, Result<(), LocalSettingsError>) {
        match read_local_settings(folder) {
            Ok((file, local)) => (
                Self {
                    local,
                    file,
                    ..self
                },
                Ok(()),
            ),
            Err(error) => (self, Err(error)),
        }
    }

    /// The variable in which a Functions host gave a port, if one started this process. A
    /// file cannot say so: it would switch off the handler's own check of keys.
    #[must_use]
    pub fn host_port(&self) -> Option<(&'static str, &str)> {
        HOST_PORTS
            .into_iter()
            .find_map(|name| Some((name, self.get_from_process(name)?)))
    }

    /// The value of `name`, if it is set and not empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        // A variable that the process has counts even if it is empty, as under Core Tools.
        let value = find(&self.process, name).or_else(|| find(&self.local, name));
        value.filter(|value| !value.is_empty())
    }

    /// Like [`Environment::get`], for what the SDK looks up in the process by itself.
    #[must_use]
    pub fn get_from_process(&self, name: &str) -> Option<&str> {
        find(&self.process, name).filter(|value| !value.is_empty())
    }

    /// How log lines look without a host: in colours at a terminal, for who has not said no.
    #[must_use]
    pub fn line_style(&self) -> LineStyle {
        if self.get(names::NO_COLOR).is_some() || self.get(names::TERM) == Some("dumb") {
            LineStyle::Plain
        } else {
            LineStyle::Coloured
        }
    }

    /// The names in the file, in their order.
    pub fn local_names(&self) -> impl Iterator<Item = &str> {
        self.local.iter().map(|(name, _)| name.as_str())
    }

    /// The names in the process's environment, in their order.
    pub fn process_names(&self) -> impl Iterator<Item = &str> {
        self.process.iter().map(|(name, _)| name.as_str())
    }
}

fn find<'a>(pairs: &'a Pairs, name: &str) -> Option<&'a str> {
    let found = pairs.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str())
}

fn read_local_settings(folder: &Path) -> Result<(LocalFile, Pairs), LocalSettingsError> {
    let text = match fs::read_to_string(folder.join("local.settings.json")) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok((LocalFile::Missing, Pairs::new()));
        }
        Err(error) => return Err(LocalSettingsError::Unreadable(error.kind())),
    };
    let file: Map<String, Value> = jsonc::parse(&text).map_err(|invalid| {
        let cause = match invalid.cause {
            Cause::Shape => Cause::NotAnObject,
            cause => cause,
        };
        LocalSettingsError::Invalid(Invalid { cause, ..invalid })
    })?;
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

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_file(content: &str) -> Result<Environment, LocalSettingsError> {
        let thread = std::thread::current()
            .name()
            .unwrap_or("x")
            .replace("::", "-");
        let name = format!("local-{}-{thread}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("folder");
        fs::write(folder.join("local.settings.json"), content).expect("file");
        let (environment, read) = Environment::of(&[("A", "process")]).with_local_settings(&folder);
        fs::remove_dir_all(&folder).expect("cleaned");
        read.map(|()| environment)
    }

    #[test]
    fn the_process_wins_over_the_file() {
        let text = r#"{"values":{"A":"file","B":"file","C":"",}}"#;
        let environment = with_file(text).expect("valid");
        assert_eq!(environment.get("A"), Some("process"));
        assert_eq!(environment.get("B"), Some("file"));
        assert_eq!(environment.get("C"), None);
        assert_eq!(environment.get_from_process("B"), None);
    }

    #[test]
    fn connection_strings_are_named_as_core_tools_names_them() {
        let file = r#"{"Values":{"B":"file"},
            "ConnectionStrings":{"A":"text","B":{"ConnectionString":"object","ProviderName":"x"}}}"#;
        let environment = with_file(file).expect("valid");
        assert_eq!(environment.get("ConnectionStrings:A"), Some("text"));
        assert_eq!(environment.get("ConnectionStrings:B"), Some("object"));
        assert_eq!(environment.get("B"), Some("file"));
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
            let error = with_file(content).expect_err(content).to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn no_file_is_no_error() {
        let nowhere = std::env::temp_dir().join("no-such-folder-for-settings");
        assert!(Environment::of(&[]).with_local_settings(&nowhere).1.is_ok());
    }
}
