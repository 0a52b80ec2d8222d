//! What `handler dev-vault` shows to the receiver of its events.

use super::{Environment, SettingError, names};
use crate::{host::authorization::FunctionKey, references::is_reference};

/// The key that is set, if one is.
///
/// # Errors
///
/// It cannot be sent in a header, or it is a reference, which nobody resolves for this command.
pub fn events_key(environment: &Environment) -> Result<Option<FunctionKey>, SettingError> {
    let name = names::DEV_VAULT_EVENTS_KEY;
    let Some(text) = environment.get(name) else {
        return Ok(None);
    };
    let is_reference = is_reference(text);
    let found = if is_reference {
        "a reference, which is not resolved here"
    } else {
        match FunctionKey::parse(text.to_owned()) {
            Ok(key) => return Ok(Some(key)),
            Err(_) => "text that cannot be sent in a header",
        }
    };
    Err(SettingError {
        name,
        found,
        expected: "visible ASCII characters without spaces".to_owned(),
        otherwise: Some(", or remove it to send no key".to_owned()),
        is_reference,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_sent_as_it_is_or_refused_unseen() {
        let read = |text| events_key(&Environment::of(&[(names::DEV_VAULT_EVENTS_KEY, text)]));
        assert!(read("").expect("none is needed").is_none());
        let key = read("canary").expect("a key").expect("a key");
        assert_eq!(key.reveal(), "canary");
        for text in [
            "canary with spaces",
            "canary-ä",
            "@Microsoft.KeyVault(VaultName=canary;SecretName=canary)",
        ] {
            let error = read(text).expect_err("refused").to_string();
            assert!(error.starts_with("DEV_VAULT_EVENTS_KEY: found "), "{error}");
            assert!(!error.contains("canary"), "{error}");
        }
    }
}
