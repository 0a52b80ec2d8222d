//! Why a sign-in failed.

use std::io;

use azure_core::{error::ErrorKind, http::StatusCode};

use super::{cli::ToolFailed, endpoint::Refusal};
use crate::key_vault::{
    error::{CredentialKind, Error, Reach, SignInFailure},
    sdk::chain,
};

/// Finds the cause in an error of the identity library, by the types in its chain of causes.
pub(super) fn explain(
    credential: CredentialKind,
    error: &azure_core::Error,
) -> Option<SignInFailure> {
    chain(error).find_map(|error| {
        if let Some(error) = error.downcast_ref::<azure_core::Error>() {
            return answered(credential, error.kind());
        }
        if let Some(error) = error.downcast_ref::<Error>() {
            return not_answered(error);
        }
        if let Some(ToolFailed(cause)) = error.downcast_ref() {
            return Some(*cause);
        }
        // No other error of the system reaches this credential.
        let is_token_file =
            credential == CredentialKind::WorkloadIdentity && error.is::<io::Error>();
        is_token_file.then_some(SignInFailure::NoTokenFile)
    })
}

/// The endpoint refused.
fn answered(credential: CredentialKind, kind: &ErrorKind) -> Option<SignInFailure> {
    let ErrorKind::HttpResponse {
        status,
        raw_response,
        ..
    } = kind
    else {
        return None;
    };
    let body = raw_response.as_ref().map(|raw| raw.body().as_ref());
    let aadsts = Refusal::of(body.unwrap_or_default()).aadsts();
    let is_managed = credential == CredentialKind::ManagedIdentity;
    if is_managed && *status == StatusCode::BadRequest && aadsts.is_none() {
        return Some(SignInFailure::IdentityNotAssigned);
    }
    let status = u16::from(*status);
    Some(SignInFailure::Answered { status, aadsts })
}

/// This crate's transport found out why there is no answer.
fn not_answered(error: &Error) -> Option<SignInFailure> {
    match error {
        Error::VaultNotFound => Some(SignInFailure::NoSuchHost),
        Error::TlsFailed(_) => Some(SignInFailure::TlsNotTrusted),
        Error::Unreachable(Reach::Refused) => Some(SignInFailure::Refused),
        Error::Unreachable(Reach::OwnMachine) => Some(SignInFailure::OwnMachine),
        Error::Unreachable(_) => Some(SignInFailure::Unreachable),
        Error::TimedOut => Some(SignInFailure::TimedOut),
        _ => None,
    }
}
