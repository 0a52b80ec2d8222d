//! What could not be done: it is told, and tried again later.

use std::{
    collections::{HashMap, hash_map::Entry},
    time::Duration,
};

use time::OffsetDateTime;
use tokio::time::Instant;

use super::{
    refresh::{EVERY, Follower, Open},
    report::Outcome,
    rotation::{Again, Looked},
};
use crate::{
    diagnosis::{Cause, Subject},
    key_vault::Error,
    management::ManagementError,
};

/// The longest time for which Azure may ask to be left alone.
const RETRY_AFTER_LIMIT: Duration = Duration::from_secs(60 * 60);

/// What Azure is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    /// Which versions are in effect.
    List,
    /// That references are resolved again.
    Refresh,
}

impl<Now: Fn() -> OffsetDateTime> Follower<'_, Now> {
    /// Azure's list cannot be read, and nothing else says whether what is `looked` at is behind.
    pub(super) fn without_list(&mut self, looked: Vec<Looked>) {
        if looked.is_empty() {
            return;
        }
        let again = Again::At(self.may_list);
        let why = self.explain(&Cause::NoVersionsTold, &Subject::OF_THE_HANDLER);
        if self.lists.is_news(why.code) {
            tracing::info!(code = why.code, "references not looked at, tried again");
        }
        for looked in looked {
            let report = self.report(&looked, Outcome::Unknown).because(&why);
            self.app.rotation.settle(&looked, Some(report), again);
        }
    }

    /// Azure did not do it for what is `looked` at. Nothing is asked of it for a while.
    pub(super) fn refused(
        &mut self,
        looked: Vec<Looked>,
        error: &ManagementError,
        operation: Operation,
    ) {
        let (outcome, cause) = match error {
            ManagementError::Denied => (Outcome::Denied, Cause::MayNotRefresh),
            ManagementError::NotFound => (Outcome::Denied, Cause::RefreshNotFound),
            ManagementError::Credential(cause) => {
                let cause = Cause::Failed(Error::Credential(*cause));
                (Outcome::Failed, cause)
            }
            ManagementError::Busy { .. }
            | ManagementError::Unreachable
            | ManagementError::UnexpectedAnswer => (Outcome::Failed, Cause::RefreshFailed),
        };
        let (pauses, shortest) = match operation {
            Operation::List => (&mut self.lists, Duration::ZERO),
            Operation::Refresh => (&mut self.refreshes, EVERY),
        };
        let asked_for = match error {
            ManagementError::Busy { retry_after } => retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        let asked_for = asked_for.min(RETRY_AFTER_LIMIT);
        let until = Instant::now() + pauses.fail().max(shortest).max(asked_for);
        let is_news = pauses.is_news(cause.code());
        let why = self.explain(&cause, &Subject::OF_THE_HANDLER);
        let (code, detail, fix) = (why.code, &why.detail, &why.fix);
        if is_news && outcome == Outcome::Denied {
            tracing::warn!(code, "{detail} {fix}");
        } else if is_news {
            tracing::info!(code, "references not refreshed, tried again");
        }
        self.app.rotation.pause(until);
        for looked in looked {
            let report = self.report(&looked, outcome).because(&why);
            let again = Again::At(until);
            self.app.rotation.settle(&looked, Some(report), again);
        }
    }

    /// Each is tried again after a pause of its own.
    pub(super) async fn could_not_read(&mut self, unread: Vec<(Looked, Error)>) {
        // The vault may be the reason for all of them: it is found out and written once.
        let mut causes = HashMap::new();
        for (looked, error) in unread {
            let vault = &looked.secret.vault;
            let code = error.code();
            let cause = match causes.entry((vault.clone(), code)) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unknown) => {
                    unknown.insert((self.app.cause(vault, error).await, false))
                }
            };
            let (cause, is_written) = cause;
            let known = self.known(&looked.secret);
            known.open = known.open.or(Some(Open::Unread));
            let until = Instant::now() + known.reads.fail();
            if known.reads.is_news(code) && !*is_written {
                *is_written = true;
                tracing::info!(code, "references not refreshed, tried again");
            }
            let setting = self
                .followers
                .get(&looked.secret)
                .and_then(|all| all.first());
            let subject = setting.map_or(Subject::OF_THE_HANDLER, |setting| setting.subject());
            let why = self.explain(cause, &subject);
            let report = self.report(&looked, Outcome::Failed).because(&why);
            let again = Again::NotBefore(until);
            self.app.rotation.settle(&looked, Some(report), again);
        }
    }
}
