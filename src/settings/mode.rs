//! Who is in front of the handler, and where it listens.

use super::{names, reader::Reader};
use crate::host::authorization::FunctionKey;

/// Port that standalone mode takes unless told otherwise: Core Tools' own.
pub const STANDALONE_PORT: u16 = 7071;

/// Who is in front of the handler.
#[derive(Debug)]
pub enum Mode {
    /// The Functions host, which gave the port.
    Host {
        /// On loopback.
        port: u16,
    },
    /// Nobody.
    Standalone(OwnKeys),
}

/// The operator's own keys.
#[derive(Debug, Default)]
pub struct OwnKeys {
    /// For functions of level `function`.
    pub function: Option<OwnKey>,
    /// For every function.
    pub master: Option<OwnKey>,
}

/// A key that the operator has set.
#[derive(Debug, Clone)]
pub struct OwnKey {
    /// The key.
    pub key: FunctionKey,
    /// Where it is set.
    pub source: KeySource,
}

/// Where a key is set: the shell has what is in its environment, and not what is in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySource {
    /// The process's environment.
    Environment,
    /// `local.settings.json`.
    LocalSettings,
}

impl Reader<'_> {
    pub(super) fn mode(&mut self) -> Mode {
        if let Some((name, text)) = self.environment.host_port() {
            let port = text.trim().parse().ok();
            let Some(port) = port.filter(|port| *port != 0) else {
                let expected = "a port from 1 to 65535, as the Functions host does";
                let otherwise = ", or remove it to run without a host";
                self.refuse_or(name, "text that is not a port", expected, otherwise);
                return Mode::Host { port: 0 };
            };
            return Mode::Host { port };
        }
        let own = OwnKeys {
            function: self.key(names::STANDALONE_FUNCTION_KEY),
            master: self.key(names::STANDALONE_MASTER_KEY),
        };
        let text = |name| self.text(name);
        if own.function.is_some()
            && text(names::STANDALONE_FUNCTION_KEY) == text(names::STANDALONE_MASTER_KEY)
        {
            self.refuse(
                names::STANDALONE_MASTER_KEY,
                "the same key as STANDALONE_FUNCTION_KEY",
                "another one: the function key must not open secrets-metadata",
            );
        }
        Mode::Standalone(own)
    }

    fn key(&mut self, name: &'static str) -> Option<OwnKey> {
        let text = self.text(name)?;
        let Ok(key) = FunctionKey::parse(text.to_owned()) else {
            let found = "text that cannot be sent in a header";
            let expected = "visible ASCII characters without spaces";
            self.refuse_or(name, found, expected, ", or remove it for a random key");
            return None;
        };
        let source = match self.environment.get_from_process(name) {
            Some(_) => KeySource::Environment,
            None => KeySource::LocalSettings,
        };
        Some(OwnKey { key, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Environment, Settings};

    fn read(pairs: &[(&str, &str)]) -> Result<Mode, Vec<String>> {
        match Settings::read(&Environment::of(pairs)) {
            Ok(settings) => Ok(settings.mode),
            Err(wrong) => Err(wrong.iter().map(ToString::to_string).collect()),
        }
    }

    #[test]
    fn keys_are_checked_standalone() {
        let errors = read(&[
            (names::STANDALONE_FUNCTION_KEY, "with space"),
            (names::STANDALONE_MASTER_KEY, "ünïcode"),
        ]);
        assert_eq!(errors.expect_err("both bad").len(), 2);
        let same = [
            (names::STANDALONE_FUNCTION_KEY, "canary"),
            (names::STANDALONE_MASTER_KEY, "canary"),
        ];
        let errors = read(&same).expect_err("the same key");
        assert!(
            errors.iter().all(|error| !error.contains("canary")),
            "{errors:?}"
        );
    }

    #[test]
    fn the_newer_port_wins() {
        let both = [
            (names::FUNCTIONS_CUSTOMHANDLER_PORT, "8001"),
            (names::FUNCTIONS_HTTPWORKER_PORT, "8002"),
        ];
        assert!(matches!(
            read(&both).expect("valid"),
            Mode::Host { port: 8001 }
        ));
        let legacy = read(&both[1..]).expect("valid");
        assert!(matches!(legacy, Mode::Host { port: 8002 }));
        assert!(read(&[(names::FUNCTIONS_CUSTOMHANDLER_PORT, "0")]).is_err());
    }
}
