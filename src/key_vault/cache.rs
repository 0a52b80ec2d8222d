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

use std::{
    collections::HashMap,
    fmt,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use foldhash::fast::RandomState;
use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use moka::future::Cache;
use tokio::time::Instant;

use super::{error::Error, names::SecretId};
use crate::telemetry::invocation;

/// For how long a failure stands for those who ask next.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause that a vault can ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A read can be forced once in this time.
const FORCED_PAUSE: Duration = Duration::from_secs(5);
/// Reads that are under way at the same time; callers can hang up, their reads go on.
const FLIGHTS_LIMIT: usize = 2_000;

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

impl CachePolicy {
    /// For how long `error` stands for those who ask next.
    fn pause_after(&self, error: &Error) -> Duration {
        match error {
            Error::SecretNotFound | Error::SecretVersionNotFound => self.missing_for,
            // As the vault wishes, unless that is very long.
            Error::Throttled { retry_after } | Error::Unavailable { retry_after } => retry_after
                .unwrap_or_default()
                .clamp(FAILURE_PAUSE, LONGEST_PAUSE),
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
pub struct SecretCache<T>(Arc<Inner<T>>);

struct Inner<T> {
    policy: CachePolicy,
    slots: Cache<SecretId, Arc<Slot<T>>, RandomState>,
    flights: Mutex<HashMap<SecretId, Flight<T>>>,
    /// When a read was last forced.
    forced: Mutex<HashMap<SecretId, Instant>>,
    load: Box<dyn Fn(SecretId) -> BoxFuture<'static, Result<T, Error>> + Send + Sync>,
}

type Flight<T> = Shared<BoxFuture<'static, Result<Arc<Slot<T>>, Error>>>;

/// What is kept about one secret: an answer, perhaps with the failure to renew it, or the
/// failure to get one.
struct Slot<T> {
    kept: Result<Answer<T>, Error>,
    /// When `kept` is to be renewed.
    until: Instant,
    /// Why the last attempt to renew it failed.
    not_renewed: Option<Error>,
}

#[derive(Clone)]
struct Answer<T> {
    value: T,
    loaded: Instant,
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

impl<T> fmt::Debug for SecretCache<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretCache").finish_non_exhaustive()
    }
}

impl<T: Clone + Send + Sync + 'static> SecretCache<T> {
    /// Keeps what `load` answers. `load` must end by itself.
    pub fn new<F>(policy: CachePolicy, load: impl Fn(SecretId) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        Self(Arc::new(Inner {
            policy,
            slots: Cache::builder()
                .max_capacity(policy.capacity)
                .build_with_hasher(RandomState::default()),
            flights: Mutex::default(),
            forced: Mutex::default(),
            load: Box::new(move |id| Box::pin(load(id))),
        }))
    }

    /// The answer for `id`.
    ///
    /// # Errors
    ///
    /// What `load` returned to whoever asked, now or a moment ago.
    pub async fn get(&self, id: &SecretId) -> Result<Found<T>, Error> {
        let Some(slot) = self.0.slots.get(id).await else {
            return self.read(id, None).await;
        };
        let is_due = Instant::now() >= slot.until;
        match &slot.kept {
            Err(error) if !is_due => Err(error.clone()),
            Ok(answer) if answer.loaded.elapsed() <= self.0.policy.max_stale => {
                if is_due {
                    // Nobody waits for it; if too much is under way, the next caller tries.
                    drop(self.flight(id, Some(&slot)));
                }
                let outcome = if is_due || slot.not_renewed.is_some() {
                    Outcome::Stale {
                        cause: slot.not_renewed.clone(),
                    }
                } else {
                    Outcome::Hit
                };
                Ok(answer.found(outcome))
            }
            // Past the hard limit, a failure to renew still stands for its moment.
            Ok(_) => match &slot.not_renewed {
                Some(error) if !is_due => Err(error.clone()),
                _ => self.read(id, Some(&slot)).await,
            },
            Err(_) => self.read(id, Some(&slot)).await,
        }
    }

    /// Like [`SecretCache::get`], but from the vault, by a read that begins after this call.
    /// For one secret that is done once in five seconds; in between it is [`SecretCache::get`].
    ///
    /// # Errors
    ///
    /// As [`SecretCache::get`].
    pub async fn refresh(&self, id: &SecretId) -> Result<Found<T>, Error> {
        if !self.0.may_force(id) {
            return self.get(id).await;
        }
        // What is under way may have been asked before the secret changed.
        let under_way = self.0.flights().get(id).cloned();
        if let Some(under_way) = under_way {
            let _ = under_way.await;
        }
        let seen = self.0.slots.get(id).await;
        self.read(id, seen.as_ref()).await
    }

    /// Asks the vault, or waits with those who do. A failure that leaves a stale answer in
    /// place gives that answer.
    async fn read(&self, id: &SecretId, seen: Option<&Arc<Slot<T>>>) -> Result<Found<T>, Error> {
        let slot = self.flight(id, seen)?.await?;
        let answer = slot.kept.as_ref().map_err(Error::clone)?;
        if let Some(cause) = &slot.not_renewed {
            if answer.loaded.elapsed() > self.0.policy.max_stale {
                return Err(cause.clone());
            }
            return Ok(answer.found(Outcome::Stale {
                cause: Some(cause.clone()),
            }));
        }
        Ok(answer.found(Outcome::Miss))
    }

    /// The read of `id` that is under way, started if there is none. `seen` is what the caller
    /// found in the cache: if something else is there by now, no read is needed.
    fn flight(&self, id: &SecretId, seen: Option<&Arc<Slot<T>>>) -> Result<Flight<T>, Error> {
        let mut flights = self.0.flights();
        if let Some(flight) = flights.get(id) {
            return Ok(flight.clone());
        }
        if flights.len() >= FLIGHTS_LIMIT {
            return Err(Error::Unavailable {
                retry_after: Some(FAILURE_PAUSE),
            });
        }
        let (inner, asked, seen) = (self.0.clone(), id.clone(), seen.cloned());
        let task = tokio::spawn(invocation::inherit(async move {
            let slot = inner.renew(&asked, seen).await;
            inner.flights().remove(&asked);
            slot
        }));
        let flight = async move { task.await.map_err(|_| Error::UnexpectedAnswer) }
            .boxed()
            .shared();
        flights.insert(id.clone(), flight.clone());
        Ok(flight)
    }
}

impl<T: Clone + Send + Sync + 'static> Inner<T> {
    fn flights(&self) -> MutexGuard<'_, HashMap<SecretId, Flight<T>>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a read may be forced now; if so, it counts as done.
    fn may_force(&self, id: &SecretId) -> bool {
        let now = Instant::now();
        let mut forced = self.forced.lock().unwrap_or_else(PoisonError::into_inner);
        // Only the last seconds are remembered, so this cannot grow beyond what they bring.
        if forced.len() >= FLIGHTS_LIMIT {
            forced.retain(|_, at| now - *at < FORCED_PAUSE);
        }
        let is_recent = forced.get(id).is_some_and(|at| now - *at < FORCED_PAUSE);
        if is_recent || forced.len() >= FLIGHTS_LIMIT {
            return false;
        }
        forced.insert(id.clone(), now);
        true
    }

    async fn renew(&self, id: &SecretId, seen: Option<Arc<Slot<T>>>) -> Arc<Slot<T>> {
        if let Some(current) = self.slots.get(id).await
            && !seen.is_some_and(|seen| Arc::ptr_eq(&seen, &current))
        {
            return current;
        }
        let load = AssertUnwindSafe((self.load)(id.clone()));
        // The panic hook has reported it.
        let loaded = load.catch_unwind().await;
        let loaded = loaded.unwrap_or(Err(Error::UnexpectedAnswer));
        self.keep(id, loaded).await
    }

    /// Puts what was loaded, or the failure to load it, into the place of what was there.
    async fn keep(&self, id: &SecretId, loaded: Result<T, Error>) -> Arc<Slot<T>> {
        let now = Instant::now();
        let slot = match loaded {
            Ok(value) => Slot {
                kept: Ok(Answer { value, loaded: now }),
                until: now + self.policy.due_after(),
                not_renewed: None,
            },
            Err(error) => {
                let until = now + self.policy.pause_after(&error);
                let before = self.slots.get(id).await;
                let before = before.and_then(|slot| slot.kept.as_ref().ok().cloned());
                match before.filter(|_| may_pass(&error)) {
                    Some(answer) => Slot {
                        kept: Ok(answer),
                        until,
                        not_renewed: Some(error),
                    },
                    None => Slot {
                        kept: Err(error),
                        until,
                        not_renewed: None,
                    },
                }
            }
        };
        let slot = Arc::new(slot);
        self.slots.insert(id.clone(), slot.clone()).await;
        slot
    }
}

/// Whether an old answer may be given in spite of `error`. What the vault has decided is not
/// a failure: a secret that is gone is gone, and a right that was revoked is revoked.
fn may_pass(error: &Error) -> bool {
    match error {
        Error::SecretNotFound
        | Error::SecretVersionNotFound
        | Error::SecretDisabled
        | Error::AccessDenied(_)
        | Error::TokenRefused
        | Error::ForbiddenByFirewall
        | Error::ForbiddenByConnection => false,
        Error::VaultNotFound
        | Error::TlsFailed(_)
        | Error::Unreachable(_)
        | Error::TooManyVersions
        | Error::TooManyVaults
        | Error::NoCertificateAuthorities
        | Error::BudgetSpent { .. }
        | Error::Throttled { .. }
        | Error::Unavailable { .. }
        | Error::TimedOut
        | Error::Credential(_)
        | Error::WrongSetting(_)
        | Error::RequestRefused
        | Error::UnexpectedAnswer => true,
    }
}

impl<T: Clone> Answer<T> {
    fn found(&self, outcome: Outcome) -> Found<T> {
        Found {
            value: self.value.clone(),
            outcome,
            age: self.loaded.elapsed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;
    use tokio::time::{advance, sleep};

    use super::*;
    use crate::key_vault::{SecretName, error::Denial};

    const SLOW: Duration = Duration::from_millis(200);
    const POLICY: CachePolicy = CachePolicy {
        fresh_for: Duration::from_secs(300),
        max_stale: Duration::from_secs(3_600),
        missing_for: Duration::from_secs(30),
        capacity: 10,
    };
    /// Longer than any jitter makes it.
    const PAST_TTL: Duration = Duration::from_secs(331);

    fn id(name: &str) -> SecretId {
        SecretId {
            name: SecretName::parse(name).expect("a name"),
            version: None,
        }
    }

    /// A vault that takes [`SLOW`] and answers with the number of the call, or fails.
    #[derive(Default)]
    struct Fake {
        calls: AtomicUsize,
        failure: Mutex<Option<Error>>,
    }

    impl Fake {
        fn calls(&self) -> usize {
            self.calls.load(Ordering::SeqCst)
        }

        fn fail(&self, error: impl Into<Option<Error>>) {
            *self.failure.lock().expect("lock") = error.into();
        }
    }

    fn over_fake() -> (Arc<Fake>, Arc<SecretCache<usize>>) {
        let fake = Arc::new(Fake::default());
        let vault = fake.clone();
        let cache = SecretCache::new(POLICY, move |_| {
            let vault = vault.clone();
            async move {
                let call = vault.calls.fetch_add(1, Ordering::SeqCst) + 1;
                sleep(SLOW).await;
                let failure = vault.failure.lock().expect("lock").clone();
                failure.map_or(Ok(call), Err)
            }
        });
        (fake, Arc::new(cache))
    }

    async fn all(
        cache: &Arc<SecretCache<usize>>,
        callers: usize,
    ) -> Vec<Result<Found<usize>, Error>> {
        join_all((0..callers).map(async |_| cache.get(&id("a")).await)).await
    }

    fn stale(cause: Option<Error>) -> Outcome {
        Outcome::Stale { cause }
    }

    #[tokio::test(start_paused = true)]
    async fn many_callers_of_a_cold_secret_ask_once() {
        let (fake, cache) = over_fake();
        let found = all(&cache, 10_000).await;
        assert_eq!(fake.calls(), 1);
        assert!(
            found
                .iter()
                .all(|found| found.as_ref().is_ok_and(|found| found.value == 1))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn many_callers_of_an_expired_secret_ask_once_and_wait_for_nothing() {
        let (fake, cache) = over_fake();
        all(&cache, 1).await;
        advance(PAST_TTL).await;
        let started = Instant::now();
        let found = all(&cache, 10_000).await;
        assert_eq!(started.elapsed(), Duration::ZERO);
        for found in found {
            let found = found.expect("an answer");
            assert_eq!(
                (found.value, found.outcome, found.age.as_secs()),
                (1, stale(None), 331)
            );
        }
        sleep(SLOW * 2).await;
        assert_eq!(fake.calls(), 2);
        let found = cache.get(&id("a")).await.expect("an answer");
        assert_eq!((found.value, found.outcome), (2, Outcome::Hit));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_fresh_for_the_ttl_give_or_take_a_tenth() {
        let (fake, cache) = over_fake();
        assert_eq!(
            cache.get(&id("a")).await.expect("loaded").outcome,
            Outcome::Miss
        );
        advance(Duration::from_secs(269)).await;
        let hit = cache.get(&id("A")).await.expect("cached");
        assert_eq!((hit.outcome, hit.age.as_secs()), (Outcome::Hit, 269));
        assert_eq!(fake.calls(), 1);
        let spread: Vec<_> = (0..1_000).map(|_| POLICY.due_after().as_secs()).collect();
        assert!(spread.iter().all(|seconds| (270..=330).contains(seconds)));
        assert!(spread.iter().any(|seconds| *seconds < 285) && spread.iter().any(|s| *s > 315));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failing_vault_leaves_the_stale_answer_until_the_hard_limit() {
        let (fake, cache) = over_fake();
        all(&cache, 1).await;
        fake.fail(Error::TimedOut);
        advance(PAST_TTL).await;
        all(&cache, 1).await;
        sleep(SLOW * 2).await;
        for _ in 0..600 {
            let started = Instant::now();
            let found = cache.get(&id("a")).await.expect("an answer");
            assert_eq!(started.elapsed(), Duration::ZERO);
            assert_eq!(found.outcome, stale(Some(Error::TimedOut)));
            sleep(Duration::from_secs(1)).await;
        }
        advance(POLICY.max_stale).await;
        assert_eq!(cache.get(&id("a")).await, Err(Error::TimedOut));
        fake.fail(None);
        sleep(FAILURE_PAUSE).await;
        assert_eq!(
            cache.get(&id("a")).await.expect("an answer").outcome,
            Outcome::Miss
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_revoked_right_shows_at_once() {
        let denied = Error::AccessDenied(Denial::Role);
        let (fake, cache) = over_fake();
        all(&cache, 1).await;
        fake.fail(denied.clone());
        advance(PAST_TTL).await;
        all(&cache, 1).await;
        sleep(SLOW * 2).await;
        assert_eq!(cache.get(&id("a")).await, Err(denied));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_shared_and_not_tried_again_for_a_moment() {
        let (fake, cache) = over_fake();
        fake.fail(Error::TimedOut);
        let found = all(&cache, 100).await;
        assert!(found.iter().all(|found| found == &Err(Error::TimedOut)));
        all(&cache, 100).await;
        assert_eq!(fake.calls(), 1);
        fake.fail(None);
        sleep(FAILURE_PAUSE).await;
        assert_eq!(cache.get(&id("a")).await.expect("loaded").value, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_vault_that_throttles_is_left_alone_for_as_long_as_it_asks() {
        for (asked, paused) in [(None, 1), (Some(7), 7), (Some(600), 60)] {
            let (fake, cache) = over_fake();
            let retry_after = asked.map(Duration::from_secs);
            fake.fail(Error::Throttled { retry_after });
            all(&cache, 1).await;
            advance(Duration::from_millis(paused * 1_000 - 1)).await;
            all(&cache, 10).await;
            assert_eq!(fake.calls(), 1, "{asked:?}");
            advance(Duration::from_millis(1)).await;
            all(&cache, 10).await;
            assert_eq!(fake.calls(), 2, "{asked:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_missing_secret_is_remembered_for_a_shorter_time() {
        let (fake, cache) = over_fake();
        fake.fail(Error::SecretNotFound);
        for _ in 0..5 {
            assert_eq!(cache.get(&id("a")).await, Err(Error::SecretNotFound));
            sleep(Duration::from_secs(5)).await;
        }
        assert_eq!(fake.calls(), 1);
        fake.fail(None);
        sleep(Duration::from_secs(10)).await;
        assert_eq!(
            cache.get(&id("a")).await.expect("loaded").outcome,
            Outcome::Miss
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_forced_read_is_one_read_and_no_hammer() {
        let (fake, cache) = over_fake();
        all(&cache, 1).await;
        let forced = async || join_all((0..100).map(async |_| cache.refresh(&id("a")).await)).await;
        forced().await;
        assert_eq!(fake.calls(), 2);
        assert_eq!(cache.get(&id("a")).await.expect("an answer").value, 2);
        for _ in 0..4 {
            forced().await;
            sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(fake.calls(), 2, "once in five seconds");
        sleep(Duration::from_secs(1)).await;
        fake.fail(Error::TimedOut);
        let found = cache.refresh(&id("a")).await.expect("the old answer");
        assert_eq!(found.outcome, stale(Some(Error::TimedOut)));
        assert_eq!(fake.calls(), 3);
    }

    /// A secret that was made a moment after it was found missing.
    #[tokio::test(start_paused = true)]
    async fn a_forced_read_does_not_believe_in_an_old_failure() {
        let (fake, cache) = over_fake();
        fake.fail(Error::SecretNotFound);
        all(&cache, 1).await;
        fake.fail(None);
        assert_eq!(cache.get(&id("a")).await, Err(Error::SecretNotFound));
        assert_eq!(cache.refresh(&id("a")).await.expect("loaded").value, 2);
    }

    /// The read under way may have seen the secret before it was rotated.
    #[tokio::test(start_paused = true)]
    async fn a_forced_read_begins_after_it_was_asked_for() {
        let (fake, cache) = over_fake();
        let id = id("a");
        let under_way = cache.get(&id);
        let forced = async {
            sleep(SLOW / 2).await;
            cache.refresh(&id).await
        };
        let (under_way, forced) = tokio::join!(under_way, forced);
        assert_eq!(under_way.expect("loaded").value, 1);
        assert_eq!(forced.expect("loaded").value, 2);
        assert_eq!(cache.get(&id).await.expect("cached").value, 2);
        assert_eq!(fake.calls(), 2);
    }

    /// A caller that looked before a read ended and comes after it starts no other.
    #[tokio::test(start_paused = true)]
    async fn a_caller_that_comes_late_takes_what_is_there() {
        let (fake, cache) = over_fake();
        all(&cache, 1).await;
        let late = cache
            .flight(&id("a"), None)
            .expect("room")
            .await
            .expect("a slot");
        assert_eq!(late.kept.as_ref().map(|answer| answer.value).ok(), Some(1));
        assert_eq!(fake.calls(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_load_outlives_the_caller_that_hangs_up() {
        let (fake, cache) = over_fake();
        let caller = tokio::time::timeout(SLOW / 2, cache.get(&id("a"))).await;
        assert!(caller.is_err());
        sleep(SLOW).await;
        assert_eq!(
            cache.get(&id("a")).await.expect("cached").outcome,
            Outcome::Hit
        );
        assert_eq!(fake.calls(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_load_that_panics_harms_nobody() {
        let calls = AtomicUsize::new(0);
        let cache = SecretCache::new(POLICY, move |_| {
            let call = calls.fetch_add(1, Ordering::SeqCst);
            async move {
                assert!(call > 0, "a defect");
                Ok(call)
            }
        });
        assert_eq!(cache.get(&id("a")).await, Err(Error::UnexpectedAnswer));
        sleep(FAILURE_PAUSE).await;
        assert_eq!(cache.get(&id("a")).await.expect("loaded").value, 1);
        assert!(cache.0.flights().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_answers_is_bounded() {
        let (_, cache) = over_fake();
        join_all((0..100).map(async |number| cache.get(&id(&format!("n{number}"))).await)).await;
        cache.0.slots.run_pending_tasks().await;
        assert!(cache.0.slots.entry_count() <= POLICY.capacity);
        assert!(cache.0.flights().is_empty());
    }
}
