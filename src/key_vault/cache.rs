//! When the vault is not asked.
//!
//! An answer is *fresh* for the TTL, give or take a tenth, so that a fleet that started
//! together does not ask together. Then it is *stale*: whoever asks gets it at once, marked,
//! while one read refreshes it in the background. If that fails, it stays until the hard
//! limit; but when the vault refuses the identity, it goes at once. That a secret is missing is
//! remembered for a shorter time, and any other failure for a moment.
//!
//! For one secret there is never more than one read under way, however many callers there
//! are and whatever they want it for. A read goes on if the caller that started it hangs up,
//! and it always ends, because `load` does. Values never enter: `T` is what a function made of
//! the metadata.

mod changes;
mod slot;

use std::{
    fmt,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use foldhash::fast::RandomState;
use futures_util::{FutureExt, future::BoxFuture};
use moka::future::Cache;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
    time::Instant,
};

use self::{
    changes::Changes,
    slot::{Answer, Known, Slot},
};
use super::{
    error::Error,
    limits::{FAILURE_PAUSE, PAUSE_LIMIT, READERS_LIMIT},
    names::ObjectId,
};
use crate::telemetry::invocation;

/// For how long answers are kept, and how many.
#[derive(Debug, Clone, Copy)]
pub struct CachePolicy {
    /// An answer is fresh for this long, ±10 %.
    pub fresh_for: Duration,
    /// An answer older than this is never given.
    pub max_stale: Duration,
    /// That a secret is missing is believed for this long.
    pub missing_for: Duration,
    /// Answers that are kept.
    pub capacity: u64,
}

/// As documented in `docs/settings.md`.
impl Default for CachePolicy {
    fn default() -> Self {
        Self {
            fresh_for: Duration::from_secs(300),
            max_stale: Duration::from_secs(3_600),
            missing_for: Duration::from_secs(30),
            capacity: 1_000,
        }
    }
}

impl CachePolicy {
    /// `error` is cached for this long.
    fn pause_after(&self, error: &Error) -> Duration {
        match error {
            Error::NotFound(_) | Error::VersionNotFound(_) => self.missing_for,
            // As the vault wishes, unless that is very long.
            Error::Throttled { retry_after } | Error::Unavailable { retry_after } => retry_after
                .unwrap_or_default()
                .clamp(FAILURE_PAUSE, PAUSE_LIMIT),
            _ => FAILURE_PAUSE,
        }
    }

    /// When a fresh answer is due to be renewed: the TTL ± 10 %, different every time.
    #[must_use]
    pub fn due_after(&self) -> Duration {
        let random = getrandom::u32().unwrap_or(u32::MAX / 2);
        let factor = 0.9 + 0.2 * f64::from(random) / f64::from(u32::MAX);
        self.fresh_for.mul_f64(factor)
    }
}

/// Reads through to the vault.
pub struct MetadataCache<T>(Arc<Inner<T>>);

struct Inner<T> {
    policy: CachePolicy,
    slots: Cache<ObjectId, Arc<Slot<T>>, RandomState>,
    readers: Arc<Semaphore>,
    /// Whether answers are given past their time because the vault cannot be asked.
    is_outage: AtomicBool,
    changes: Changes,
    load: Box<dyn Fn(ObjectId) -> BoxFuture<'static, Result<T, Error>> + Send + Sync>,
}

/// An answer and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<T> {
    /// What was loaded.
    pub value: T,
    /// Whether this caller had to wait for the vault.
    pub outcome: Outcome,
    /// Time since the vault gave the answer.
    pub age: Duration,
}

/// How an answer came to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// From the cache.
    Hit,
    /// From the vault.
    Miss,
    /// From the cache, past its time; it is being renewed, or that failed.
    Stale {
        /// Why it could not be renewed, if that was tried.
        cause: Option<Error>,
    },
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Failed {
    /// The cause.
    pub error: Error,
    /// Whether it is a failure that is remembered, and the vault was not asked for this caller.
    pub was_remembered: bool,
}

impl<T> fmt::Debug for MetadataCache<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetadataCache").finish_non_exhaustive()
    }
}

impl<T: Clone + Send + Sync + 'static> MetadataCache<T> {
    /// Keeps what `load` answers. `load` must end by itself.
    pub fn new<F>(policy: CachePolicy, load: impl Fn(ObjectId) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        Self(Arc::new(Inner {
            policy,
            slots: Cache::builder()
                .max_capacity(policy.capacity)
                .build_with_hasher(RandomState::default()),
            readers: Arc::new(Semaphore::new(READERS_LIMIT)),
            is_outage: AtomicBool::new(false),
            changes: Changes::default(),
            load: Box::new(move |id| Box::pin(load(id))),
        }))
    }

    /// The answer for `id`.
    ///
    /// # Errors
    ///
    /// What `load` returned to whoever asked, now or a moment ago.
    pub async fn get(&self, id: &ObjectId) -> Result<Found<T>, Failed> {
        let seen = self.0.slots.get(id).await;
        let now = Instant::now();
        if let Some(slot) = &seen
            && !self.0.is_outdated(id, slot)
        {
            let is_due = now >= slot.until;
            match &slot.known {
                Known::Answer(answer) if !is_due && self.0.may_give(answer, now) => {
                    return Ok(answer.found(Outcome::Hit, now));
                }
                Known::Answer(answer) | Known::NotRenewed(answer, _)
                    if self.0.may_give(answer, now) =>
                {
                    if is_due {
                        self.renew(id, slot);
                    }
                    let cause = slot.known.failure().cloned();
                    return Ok(answer.found(Outcome::Stale { cause }, now));
                }
                Known::NotRenewed(_, error) | Known::Failure(error) if !is_due => {
                    return Err(Failed {
                        error: error.clone(),
                        was_remembered: true,
                    });
                }
                _ => {}
            }
        }
        let mut slot = self.read(id, seen, false).await?;
        if self.0.is_outdated(id, &slot) {
            // That read was under way when the secret changed.
            slot = self.read(id, Some(slot), false).await?;
        }
        self.0.outcome_of(&slot)
    }

    /// Like [`MetadataCache::get`], but from the vault, by a read that begins after this call.
    /// For one secret that is done once in five seconds; in between it is [`MetadataCache::get`].
    ///
    /// # Errors
    ///
    /// As [`MetadataCache::get`].
    pub async fn refresh(&self, id: &ObjectId) -> Result<Found<T>, Failed> {
        let seen = self.0.slots.get(id).await;
        if seen.as_ref().is_some_and(|slot| slot.is_forced()) {
            return self.get(id).await;
        }
        let mut slot = self.read(id, seen, true).await?;
        if !slot.is_forced() || self.0.is_outdated(id, &slot) {
            // That read was under way, and may have been asked before the secret changed.
            slot = self.read(id, Some(slot), true).await?;
        }
        self.0.outcome_of(&slot)
    }

    /// `id` has changed in the vault: the next caller waits for a read that begins after this call.
    /// While the vault cannot be asked, that changes nothing: what was known is given past its time,
    /// and a failure has its pause. Asks the vault nothing.
    pub fn note_change(&self, id: &ObjectId) {
        self.0.changes.note(id);
    }

    /// Asks the vault, or waits with those who do. `seen` is what the caller found in the cache:
    /// if something else is there by now, no read is needed.
    async fn read(
        &self,
        id: &ObjectId,
        seen: Option<Arc<Slot<T>>>,
        is_forced: bool,
    ) -> Result<Arc<Slot<T>>, Failed> {
        // The semaphore is never closed, and the task never panics.
        let never = || Failed {
            error: Error::UnexpectedAnswer,
            was_remembered: false,
        };
        let reader = self.0.readers.clone().acquire_owned().await;
        let reader = reader.map_err(|_| never())?;
        let read = self.spawn(id, seen, is_forced, reader);
        read.await.map_err(|_| never())
    }

    /// Reads in the background what `seen` is, once. If too much is under way, the next caller
    /// tries.
    fn renew(&self, id: &ObjectId, seen: &Arc<Slot<T>>) {
        if !seen.is_renewing.swap(true, Ordering::Relaxed) {
            match self.0.readers.clone().try_acquire_owned() {
                Ok(reader) => drop(self.spawn(id, Some(seen.clone()), false, reader)),
                Err(_) => seen.is_renewing.store(false, Ordering::Relaxed),
            }
        }
    }

    /// moka runs one read for one secret and shares its result, but another one if the caller
    /// that runs it hangs up. So each waits in a task.
    fn spawn(
        &self,
        id: &ObjectId,
        seen: Option<Arc<Slot<T>>>,
        is_forced: bool,
        reader: OwnedSemaphorePermit,
    ) -> JoinHandle<Arc<Slot<T>>> {
        let (inner, id) = (self.0.clone(), id.clone());
        tokio::spawn(invocation::inherit(async move {
            let _reader = reader;
            let is_as_seen = |current: &Arc<Slot<T>>| {
                let seen = seen.as_ref();
                seen.is_some_and(|seen| Arc::ptr_eq(seen, current))
            };
            let load = async {
                let change = inner.changes.count(&id);
                let load = AssertUnwindSafe(async { (inner.load)(id.clone()).await });
                // The panic hook has reported it.
                let loaded = load.catch_unwind().await;
                let loaded = loaded.unwrap_or(Err(Error::UnexpectedAnswer));
                Arc::new(inner.slot(loaded, change, seen.as_deref(), is_forced))
            };
            let entry = inner.slots.entry_by_ref(&id);
            entry.or_insert_with_if(load, is_as_seen).await.into_value()
        }))
    }
}

impl<T: Clone> Inner<T> {
    /// Whether an answer is within the hard limit.
    fn may_give(&self, answer: &Answer<T>, now: Instant) -> bool {
        now - answer.loaded <= self.policy.max_stale
    }

    /// What a caller gets who has waited for the read that left `slot`. A failure that leaves a
    /// stale answer in place gives that answer.
    fn outcome_of(&self, slot: &Slot<T>) -> Result<Found<T>, Failed> {
        let now = Instant::now();
        match &slot.known {
            Known::Answer(answer) => Ok(answer.found(Outcome::Miss, now)),
            Known::NotRenewed(answer, cause) if self.may_give(answer, now) => {
                let cause = Some(cause.clone());
                Ok(answer.found(Outcome::Stale { cause }, now))
            }
            Known::NotRenewed(_, error) | Known::Failure(error) => Err(Failed {
                error: error.clone(),
                was_remembered: false,
            }),
        }
    }

    /// Whether `id` has changed since the read of `slot` began, and the vault answered that read.
    fn is_outdated(&self, id: &ObjectId, slot: &Slot<T>) -> bool {
        slot.change != self.changes.count(id) && slot.known.is_of_the_vault()
    }

    /// What a read leaves that began at `change` and found `before`.
    fn slot(
        &self,
        loaded: Result<T, Error>,
        change: u64,
        before: Option<&Slot<T>>,
        is_forced: bool,
    ) -> Slot<T> {
        let now = Instant::now();
        let until = now
            + match &loaded {
                Ok(_) => self.policy.due_after(),
                Err(error) => self.policy.pause_after(error),
            };
        let known = match loaded {
            Ok(value) => {
                self.asked();
                Known::Answer(Answer { value, loaded: now })
            }
            Err(error) if error.may_pass() => {
                match before.and_then(|before| before.known.answer()) {
                    Some(answer) => {
                        if self.may_give(answer, now) && is_about_the_vault(&error) {
                            self.not_asked(&error);
                        }
                        Known::NotRenewed(answer.clone(), error)
                    }
                    None => Known::Failure(error),
                }
            }
            Err(error) => {
                self.asked();
                Known::Failure(error)
            }
        };
        let forced_before = before.and_then(|before| before.forced);
        Slot {
            known,
            until,
            is_renewing: AtomicBool::new(false),
            forced: is_forced.then_some(now).or(forced_before),
            change,
        }
    }

    fn not_asked(&self, error: &Error) {
        if !self.is_outage.swap(true, Ordering::Relaxed) {
            let code = error.code();
            tracing::warn!(
                code,
                "Key Vault cannot be asked: answers are served past their time"
            );
        }
    }

    fn asked(&self) {
        if self.is_outage.swap(false, Ordering::Relaxed) {
            tracing::info!("Key Vault answers again");
        }
    }
}

/// Whether `error` would be there for any secret, so that it begins an outage.
fn is_about_the_vault(error: &Error) -> bool {
    !matches!(
        error,
        Error::TooManyVersions | Error::RequestRefused | Error::UnexpectedAnswer
    )
}

#[cfg(test)]
mod tests;
