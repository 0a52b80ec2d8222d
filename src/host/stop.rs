//! When the process is to end, and what the Functions host makes of its end.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

/// How often the handler looks whether its host is still there.
const LOOK: Duration = Duration::from_secs(3);

/// Why the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// SIGTERM, which reaches the handler alone.
    Terminated,
    /// Ctrl+C, which reaches Core Tools and the handler alike.
    Interrupted,
    /// The host that started the handler is gone, and could not say so.
    HostEnded,
}

/// Completes when the process is to end, and says so in the log: a server without requests ends
/// so soon after it that nobody else is sure to. Signals are caught from now on, not from the
/// first poll.
pub fn requested(is_under_host: bool) -> impl Future<Output = Stop> + Send + 'static {
    let signal = signal();
    let orphaned = orphaned(is_under_host);
    async {
        let stop = tokio::select! {
            stop = signal => stop,
            () = orphaned => Stop::HostEnded,
        };
        match stop {
            Stop::HostEnded => tracing::info!("stopping: the Functions host has ended"),
            Stop::Terminated | Stop::Interrupted => {
                tracing::info!("stopping: no new requests, those in flight may finish");
            }
        }
        stop
    }
}

/// Not `PR_SET_PDEATHSIG`: that hangs on the thread of the host that started the handler.
#[cfg(unix)]
fn orphaned(is_under_host: bool) -> impl Future<Output = ()> + Send + 'static {
    use std::os::unix::process::parent_id;
    let host = parent_id();
    async move {
        if is_under_host {
            changed(host, parent_id).await;
        } else {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(not(unix))]
fn orphaned(_: bool) -> impl Future<Output = ()> + Send + 'static {
    std::future::pending()
}

/// Completes when `now` is no longer `first`.
#[cfg_attr(not(unix), expect(dead_code, reason = "only Unix changes a parent"))]
async fn changed(first: u32, now: impl Fn() -> u32) {
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while now() == first {
        look.tick().await;
    }
}

#[cfg(unix)]
fn signal() -> impl Future<Output = Stop> + Send + 'static {
    use tokio::signal::unix::{SignalKind, signal};
    let caught = |kind| {
        let signal = signal(kind);
        async {
            match signal {
                Ok(mut signal) => drop(signal.recv().await),
                // It ends the process by itself.
                Err(_) => std::future::pending().await,
            }
        }
    };
    let interrupt = caught(SignalKind::interrupt());
    let terminate = caught(SignalKind::terminate());
    async {
        tokio::select! {
            () = interrupt => Stop::Interrupted,
            () = terminate => Stop::Terminated,
        }
    }
}

#[cfg(not(unix))]
async fn signal() -> Stop {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
    Stop::Interrupted
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::time::{Instant, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn another_parent_is_noticed_within_seconds_and_the_same_one_never() {
        let parent = AtomicU32::new(7);
        let same = changed(7, || parent.load(Ordering::SeqCst));
        let hour = Duration::from_secs(3_600);
        assert!(timeout(hour, same).await.is_err());
        let started = Instant::now();
        let reads = AtomicU32::new(0);
        changed(7, || {
            if reads.fetch_add(1, Ordering::SeqCst) < 4 {
                7
            } else {
                1
            }
        })
        .await;
        assert!(started.elapsed() <= 4 * LOOK, "{:?}", started.elapsed());
        assert_eq!(reads.into_inner(), 5);
    }
}
