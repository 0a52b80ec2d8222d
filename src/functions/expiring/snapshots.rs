//! The list for all callers. It comes page by page and takes longer than an answer may, so it is
//! read in the background: when somebody asks first, and again when somebody asks who would get an
//! old one. All callers share it.
//!
//! While a vault cannot be asked, what it had before stays. What a vault refuses goes.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::FutureExt;
use tokio::time::{Instant, timeout};

use super::{reading::Reading, snapshot::Snapshot};
use crate::{
    functions::Shared,
    key_vault::{CachePolicy, SingleFlight},
};

/// How long the first caller waits. What is there by then is the answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// What is not whole is read again after this time, if that is sooner than usual.
const INCOMPLETE_LIFE: Duration = Duration::from_secs(60);
/// Whoever forces a new reading gets one that is at most this old.
const FORCED_PAUSE: Duration = Duration::from_secs(10);

/// What a caller wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// An answer now, even from an old list.
    AtOnce,
    /// A list that is not due, if it comes in time.
    Fresh,
    /// A new list, if it comes in time.
    Anew,
}

/// What a caller gets.
pub(super) struct Given {
    pub(super) snapshot: Arc<Snapshot>,
    /// A newer one is on its way.
    pub(super) is_being_read: bool,
}

impl Given {
    fn of(snapshot: Arc<Snapshot>) -> Self {
        Self {
            snapshot,
            is_being_read: false,
        }
    }
}

/// The latest snapshot and the one that is being made.
pub(in crate::functions) struct Snapshots {
    policy: CachePolicy,
    latest: Mutex<Option<Latest>>,
    flight: SingleFlight<Arc<Snapshot>>,
    /// What the reading under way has found so far.
    so_far: Mutex<Arc<Mutex<Snapshot>>>,
}

#[derive(Clone)]
struct Latest {
    snapshot: Arc<Snapshot>,
    read: Instant,
    due: Instant,
}

fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Snapshots {
    /// Each of which is fresh for the time of `policy`.
    pub(in crate::functions) fn new(policy: CachePolicy) -> Self {
        Self {
            policy,
            latest: Mutex::default(),
            flight: SingleFlight::new(|_| Duration::ZERO),
            so_far: Mutex::default(),
        }
    }

    /// The latest snapshot, or after three seconds what there is of the first one. One that is too
    /// old counts as none.
    pub(super) async fn get(&self, app: &Arc<Shared>, wish: Wish) -> Given {
        let now = Instant::now();
        let latest = lock(&self.latest).clone();
        let latest = latest.filter(|latest| now - latest.read <= self.policy.max_stale);
        if let Some(latest) = &latest {
            let is_forced = wish == Wish::Anew && now - latest.read >= FORCED_PAUSE;
            if now < latest.due && !is_forced {
                return Given::of(latest.snapshot.clone());
            }
        }
        let flight = self.flight.get(|| {
            let so_far = Arc::<Mutex<Snapshot>>::default();
            *lock(&self.so_far) = so_far.clone();
            let (app, reading) = (app.clone(), Reading::new(app.clone(), so_far));
            async move {
                let snapshot = app.snapshots.keep(reading.run().await);
                *lock(&app.snapshots.so_far) = Arc::default();
                snapshot
            }
        });
        if let (Some(latest), Wish::AtOnce) = (&latest, wish) {
            // One look begins the reading, which goes on by itself.
            let _ = flight.now_or_never();
            return Given::of(latest.snapshot.clone());
        }
        match timeout(PATIENCE, flight).await {
            Ok(Some(snapshot)) => Given::of(snapshot),
            // It is not done, or panicked.
            Ok(None) | Err(_) => Given {
                snapshot: latest.map_or_else(|| self.so_far(now), |latest| latest.snapshot),
                is_being_read: true,
            },
        }
    }

    /// What there is of the reading that was asked for at `asked`, or all of it, if it has ended by
    /// now.
    fn so_far(&self, asked: Instant) -> Arc<Snapshot> {
        let so_far = lock(&self.so_far).clone();
        // Before the latest: a reading is kept first and forgotten then.
        let partial = lock(&so_far).clone();
        match &*lock(&self.latest) {
            Some(latest) if latest.read >= asked => latest.snapshot.clone(),
            Some(_) | None => Arc::new(partial),
        }
    }

    /// Makes `snapshot` the latest.
    pub(super) fn keep(&self, snapshot: Snapshot) -> Arc<Snapshot> {
        let mut latest = lock(&self.latest);
        let snapshot = match &*latest {
            Some(before) => snapshot.or_before(&before.snapshot),
            None => snapshot,
        };
        let life = self.policy.due_after();
        let life = if snapshot.is_cut_or_complete() {
            life
        } else {
            life.min(INCOMPLETE_LIFE)
        };
        let snapshot = Arc::new(snapshot);
        let now = Instant::now();
        *latest = Some(Latest {
            snapshot: snapshot.clone(),
            read: now,
            due: now + life,
        });
        snapshot
    }
}
