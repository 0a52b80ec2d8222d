//! One run of a piece of work at a time, whoever asks for its result.
//!
//! Callers who ask while it runs share its result, and so do those who ask within its life. A
//! caller costs no task: the run is a task of its own, and goes on for the others if a caller
//! leaves.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

use crate::telemetry::invocation;

type Landed<T> = Option<(Instant, T)>;

/// The latest run and its result.
pub(crate) struct SingleFlight<T> {
    life: Box<dyn Fn(&T) -> Duration + Send + Sync>,
    latest: Mutex<Option<watch::Receiver<Landed<T>>>>,
}

enum Joined<T> {
    Result(T),
    Flight(watch::Receiver<Landed<T>>),
}

impl<T> fmt::Debug for SingleFlight<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SingleFlight").finish_non_exhaustive()
    }
}

impl<T: Clone + Send + Sync + 'static> SingleFlight<T> {
    /// Whose results stand for their `life` after the run that found them.
    pub(crate) fn new(life: impl Fn(&T) -> Duration + Send + Sync + 'static) -> Self {
        Self {
            life: Box::new(life),
            latest: Mutex::default(),
        }
    }

    /// The result that stands, or that of the run under way, or that of `run`, which begins now.
    /// Nothing if the run panicked.
    pub(crate) async fn get<F>(&self, run: impl FnOnce() -> F) -> Option<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut flight = match self.join(run) {
            Joined::Result(result) => return Some(result),
            Joined::Flight(flight) => flight,
        };
        let landed = flight.wait_for(Option::is_some).await.ok()?;
        landed.as_ref().map(|(_, result)| result.clone())
    }

    /// The result that stands, without a run.
    pub(crate) fn standing(&self) -> Option<T> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, result) = latest.as_ref()?.borrow().clone()?;
        (at.elapsed() < (self.life)(&result)).then_some(result)
    }

    fn join<F>(&self, run: impl FnOnce() -> F) -> Joined<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = &*latest {
            match &*flight.borrow() {
                Some((at, result)) if at.elapsed() < (self.life)(result) => {
                    return Joined::Result(result.clone());
                }
                // Closed without a result: the run panicked.
                None if flight.has_changed().is_ok() => return Joined::Flight(flight.clone()),
                Some(_) | None => {}
            }
        }
        let (land, flight) = watch::channel(None);
        let run = run();
        tokio::spawn(invocation::inherit(async move {
            let result = run.await;
            land.send_replace(Some((Instant::now(), result)));
        }));
        *latest = Some(flight.clone());
        Joined::Flight(flight)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use futures_util::future::{join, join_all};
    use tokio::time::{advance, sleep, timeout};

    use super::*;

    const LIFE: Duration = Duration::from_secs(10);
    const RUN: Duration = Duration::from_secs(1);

    struct Counted {
        flight: SingleFlight<usize>,
        runs: Arc<AtomicUsize>,
    }

    impl Counted {
        fn new(life: Duration) -> Self {
            Self {
                flight: SingleFlight::new(move |_| life),
                runs: Arc::default(),
            }
        }

        /// The number of the run that answers.
        async fn get(&self) -> Option<usize> {
            let runs = self.runs.clone();
            let run = move || async move {
                let number = runs.fetch_add(1, Ordering::SeqCst) + 1;
                sleep(RUN).await;
                number
            };
            self.flight.get(run).await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_result_is_shared_while_it_is_found_and_while_it_stands() {
        let counted = Counted::new(LIFE);
        let crowd = join_all((0..100).map(|_| counted.get())).await;
        assert!(crowd.iter().all(|result| *result == Some(1)));
        let nearly = Duration::from_millis(9_999);
        advance(nearly).await;
        assert_eq!(counted.get().await, Some(1));
        advance(LIFE.saturating_sub(nearly)).await;
        assert_eq!(counted.get().await, Some(2));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_life_a_result_is_for_those_who_waited() {
        let counted = Counted::new(Duration::ZERO);
        assert_eq!(join(counted.get(), counted.get()).await, (Some(1), Some(1)));
        assert_eq!(counted.get().await, Some(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_goes_on_when_its_caller_leaves() {
        let counted = Counted::new(LIFE);
        assert!(timeout(RUN / 2, counted.get()).await.is_err());
        assert_eq!(counted.get().await, Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_panics_is_followed_by_another() {
        let flight = SingleFlight::<usize>::new(|_| LIFE);
        let broken = || async { panic!("on purpose") };
        assert_eq!(flight.get(broken).await, None);
        assert_eq!(flight.get(async || 1).await, Some(1));
    }
}
