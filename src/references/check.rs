//! References tried from outside of the app: each secret once, whoever uses it, and no value read.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt, stream};
use time::OffsetDateTime;
use tokio::time::Instant;

use super::{
    probe::{facts, with_path},
    syntax::Reference,
};
use crate::{
    diagnosis::Cause,
    key_vault::{Error, ObjectKind, Vaults, patiently},
};

/// Secrets that are tried at the same time. A vault has as many permits for probes.
const AT_ONCE: usize = 8;

/// For how long vaults that throttle are waited for, all in all.
const THROTTLED_LIMIT: Duration = Duration::from_secs(120);

/// What is known of a secret that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readable {
    /// When it expires; never, if `None`.
    pub expires: Option<OffsetDateTime>,
    /// It belongs to a certificate.
    pub is_certificates: bool,
}

/// What identifies a secret that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretKey {
    /// Where it is read, as `https://HOST/`.
    pub vault: String,
    /// In lower case.
    pub name: String,
    /// The version that is asked for; the latest if `None`.
    pub version: Option<String>,
}

impl SecretKey {
    /// The one that `reference` points at.
    #[must_use]
    pub fn of(reference: &Reference, vaults: &Vaults) -> Self {
        let version = reference.version.as_deref();
        Self {
            vault: vaults.meant(&reference.vault).as_str().to_owned(),
            name: reference.name.as_str().to_ascii_lowercase(),
            version: version.map(str::to_ascii_lowercase),
        }
    }
}

/// Tries what `references` point at, each once. `progress` gets how many are done of how many.
pub async fn check(
    references: impl Iterator<Item = Reference>,
    vaults: &Arc<Vaults>,
    progress: impl Fn(usize, usize) + Clone,
) -> HashMap<SecretKey, Result<Readable, Cause>> {
    let mut secrets: HashMap<SecretKey, Reference> = HashMap::new();
    for reference in references {
        let key = SecretKey::of(&reference, vaults);
        secrets.entry(key).or_insert(reference);
    }
    let (all, done) = (secrets.len(), Arc::new(AtomicUsize::new(0)));
    progress(0, all);
    let until = Instant::now() + THROTTLED_LIMIT;
    let tried = stream::iter(secrets).map(|(key, reference)| {
        let (vaults, progress, done) = (vaults.clone(), progress.clone(), done.clone());
        async move {
            let found = try_one(&vaults, &reference, until).await;
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, all);
            (key, found)
        }
    });
    tried.buffer_unordered(AT_ONCE).collect().await
}

/// A vault that throttles is waited for: nobody else waits for this program.
async fn try_one(
    vaults: &Vaults,
    reference: &Reference,
    until: Instant,
) -> Result<Readable, Cause> {
    let wait = |cause: &Cause| cause.error().and_then(Error::wait);
    let facts = patiently(until, wait, || facts(vaults, reference)).await;
    let facts = with_path(vaults, &reference.vault, facts).await?;
    if facts.is_disabled {
        return Err(Error::Disabled(ObjectKind::Secret).into());
    }
    Ok(Readable {
        expires: facts.expires,
        is_certificates: facts.is_certificates,
    })
}
