//! `GET config-check`: did the Key Vault references resolve? Shows no secret.

use axum::{extract::State, http::StatusCode, response::Response};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::App;
use crate::{problem::json, references::SettingState, settings::names};

/// Most characters of a value that are ever shown.
const SHOWN: usize = 4;

#[derive(Serialize)]
struct Answer {
    external_api_key_set: bool,
    database_password_set: bool,
    api_key_prefix: Masked,
}

pub(super) async fn get(State(app): State<App>) -> Response {
    let api_key = app.app_settings.state(names::EXTERNAL_API_KEY).await;
    let password = app.app_settings.state(names::DATABASE_PASSWORD).await;
    let is_set = |state: &SettingState<'_>| matches!(state, SettingState::Set(_));
    let answer = Answer {
        external_api_key_set: is_set(&api_key),
        database_password_set: is_set(&password),
        api_key_prefix: match api_key {
            SettingState::Set(value) => Masked::of(value),
            // Nothing of a reference is shown: it is not the secret's prefix.
            SettingState::NotSet | SettingState::Unresolved => Masked::nothing(),
        },
    };
    json(StatusCode::OK, &answer)
}

/// The beginning of a value: at most [`SHOWN`] characters and never more than a third of
/// them, then `...`. Values of up to four characters show nothing but `***`.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Masked(String);

impl Masked {
    fn of(value: &SecretString) -> Self {
        let value = value.expose_secret();
        let length = value.chars().count();
        if length <= SHOWN {
            return Self::nothing();
        }
        let shown = value.chars().take(SHOWN.min(length / 3));
        Self(shown.chain("...".chars()).collect())
    }

    fn nothing() -> Self {
        Self("***".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(value: &str) -> String {
        Masked::of(&value.to_owned().into()).0
    }

    #[test]
    fn the_mask_is_the_recipes_with_a_bound() {
        for (value, shown) in [
            ("", "***"),
            ("a", "***"),
            ("abcd", "***"),
            ("abcde", "a..."),
            ("abcdefghijk", "abc..."),
            ("abcdefghijkl", "abcd..."),
            ("sk-abc123def456", "sk-a..."),
        ] {
            assert_eq!(masked(value), shown, "{value}");
        }
    }

    #[test]
    fn the_mask_counts_characters_not_bytes() {
        assert_eq!(masked("äöüß"), "***");
        assert_eq!(masked("äöüßé"), "ä...");
        assert_eq!(masked("日本語日本語日本語日本語"), "日本語日...");
    }

    #[test]
    fn the_mask_never_shows_more_than_a_third() {
        for length in 0..200 {
            let shown = masked(&"x".repeat(length)).replace("...", "");
            let shown = shown.chars().filter(|c| *c == 'x').count();
            assert!(shown <= SHOWN && 3 * shown <= length, "{length}");
        }
    }
}
