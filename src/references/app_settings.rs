//! One app setting as a function sees it.

use std::{fmt, sync::OnceLock};

use secrecy::{ExposeSecret, SecretString};

use super::{
    status::PlatformWord,
    syntax::{Reference, SyntaxError, is_reference},
};

/// One app setting, with what the platform says about it.
pub struct AppSetting {
    name: String,
    given: SecretString,
    resolved: OnceLock<SecretString>,
    reference: Option<Result<Reference, SyntaxError>>,
    word: Option<PlatformWord>,
}

/// What a function may know of a setting's value.
#[derive(Debug)]
pub enum SettingState<'a> {
    /// Not there, or empty.
    NotSet,
    /// Still a reference: nobody put a secret in its place.
    Unresolved,
    /// A value, whether it came from a vault or not.
    Set(&'a SecretString),
}

impl AppSetting {
    /// A setting as it stands in the environment.
    #[must_use]
    pub fn new(name: impl Into<String>, given: SecretString) -> Self {
        let text = given.expose_secret();
        let reference = is_reference(text).then(|| Reference::parse(text));
        Self {
            name: name.into(),
            given,
            resolved: OnceLock::new(),
            reference,
            word: None,
        }
    }

    /// Adds what the platform says: the reference that the value came from, and its state.
    #[must_use]
    pub fn reported(mut self, raw_reference: Option<&str>, word: Option<PlatformWord>) -> Self {
        // A value that still is a reference is the newer word about the reference itself.
        let raw = raw_reference.filter(|raw| is_reference(raw));
        self.reference = self.reference.or_else(|| raw.map(Reference::parse));
        self.word = word;
        self
    }

    /// The setting's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The reference behind the value, if there is one, well-formed or not.
    #[must_use]
    pub fn reference(&self) -> Option<Result<&Reference, SyntaxError>> {
        self.reference
            .as_ref()
            .map(|parsed| parsed.as_ref().map_err(|error| *error))
    }

    /// What the platform says about it.
    #[must_use]
    pub fn word(&self) -> Option<&PlatformWord> {
        self.word.as_ref()
    }

    /// The value's state.
    #[must_use]
    pub fn state(&self) -> SettingState<'_> {
        if let Some(value) = self.resolved.get() {
            return state_of(value);
        }
        if is_reference(self.given.expose_secret()) {
            return SettingState::Unresolved;
        }
        state_of(&self.given)
    }

    /// Puts a reference into effect.
    pub(super) fn resolve(&self, value: SecretString) {
        // Whoever came first read the same secret.
        let _ = self.resolved.set(value);
    }
}

fn state_of(value: &SecretString) -> SettingState<'_> {
    if value.expose_secret().is_empty() {
        SettingState::NotSet
    } else {
        SettingState::Set(value)
    }
}

impl fmt::Debug for AppSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AppSetting").field(&self.name).finish()
    }
}
