//! Every cause that the key vault room has.

use std::{sync::Arc, time::Duration};

use keyvault_functions::key_vault::{
    Error, Guid, ObjectKind,
    error::{
        CredentialError, CredentialKind, Denial, Reach, SettingError, SignInFailure, Tenants,
        TlsFailure,
    },
};

/// An id of this digit alone.
pub(crate) fn guid(digit: char) -> Guid {
    let digits = |count| digit.to_string().repeat(count);
    let text = format!(
        "{}-{four}-{four}-{four}-{}",
        digits(8),
        digits(12),
        four = digits(4)
    );
    Guid::parse(&text).expect("an id")
}

/// At least one of each kind, for tests that look at all of them.
pub(crate) fn every_error() -> Vec<Error> {
    use CredentialKind::{
        AzureCli, AzureDeveloperCli, ClientSecret, ManagedIdentity, WorkloadIdentity,
    };
    let failed =
        |credential, cause| Error::Credential(CredentialError::Failed { credential, cause });
    let answered = |status, aadsts| SignInFailure::Answered { status, aadsts };
    vec![
        Error::NotFound(ObjectKind::Secret),
        Error::NotFound(ObjectKind::Key),
        Error::NotFound(ObjectKind::Certificate),
        Error::VersionNotFound(ObjectKind::Secret),
        Error::VersionNotFound(ObjectKind::Key),
        Error::VersionNotFound(ObjectKind::Certificate),
        Error::Disabled(ObjectKind::Secret),
        Error::Disabled(ObjectKind::Key),
        Error::Disabled(ObjectKind::Certificate),
        Error::AccessDenied(Denial::Role),
        Error::AccessDenied(Denial::AccessPolicy),
        Error::AccessDenied(Denial::Policy),
        Error::AccessDenied(Denial::Other),
        Error::TokenRefused(Tenants::Unknown),
        Error::TokenRefused(Tenants::Same),
        Error::TokenRefused(Tenants::Different(guid('b'))),
        Error::ForbiddenByFirewall,
        Error::ForbiddenByConnection,
        Error::VaultNotFound,
        Error::TlsFailed(TlsFailure::UnknownIssuer),
        Error::TlsFailed(TlsFailure::WrongName),
        Error::TlsFailed(TlsFailure::Expired),
        Error::TlsFailed(TlsFailure::NotTls),
        Error::TlsFailed(TlsFailure::Other),
        Error::Unreachable(Reach::Proxy),
        Error::Unreachable(Reach::NameResolution),
        Error::Unreachable(Reach::OwnMachine),
        Error::Unreachable(Reach::Refused),
        Error::Unreachable(Reach::Connection),
        Error::Unreachable(Reach::Interrupted),
        Error::TooManyVersions,
        Error::TooManyObjects,
        Error::TooManyVaults,
        Error::NoCertificateAuthorities,
        Error::BudgetSpent {
            retry_after: Duration::from_secs(7),
        },
        Error::Throttled { retry_after: None },
        Error::Unavailable { retry_after: None },
        Error::TimedOut,
        Error::Credential(CredentialError::NothingConfigured),
        Error::Credential(CredentialError::NotOffered),
        failed(ManagedIdentity, SignInFailure::IdentityNotAssigned),
        failed(ManagedIdentity, answered(500, None)),
        failed(ManagedIdentity, answered(403, None)),
        failed(ManagedIdentity, SignInFailure::TlsNotTrusted),
        failed(ManagedIdentity, SignInFailure::NoSuchHost),
        failed(ManagedIdentity, SignInFailure::Refused),
        failed(ManagedIdentity, SignInFailure::TimedOut),
        failed(ClientSecret, answered(401, Some(7_000_215))),
        failed(ClientSecret, answered(401, Some(7_000_222))),
        failed(ClientSecret, answered(400, Some(700_016))),
        failed(ClientSecret, answered(400, Some(90_002))),
        failed(ClientSecret, answered(400, Some(50_000))),
        failed(ClientSecret, SignInFailure::TlsNotTrusted),
        failed(ClientSecret, SignInFailure::NoSuchHost),
        failed(ClientSecret, SignInFailure::OwnMachine),
        failed(ClientSecret, SignInFailure::Refused),
        failed(ClientSecret, SignInFailure::Unreachable),
        failed(ClientSecret, SignInFailure::TimedOut),
        failed(ClientSecret, SignInFailure::Other),
        failed(ClientSecret, SignInFailure::WrongSetting),
        failed(WorkloadIdentity, SignInFailure::NoTokenFile),
        failed(WorkloadIdentity, answered(400, Some(70_021))),
        failed(AzureCli, SignInFailure::ToolMissing),
        failed(AzureCli, SignInFailure::NotSignedIn),
        failed(AzureCli, SignInFailure::TimedOut),
        failed(AzureDeveloperCli, SignInFailure::NotSignedIn),
        failed(AzureDeveloperCli, SignInFailure::Other),
        Error::WrongSetting(Arc::new(SettingError {
            name: "KEY_VAULT_URL",
            found: "a Key Vault reference that was not resolved",
            expected: "the value itself".to_owned(),
            otherwise: None,
            is_reference: true,
        })),
        Error::WrongSetting(Arc::new(SettingError {
            name: "AZURE_CLIENT_SECRET",
            found: "a Key Vault reference that was not resolved",
            expected: "the value itself".to_owned(),
            otherwise: None,
            is_reference: true,
        })),
        Error::WrongSetting(Arc::new(SettingError {
            name: "AZURE_AUTHORITY_HOST",
            found: "text that is not an https address",
            expected: "https://HOST of the cloud's Entra ID".to_owned(),
            otherwise: None,
            is_reference: false,
        })),
        Error::RequestRefused,
        Error::UnexpectedAnswer,
    ]
}

/// Fails if none of `$values` matches one of the patterns. The compiler asks for a pattern for
/// each variant: the match has no wildcard.
macro_rules! assert_every {
    ($values:expr, $($pattern:pat),+ $(,)?) => {{
        let met: Vec<_> = $values
            .into_iter()
            .map(|value| match value { $($pattern => stringify!($pattern),)+ })
            .collect();
        $(assert!(met.contains(&stringify!($pattern)), "no {}", stringify!($pattern));)+
    }};
}

#[test]
fn no_cause_is_left_out() {
    assert_every!(
        every_error(),
        Error::NotFound(ObjectKind::Secret),
        Error::NotFound(ObjectKind::Key),
        Error::NotFound(ObjectKind::Certificate),
        Error::VersionNotFound(ObjectKind::Secret),
        Error::VersionNotFound(ObjectKind::Key),
        Error::VersionNotFound(ObjectKind::Certificate),
        Error::Disabled(ObjectKind::Secret),
        Error::Disabled(ObjectKind::Key),
        Error::Disabled(ObjectKind::Certificate),
        Error::AccessDenied(Denial::Role),
        Error::AccessDenied(Denial::AccessPolicy),
        Error::AccessDenied(Denial::Policy),
        Error::AccessDenied(Denial::Other),
        Error::TokenRefused(Tenants::Unknown),
        Error::TokenRefused(Tenants::Same),
        Error::TokenRefused(Tenants::Different(_)),
        Error::ForbiddenByFirewall,
        Error::ForbiddenByConnection,
        Error::VaultNotFound,
        Error::TlsFailed(TlsFailure::UnknownIssuer),
        Error::TlsFailed(TlsFailure::WrongName),
        Error::TlsFailed(TlsFailure::Expired),
        Error::TlsFailed(TlsFailure::NotTls),
        Error::TlsFailed(TlsFailure::Other),
        Error::Unreachable(Reach::Proxy),
        Error::Unreachable(Reach::NameResolution),
        Error::Unreachable(Reach::OwnMachine),
        Error::Unreachable(Reach::Refused),
        Error::Unreachable(Reach::Connection),
        Error::Unreachable(Reach::Interrupted),
        Error::TooManyVersions,
        Error::TooManyObjects,
        Error::TooManyVaults,
        Error::NoCertificateAuthorities,
        Error::BudgetSpent { .. },
        Error::Throttled { .. },
        Error::Unavailable { .. },
        Error::TimedOut,
        Error::Credential(CredentialError::NothingConfigured),
        Error::Credential(CredentialError::NotOffered),
        Error::Credential(CredentialError::Failed { .. }),
        Error::WrongSetting(_),
        Error::RequestRefused,
        Error::UnexpectedAnswer,
    );
}

#[test]
fn no_failed_sign_in_is_left_out() {
    let failed = || {
        every_error().into_iter().filter_map(|error| match error {
            Error::Credential(CredentialError::Failed { credential, cause }) => {
                Some((credential, cause))
            }
            _ => None,
        })
    };
    assert_every!(
        failed().map(|(credential, _)| credential),
        CredentialKind::ClientSecret,
        CredentialKind::WorkloadIdentity,
        CredentialKind::ManagedIdentity,
        CredentialKind::AzureCli,
        CredentialKind::AzureDeveloperCli,
    );
    assert_every!(
        failed().map(|(_, cause)| cause),
        SignInFailure::IdentityNotAssigned,
        SignInFailure::Answered { aadsts: None, .. },
        SignInFailure::Answered {
            aadsts: Some(_),
            ..
        },
        SignInFailure::TlsNotTrusted,
        SignInFailure::Refused,
        SignInFailure::NoSuchHost,
        SignInFailure::OwnMachine,
        SignInFailure::Unreachable,
        SignInFailure::TimedOut,
        SignInFailure::NoTokenFile,
        SignInFailure::ToolMissing,
        SignInFailure::NotSignedIn,
        SignInFailure::WrongSetting,
        SignInFailure::Other,
    );
}
