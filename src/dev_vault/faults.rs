//! Switches that make the embedded vault refuse, for tests. Nothing outside the process
//! reaches them.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// What the vault does instead of answering, after the challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// 403 with this inner code, for instance `ForbiddenByRbac`.
    Deny(&'static str),
    /// 403 to everything but getting one secret: the identity may get and not list.
    DenyListing(&'static str),
    /// 403 to getting a secret: the identity may list and not get.
    DenyGetting(&'static str),
    /// 429, with `Retry-After` in seconds or, as the real service often does, without.
    Throttle(Option<u64>),
    /// 400 with the service's complaint about an api-version that it does not know.
    BadParameter,
    /// This status, with a body that is not JSON.
    Outage(u16),
    /// Answers correctly, later.
    Delay(Duration),
    /// Never answers.
    Silence,
}

/// The one fault that is switched on, if any.
#[derive(Debug, Default)]
pub(super) struct Faults(Mutex<Option<Fault>>);

impl Faults {
    pub(super) fn set(&self, fault: Option<Fault>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    pub(super) fn get(&self) -> Option<Fault> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
