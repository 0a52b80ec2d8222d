//! Asking again, where nobody waits for the answer.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{
    error::Error,
    limits::{LEAST_TIME, UNTOLD_PAUSE},
};

impl Error {
    /// How long to wait if the vault throttles or this instance's budget is spent; `None` after
    /// any other failure.
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        let wait = match self {
            Self::BudgetSpent { retry_after } => *retry_after,
            Self::Throttled { retry_after } => retry_after.unwrap_or(UNTOLD_PAUSE),
            _ => return None,
        };
        // A pause that has just ended is none.
        Some(wait.max(LEAST_TIME))
    }
}

/// Asks until the answer is no failure that `wait` waits for, or the wait would end after `until`.
///
/// # Errors
///
/// The failure of the last question.
pub async fn patiently<T, E, F: Future<Output = Result<T, E>>>(
    until: Instant,
    mut wait: impl FnMut(&E) -> Option<Duration>,
    mut ask: impl FnMut() -> F,
) -> Result<T, E> {
    loop {
        let answer = ask().await;
        let pause = answer.as_ref().err().and_then(&mut wait);
        match pause {
            Some(pause) if Instant::now() + pause < until => sleep(pause).await,
            _ => return answer,
        }
    }
}
