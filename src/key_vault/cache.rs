//! When the vault is not asked.
//!
//! An answer is fresh for the TTL; then the next caller asks the vault again. However many
//! callers want one secret that is not there, one of them asks and all get its answer, and
//! the question is asked to the end even if the caller that asked hangs up. Errors are
//! shared by those who waited and kept for nobody else. Values never enter: `T` is what a
//! function made of the metadata.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use moka::{future::Cache, ops::compute::Op};
use tokio::time::Instant;
use tracing::Instrument;

use super::{error::Error, names::SecretId};

/// Reads through to the vault, at most once per secret and TTL.
pub struct SecretCache<T> {
    slots: Cache<SecretId, Arc<Slot<T>>>,
    fresh_for: Duration,
    load: Arc<dyn Fn(SecretId) -> BoxFuture<'static, Result<T, Error>> + Send + Sync>,
}

impl<T> fmt::Debug for SecretCache<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretCache").finish_non_exhaustive()
    }
}

struct Slot<T> {
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

/// Whether the vault was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Answered from the cache.
    Hit,
    /// Answered by the vault.
    Miss,
}

impl<T: Clone + Send + Sync + 'static> SecretCache<T> {
    /// Keeps up to `capacity` answers of `load`, each fresh for `fresh_for`.
    pub fn new<F>(
        capacity: u64,
        fresh_for: Duration,
        load: impl Fn(SecretId) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        Self {
            slots: Cache::builder().max_capacity(capacity).build(),
            fresh_for,
            load: Arc::new(move |id| Box::pin(load(id))),
        }
    }

    /// The answer for `id`, from the vault if there is no fresh one.
    ///
    /// # Errors
    ///
    /// What `load` returned to whoever asked.
    pub async fn get(&self, id: SecretId) -> Result<Found<T>, Error> {
        if let Some(slot) = self.slots.get(&id).await {
            if slot.age() < self.fresh_for {
                return Ok(slot.found(Outcome::Hit));
            }
            self.drop_exactly(&id, &slot).await;
        }
        let slots = self.slots.clone();
        let load = self.load.clone();
        let load = async move {
            let asked = id.clone();
            slots
                .try_get_with(id, async move {
                    let value = load(asked).await?;
                    let loaded = Instant::now();
                    Ok(Arc::new(Slot { value, loaded }))
                })
                .await
        };
        let loaded = tokio::spawn(load.in_current_span()).await;
        match loaded {
            Ok(Ok(slot)) => Ok(slot.found(Outcome::Miss)),
            Ok(Err(shared)) => Err(Error::clone(&shared)),
            // The task panicked, which the panic hook has reported, or the runtime stops.
            Err(_) => Err(Error::UnexpectedAnswer),
        }
    }

    /// Removes `slot` unless somebody has put a newer one in its place.
    async fn drop_exactly(&self, id: &SecretId, slot: &Arc<Slot<T>>) {
        self.slots
            .entry_by_ref(id)
            .and_compute_with(async |current| match current {
                Some(current) if Arc::ptr_eq(current.value(), slot) => Op::Remove,
                _ => Op::Nop,
            })
            .await;
    }
}

impl<T: Clone> Slot<T> {
    fn age(&self) -> Duration {
        self.loaded.elapsed()
    }

    fn found(&self, outcome: Outcome) -> Found<T> {
        Found {
            value: self.value.clone(),
            outcome,
            age: self.age(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;
    use tokio::time::{advance, sleep};

    use super::*;
    use crate::key_vault::SecretName;

    const TTL: Duration = Duration::from_secs(300);
    const SLOW: Duration = Duration::from_millis(200);

    fn id(name: &str) -> SecretId {
        SecretId {
            name: SecretName::parse(name).expect("a name"),
            version: None,
        }
    }

    /// A cache over a vault that takes [`SLOW`] and answers with the number of the call.
    fn counting(fail_first: usize) -> (Arc<AtomicUsize>, Arc<SecretCache<usize>>) {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let cache = SecretCache::new(10, TTL, move |_| {
            let call = counted.fetch_add(1, Ordering::SeqCst) + 1;
            async move {
                sleep(SLOW).await;
                if call <= fail_first {
                    return Err(Error::TimedOut);
                }
                Ok(call)
            }
        });
        (calls, Arc::new(cache))
    }

    #[tokio::test(start_paused = true)]
    async fn many_callers_of_a_cold_secret_ask_once() {
        let (calls, cache) = counting(0);
        let found = join_all((0..100).map(|_| cache.get(id("a")))).await;
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        assert!(
            found
                .iter()
                .all(|found| found.as_ref().is_ok_and(|found| found.value == 1))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_fresh_for_the_ttl_and_tells_its_age() {
        let (calls, cache) = counting(0);
        assert_eq!(
            cache.get(id("a")).await.expect("loaded").outcome,
            Outcome::Miss
        );
        advance(Duration::from_secs(299)).await;
        let hit = cache.get(id("A")).await.expect("cached");
        assert_eq!((hit.outcome, hit.age.as_secs()), (Outcome::Hit, 299));
        advance(Duration::from_secs(1)).await;
        let found = join_all((0..100).map(|_| cache.get(id("a")))).await;
        assert!(
            found
                .iter()
                .all(|found| found.as_ref().is_ok_and(|found| found.value == 2))
        );
        assert_eq!(calls.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_shared_and_not_kept() {
        let (calls, cache) = counting(1);
        let found = join_all((0..100).map(|_| cache.get(id("a")))).await;
        assert!(found.iter().all(|found| found == &Err(Error::TimedOut)));
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        assert_eq!(cache.get(id("a")).await.expect("loaded").value, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_load_outlives_the_caller_that_hangs_up() {
        let (calls, cache) = counting(0);
        let caller = tokio::time::timeout(SLOW / 2, cache.get(id("a"))).await;
        assert!(caller.is_err());
        sleep(SLOW).await;
        assert_eq!(
            cache.get(id("a")).await.expect("cached").outcome,
            Outcome::Hit
        );
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    }
}
