//! What can go wrong between the handler and a vault, by cause.
//!
//! The SDK's own errors are read once, here, and dropped: their texts carry identities,
//! tenants and pieces of answers.

use std::{fmt, sync::Arc, time::Duration};

use azure_core::{error::ErrorKind, http::StatusCode};
use serde::{Deserialize, Serialize};

use super::transport::ASKED_WAIT;

/// A cause. No variant holds text from outside.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The vault has no secret of this name.
    #[error("the vault has no such secret")]
    SecretNotFound,
    /// The secret exists, this version of it does not.
    #[error("the secret has no such version")]
    SecretVersionNotFound,
    /// The secret is disabled, and reading it was refused for that.
    #[error("the secret is disabled")]
    SecretDisabled,
    /// The identity may not do this.
    #[error("access denied: {0:?}")]
    AccessDenied(Denial),
    /// The vault refused the token itself: wrong tenant, wrong audience, or expired.
    #[error("the vault refused the token")]
    TokenRefused,
    /// The vault's network rules refused the handler's address.
    #[error("refused by the vault's network rules")]
    ForbiddenByFirewall,
    /// The vault takes no requests over the public network, and this one came that way.
    #[error("the vault is closed to the public network")]
    ForbiddenByConnection,
    /// There is no host of the vault's name.
    #[error("there is no such vault")]
    VaultNotFound,
    /// The vault's certificate is not trusted, or TLS failed otherwise.
    #[error("no trusted TLS connection to the vault: {0}")]
    TlsFailed(TlsFailure),
    /// Nothing answers at the vault's address, or the answer breaks off.
    #[error("the vault cannot be reached")]
    Unreachable(Reach),
    /// The secret has more versions than can be listed in the time of one call.
    #[error("the secret has too many versions to list")]
    TooManyVersions,
    /// The handler reads as many vaults as it can already.
    #[error("too many vaults")]
    TooManyVaults,
    /// This machine has no certificate authorities to check a vault's certificate with.
    #[error("no certificate authorities on this machine")]
    NoCertificateAuthorities,
    /// The handler has sent as many requests as one instance may for now. No vault said so.
    #[error("too many requests to vaults")]
    BudgetSpent {
        /// When the next one may be sent.
        retry_after: Duration,
    },
    /// The vault asked to slow down.
    #[error("the vault throttles")]
    Throttled {
        /// How long to wait, if the vault said so.
        retry_after: Option<Duration>,
    },
    /// The vault answered that it has a problem.
    #[error("the vault is unavailable")]
    Unavailable {
        /// How long to wait, if the vault said so.
        retry_after: Option<Duration>,
    },
    /// No complete answer in time.
    #[error("the vault did not answer in time")]
    TimedOut,
    /// No token could be had.
    #[error("no credential: {0:?}")]
    Credential(CredentialError),
    /// A setting that the read depends on cannot be used.
    #[error("the setting {} cannot be used", .0.name)]
    WrongSetting(Arc<SettingError>),
    /// The vault refused the request as such (`BadParameter`): it may be older than the API.
    #[error("the vault refuses the request as such")]
    RequestRefused,
    /// The vault's answer is not what the contract promises.
    #[error("the vault's answer cannot be understood")]
    UnexpectedAnswer,
}

/// One setting that cannot be used: which, what kind of value it has, what to do. Never the value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{name}: found {found}; give {expected}{}", .otherwise.as_deref().unwrap_or_default())]
pub struct SettingError {
    /// The setting's name.
    pub name: &'static str,
    /// What kind of value it has.
    pub found: &'static str,
    /// What it takes, and what counts until then, if anything does.
    pub expected: String,
    /// The other way out, such as `, or remove it`.
    #[serde(skip)]
    pub otherwise: Option<String>,
    /// Whether it is a reference that was not resolved, which `config-check` explains.
    #[serde(skip)]
    pub is_reference: bool,
}

/// Who or what denied access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// The vault uses roles, and none of the identity's allows it (`ForbiddenByRbac`).
    Role,
    /// The vault uses access policies, and none allows it (`AccessDenied`).
    AccessPolicy,
    /// A policy of the vault (`ForbiddenByPolicy`), which the recipe knows from firewalls.
    Policy,
    /// A code that is not known here.
    Other,
}

/// What is wrong with a server's certificate, or with its TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TlsFailure {
    /// No authority that is trusted here has issued the certificate.
    #[error("unknown issuer")]
    UnknownIssuer,
    /// The certificate is another host's.
    #[error("wrong name")]
    WrongName,
    /// The certificate is not valid any more, or not yet.
    #[error("expired or not yet valid")]
    Expired,
    /// The server speaks something else.
    #[error("not TLS")]
    NotTls,
    /// Anything else.
    #[error("other")]
    Other,
}

impl TlsFailure {
    pub(super) fn of(error: &rustls::Error) -> Self {
        use rustls::CertificateError as Wrong;
        match error {
            rustls::Error::InvalidCertificate(wrong) => match wrong {
                Wrong::UnknownIssuer => Self::UnknownIssuer,
                Wrong::NotValidForName | Wrong::NotValidForNameContext { .. } => Self::WrongName,
                Wrong::Expired
                | Wrong::ExpiredContext { .. }
                | Wrong::NotValidYet
                | Wrong::NotValidYetContext { .. } => Self::Expired,
                // It is its own authority, and not in the file of those that are trusted.
                Wrong::Other(other)
                    if matches!(
                        other.0.downcast_ref(),
                        Some(webpki::Error::CaUsedAsEndEntity)
                    ) =>
                {
                    Self::UnknownIssuer
                }
                _ => Self::Other,
            },
            rustls::Error::InvalidMessage(_) => Self::NotTls,
            _ => Self::Other,
        }
    }
}

/// At which step the vault could not be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The proxy that the environment names has no address.
    Proxy,
    /// No name server answered. This passes by itself, unlike a name that does not exist.
    NameResolution,
    /// The machine answered that nothing listens at that port.
    Refused,
    /// No connection.
    Connection,
    /// The answer broke off.
    Interrupted,
}

/// Why there is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialError {
    /// The environment offers no credential at all.
    NothingConfigured,
    /// `AZURE_TOKEN_CREDENTIALS` asks for a credential that the environment does not offer.
    NotOffered,
    /// The chosen credential failed.
    Failed {
        /// Which one was chosen.
        credential: CredentialKind,
        /// Why it failed.
        cause: SignInFailure,
    },
}

impl CredentialError {
    /// Whether there is no identity to ask for, as opposed to one that fails.
    #[must_use]
    pub fn is_without_identity(&self) -> bool {
        match self {
            Self::NothingConfigured | Self::NotOffered => true,
            Self::Failed { cause, .. } => *cause == SignInFailure::IdentityNotAssigned,
        }
    }
}

/// The credentials that can be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialKind {
    /// An application with `AZURE_CLIENT_SECRET`.
    ClientSecret,
    /// An application with `AZURE_FEDERATED_TOKEN_FILE`.
    WorkloadIdentity,
    /// The identity that `IDENTITY_ENDPOINT` signs in.
    ManagedIdentity,
    /// `az`.
    AzureCli,
    /// `azd`.
    AzureDeveloperCli,
}

/// Why a sign-in failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignInFailure {
    /// The identity endpoint does not know the identity: none is assigned, or
    /// `AZURE_CLIENT_ID` names one that is not.
    IdentityNotAssigned,
    /// Entra ID or the identity endpoint refused.
    Answered {
        /// The HTTP status.
        status: u16,
        /// The number behind `AADSTS` in Entra ID's answer.
        aadsts: Option<u32>,
    },
    /// The certificate of the endpoint is not trusted.
    TlsNotTrusted,
    /// Nothing listens at the endpoint.
    Refused,
    /// The endpoint's host name does not exist.
    NoSuchHost,
    /// The endpoint cannot be reached otherwise.
    Unreachable,
    /// No answer in time.
    TimedOut,
    /// The file that `AZURE_FEDERATED_TOKEN_FILE` names cannot be read, most often because it is
    /// not there.
    NoTokenFile,
    /// The developer tool is not installed, or not on the path.
    ToolMissing,
    /// Nobody is signed in with the developer tool.
    NotSignedIn,
    /// A setting of the credential has a form that it cannot have.
    WrongSetting,
    /// Anything else.
    Other,
}

impl fmt::Display for SignInFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IdentityNotAssigned => "the identity is not assigned",
            Self::Answered {
                status,
                aadsts: Some(number),
            } => return write!(f, "HTTP {status}, AADSTS{number}"),
            Self::Answered {
                status,
                aadsts: None,
            } => return write!(f, "HTTP {status}"),
            Self::TlsNotTrusted => "no trusted TLS connection",
            Self::Refused => "nothing listens there",
            Self::NoSuchHost => "the host name does not exist",
            Self::Unreachable => "the endpoint cannot be reached",
            Self::TimedOut => "no answer in time",
            Self::NoTokenFile => "the token file cannot be read",
            Self::ToolMissing => "the program is not on the path",
            Self::NotSignedIn => "nobody is signed in",
            Self::WrongSetting => "a setting has a form that it cannot have",
            Self::Other => "no usable token",
        })
    }
}

impl Error {
    /// One word for the cause, the same in answers, lines and counters.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::SecretNotFound => "SecretNotFound",
            Self::SecretVersionNotFound => "SecretVersionNotFound",
            Self::SecretDisabled => "SecretDisabled",
            Self::AccessDenied(_) => "AccessToKeyVaultDenied",
            Self::TokenRefused => "UnauthorizedClient",
            Self::ForbiddenByFirewall => "ForbiddenByFirewall",
            Self::ForbiddenByConnection => "ForbiddenByConnection",
            Self::VaultNotFound => "VaultNotFound",
            Self::TlsFailed(_) => "VaultTlsFailed",
            Self::Unreachable(_) => "VaultUnreachable",
            Self::TooManyVersions => "TooManyVersions",
            Self::TooManyVaults => "TooManyVaults",
            Self::NoCertificateAuthorities => "NoCertificateAuthorities",
            Self::BudgetSpent { .. } => "TooManyVaultRequests",
            Self::Throttled { .. } => "Throttled",
            Self::Unavailable { .. } => "VaultUnavailable",
            Self::TimedOut => "FetchTimedOut",
            Self::Credential(_) => "CredentialUnavailable",
            Self::WrongSetting(_) => "WrongSetting",
            Self::RequestRefused => "RequestRefused",
            Self::UnexpectedAnswer => "UnexpectedAnswer",
        }
    }

    /// Finds the cause in an error of the SDK, which is consumed: nothing else of it is kept.
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "so that nobody keeps the SDK's text"
    )]
    pub fn from_sdk(error: azure_core::Error) -> Self {
        if let Some(own) = own_cause(&error) {
            return own.clone();
        }
        match error.kind() {
            ErrorKind::HttpResponse { status, .. } => {
                let status = *status;
                let retry_after = retry_after(&error);
                from_status(status, Refusal::of(&error).as_ref(), retry_after)
            }
            ErrorKind::Connection => Self::Unreachable(Reach::Connection),
            ErrorKind::Io => Self::Unreachable(Reach::Interrupted),
            _ => Self::UnexpectedAnswer,
        }
    }
}

/// The cause that this crate's own transport or credential put into the chain.
pub(super) fn own_cause(error: &azure_core::Error) -> Option<&Error> {
    chain(error).find_map(|error| error.downcast_ref())
}

/// An error and what caused it, outermost first.
pub(super) fn chain<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        match error.downcast_ref::<std::io::Error>() {
            // Its `source` skips the error that it wraps.
            Some(error) => error
                .get_ref()
                .map(|inner| inner as &(dyn std::error::Error + 'static)),
            None => error.source(),
        }
    })
}

fn retry_after(error: &azure_core::Error) -> Option<Duration> {
    let ErrorKind::HttpResponse {
        raw_response: Some(raw),
        ..
    } = error.kind()
    else {
        return None;
    };
    let seconds = raw.headers().get_optional_str(&ASKED_WAIT)?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}

/// What Key Vault says when it refuses. The SDK's own parser borrows from the body and fails
/// on the escapes of a real 403, so the body is parsed again into owned text.
#[derive(Deserialize)]
struct Refusal {
    code: String,
    message: String,
    #[serde(rename = "innererror")]
    inner: Option<InnerError>,
}

#[derive(Deserialize)]
struct InnerError {
    code: Option<String>,
}

impl Refusal {
    fn of(error: &azure_core::Error) -> Option<Self> {
        #[derive(Deserialize)]
        struct Body {
            error: Refusal,
        }
        let ErrorKind::HttpResponse {
            raw_response: Some(raw),
            ..
        } = error.kind()
        else {
            return None;
        };
        let body: Option<Body> = serde_json::from_slice(raw.body()).ok();
        body.map(|body| body.error)
    }

    /// Who or what refused, of a 403.
    fn forbidden(&self) -> Error {
        match self.inner.as_ref().and_then(|inner| inner.code.as_deref()) {
            Some("SecretDisabled") => Error::SecretDisabled,
            Some("ForbiddenByFirewall") => Error::ForbiddenByFirewall,
            Some("ForbiddenByConnection") => Error::ForbiddenByConnection,
            Some("ForbiddenByRbac") => Error::AccessDenied(Denial::Role),
            Some("AccessDenied") => Error::AccessDenied(Denial::AccessPolicy),
            Some("ForbiddenByPolicy") => Error::AccessDenied(Denial::Policy),
            Some(_) => Error::AccessDenied(Denial::Other),
            None => forbidden_by_text(&self.message),
        }
    }
}

/// The cause of a 403 without an inner code, by the service's text.
///
/// The network rules come first: their text also says "not authorized".
fn forbidden_by_text(message: &str) -> Error {
    const TEXTS: [(&str, Error); 6] = [
        (
            "client address is not authorized",
            Error::ForbiddenByFirewall,
        ),
        ("not allowed by nsp rules", Error::ForbiddenByFirewall),
        (
            "public network access is disabled",
            Error::ForbiddenByConnection,
        ),
        ("not an approved private link", Error::ForbiddenByConnection),
        (
            "not authorized to perform action",
            Error::AccessDenied(Denial::Role),
        ),
        (
            "permission on key vault",
            Error::AccessDenied(Denial::AccessPolicy),
        ),
    ];
    let message = message.to_ascii_lowercase();
    TEXTS
        .into_iter()
        .find_map(|(text, cause)| message.contains(text).then_some(cause))
        .unwrap_or(Error::AccessDenied(Denial::Other))
}

fn from_status(
    status: StatusCode,
    refusal: Option<&Refusal>,
    retry_after: Option<Duration>,
) -> Error {
    match (status, refusal) {
        (StatusCode::NotFound, Some(refusal)) if refusal.code == "SecretNotFound" => {
            Error::SecretNotFound
        }
        (StatusCode::Unauthorized, _) => Error::TokenRefused,
        (StatusCode::Forbidden, Some(refusal)) => refusal.forbidden(),
        (StatusCode::Forbidden, None) => Error::AccessDenied(Denial::Other),
        (StatusCode::BadRequest, Some(_)) => Error::RequestRefused,
        (StatusCode::TooManyRequests, _) => Error::Throttled { retry_after },
        (status, _) if u16::from(status) >= 500 || status == StatusCode::RequestTimeout => {
            Error::Unavailable { retry_after }
        }
        _ => Error::UnexpectedAnswer,
    }
}

#[cfg(test)]
mod tests {
    use azure_core::http::{RawResponse, headers::Headers};

    use super::*;

    fn answered(status: u16, body: &str, headers: &[(&'static str, &'static str)]) -> Error {
        let mut all = Headers::new();
        for (name, value) in headers {
            all.insert(*name, *value);
        }
        let status = StatusCode::from(status);
        let raw = RawResponse::from_bytes(status, all, body.to_owned());
        Error::from_sdk(azure_core::Error::new(
            ErrorKind::HttpResponse {
                status,
                error_code: Some("403".into()),
                raw_response: Some(Box::new(raw)),
            },
            body.to_owned(),
        ))
    }

    fn refused(inner: &str) -> Error {
        // Line breaks as in the real service's message: they defeat the SDK's own parser.
        let body = format!(
            r#"{{"error":{{"code":"Forbidden","message":"Caller: appid=…\r\nAction: 'x'\r\n","innererror":{{"code":"{inner}"}}}}}}"#
        );
        answered(403, &body, &[])
    }

    #[test]
    fn refusals_are_told_apart_by_the_inner_code() {
        for (inner, cause) in [
            ("ForbiddenByRbac", Error::AccessDenied(Denial::Role)),
            ("AccessDenied", Error::AccessDenied(Denial::AccessPolicy)),
            ("ForbiddenByPolicy", Error::AccessDenied(Denial::Policy)),
            ("SomethingNew", Error::AccessDenied(Denial::Other)),
            ("ForbiddenByFirewall", Error::ForbiddenByFirewall),
            ("ForbiddenByConnection", Error::ForbiddenByConnection),
            ("SecretDisabled", Error::SecretDisabled),
        ] {
            assert_eq!(refused(inner), cause, "{inner}");
        }
        assert_eq!(
            answered(403, "<html>", &[]),
            Error::AccessDenied(Denial::Other)
        );
    }

    /// The texts are the service's own, older and newer.
    #[test]
    fn a_refusal_without_an_inner_code_is_told_by_its_text() {
        let connection = Error::ForbiddenByConnection;
        let firewall = Error::ForbiddenByFirewall;
        for (text, cause) in [
            (
                "Client address is not authorized and caller is not a trusted service.\\r\\nClient address: 1.2.3.4",
                firewall.clone(),
            ),
            (
                "Request was not allowed by NSP rules and the client address is not authorized and caller was ignored because bypass is set to None",
                firewall.clone(),
            ),
            (
                "Public network access is disabled and request is not from a trusted service nor via an approved private link.\\r\\nCaller: x",
                connection.clone(),
            ),
            (
                "Connection is not an approved private link and caller was ignored because bypass is not set to 'AzureServices' and PublicNetworkAccess is set to 'Disabled'.",
                connection,
            ),
            (
                "Caller is not authorized to perform action on resource.\\r\\nCaller: x",
                Error::AccessDenied(Denial::Role),
            ),
            (
                "The user, group or application 'x' does not have secrets get permission on key vault 'v'.",
                Error::AccessDenied(Denial::AccessPolicy),
            ),
            ("Something new", Error::AccessDenied(Denial::Other)),
        ] {
            let body = format!(r#"{{"error":{{"code":"Forbidden","message":"{text}"}}}}"#);
            assert_eq!(answered(403, &body, &[]), cause, "{text}");
            // The code counts more than the text.
            let body = format!(
                r#"{{"error":{{"code":"Forbidden","message":"{text}","innererror":{{"code":"ForbiddenByFirewall"}}}}}}"#
            );
            assert_eq!(answered(403, &body, &[]), firewall, "{text}");
        }
    }

    #[test]
    fn a_complaint_about_the_request_is_believed_only_from_key_vault() {
        let body = r#"{"error":{"code":"BadParameter","message":"The specified version (2025-07-01) is not recognized.\r\n"}}"#;
        assert_eq!(answered(400, body, &[]), Error::RequestRefused);
        for body in [
            "<html>",
            "{}",
            r#"{"error":"BadParameter"}"#,
            r#"{"error":{"code":"BadParameter"}}"#,
            r#"{"statusCode":400,"message":"BadParameter"}"#,
        ] {
            assert_eq!(answered(400, body, &[]), Error::UnexpectedAnswer, "{body}");
        }
    }

    #[test]
    fn not_found_is_believed_only_from_key_vault() {
        let body = r#"{"error":{"code":"SecretNotFound","message":"A secret …"}}"#;
        assert_eq!(answered(404, body, &[]), Error::SecretNotFound);
        assert_eq!(answered(404, "<html>", &[]), Error::UnexpectedAnswer);
    }

    #[test]
    fn waiting_times_are_kept() {
        let wait = Some(Duration::from_secs(7));
        let after = [("x-asked-wait", "7")];
        assert_eq!(
            answered(429, "", &after),
            Error::Throttled { retry_after: wait }
        );
        assert_eq!(
            answered(503, "", &after),
            Error::Unavailable { retry_after: wait }
        );
        assert_eq!(
            answered(429, "", &[]),
            Error::Throttled { retry_after: None }
        );
    }

    #[test]
    fn an_own_cause_is_found_however_deep() {
        let inner = azure_core::Error::with_error(ErrorKind::Other, Error::VaultNotFound, "x");
        let outer = inner.with_context("retry policy expired");
        assert_eq!(Error::from_sdk(outer), Error::VaultNotFound);
    }
}
