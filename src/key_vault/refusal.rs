//! From what Key Vault answers when it refuses to a cause.
//!
//! The SDK's own errors are read once, here, and dropped: their texts carry identities,
//! tenants and pieces of answers.

use std::time::Duration;

use azure_core::{
    error::ErrorKind,
    http::{RawResponse, StatusCode},
};
use serde::Deserialize;

use super::{
    error::{Denial, Error, Reach, Tenants},
    names::ObjectKind,
    principal::Guid,
    sdk::{ASKED_WAIT, SAME_TENANT, VAULTS_TENANT, own_cause},
};

impl Error {
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
            ErrorKind::HttpResponse {
                status,
                raw_response,
                ..
            } => answered(*status, raw_response.as_deref()),
            ErrorKind::Connection => Self::Unreachable(Reach::Connection),
            ErrorKind::Io => Self::Unreachable(Reach::Interrupted),
            _ => Self::UnexpectedAnswer,
        }
    }
}

/// What an answer that is no success means.
fn answered(status: StatusCode, raw: Option<&RawResponse>) -> Error {
    let retry_after = raw.and_then(asked_wait);
    let refusal = raw.and_then(Refusal::of);
    match (status, refusal) {
        (StatusCode::NotFound, Some(refusal)) => match &*refusal.code {
            "SecretNotFound" => Error::NotFound(ObjectKind::Secret),
            "KeyNotFound" => Error::NotFound(ObjectKind::Key),
            "CertificateNotFound" => Error::NotFound(ObjectKind::Certificate),
            _ => Error::UnexpectedAnswer,
        },
        (StatusCode::Unauthorized, _) => Error::TokenRefused(raw.map_or(Tenants::Unknown, tenants)),
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

fn tenants(raw: &RawResponse) -> Tenants {
    match raw.headers().get_optional_str(&VAULTS_TENANT) {
        Some(SAME_TENANT) => Tenants::Same,
        Some(other) => Guid::parse(other).map_or(Tenants::Unknown, Tenants::Different),
        None => Tenants::Unknown,
    }
}

fn asked_wait(raw: &RawResponse) -> Option<Duration> {
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

/// Inner codes of a 403.
const CODES: [(&str, Error); 8] = [
    ("SecretDisabled", Error::Disabled(ObjectKind::Secret)),
    ("KeyDisabled", Error::Disabled(ObjectKind::Key)),
    (
        "CertificateDisabled",
        Error::Disabled(ObjectKind::Certificate),
    ),
    ("ForbiddenByFirewall", Error::ForbiddenByFirewall),
    ("ForbiddenByConnection", Error::ForbiddenByConnection),
    ("ForbiddenByRbac", Error::AccessDenied(Denial::Role)),
    ("AccessDenied", Error::AccessDenied(Denial::AccessPolicy)),
    ("ForbiddenByPolicy", Error::AccessDenied(Denial::Policy)),
];

/// Parts of the texts of a 403 that has no inner code. The network rules come first: their text
/// also says "not authorized".
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

impl Refusal {
    fn of(raw: &RawResponse) -> Option<Self> {
        #[derive(Deserialize)]
        struct Body {
            error: Refusal,
        }
        let body: Option<Body> = serde_json::from_slice(raw.body()).ok();
        body.map(|body| body.error)
    }

    /// Who or what refused, of a 403.
    fn forbidden(self) -> Error {
        let message = self.message.to_ascii_lowercase();
        let known = match self.inner.and_then(|inner| inner.code) {
            Some(code) => CODES.into_iter().find(|(known, _)| *known == code),
            None => TEXTS.into_iter().find(|(text, _)| message.contains(text)),
        };
        known.map_or(Error::AccessDenied(Denial::Other), |(_, cause)| cause)
    }
}

#[cfg(test)]
mod tests {
    use azure_core::http::headers::Headers;

    use super::*;

    fn refusal(status: u16, body: &str, headers: &[(&'static str, &'static str)]) -> Error {
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
        refusal(403, &body, &[])
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
            ("SecretDisabled", Error::Disabled(ObjectKind::Secret)),
        ] {
            assert_eq!(refused(inner), cause, "{inner}");
        }
        assert_eq!(
            refusal(403, "<html>", &[]),
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
            assert_eq!(refusal(403, &body, &[]), cause, "{text}");
            // The code counts more than the text.
            let body = format!(
                r#"{{"error":{{"code":"Forbidden","message":"{text}","innererror":{{"code":"ForbiddenByFirewall"}}}}}}"#
            );
            assert_eq!(refusal(403, &body, &[]), firewall, "{text}");
        }
    }

    #[test]
    fn a_complaint_about_the_request_is_believed_only_from_key_vault() {
        let body = r#"{"error":{"code":"BadParameter","message":"The specified version (2025-07-01) is not recognized.\r\n"}}"#;
        assert_eq!(refusal(400, body, &[]), Error::RequestRefused);
        for body in [
            "<html>",
            "{}",
            r#"{"error":"BadParameter"}"#,
            r#"{"error":{"code":"BadParameter"}}"#,
            r#"{"statusCode":400,"message":"BadParameter"}"#,
        ] {
            assert_eq!(refusal(400, body, &[]), Error::UnexpectedAnswer, "{body}");
        }
    }

    #[test]
    fn not_found_is_believed_only_from_key_vault() {
        let body = r#"{"error":{"code":"SecretNotFound","message":"A secret …"}}"#;
        assert_eq!(refusal(404, body, &[]), Error::NotFound(ObjectKind::Secret));
        assert_eq!(refusal(404, "<html>", &[]), Error::UnexpectedAnswer);
    }

    #[test]
    fn waiting_times_are_kept() {
        let wait = Some(Duration::from_secs(7));
        let after = [("x-asked-wait", "7")];
        assert_eq!(
            refusal(429, "", &after),
            Error::Throttled { retry_after: wait }
        );
        assert_eq!(
            refusal(503, "", &after),
            Error::Unavailable { retry_after: wait }
        );
        assert_eq!(
            refusal(429, "", &[]),
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
