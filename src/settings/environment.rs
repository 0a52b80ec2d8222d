//! Where settings come from: the process's environment and, standalone, the `Values` and
//! `ConnectionStrings` of `local.settings.json` beneath it.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::{
    local_settings::{self, LocalFile, LocalSettingsError, NamedValues},
    names,
};

/// Names and values. It cannot be printed: some values are secrets.
pub struct Environment {
    process: NamedValues,
    local: NamedValues,
    pub(super) file: LocalFile,
}

impl Environment {
    /// The process's environment. Bytes that are not UTF-8 are replaced.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads it")]
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
            local: NamedValues::new(),
            file: LocalFile::NotRead,
        }
    }

    /// Just these, for tests.
    #[must_use]
    pub fn of(pairs: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self {
            process: pairs.iter().map(owned).collect(),
            local: NamedValues::new(),
            file: LocalFile::NotRead,
        }
    }

    /// Adds the `Values` of `local.settings.json` in `folder` for names that are not set, and its
    /// `ConnectionStrings` as Core Tools names them.
    /// No file is no error, but a warning; one that cannot be used adds nothing.
    pub fn with_local_settings(self, folder: &Path) -> (Self, Result<(), LocalSettingsError>) {
        match local_settings::read(folder) {
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
        names::HOST_PORTS
            .into_iter()
            .find_map(|name| Some((name, self.get_from_process(name)?)))
    }

    /// The folder of `host.json`.
    #[must_use]
    pub fn app_root(&self) -> PathBuf {
        let root = self.get(names::FUNCTIONS_APP_ROOT_PATH).unwrap_or(".");
        PathBuf::from(root)
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

    /// The names in the file, in their order.
    pub fn local_names(&self) -> impl Iterator<Item = &str> {
        self.local.iter().map(|(name, _)| name.as_str())
    }

    /// The names in the process's environment, in their order.
    pub fn process_names(&self) -> impl Iterator<Item = &str> {
        self.process.iter().map(|(name, _)| name.as_str())
    }
}

fn find<'a>(pairs: &'a NamedValues, name: &str) -> Option<&'a str> {
    let found = pairs.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str())
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_wins_over_the_file() {
        let values = [("A", "file"), ("B", "file"), ("C", "")];
        let environment = Environment {
            local: Environment::of(&values).process,
            ..Environment::of(&[("A", "process")])
        };
        assert_eq!(environment.get("A"), Some("process"));
        assert_eq!(environment.get("B"), Some("file"));
        assert_eq!(environment.get("C"), None);
        assert_eq!(environment.get_from_process("B"), None);
    }
}
