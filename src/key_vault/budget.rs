//! How many requests one instance sends to its vaults.
//!
//! A vault serves 4,000 transactions in 10 s to everybody together. Without a limit, whoever
//! holds a key to one instance could use them all: by random names, or by versions of a secret
//! that has many.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::error::Error;

/// Most signed requests in any [`WINDOW`]: a tenth of what a vault serves.
const REQUESTS_LIMIT: usize = 400;
/// Probes of config-check leave the rest to the reads of secrets.
const PROBES_LIMIT: usize = REQUESTS_LIMIT / 2;
const WINDOW: Duration = Duration::from_secs(10);

/// Counts the signed requests of an instance.
#[derive(Debug, Default)]
pub(super) struct Budget(Mutex<VecDeque<Instant>>);

impl Budget {
    /// Counts one request, which may be sent then.
    pub(super) fn spend(&self) -> Result<(), Error> {
        let now = Instant::now();
        let mut sent = self.sent(now);
        check(&sent, REQUESTS_LIMIT, now)?;
        sent.push_back(now);
        Ok(())
    }

    /// Whether a probe may begin.
    pub(super) fn has_room_for_a_probe(&self) -> Result<(), Error> {
        let now = Instant::now();
        check(&self.sent(now), PROBES_LIMIT, now)
    }

    fn sent(&self, now: Instant) -> MutexGuard<'_, VecDeque<Instant>> {
        let mut sent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while sent.front().is_some_and(|at| now - *at >= WINDOW) {
            sent.pop_front();
        }
        sent
    }
}

fn check(sent: &VecDeque<Instant>, limit: usize, now: Instant) -> Result<(), Error> {
    match sent.front() {
        Some(first) if sent.len() >= limit => Err(Error::BudgetSpent {
            retry_after: WINDOW.saturating_sub(now - *first),
        }),
        _ => Ok(()),
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
        advance(WINDOW).await;
        assert_eq!(spend(2 * REQUESTS_LIMIT), REQUESTS_LIMIT);
    }
}
