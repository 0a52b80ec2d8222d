//! What came of a new version.

use serde::{Serialize, Serializer};

use time::OffsetDateTime;

use crate::{
    diagnosis::{Explanation, Fix, iso_format},
    functions::used::Secret,
};

/// What happened last to one secret.
#[derive(Debug, Clone, Serialize)]
pub(in crate::functions) struct RotationReport {
    /// The secret that has a new version.
    pub secret: String,
    /// When it got it; null for one that was found without an event.
    pub event_at: Option<String>,
    /// When Azure was asked to resolve references again; null if it was not yet, or needs not be.
    pub asked_at: Option<String>,
    /// When it is looked at again, if no event comes; null if that is not planned.
    pub next_at: Option<String>,
    /// What came of it.
    pub outcome: Outcome,
    /// Why, if a person has to know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<Fix>,
}

/// What came of a new version. In the order of what a person wants to know first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::functions) enum Outcome {
    /// The version is in effect already.
    Current,
    /// Azure was asked, and does not say that the app has anything else.
    Refreshed,
    /// Azure does not tell which version is in effect.
    Unknown,
    /// Azure is asked soon.
    Waiting,
    /// The secret is deleted.
    Gone,
    /// The version is disabled, so Azure is not asked.
    Disabled,
    /// The platform has an older version, although it was asked or has looked itself.
    Behind,
    /// Azure was asked, and says that one of the references is not resolved.
    Unresolved,
    /// Azure or the vault could not be asked. It is tried again.
    Failed,
    /// The identity may not ask Azure. It is tried again now and then.
    Denied,
}

impl Outcome {
    /// As it stands in an answer.
    pub(in crate::functions) fn word(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Refreshed => "refreshed",
            Self::Unknown => "unknown",
            Self::Waiting => "waiting",
            Self::Gone => "gone",
            Self::Disabled => "disabled",
            Self::Behind => "behind",
            Self::Unresolved => "unresolved",
            Self::Failed => "failed",
            Self::Denied => "denied",
        }
    }

    /// What it says of the app.
    pub(in crate::functions) fn meaning(self) -> &'static str {
        match self {
            Self::Current => "The newest version is in effect.",
            Self::Refreshed => "Azure has resolved the references to this secret again.",
            Self::Unknown => "Azure does not tell which version is in effect.",
            Self::Waiting => {
                "It has a new version. Azure is asked to resolve the references to it soon."
            }
            Self::Gone => {
                "The secret is deleted. The app keeps its value until its references are resolved again."
            }
            Self::Disabled => "The newest version is disabled, so Azure is not asked.",
            Self::Behind => "The platform has an older version.",
            Self::Unresolved => {
                "Azure was asked, and one of the references is not resolved. Its own entry says why."
            }
            Self::Failed => "Azure or the vault could not be asked. It is tried again.",
            Self::Denied => "The handler may not ask Azure. It is tried again now and then.",
        }
    }

    /// Whether there is nothing left to do, for the handler or for a person.
    pub(super) fn is_done(self) -> bool {
        self <= Self::Unknown
    }

    /// Whether it takes no change to be so.
    pub(super) fn is_in_order(self) -> bool {
        matches!(self, Self::Current | Self::Gone)
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl RotationReport {
    pub(super) fn new(secret: &Secret, event: Option<OffsetDateTime>, outcome: Outcome) -> Self {
        Self {
            secret: secret.name.to_string(),
            event_at: event.and_then(iso_format),
            asked_at: None,
            next_at: None,
            outcome,
            detail: None,
            fix: None,
        }
    }

    pub(super) fn because(mut self, why: &Explanation) -> Self {
        self.detail = Some(why.detail.clone());
        self.fix = Some(why.fix.clone());
        self
    }
}
