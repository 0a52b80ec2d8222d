//! What is wrong with a secret, or keeps the handler from knowing.

use time::{OffsetDateTime, format_description::FormatItem, macros::format_description};

use super::{
    Fix, Named,
    case::{Case, Words},
    commands, days_left,
};

/// What the embedded vault holds at start.
const EMBEDDED_SECRETS: &str = "ExternalApiKey and DatabasePassword";

/// The day alone, in UTC.
fn date(time: OffsetDateTime) -> String {
    const FORMAT: &[FormatItem<'_>] = format_description!("[year]-[month]-[day]");
    let time = time.to_offset(time::UtcOffset::UTC);
    time.format(FORMAT).unwrap_or_default()
}

impl Case<'_> {
    pub(super) fn version_not_found(&self) -> Words {
        let (vault, secret) = (self.vault(), self.subject.secret);
        let version = self.subject.version.unwrap_or("of this id");
        Words::new(
            format!("The secret {secret} in {vault} has no version {version}."),
            self.for_azure(
                "Compare the version with",
                |vault| commands::list_versions(vault, secret),
                Fix::without_command("Leave the version out to follow the latest one."),
            ),
        )
    }

    pub(super) fn not_found(&self) -> Words {
        let secret = self.subject.secret;
        let detail = match self.subject.named {
            // The recipe's own words.
            Named::KeyVaultUrl => format!("Secret not found: {secret}"),
            _ => format!("{} has no secret {secret}.", self.vault_first()),
        };
        let fix = match self.subject.named {
            Named::KeyVaultUrl if self.is_embedded() => {
                Fix::without_command(format!("The embedded vault has {EMBEDDED_SECRETS}."))
            }
            named if self.is_embedded() => Fix::without_command(format!(
                "In local.settings.json, point {} at a secret of the embedded vault. It has {EMBEDDED_SECRETS}.",
                named.setting()
            )),
            named if self.is_dev_vault() => Fix::without_command(format!(
                "In local.settings.json, point {} at a secret of the dev vault. It starts with {EMBEDDED_SECRETS}.",
                named.setting()
            )),
            _ => self.for_azure(
                "Compare the name with",
                commands::list_secrets,
                Fix::without_command("Compare the name with those that the vault lists."),
            ),
        };
        Words::new(detail, fix)
    }

    pub(super) fn deleted(&self) -> Words {
        let secret = self.subject.secret;
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
        let (vault, secret) = (self.vault(), self.subject.secret);
        let version = self.subject.version;
        let enable =
            |vault: &str| commands::set_attributes(vault, secret, version, "--enabled true");
        let sentence = match self.subject.named {
            Named::KeyVaultUrl => {
                "SECRET_METADATA_SOURCE=versions describes disabled secrets, too. To enable it, run"
            }
            _ => "Enable it with",
        };
        Words::new(
            format!("The secret {secret} in {vault} is disabled."),
            self.for_azure(sentence, enable, Fix::without_command("Enable it.")),
        )
    }

    pub(super) fn expires(&self, on: OffsetDateTime, is_certificates: bool) -> Words {
        let secret = self.subject.secret;
        let date = date(on);
        let when = match days_left(on, self.now) {
            ..0 => format!("expired on {date}"),
            0 => format!("expires within a day, on {date}"),
            1 => format!("expires in 1 day, on {date}"),
            days => format!("expires in {days} days, on {date}"),
        };
        let detail = format!(
            "The secret {secret} in {} {when}. Key Vault keeps serving the value. The service that it is for may stop accepting it.",
            self.vault()
        );
        if is_certificates {
            let fix = "It belongs to the certificate of the same name: renew that.";
            return Words::new(detail, Fix::without_command(fix));
        }
        let new_value = |vault: &str| commands::set_secret(vault, secret);
        let sentence = match self.subject.version {
            Some(_) => {
                "The reference is pinned to a version, so it needs the new one as well. Store a new value with"
            }
            None => "Store a new value with",
        };
        let otherwise = Fix::without_command("Store a new value that expires later.");
        Words::new(detail, self.for_azure(sentence, new_value, otherwise))
    }

    pub(super) fn may_not_list(&self) -> Words {
        let secret = self.subject.secret;
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
                "The secret {} has more versions than the handler can list in time.",
                self.subject.secret
            ),
            self.without_a_list(),
        )
    }

    /// What helps where a list of versions is too long.
    fn without_a_list(&self) -> Fix {
        let secret = self.subject.secret;
        match (self.subject.named, self.subject.version) {
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
