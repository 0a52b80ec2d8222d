//! How long a handler takes to list a vault of 5,000 secrets, and how much memory.

use std::{
    error::Error,
    fmt, thread,
    time::{Duration, Instant},
};

use super::{server::Program, vault::Vault};

/// Secrets in the vault.
pub(crate) const MANY_SECRETS: usize = 5_000;
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);
/// Longer than the handler takes at its own pace: 200 pages, of which 100 fit into 10 s.
const LONGEST: Duration = Duration::from_secs(30);
const FIRST: Duration = Duration::from_millis(3_500);
/// In MB.
const MOST_GROWTH: f64 = 10.0;

/// What was seen.
pub(crate) struct Listed {
    first: Duration,
    whole: Duration,
    /// Memory in MB before and after.
    memory: [f64; 2],
}

pub(crate) fn measure(handler: &Program, vault: &Vault) -> Result<Listed, Box<dyn Error>> {
    vault.speak();
    let server = handler.start("/")?;
    server.get("/api/secrets/Load0")?;
    let before = server.memory()?;
    let began = Instant::now();
    let mut first = None;
    loop {
        let (_, answer) = server.get("/api/expiring?within=0h")?;
        first.get_or_insert(began.elapsed());
        if answer.contains("\"complete\":true") {
            let count = format!("\"no_expiry\":{MANY_SECRETS}");
            if !answer.contains(&count) {
                return Err(format!("not {MANY_SECRETS}: {answer}").into());
            }
            break;
        }
        if began.elapsed() > 2 * LONGEST {
            return Err(format!("not listed: {answer}").into());
        }
        thread::sleep(PAUSE);
    }
    Ok(Listed {
        first: first.unwrap_or_default(),
        whole: began.elapsed(),
        memory: [before, server.memory()?],
    })
}

impl Listed {
    /// Whether it is what `docs/reliability.md` promises.
    pub(crate) fn is_met(&self) -> bool {
        let [before, after] = self.memory;
        self.first < FIRST && self.whole < LONGEST && after - before < MOST_GROWTH
    }
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [before, after] = self.memory;
        write!(
            f,
            "{MANY_SECRETS} secrets: the first answer after {:.2} s, the whole list after {:.1} s; \
             memory {before:.1} MB, then {after:.1} MB",
            self.first.as_secs_f64(),
            self.whole.as_secs_f64(),
        )
    }
}
