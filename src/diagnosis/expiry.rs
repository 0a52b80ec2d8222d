//! What happens when a secret, a key or a certificate expires, and what to do before.

use std::fmt::Write as _;

use time::{OffsetDateTime, format_description::FormatItem, macros::format_description};

use super::{
    Expires, Fix, Subject, Surroundings,
    case::{Case, Words},
    commands, days_left,
};
use crate::key_vault::ObjectKind;

/// Settings that a warning names. A person looks up the others.
const NAMED: usize = 5;

/// A line for the person who gets it by mail: which of the app's `settings` may fail, when, and
/// what to do. `subject` is the secret that they use.
#[must_use]
pub fn warning(
    settings: &[&str],
    end: &Expires,
    subject: &Subject<'_>,
    surroundings: &Surroundings,
    now: OffsetDateTime,
) -> String {
    let here = Case {
        subject,
        surroundings,
        now,
    };
    let (first, others) = settings.split_at(settings.len().min(NAMED));
    let mut names = first.join(", ");
    if !others.is_empty() {
        let _ = write!(names, " and {} more", others.len());
    }
    let when = match days_left(end.on, now) {
        ..0 => "now".to_owned(),
        0 => "within a day".to_owned(),
        1 => "in 1 day".to_owned(),
        days => format!("in {days} days"),
    };
    let expires = if end.on <= now { "expired" } else { "expires" };
    let (object, vault, date) = (here.object(), here.vault(), date(end.on));
    let mut text = format!("{names} may fail {when}: {object} in {vault} {expires} on {date}.");
    let _ = write!(text, " {}", here.instead(end));
    let has_own_value = !end.is_certificates && end.newer.is_none();
    if let Some(vault) = here.azure_name().filter(|_| has_own_value) {
        let later = here.set_attributes(vault, &format!("--expires {}", commands::DATE));
        let _ = write!(
            text,
            "; if the old value stays good, move the date with {later}"
        );
    }
    text
}

impl Case<'_> {
    pub(super) fn expires(&self, end: &Expires) -> Words {
        let when = expires(end.on, self.now);
        // Source: Microsoft's pages "About Azure Key Vault secrets", "keys" and "certificates".
        let then = match self.subject.kind {
            _ if end.is_disabled => "It is disabled, so Key Vault does not serve it now either.",
            ObjectKind::Secret => {
                "Key Vault keeps serving the value. The service that it is for may stop accepting it."
            }
            ObjectKind::Key => {
                "Key Vault refuses an expired key for everything but to decrypt, unwrap, verify and release."
            }
            ObjectKind::Certificate => {
                "Key Vault keeps serving it. Whoever checks it refuses it once it has expired."
            }
        };
        let (object, vault) = (self.object_first(), self.vault());
        let detail = format!("{object} in {vault} {when}. {then}");
        Words::new(detail, self.instead(end))
    }

    /// What to do before it expires.
    fn instead(&self, end: &Expires) -> Fix {
        const SENTENCE: &str =
            "The reference is pinned to this version, and there is a newer one. Point it at that";
        let Some(reference) = end.newer.as_deref() else {
            return self.renew(end.is_certificates);
        };
        match self.set_to(reference) {
            Some(command) => Fix::with(format!("{SENTENCE} with"), command),
            None => Fix::without_command(format!(
                "{SENTENCE}: set {} to {reference}",
                self.subject.named.setting()
            )),
        }
    }

    fn renew(&self, is_certificates: bool) -> Fix {
        let name = self.name();
        match self.subject.kind {
            ObjectKind::Secret if is_certificates => {
                Fix::without_command("It belongs to the certificate of the same name: renew that.")
            }
            ObjectKind::Secret => {
                let sentence = match self.subject.version {
                    Some(_) => {
                        "The reference is pinned to a version, so it needs the new one as well. Store a new value with"
                    }
                    None => "Store a new value with",
                };
                let otherwise = Fix::without_command("Store a new value that expires later.");
                self.for_azure(
                    sentence,
                    |vault| commands::set_secret(vault, name),
                    otherwise,
                )
            }
            ObjectKind::Key => match self.azure_name() {
                Some(vault) => Fix::with_all(
                    "Make a new version (first command), say when that one expires (second), and let whoever uses the key take it:",
                    [
                        commands::rotate_key(vault, name),
                        self.set_attributes(vault, &format!("--expires {}", commands::DATE)),
                    ],
                ),
                None => Fix::without_command("Make a new version that expires later."),
            },
            ObjectKind::Certificate => {
                let pinned = match self.subject.version {
                    Some(_) => {
                        " The reference is pinned to a version, so it needs the new one as well."
                    }
                    None => "",
                };
                let follow = format!("Renew it. Its key and its secret follow.{pinned}");
                self.for_azure(
                    &format!("{follow} Who can renew it, and whether the vault does so by itself, is in its policy:"),
                    |vault| commands::show_policy(vault, name),
                    Fix::without_command(follow.as_str()),
                )
            }
        }
    }
}

/// "expires in 5 days, on 2026-12-02".
fn expires(on: OffsetDateTime, now: OffsetDateTime) -> String {
    let date = date(on);
    match days_left(on, now) {
        ..0 => format!("expired on {date}"),
        0 => format!("expires within a day, on {date}"),
        1 => format!("expires in 1 day, on {date}"),
        days => format!("expires in {days} days, on {date}"),
    }
}

/// The day alone, in UTC.
fn date(time: OffsetDateTime) -> String {
    const FORMAT: &[FormatItem<'_>] = format_description!("[year]-[month]-[day]");
    let time = time.to_offset(time::UtcOffset::UTC);
    time.format(FORMAT).unwrap_or_default()
}
