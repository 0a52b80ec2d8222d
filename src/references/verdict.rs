//! What counts where the platform and the handler, each with its own identity, tried one reference.

use super::{
    status::{PlatformStatus, Status},
    syntax::Reference,
};
use crate::{
    diagnosis::{Cause, Facts, Identity, Surroundings},
    key_vault::{Error, ObjectKind},
};

/// The status that is answered, and a sentence for the detail where the platform has another one
/// than the handler.
pub(super) fn weigh(own: Status, platforms: Option<&PlatformStatus>) -> (Status, String) {
    match platforms {
        Some(PlatformStatus::Unknown(text)) => {
            (own, format!(" The platform's own status is {text}."))
        }
        // The platform tried with the references' own identity: its status counts, and what
        // the handler found is the explanation.
        Some(PlatformStatus::Known(known)) if *known != Status::Resolved && *known != own => {
            (*known, format!(" The platform's status is {known}."))
        }
        Some(PlatformStatus::Known(_)) | None => (own, String::new()),
    }
}

/// Why a reference is not resolved although the handler can read its secret, and what else
/// is odd about that secret.
pub(super) fn why_unresolved(
    reference: &Reference,
    facts: Facts,
    platforms: Option<&PlatformStatus>,
    surroundings: &Surroundings,
) -> (Cause, Facts) {
    let status = platforms.map(PlatformStatus::status);
    if status == Some(Status::Resolved) {
        return (Cause::ResolvedSinceStart, facts);
    }
    let was_refused = matches!(
        status,
        Some(Status::MSINotEnabled | Status::AccessToKeyVaultDenied | Status::UnauthorizedClient)
    );
    // The platform met another obstacle, and this one may come next.
    if facts.is_disabled && !was_refused {
        let others = Facts {
            is_disabled: false,
            ..facts
        };
        return (Error::Disabled(ObjectKind::Secret).into(), others);
    }
    if reference.has_unusual_spelling {
        return (Cause::UnusualSpelling(reference.to_string()), facts);
    }
    let may_be_the_identity = was_refused || platforms.is_none();
    let cause = match &surroundings.identity {
        Identity::UserAssigned(id) if may_be_the_identity => Cause::OtherIdentity(id.clone()),
        Identity::Application(_) | Identity::Developer
            if may_be_the_identity && surroundings.is_on_azure() =>
        {
            Cause::OtherSignIn
        }
        _ => Cause::Readable,
    };
    (cause, facts)
}
