//! Reads one setting after the other, and remembers what is wrong with them.

use std::ops::RangeInclusive;

use super::{
    environment::Environment,
    names,
    warnings::{self, SettingWarning},
};
use crate::{
    key_vault::error::SettingError,
    references::{ReferenceKind, is_reference},
};

/// What the files beside this one read from, each its own concern.
pub(super) struct Reader<'a> {
    pub(super) environment: &'a Environment,
    pub(super) wrong: Vec<SettingError>,
    pub(super) warnings: Vec<SettingWarning>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(environment: &'a Environment) -> Self {
        let mut reader = Self {
            environment,
            wrong: Vec::new(),
            warnings: warnings::of(environment),
        };
        reader.refuse_references();
        reader
    }

    /// The value, if it is there, not empty and not a reference.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        let text = self.environment.get(name);
        text.filter(|text| !is_reference(text))
    }

    /// The text of a reference is no key, no address and no secret: whoever took it for one
    /// would sign in with a text that everybody can read.
    fn refuse_references(&mut self) {
        for name in names::ALL.iter().copied() {
            let kind = self.environment.get(name).and_then(ReferenceKind::of);
            let Some(kind) = kind.filter(|_| !names::may_be_unresolved(name)) else {
                continue;
            };
            let found = match kind {
                ReferenceKind::KeyVault => "a Key Vault reference that was not resolved",
                ReferenceKind::AppConfiguration => {
                    "an App Configuration reference that was not resolved"
                }
            };
            let expected = if self.is_under_host() && !names::NEEDED_TO_SERVE.contains(&name) {
                "the value itself; config-check says why there is none"
            } else {
                "the value itself"
            };
            self.wrong.push(SettingError {
                name,
                found,
                expected: expected.to_owned(),
                otherwise: None,
                is_reference: true,
            });
        }
    }

    pub(super) fn is_under_host(&self) -> bool {
        self.environment.host_port().is_some()
    }

    pub(super) fn refuse(
        &mut self,
        name: &'static str,
        found: &'static str,
        expected: impl Into<String>,
    ) {
        self.wrong.push(SettingError {
            name,
            found,
            expected: expected.into(),
            otherwise: None,
            is_reference: false,
        });
    }

    /// Like [`Reader::refuse`], where there is another way out.
    pub(super) fn refuse_or(
        &mut self,
        name: &'static str,
        found: &'static str,
        expected: impl Into<String>,
        otherwise: impl Into<String>,
    ) {
        self.refuse(name, found, expected);
        if let Some(wrong) = self.wrong.last_mut() {
            wrong.otherwise = Some(otherwise.into());
        }
    }

    /// `on` or `off`.
    pub(super) fn switch(&mut self, name: &'static str, default: bool) -> bool {
        match self.text(name).map(|text| text.trim().to_ascii_lowercase()) {
            None => default,
            Some(word) if word == "on" => true,
            Some(word) if word == "off" => false,
            Some(_) => {
                self.refuse(name, "an unknown value", "on or off");
                default
            }
        }
    }

    pub(super) fn number(
        &mut self,
        name: &'static str,
        range: RangeInclusive<u64>,
        default: u64,
    ) -> u64 {
        let Some(text) = self.text(name) else {
            return default;
        };
        let (from, to) = (range.start(), range.end());
        let found = match text.trim().parse() {
            Ok(number) if range.contains(&number) => return number,
            Ok(_) => "a number out of range",
            Err(_) => "text that is not a whole number",
        };
        let expected = format!("a whole number from {from} to {to}");
        if self.is_under_host() {
            let meanwhile = format!("{expected}; until then the default, {default}, counts");
            self.refuse(name, found, meanwhile);
        } else {
            self.refuse_or(
                name,
                found,
                expected,
                format!(", or remove it for {default}"),
            );
        }
        default
    }
}
