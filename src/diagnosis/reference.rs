//! What is wrong with a reference itself, or why it is not resolved although its secret can be read.

use super::{
    Fix,
    case::{Case, Words},
    function_app::{Identity, Plan},
};

impl Case<'_> {
    pub(super) fn resolved_since_start(&self) -> Words {
        Words::new(
            "The platform resolved the reference after this process started.",
            Fix::with("Restart the app with", self.restart()),
        )
    }

    pub(super) fn unusual_spelling(&self, reference: &str) -> Words {
        Words::new(
            "The handler can read the secret, but the reference is not spelt as documented (letter case or white space). The platform may not accept it.",
            self.set_reference("Use the documented spelling with", reference),
        )
    }

    pub(super) fn other_identity(&self, client_id: &str) -> Words {
        let secret = self.name();
        Words::new(
            format!(
                "The handler's user-assigned identity can read {secret} in {}. The platform resolves references with the system-assigned identity unless keyVaultReferenceIdentity names another.",
                self.vault()
            ),
            Fix::with(
                "Let the platform use the same identity with",
                self.use_identity_for_references(client_id),
            ),
        )
    }

    pub(super) fn other_sign_in(&self) -> Words {
        let secret = self.name();
        Words::new(
            format!(
                "The handler can read {secret} in {}, but it signs in as another identity than the platform, which uses the app's managed identity.",
                self.vault()
            ),
            self.grant_the_app(),
        )
    }

    pub(super) fn readable(&self) -> Words {
        let secret = self.name();
        Words::new(
            format!(
                "The handler can read {secret} in {}. The setting or the access may have changed after the platform last tried.",
                self.vault()
            ),
            self.try_again(),
        )
    }

    pub(super) fn syntax(&self, what: &str) -> Words {
        Words::new(
            format!("The reference is not valid: {what}."),
            self.correct_reference(),
        )
    }

    pub(super) fn stale(&self, other_form: Option<&str>) -> Words {
        let detail = "The vault has a newer value than the app.";
        if !self.is_on_azure() {
            let fix = Fix::without_command("Restart the handler. It resolves references once.");
            return Words::new(detail, fix);
        }
        let refresh = self.refresh();
        let fix = match other_form.and_then(|form| self.set_to(form)) {
            Some(other) => Fix::with_all(
                "Make the platform read the vault again with the first command. If the value stays old, write the reference without SecretUri with the second:",
                [refresh, other],
            ),
            None => Fix::with("Make the platform read the vault again with", refresh),
        };
        Words::new(detail, fix)
    }

    pub(super) fn app_configuration(&self) -> Words {
        let detail = "The value is still an App Configuration reference. Nothing has resolved it.";
        let fix = if self.settings_are_on_azure() {
            Fix::with(
                "Give the app's identity the role App Configuration Data Reader on the store, and check endpoint, key and label. Then make the platform try again with",
                self.refresh(),
            )
        } else {
            Fix::without_command(format!(
                "Only Azure resolves these references. In local.settings.json, set {} to the value itself.",
                self.subject.named.setting()
            ))
        };
        Words::new(detail, fix)
    }

    /// A setting that is meant to come from a vault has no value.
    pub(super) fn empty_value(&self) -> Words {
        let may_be_flex = !matches!(
            self.surroundings.app.plan(),
            Some(Plan::Consumption | Plan::Dedicated)
        );
        let detail = if may_be_flex {
            "The setting exists and is empty. On Flex Consumption the platform leaves a reference empty when it has no identity to resolve it with."
        } else {
            "The setting exists and is empty."
        };
        let fix = match &self.surroundings.identity {
            Identity::UserAssigned(id) => Fix::with(
                "If the setting is a reference, let the platform use the app's identity with",
                self.use_identity_for_references(id),
            ),
            Identity::SystemAssigned if !self.surroundings.has_identity_endpoint => Fix::with(
                "If the setting is a reference, give the app an identity with",
                self.assign_identity(),
            ),
            _ => Fix::with(
                "If the setting is a reference, see what the platform says about it with",
                self.platforms_reason(),
            ),
        };
        Words::new(detail, fix)
    }
}
