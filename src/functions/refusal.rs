//! From an explanation's code to a status. 4xx is the caller's to correct, 502 the app's set-up,
//! 503 and 504 pass by themselves or with a setting.

use axum::http::StatusCode;

use crate::{answer::Problem, diagnosis::Explanation, key_vault::ObjectKind};

pub(super) fn invalid_name(kind: ObjectKind) -> Problem {
    let code = match kind {
        ObjectKind::Secret => "InvalidSecretName",
        ObjectKind::Key => "InvalidKeyName",
        ObjectKind::Certificate => "InvalidCertificateName",
    };
    Problem::new(
        StatusCode::BAD_REQUEST,
        code,
        format!("This cannot be the name of a {kind}."),
        "Use 1 to 127 letters, digits and hyphens.",
    )
}

pub(super) fn invalid_version(kind: ObjectKind) -> Problem {
    let code = match kind {
        ObjectKind::Secret => "InvalidSecretVersion",
        ObjectKind::Key => "InvalidKeyVersion",
        ObjectKind::Certificate => "InvalidCertificateVersion",
    };
    Problem::new(
        StatusCode::BAD_REQUEST,
        code,
        format!("This cannot be the version of a {kind}."),
        format!(
            "Use the 32 hexadecimal digits that end the {kind}'s identifier, once, or leave ?version= out for the latest."
        ),
    )
}

pub(super) fn not_a_switch(name: &str) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "InvalidQuery",
        format!("{name} is either true or false."),
        format!("Write ?{name}=true, or leave it out."),
    )
}

pub(super) fn not_a_time(name: &str) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "InvalidQuery",
        format!("{name} is a number of hours, days or weeks, 400 days at most."),
        format!("Write ?{name}=30d, 36h or 8w, or leave it out."),
    )
}

pub(super) fn no_events() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "InvalidEvents",
        "The body is neither an event nor a list of up to 5,000 events.",
        "Send events in the Event Grid schema or as CloudEvents 1.0.",
    )
}

pub(super) fn too_much() -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "EventsTooLarge",
        "The body is larger than any delivery of Event Grid, or broke off.",
        "Send at most 1 MB.",
    )
}

pub(super) fn events_of_another_vault() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "EventsOfAnotherVault",
        "This app uses no vault of the name that the subscription's topic has.",
        "Subscribe to the events of a vault that KEY_VAULT_URL or a reference of this app names.",
    )
}

/// The refusal that says what `explanation` says.
pub(super) fn because(explanation: Explanation) -> Problem {
    let Explanation {
        code,
        detail,
        fix,
        retry_after,
        path,
    } = explanation;
    let problem = Problem::new(status(code), code, detail, fix.to_string()).with("path", path);
    match retry_after {
        Some(wait) => problem.retry_after(wait),
        None => problem,
    }
}

fn status(code: &str) -> StatusCode {
    match code {
        "SecretNotFound"
        | "SecretVersionNotFound"
        | "KeyNotFound"
        | "KeyVersionNotFound"
        | "CertificateNotFound"
        | "CertificateVersionNotFound" => StatusCode::NOT_FOUND,
        "SecretDisabled" => StatusCode::CONFLICT,
        "KeyVaultUrlNotSet" | "WrongSetting" | "VaultUnreachable" | "Throttled"
        | "VaultUnavailable" => StatusCode::SERVICE_UNAVAILABLE,
        "TooManyVaultRequests" => StatusCode::TOO_MANY_REQUESTS,
        "FetchTimedOut" => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::BAD_GATEWAY,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::{http::header, response::IntoResponse};

    use super::*;
    use crate::{
        diagnosis::{Cause, Named, Subject, Surroundings, explain},
        key_vault::{
            Error, VaultUrl,
            error::{CredentialError, Denial, Reach, SettingError, Tenants, TlsFailure},
        },
    };

    fn refused(error: &Error) -> (u16, &'static str, Option<String>) {
        let vault = VaultUrl::of_public_vault("your-kv").expect("a vault");
        let subject = Subject {
            vault: Some(&vault),
            kind: ObjectKind::Secret,
            name: Some("Ab"),
            version: None,
            named: Named::KeyVaultUrl,
        };
        let now = time::OffsetDateTime::UNIX_EPOCH;
        let cause = Cause::Failed(error.clone());
        let problem = because(explain(&cause, &subject, &Surroundings::default(), now));
        let code = problem.code();
        let response = problem.into_response();
        let wait = response.headers().get(header::RETRY_AFTER);
        let wait = wait.and_then(|wait| wait.to_str().ok()).map(str::to_owned);
        (response.status().as_u16(), code, wait)
    }

    #[test]
    fn each_cause_has_its_status_and_code() {
        let wait = |seconds| Some(Duration::from_secs(seconds));
        let secret = ObjectKind::Secret;
        let wrong = SettingError {
            name: "KEY_VAULT_URL",
            found: "text that is not a vault's address",
            expected: "https://NAME.vault.azure.net, without a path".to_owned(),
            otherwise: None,
            is_reference: false,
        };
        for (error, status, code, retry_after) in [
            (Error::NotFound(secret), 404, "SecretNotFound", None),
            (
                Error::VersionNotFound(secret),
                404,
                "SecretVersionNotFound",
                None,
            ),
            (Error::Disabled(secret), 409, "SecretDisabled", None),
            (
                Error::AccessDenied(Denial::Role),
                502,
                "AccessToKeyVaultDenied",
                None,
            ),
            (Error::ForbiddenByFirewall, 502, "ForbiddenByFirewall", None),
            (Error::VaultNotFound, 502, "VaultNotFound", None),
            (
                Error::ForbiddenByConnection,
                502,
                "ForbiddenByConnection",
                None,
            ),
            (Error::WrongSetting(wrong.into()), 503, "WrongSetting", None),
            (
                Error::Unreachable(Reach::NameResolution),
                503,
                "VaultUnreachable",
                Some("10"),
            ),
            (
                Error::TokenRefused(Tenants::Unknown),
                502,
                "UnauthorizedClient",
                None,
            ),
            (
                Error::Credential(CredentialError::NotOffered),
                502,
                "CredentialUnavailable",
                None,
            ),
            (Error::UnexpectedAnswer, 502, "UnexpectedAnswer", None),
            (
                Error::TlsFailed(TlsFailure::Other),
                502,
                "VaultTlsFailed",
                None,
            ),
            (
                Error::Unreachable(Reach::Connection),
                503,
                "VaultUnreachable",
                Some("10"),
            ),
            (
                Error::BudgetSpent {
                    retry_after: Duration::from_millis(6_001),
                },
                429,
                "TooManyVaultRequests",
                Some("7"),
            ),
            (
                Error::Throttled { retry_after: None },
                503,
                "Throttled",
                Some("10"),
            ),
            (
                Error::Throttled {
                    retry_after: wait(7),
                },
                503,
                "Throttled",
                Some("7"),
            ),
            (
                Error::Unavailable {
                    retry_after: wait(9_999),
                },
                503,
                "VaultUnavailable",
                Some("300"),
            ),
            (Error::TimedOut, 504, "FetchTimedOut", None),
        ] {
            let expected = (status, code, retry_after.map(str::to_owned));
            assert_eq!(refused(&error), expected, "{error:?}");
            assert_eq!(error.code(), code, "counters and lines say the same");
        }
    }
}
