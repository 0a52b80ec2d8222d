//! Why the platform could not be asked to resolve references again.

use super::{
    Fix,
    case::{Case, Words},
};

/// What every refusal ends with.
const UNTIL_THEN: &str = "Until then the platform looks for new versions itself, within 24 hours.";

impl Case<'_> {
    pub(super) fn may_not_refresh(&self) -> Words {
        Words::new(
            format!(
                "The handler's identity may not ask Azure to resolve the app's references again. {UNTIL_THEN}"
            ),
            Fix::with(
                "Grant it the role Website Contributor on this app, which also lets it publish and read the app's keys, with",
                self.grant_site_role(),
            ),
        )
    }

    pub(super) fn refresh_not_found(&self) -> Words {
        Words::new(
            format!(
                "Azure knows no such app, or not the call that resolves its references again. {UNTIL_THEN}"
            ),
            self.resolve_by_a_change(),
        )
    }

    pub(super) fn refresh_failed(&self) -> Words {
        Words::new(
            format!("Azure could not be asked to resolve references again. {UNTIL_THEN}"),
            Fix::with(
                "Wait. The handler tries again by itself. By hand it is",
                self.refresh(),
            ),
        )
        .passing(None)
    }

    pub(super) fn no_versions_told(&self) -> Words {
        Words::new(
            "Azure does not tell which versions are in effect. A start cannot find what was lost before it; events are acted upon all the same.",
            Fix::with("See what it answers with", self.platforms_list()),
        )
    }

    pub(super) fn stays_behind(&self) -> Words {
        Words::new(
            "The platform has an older version of this secret than the vault, although it has looked again.",
            self.resolve_by_a_change(),
        )
    }

    fn resolve_by_a_change(&self) -> Fix {
        Fix::with(
            "Change any app setting, for which the platform resolves every reference and starts the app again, for example with",
            self.touch_app_settings(),
        )
    }
}
