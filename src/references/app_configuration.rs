//! App Configuration references: `@Microsoft.AppConfiguration(...)` in an app setting. Only the
//! platform resolves them. The handler says that one was not, and what to do.

use super::remedy::{Fix, Site};

/// What is wrong with an App Configuration reference that was not resolved, and what fixes it.
pub(super) fn unresolved(setting: &str, site: &Site) -> (&'static str, Fix) {
    if site.is_local() {
        return (
            "The value is still an App Configuration reference. Outside Azure nobody resolves it.",
            Fix::without_command(format!(
                "In local.settings.json, set {setting} to the value itself."
            )),
        );
    }
    let refresh = site.refresh();
    (
        "The value is still an App Configuration reference: the platform did not resolve it.",
        Fix {
            sentence: "Give the app's identity the role App Configuration Data Reader on the store, check the endpoint, key and label, then make the platform try again with".into(),
            command: refresh.command,
        },
    )
}
