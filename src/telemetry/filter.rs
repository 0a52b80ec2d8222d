//! Which lines are written: the operator's `RUST_LOG`, and what no filter lets through.

use tracing::{Level, Metadata, level_filters::LevelFilter};
use tracing_subscriber::filter::Targets;

use super::spans;

/// Crates whose finer log lines quote what a server answered, at INFO already. They say only
/// what is a warning, whatever `RUST_LOG` says.
const CAPPED: [&str; 5] = [
    "azure_core",
    "azure_identity",
    "azure_security_keyvault_secrets",
    "typespec",
    "typespec_client_core",
];

/// The default when `RUST_LOG` is not set.
#[must_use]
pub fn default_filter() -> Targets {
    Targets::new()
        .with_default(LevelFilter::INFO)
        .with_targets(CAPPED.map(|target| (target, LevelFilter::WARN)))
}

/// The crates whose lines can be asked for by name alone, at every level.
const TARGETS: [&str; 14] = [
    "axum",
    "azure_core",
    "azure_identity",
    "azure_security_keyvault_secrets",
    "handler",
    "hyper",
    "hyper_util",
    "keyvault_functions",
    "reqwest",
    "rustls",
    "tower",
    "tower_http",
    "typespec",
    "typespec_client_core",
];

/// An operator's filter; nothing if it is none. A word that is neither a level nor a crate would
/// be taken for a target and switch off all other lines: `verbose`, or a misspelt level.
#[must_use]
pub fn parse_filter(text: &str) -> Option<Targets> {
    let directives = text.split(',').map(str::trim).filter(|one| !one.is_empty());
    let directives: Vec<_> = directives.collect();
    let is_known = |directive: &&str| {
        let krate = directive.split("::").next().unwrap_or_default();
        directive.contains('=')
            || directive.parse::<LevelFilter>().is_ok()
            || TARGETS.contains(&krate)
    };
    if !directives.iter().all(is_known) {
        return None;
    }
    directives.join(",").parse().ok()
}

/// Whether `metadata` may become a line, whatever the operator's filter says.
pub(super) fn is_for_lines(metadata: &Metadata<'_>) -> bool {
    metadata.target() != spans::TARGET && !is_too_fine(metadata)
}

/// Whether `metadata` belongs to the SDK and is finer than [`CAPPED`] allows.
fn is_too_fine(metadata: &Metadata<'_>) -> bool {
    let krate = metadata.target().split("::").next().unwrap_or_default();
    *metadata.level() > Level::WARN && CAPPED.contains(&krate)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::{
        Layer, Registry,
        filter::filter_fn,
        layer::{Context, SubscriberExt},
    };

    use super::*;

    /// The targets of the events that pass.
    struct Seen(Arc<Mutex<Vec<(Level, String)>>>);

    impl<S: tracing::Subscriber> Layer<S> for Seen {
        fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
            let metadata = event.metadata();
            let seen = (*metadata.level(), metadata.target().to_owned());
            self.0.lock().expect("lock").push(seen);
        }
    }

    #[test]
    fn the_sdk_never_logs_below_warn() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let subscriber =
            Registry::default().with(Seen(seen.clone()).with_filter(filter_fn(is_for_lines)));
        tracing::subscriber::with_default(subscriber, || {
            tracing::debug!(target: "typespec_client_core::http::policies", "the body");
            tracing::info!(target: "typespec_client_core::http", "the address");
            tracing::warn!(target: "azure_identity", "which source");
            tracing::trace!(target: "keyvault_functions", "ours");
        });
        let expected = [
            (Level::WARN, "azure_identity".to_owned()),
            (Level::TRACE, "keyvault_functions".to_owned()),
        ];
        assert_eq!(*seen.lock().expect("lock"), expected);
    }
}
