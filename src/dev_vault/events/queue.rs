//! The events that wait for their next attempt, the oldest first. The bound is 1,000: then the
//! oldest is lost, and a line says so.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use time::OffsetDateTime;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::event::{Event, NewVersion};
use crate::dev_vault::Address;

/// Events that wait at the same time.
const LIMIT: usize = 1_000;

/// What waits, for one receiver.
#[derive(Debug)]
pub(in crate::dev_vault) struct Queue {
    vault: Address,
    waiting: Mutex<Entries>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Entries {
    /// By age.
    by_number: BTreeMap<u64, (Instant, Waiting)>,
    next_number: u64,
}

/// An event that is to be sent.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Which event came before which.
    number: u64,
    pub(super) event: Event,
    /// Attempts so far.
    pub(super) attempts: usize,
}

impl Queue {
    pub(super) fn new(vault: Address) -> Self {
        Self {
            vault,
            waiting: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Adds the events of a new version.
    ///
    /// # Errors
    ///
    /// The operating system has no randomness to give.
    pub(in crate::dev_vault) fn add(&self, new: NewVersion<'_>) -> Result<(), getrandom::Error> {
        let events = Event::of(new, &self.vault, OffsetDateTime::now_utc())?;
        for event in events {
            let mut entries = self.lock();
            let number = entries.next_number;
            entries.next_number += 1;
            let waiting = Waiting {
                number,
                event,
                attempts: 0,
            };
            entries.keep(waiting, Instant::now());
        }
        self.changed.notify_one();
        Ok(())
    }

    /// Keeps an event that was not taken for another attempt after `pause`.
    pub(super) fn put_back(&self, waiting: Waiting, pause: Duration) {
        let waiting = Waiting {
            attempts: waiting.attempts + 1,
            ..waiting
        };
        self.lock().keep(waiting, Instant::now() + pause);
    }

    /// The oldest event whose pause is over. There is one caller.
    pub(super) async fn next(&self) -> Waiting {
        loop {
            let due = match self.lock().take(Instant::now()) {
                Ok(waiting) => return waiting,
                Err(due) => due,
            };
            let pause = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = pause => {}
                () = self.changed.notified() => {}
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn keep(&mut self, waiting: Waiting, due: Instant) {
        self.by_number.insert(waiting.number, (due, waiting));
        if self.by_number.len() > LIMIT
            && let Some((_, (_, Waiting { event, .. }))) = self.by_number.pop_first()
        {
            let (event_type, name) = (event.kind(), event.name());
            tracing::warn!(
                %event_type,
                %name,
                "an event is lost: more than {LIMIT} wait, and it was the oldest"
            );
        }
    }

    /// The oldest event that is due, or when the first one will be.
    fn take(&mut self, now: Instant) -> Result<Waiting, Option<Instant>> {
        let mut entries = self.by_number.iter();
        let found = entries.find(|(_, (due, _))| *due <= now);
        let found = found.map(|(number, _)| *number);
        match found.and_then(|number| self.by_number.remove(&number)) {
            Some((_, waiting)) => Ok(waiting),
            None => Err(self.by_number.values().map(|(due, _)| *due).min()),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::{
        dev_vault::{VaultName, secrets::Attributes},
        key_vault::ObjectKind,
    };

    fn queue_of(names: impl IntoIterator<Item = String>) -> Queue {
        let queue = Queue::new(Address {
            name: VaultName::default(),
            url: "https://localhost:1".to_owned(),
        });
        for name in names {
            add(&queue, &name);
        }
        queue
    }

    fn add(queue: &Queue, name: &str) {
        let new = NewVersion {
            kind: ObjectKind::Secret,
            name,
            version: "v",
            attributes: Attributes::default(),
        };
        queue.add(new).expect("randomness");
    }

    fn at_once(queue: &Queue) -> Option<Waiting> {
        queue.next().now_or_never()
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_waits_for_its_pause_and_holds_up_no_other() {
        let queue = queue_of(["a".to_owned(), "b".to_owned()]);
        let first = queue.next().await;
        assert_eq!((first.event.name(), first.attempts), ("a", 0));
        let began = Instant::now();
        queue.put_back(first, Duration::from_secs(30));
        assert_eq!(queue.next().await.event.name(), "b");
        assert!(at_once(&queue).is_none());
        let again = queue.next().await;
        assert_eq!((again.event.name(), again.attempts), ("a", 1));
        assert_eq!(began.elapsed(), Duration::from_secs(30));
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_event_ends_the_wait_for_an_old_one() {
        let queue = queue_of(["a".to_owned()]);
        let first = queue.next().await;
        queue.put_back(first, Duration::from_secs(30));
        let began = Instant::now();
        let ((), next) = tokio::join!(async { add(&queue, "b") }, queue.next());
        assert_eq!(next.event.name(), "b");
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_event_goes_when_there_are_too_many() {
        let queue = queue_of((0..LIMIT).map(|number| number.to_string()));
        let oldest = queue.next().await;
        assert_eq!(oldest.event.name(), "0");
        queue.put_back(oldest, Duration::ZERO);
        add(&queue, "new");
        let mut left = Vec::new();
        while let Some(waiting) = at_once(&queue) {
            left.push(waiting.event.name().to_owned());
        }
        assert_eq!(left.len(), LIMIT);
        assert_eq!((left[0].as_str(), left[LIMIT - 1].as_str()), ("1", "new"));
    }
}
