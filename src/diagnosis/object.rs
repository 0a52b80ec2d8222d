//! What is wrong with a secret, a key or a certificate, or keeps the handler from knowing.

use std::time::Duration;

use super::{
    Fix, Named,
    case::{Case, Words},
    commands,
};
use crate::key_vault::ObjectKind;

/// What the embedded vault holds at start.
const EMBEDDED_SECRETS: &str = "ExternalApiKey and DatabasePassword";

/// After this time there is more to tell.
const LISTING_WAIT: Duration = Duration::from_secs(2);

fn embedded_objects(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Secret => EMBEDDED_SECRETS,
        ObjectKind::Key => "SigningKey",
        ObjectKind::Certificate => "WebCertificate",
    }
}

impl Case<'_> {
    pub(super) fn version_not_found(&self) -> Words {
        let (vault, object) = (self.vault(), self.object_first());
        let version = self.subject.version.unwrap_or("of this id");
        Words::new(
            format!("{object} in {vault} has no version {version}."),
            self.for_azure(
                "Compare the version with",
                |vault| self.list_versions(vault),
                Fix::without_command("Leave the version out to follow the latest one."),
            ),
        )
    }

    pub(super) fn not_found(&self) -> Words {
        let (kind, name) = (self.subject.kind, self.name());
        let detail = match (self.subject.named, kind) {
            // The recipe's own words.
            (Named::KeyVaultUrl, ObjectKind::Secret) => format!("Secret not found: {name}"),
            _ => format!("{} has no {kind} {name}.", self.vault_first()),
        };
        let embedded = embedded_objects(kind);
        let fix = match self.subject.named {
            Named::KeyVaultUrl if self.is_embedded() => {
                Fix::without_command(format!("The embedded vault has {embedded}."))
            }
            named if self.is_embedded() => Fix::without_command(format!(
                "{} at a secret of the embedded vault. It has {EMBEDDED_SECRETS}.",
                self.point(named)
            )),
            named if self.is_dev_vault() => Fix::without_command(format!(
                "{} at a secret of the dev vault. It starts with {EMBEDDED_SECRETS}.",
                self.point(named)
            )),
            _ => self.for_azure(
                "Compare the name with",
                |vault| commands::list(vault, kind),
                Fix::without_command("Compare the name with those that the vault lists."),
            ),
        };
        Words::new(detail, fix)
    }

    /// Where the setting is changed. The list of another app has come from anywhere.
    fn point(&self, named: Named<'_>) -> String {
        let setting = named.setting();
        if self.settings_are_on_azure() {
            format!("Point {setting}")
        } else {
            format!("In local.settings.json, point {setting}")
        }
    }

    pub(super) fn deleted(&self) -> Words {
        let secret = self.name();
        Words::new(
            format!(
                "The secret {secret} is deleted from {} and can be recovered.",
                self.vault()
            ),
            self.for_azure(
                "Recover it with",
                |vault| commands::recover(vault, secret),
                Fix::without_command("Recover it, or set the secret again."),
            ),
        )
    }

    pub(super) fn disabled(&self) -> Words {
        let (vault, object) = (self.vault(), self.object_first());
        let enable = |vault: &str| self.set_attributes(vault, "--enabled true");
        let sentence = match (self.subject.named, self.subject.kind) {
            (Named::KeyVaultUrl, ObjectKind::Secret) => {
                "SECRET_METADATA_SOURCE=versions describes disabled secrets, too. To enable it, run"
            }
            _ => "Enable it with",
        };
        Words::new(
            format!("{object} in {vault} is disabled."),
            self.for_azure(sentence, enable, Fix::without_command("Enable it.")),
        )
    }

    pub(super) fn may_not_list(&self) -> Words {
        let secret = self.name();
        Words::new(
            format!(
                "The handler may get secrets of {} but not list them. So it cannot tell whether {secret} exists without reading its value.",
                self.vault()
            ),
            self.try_again(),
        )
    }

    pub(super) fn too_many_versions(&self) -> Words {
        Words::new(
            format!(
                "{} has more versions than the handler can list in time.",
                self.object_first()
            ),
            self.without_a_list(),
        )
    }

    pub(super) fn too_many_objects(&self) -> Words {
        let (kinds, vault) = (self.subject.kind.collection(), self.vault());
        Words::new(
            format!(
                "The handler lists at most 10,000 {kinds} of a vault and 30,000 objects in all. {vault} has more {kinds} than were listed."
            )
            .replacen(". the", ". The", 1),
            self.for_azure(
                "See the others with",
                |vault| commands::list(vault, self.subject.kind),
                Fix::without_command("Delete what is no longer used."),
            ),
        )
    }

    pub(super) fn listing(&self) -> Words {
        let (kinds, vault) = (self.subject.kind.collection(), self.vault());
        Words::without_command(
            format!("The handler is still reading the {kinds} of {vault}."),
            "Ask again in a moment.",
        )
        .passing(Some(LISTING_WAIT))
    }

    /// What helps where a list of versions is too long.
    fn without_a_list(&self) -> Fix {
        let secret = self.name();
        match (self.subject.named, self.subject.version) {
            _ if self.subject.kind != ObjectKind::Secret => {
                Fix::without_command("Ask without a version, or for one that is not so old.")
            }
            (Named::KeyVaultUrl, _) => self.set_app_setting("SECRET_METADATA_SOURCE", "get"),
            (_, Some(version)) => self.for_azure(
                "See whether this version exists with",
                |vault| commands::show_version(vault, secret, version),
                Fix::without_command("Leave the version out to follow the latest one."),
            ),
            _ => self.try_again(),
        }
    }
}
