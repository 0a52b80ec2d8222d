//! How often a vault is asked: what the handler spares it.
//!
//! A vault serves 4,000 transactions in 10 s to everybody together. Without limits, whoever
//! holds a key to one instance could use them all: by random names, or by versions of a secret
//! that has many.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{self, Semaphore},
    time::{Instant, timeout_at},
};

use super::{
    error::Error,
    limits::{
        BUDGET_WINDOW, FIRST_FAILURE_PAUSE, INVENTORY_LIMIT, LEAST_TIME, OWN_PAUSE_LIMIT,
        PAUSE_LIMIT, PROBES_AT_ONCE, PROBES_LIMIT, READS_AT_ONCE, REFUSED_TOKEN_PAUSE_LIMIT,
        REQUESTS_LIMIT,
    },
    names::ObjectKind,
};

fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a read of a vault is for. Each has permits of its own, probes leave a part of the budget
/// to reads, and the inventory a part to both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// `secrets/<name>`.
    Reads,
    /// config-check's attempts and comparisons.
    Probes,
    /// What a vault has, page by page.
    Inventory,
}

/// Lets the reads of one vault through.
pub(super) struct Pacing {
    reads: Semaphore,
    probes: Semaphore,
    inventory: Semaphore,
    budget: Arc<Budget>,
    handshake: Handshake,
    pause: Pause,
}

impl Pacing {
    /// One vault's, which shares `budget` with all others.
    pub(super) fn new(budget: Arc<Budget>) -> Self {
        Self {
            reads: Semaphore::new(READS_AT_ONCE),
            probes: Semaphore::new(PROBES_AT_ONCE),
            inventory: Semaphore::new(ObjectKind::ALL.len()),
            budget,
            handshake: Handshake::default(),
            pause: Pause::default(),
        }
    }

    /// Runs `read` as soon as it may, and ends by `until`. The wait is a part of it.
    pub(super) async fn run<T>(
        &self,
        lane: Lane,
        until: Instant,
        read: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let permits = match lane {
            Lane::Reads => &self.reads,
            Lane::Probes => &self.probes,
            Lane::Inventory => &self.inventory,
        };
        let permitted = async {
            // The semaphore is never closed.
            let _permit = permits.acquire().await;
            self.budget.has_room(lane)?;
            if Instant::now() + LEAST_TIME > until {
                return Err(Error::TimedOut);
            }
            self.pause.check()?;
            let began = Instant::now();
            let read = self.handshake.run(read).await;
            self.pause.note(&read, began);
            read
        };
        let read = timeout_at(until, permitted).await;
        read.unwrap_or(Err(Error::TimedOut))
    }
}

/// Counts the signed requests of an instance.
#[derive(Debug, Default)]
pub(super) struct Budget {
    sent: Mutex<VecDeque<Instant>>,
    is_unlimited: bool,
}

impl Budget {
    /// For a program that ends by itself, and is no instance of many.
    pub(super) fn unlimited() -> Self {
        Self {
            is_unlimited: true,
            ..Self::default()
        }
    }

    /// Counts one request, which may be sent then.
    pub(super) fn spend(&self) -> Result<(), Error> {
        if self.is_unlimited {
            return Ok(());
        }
        let now = Instant::now();
        let mut sent = self.sent(now);
        check(&sent, REQUESTS_LIMIT, now)?;
        sent.push_back(now);
        Ok(())
    }

    /// Whether something for `lane` may begin. A read is counted when it is sent.
    fn has_room(&self, lane: Lane) -> Result<(), Error> {
        let limit = match lane {
            Lane::Reads => return Ok(()),
            Lane::Probes => PROBES_LIMIT,
            Lane::Inventory => INVENTORY_LIMIT,
        };
        let now = Instant::now();
        check(&self.sent(now), limit, now)
    }

    fn sent(&self, now: Instant) -> MutexGuard<'_, VecDeque<Instant>> {
        let mut sent = lock(&self.sent);
        while sent.front().is_some_and(|at| now - *at >= BUDGET_WINDOW) {
            sent.pop_front();
        }
        sent
    }
}

fn check(sent: &VecDeque<Instant>, limit: usize, now: Instant) -> Result<(), Error> {
    match sent.front() {
        Some(first) if sent.len() >= limit => Err(Error::BudgetSpent {
            retry_after: BUDGET_WINDOW.saturating_sub(now - *first),
        }),
        _ => Ok(()),
    }
}

/// A vault's first read, which meets the challenge: until one has been signed and answered,
/// one caller at a time.
///
/// A client's first request is answered with a challenge by design, and every challenge makes
/// the SDK throw away the token that it has: a crowd of first requests would fetch a crowd of
/// tokens.
#[derive(Default)]
struct Handshake {
    is_done: AtomicBool,
    failed: sync::Mutex<Option<(Instant, Error)>>,
}

impl Handshake {
    async fn run<T>(&self, read: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        if self.is_done.load(Ordering::Acquire) {
            return read.await;
        }
        let mut failed = self.failed.lock().await;
        if self.is_done.load(Ordering::Acquire) {
            drop(failed);
            return read.await;
        }
        if let Some((at, error)) = &*failed
            && at.elapsed() < FIRST_FAILURE_PAUSE
        {
            return Err(error.clone());
        }
        let read = read.await;
        match &read {
            Err(error) if !is_signed_answer(error) => {
                *failed = Some((Instant::now(), error.clone()));
            }
            Ok(_) | Err(_) => self.is_done.store(true, Ordering::Release),
        }
        read
    }
}

/// Whether only a vault that has accepted the token says this.
fn is_signed_answer(error: &Error) -> bool {
    matches!(
        error,
        Error::NotFound(_)
            | Error::VersionNotFound(_)
            | Error::Disabled(_)
            | Error::AccessDenied(_)
    )
}

/// Pauses of 1, 2, 4 … s while something goes on to refuse.
#[derive(Debug, Default)]
struct Backoff {
    /// Pauses since the last success.
    strikes: u32,
    until: Option<Instant>,
}

impl Backoff {
    /// What is left of the pause.
    fn left(&self) -> Option<Duration> {
        let left = self.until?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    /// Begins a pause of the next length, or of `asked` if that is longer.
    fn pause(&mut self, own_limit: Duration, asked: Duration) {
        let own = Duration::from_secs(1 << self.strikes.min(5)).min(own_limit);
        self.strikes += 1;
        self.until = Some(Instant::now() + own.max(asked));
    }
}

/// Leaves a vault alone that throttles, for as long as it asks. Meanwhile everybody is told at
/// once.
#[derive(Default)]
struct Pause(Mutex<Backoff>);

impl Pause {
    /// What is left of the pause, as the error that it stands for.
    fn check(&self) -> Result<(), Error> {
        match lock(&self.0).left() {
            None => Ok(()),
            retry_after => Err(Error::Throttled { retry_after }),
        }
    }

    /// Takes note of a read that began at `began`. What was under way when the pause began says
    /// nothing about how the vault is now.
    fn note<T>(&self, read: &Result<T, Error>, began: Instant) {
        let mut backoff = lock(&self.0);
        match read {
            Err(Error::Throttled { retry_after }) => {
                let asked = retry_after.unwrap_or_default().min(PAUSE_LIMIT);
                backoff.pause(OWN_PAUSE_LIMIT, asked);
            }
            Ok(_) if backoff.until.is_none_or(|until| until <= began) => {
                *backoff = Backoff::default();
            }
            Ok(_) | Err(_) => {}
        }
    }
}

/// Decides whether a vault that refuses its token is worth a new one: at once, then not again
/// before 1, 2, 4, 8, 16 and 30 s while it goes on. New keys are met by the first new token; a
/// vault that refuses every token must not use up the identity endpoint.
#[derive(Debug, Default)]
pub(super) struct RefusedTokens(Mutex<Backoff>);

impl RefusedTokens {
    /// A token was refused. `forget` forgets it, and tells whether it was still in use.
    pub(super) fn refused(&self, forget: impl FnOnce() -> bool) {
        let mut backoff = lock(&self.0);
        if backoff.left().is_none() && forget() {
            backoff.pause(REFUSED_TOKEN_PAUSE_LIMIT, Duration::ZERO);
        }
    }

    /// A token was accepted. What is left of the pause still counts: a vault that refuses every
    /// other token is no better.
    pub(super) fn accepted(&self) {
        lock(&self.0).strikes = 0;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn any_ten_seconds_have_the_same_limit() {
        let budget = Budget::default();
        let spend = |times: usize| (0..times).filter(|_| budget.spend().is_ok()).count();
        assert_eq!(spend(100), 100);
        advance(Duration::from_secs(9)).await;
        assert_eq!(spend(REQUESTS_LIMIT), REQUESTS_LIMIT - 100);
        let retry_after = Duration::from_secs(1);
        assert_eq!(budget.spend(), Err(Error::BudgetSpent { retry_after }));
        // Only the first hundred are over by then.
        advance(retry_after).await;
        assert_eq!(spend(REQUESTS_LIMIT), 100);
        advance(BUDGET_WINDOW).await;
        assert_eq!(spend(2 * REQUESTS_LIMIT), REQUESTS_LIMIT);
    }
}
