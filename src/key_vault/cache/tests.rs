//! When the vault is asked, and when it is not.

use std::sync::{Mutex, atomic::AtomicUsize};

use futures_util::future::join_all;
use tokio::time::{advance, sleep};

use super::*;
use crate::key_vault::{ObjectKind, ObjectName, error::Denial};

const SLOW: Duration = Duration::from_millis(200);
const POLICY: CachePolicy = CachePolicy {
    fresh_for: Duration::from_secs(300),
    max_stale: Duration::from_secs(3_600),
    missing_for: Duration::from_secs(30),
    capacity: 10,
};
/// Longer than any jitter makes it.
const PAST_TTL: Duration = Duration::from_secs(331);

fn id(name: &str) -> ObjectId {
    ObjectId {
        kind: ObjectKind::Secret,
        name: ObjectName::parse(name).expect("a name"),
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

fn over_fake() -> (Arc<Fake>, Arc<MetadataCache<usize>>) {
    let fake = Arc::new(Fake::default());
    let vault = fake.clone();
    let cache = MetadataCache::new(POLICY, move |_| {
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
    cache: &Arc<MetadataCache<usize>>,
    callers: usize,
) -> Vec<Result<Found<usize>, Failed>> {
    join_all((0..callers).map(async |_| cache.get(&id("a")).await)).await
}

fn asked(error: Error) -> Failed {
    Failed {
        error,
        was_remembered: false,
    }
}

fn remembered(error: Error) -> Failed {
    Failed {
        error,
        was_remembered: true,
    }
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
    assert_eq!(cache.get(&id("a")).await, Err(asked(Error::TimedOut)));
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
    assert_eq!(cache.get(&id("a")).await, Err(remembered(denied)));
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_shared_and_not_tried_again_for_a_moment() {
    let (fake, cache) = over_fake();
    fake.fail(Error::TimedOut);
    let found = all(&cache, 100).await;
    let failed = Err(asked(Error::TimedOut));
    assert!(found.iter().all(|found| *found == failed));
    let found = all(&cache, 100).await;
    let failed = Err(remembered(Error::TimedOut));
    assert!(found.iter().all(|found| *found == failed));
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
    fake.fail(Error::NotFound(ObjectKind::Secret));
    for round in 0..5 {
        let failed = Failed {
            error: Error::NotFound(ObjectKind::Secret),
            was_remembered: round > 0,
        };
        assert_eq!(cache.get(&id("a")).await, Err(failed));
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
    fake.fail(Error::NotFound(ObjectKind::Secret));
    all(&cache, 1).await;
    fake.fail(None);
    let failed = Err(remembered(Error::NotFound(ObjectKind::Secret)));
    assert_eq!(cache.get(&id("a")).await, failed);
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
    let late = cache.read(&id("a"), None, false).await.expect("a slot");
    assert_eq!(late.known.answer().map(|answer| answer.value), Some(1));
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
    let cache = MetadataCache::new(POLICY, move |_| {
        let call = calls.fetch_add(1, Ordering::SeqCst);
        async move {
            assert!(call > 0, "a defect");
            Ok(call)
        }
    });
    let failed = Err(asked(Error::UnexpectedAnswer));
    assert_eq!(cache.get(&id("a")).await, failed);
    sleep(FAILURE_PAUSE).await;
    assert_eq!(cache.get(&id("a")).await.expect("loaded").value, 1);
    assert_eq!(cache.0.readers.available_permits(), READERS_LIMIT);
}

#[tokio::test(start_paused = true)]
async fn the_number_of_answers_is_bounded() {
    let (_, cache) = over_fake();
    join_all((0..100).map(async |number| cache.get(&id(&format!("n{number}"))).await)).await;
    cache.0.slots.run_pending_tasks().await;
    assert!(cache.0.slots.entry_count() <= POLICY.capacity);
    assert_eq!(cache.0.readers.available_permits(), READERS_LIMIT);
}

#[tokio::test(start_paused = true)]
async fn what_has_changed_is_read_again_before_it_is_given() {
    let (fake, cache) = over_fake();
    let id = id("a");
    assert_eq!(cache.get(&id).await.expect("loaded").value, 1);
    cache.note_change(&id);
    // However many ask.
    for found in all(&cache, 20).await {
        let found = found.expect("loaded");
        assert_eq!((found.value, found.outcome), (2, Outcome::Miss));
    }
    assert_eq!(cache.get(&id).await.expect("cached").outcome, Outcome::Hit);
    assert_eq!(fake.calls(), 2);
    // What nobody has asked for is not read.
    cache.note_change(&self::id("b"));
    assert_eq!(fake.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_read_that_is_under_way_when_something_changes_is_not_believed() {
    let (fake, cache) = over_fake();
    let id = id("a");
    let change = async {
        sleep(SLOW / 2).await;
        cache.note_change(&id);
        cache.get(&id).await
    };
    let (before, after) = tokio::join!(cache.get(&id), change);
    assert_eq!(after.expect("loaded").value, 2);
    assert_eq!(before.expect("loaded").value, 2);
    assert_eq!(cache.get(&id).await.expect("cached").outcome, Outcome::Hit);
    assert_eq!(fake.calls(), 2);
}

/// One that is forced belongs to whoever asked before the change.
#[tokio::test(start_paused = true)]
async fn a_forced_read_that_is_under_way_when_something_changes_is_not_believed() {
    let (fake, cache) = over_fake();
    let id = id("a");
    let change = async {
        sleep(SLOW / 2).await;
        cache.note_change(&id);
        cache.refresh(&id).await
    };
    let (_, after) = tokio::join!(cache.refresh(&id), change);
    assert_eq!(after.expect("loaded").value, 2);
    assert_eq!(fake.calls(), 2);
}

/// Nobody waits for a vault that does not answer.
#[tokio::test(start_paused = true)]
async fn a_change_during_an_outage_is_met_behind_the_callers_back() {
    let (fake, cache) = over_fake();
    let id = id("a");
    cache.get(&id).await.expect("loaded");
    cache.note_change(&id);
    fake.fail(Error::TimedOut);
    cache.get(&id).await.expect("what was known");
    fake.fail(None);
    cache.note_change(&id);
    advance(FAILURE_PAUSE).await;
    let found = cache.get(&id).await.expect("what was known");
    assert_eq!(found.outcome, stale(Some(Error::TimedOut)));
    sleep(SLOW * 2).await;
    let found = cache.get(&id).await.expect("renewed");
    assert_eq!((found.value, found.outcome), (3, Outcome::Hit));
}

#[tokio::test(start_paused = true)]
async fn a_change_leaves_what_an_outage_is_bridged_with() {
    let (fake, cache) = over_fake();
    let id = id("a");
    assert_eq!(cache.get(&id).await.expect("loaded").value, 1);
    cache.note_change(&id);
    fake.fail(Error::TimedOut);
    let found = cache.get(&id).await.expect("what was known");
    assert_eq!(
        (found.value, found.outcome),
        (1, stale(Some(Error::TimedOut)))
    );
    // The vault has its pause, whatever is told.
    for _ in 0..20 {
        cache.note_change(&id);
        let found = cache.get(&id).await.expect("what was known");
        assert_eq!(found.outcome, stale(Some(Error::TimedOut)));
    }
    assert_eq!(fake.calls(), 2);
    // A right that is revoked is one all the same.
    cache.note_change(&id);
    fake.fail(Error::AccessDenied(Denial::Other));
    advance(FAILURE_PAUSE).await;
    cache.get(&id).await.expect("what was known");
    sleep(SLOW * 2).await;
    cache.get(&id).await.expect_err("refused");
}

#[tokio::test(start_paused = true)]
async fn a_change_of_what_was_missing_is_read_at_once_and_of_what_failed_after_a_pause() {
    let (fake, cache) = over_fake();
    let id = id("a");
    for (error, calls) in [
        (Error::NotFound(ObjectKind::Secret), 2),
        (Error::TimedOut, 1),
    ] {
        let before = fake.calls();
        fake.fail(error);
        cache.get(&id).await.expect_err("failed");
        cache.note_change(&id);
        cache.get(&id).await.expect_err("failed");
        assert_eq!(fake.calls() - before, calls);
        advance(POLICY.missing_for).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_of_one_secret_has_few_others_read_again() {
    let (fake, cache) = over_fake();
    let ids: Vec<_> = (0..POLICY.capacity)
        .map(|number| id(&format!("a{number}")))
        .collect();
    for id in &ids {
        cache.get(id).await.expect("loaded");
    }
    let before = fake.calls();
    cache.note_change(&ids[0]);
    for id in &ids {
        cache.get(id).await.expect("loaded");
    }
    // All ten are in one of 256 groups about once in 10^21 runs.
    assert!(fake.calls() - before < ids.len());
}
