//! How long something is left alone after it failed, and whether that is news.

use std::time::Duration;

/// The first pause. Each that follows is twice as long.
const FIRST: Duration = Duration::from_secs(2);
/// The longest pause of our own.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// The failures of one operation since it last succeeded.
#[derive(Default)]
pub(super) struct Pauses {
    failures: u32,
    /// Codes that have been written.
    written: Vec<&'static str>,
}

impl Pauses {
    /// It failed once more. Not tried again for the time that is returned.
    pub(super) fn fail(&mut self) -> Duration {
        let pause = FIRST * 2_u32.pow(self.failures.min(10));
        self.failures += 1;
        pause.min(LIMIT)
    }

    /// Whether `code` was not yet written since the operation last succeeded.
    pub(super) fn is_news(&mut self, code: &'static str) -> bool {
        let is_news = !self.written.contains(&code);
        if is_news {
            self.written.push(code);
        }
        is_news
    }

    /// It succeeded.
    pub(super) fn end(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_limit_and_begin_anew() {
        let mut pauses = Pauses::default();
        let all: Vec<_> = (0..12).map(|_| pauses.fail().as_secs()).collect();
        assert_eq!(all, [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]);
        pauses.end();
        assert_eq!(pauses.fail(), FIRST);
    }

    #[test]
    fn codes_that_alternate_are_written_once_each() {
        let mut pauses = Pauses::default();
        let written = ["A", "B", "A", "B"].map(|code| pauses.is_news(code));
        assert_eq!(written, [true, true, false, false]);
        pauses.end();
        assert!(pauses.is_news("A"));
    }
}
