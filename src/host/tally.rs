//! What happened since the last time it was told, in numbers: one line a minute, in place of one
//! for each answer that nobody would read.

use std::{
    convert::Infallible,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::{MissedTickBehavior, interval};

use crate::{answer::Lookup, telemetry::spans};

/// How often the numbers are told, if anything was asked.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// One answer to one request.
#[derive(Debug, Clone, Copy)]
pub struct Answered {
    /// The HTTP status.
    pub status: u16,
    /// How it was found, if a vault's answer was needed.
    pub lookup: Option<Lookup>,
    /// Whether it was turned away before its function ran.
    pub is_refused: bool,
    /// From the request to the answer.
    pub elapsed: Duration,
}

/// The numbers since they were last told.
#[derive(Debug, Default)]
pub struct Tally {
    /// By the first digit of the status: 2, 3, 4, 5.
    classes: [AtomicU64; 4],
    lookups: [AtomicU64; Lookup::ALL.len()],
    refused: AtomicU64,
    slowest_us: AtomicU64,
}

impl Tally {
    /// Counts one answer.
    pub fn count(&self, answered: &Answered) {
        let class = usize::from(answered.status / 100).checked_sub(2);
        if let Some(class) = class.and_then(|class| self.classes.get(class)) {
            class.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(lookup) = answered.lookup {
            self.lookups[lookup as usize].fetch_add(1, Ordering::Relaxed);
        }
        if answered.is_refused {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        let elapsed_us = u64::try_from(answered.elapsed.as_micros()).unwrap_or(u64::MAX);
        // Most answers are not the slowest: a look is cheaper than a write.
        if elapsed_us > self.slowest_us.load(Ordering::Relaxed) {
            self.slowest_us.fetch_max(elapsed_us, Ordering::Relaxed);
        }
    }

    /// Tells the numbers each minute, for as long as it is polled.
    pub async fn tell_each_minute(&self) -> Infallible {
        let mut minutes = interval(TOLD_EVERY);
        minutes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick is at once.
        minutes.tick().await;
        loop {
            minutes.tick().await;
            self.tell();
        }
    }

    /// Tells the numbers since the last time, if there are any, and begins anew.
    pub fn tell(&self) {
        let taken =
            |counts: &[AtomicU64; 4]| counts.each_ref().map(|n| n.swap(0, Ordering::Relaxed));
        let [ok, redirected, refused_by_us, failed] = taken(&self.classes);
        let lookups = taken(&self.lookups);
        let [hit, miss, stale, negative] = lookups;
        let refused = self.refused.swap(0, Ordering::Relaxed);
        let slowest_us = self.slowest_us.swap(0, Ordering::Relaxed);
        if ok + redirected + refused_by_us + failed == 0 {
            return;
        }
        tracing::info!(
            "2xx" = ok,
            "3xx" = redirected,
            "4xx" = refused_by_us,
            "5xx" = failed,
            hit,
            miss,
            stale,
            negative,
            refused,
            slowest_ms = slowest_us / 1_000,
            "answers since the last such line"
        );
        let classes = ["2xx", "3xx", "4xx", "5xx"];
        for (class, answers) in classes
            .into_iter()
            .zip([ok, redirected, refused_by_us, failed])
        {
            spans::count_answers(class, answers);
        }
        for (lookup, found) in Lookup::ALL.into_iter().zip(lookups) {
            spans::count_lookups(lookup.as_str(), found);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fmt::Write as _,
        sync::{Arc, Mutex},
    };

    use tokio::time::sleep;
    use tracing_subscriber::{Layer, Registry, layer::Context, layer::SubscriberExt};

    use super::*;

    /// The fields of the lines that tell the numbers.
    #[derive(Clone, Default)]
    struct Told(Arc<Mutex<Vec<String>>>);

    impl<S: tracing::Subscriber> Layer<S> for Told {
        fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
            if event.metadata().target() != module_path!().trim_end_matches("::tests") {
                return;
            }
            let mut told = String::new();
            event.record(
                &mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
                    if field.name() != "message" {
                        let _ = write!(told, "{field}={value:?} ");
                    }
                },
            );
            self.0.lock().expect("lock").push(told);
        }
    }

    fn answered(status: u16, lookup: Option<Lookup>, elapsed_ms: u64) -> Answered {
        Answered {
            status,
            lookup,
            is_refused: matches!(status, 401 | 429),
            elapsed: Duration::from_millis(elapsed_ms),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_minute_with_answers_is_one_line_and_one_without_is_none() {
        let told = Told::default();
        let subscriber = Registry::default().with(told.clone());
        let _in_this_thread = tracing::subscriber::set_default(subscriber);
        let tally = Arc::new(Tally::default());
        let counting = tally.clone();
        let minutes = tokio::spawn(async move { counting.tell_each_minute().await });
        sleep(Duration::from_secs(1)).await;
        for (status, lookup, elapsed_ms) in [
            (200, Some(Lookup::Hit), 0),
            (200, Some(Lookup::Hit), 1),
            (200, Some(Lookup::Miss), 42),
            (200, Some(Lookup::Stale), 2),
            (200, None, 3),
            (404, Some(Lookup::Negative), 1),
            (401, None, 0),
            (429, None, 0),
            (503, Some(Lookup::Miss), 7),
            (101, None, 0),
        ] {
            tally.count(&answered(status, lookup, elapsed_ms));
        }
        sleep(Duration::from_secs(180)).await;
        tally.count(&answered(200, Some(Lookup::Hit), 5));
        tally.tell();
        tally.tell();
        minutes.abort();
        let expected = [
            "2xx=5 3xx=0 4xx=3 5xx=1 hit=2 miss=2 stale=1 negative=1 refused=2 slowest_ms=42 ",
            "2xx=1 3xx=0 4xx=0 5xx=0 hit=1 miss=0 stale=0 negative=0 refused=0 slowest_ms=5 ",
        ];
        assert_eq!(*told.0.lock().expect("lock"), expected);
    }
}
