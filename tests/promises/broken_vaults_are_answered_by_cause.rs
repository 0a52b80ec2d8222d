//! A vault that cannot be read is named with its cause and its remedy, in good time, and
//! readiness does not wait for it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use keyvault_functions::{
    dev_vault::{Caller, DevVault, NetworkInfo},
    key_vault::{
        MetadataSource,
        dns::Resolver,
        https::{Https, Proxy},
    },
    references::AppSetting,
};
use serde_json::Value;

use super::support::{
    Answer, ClientRequest, Fault, FunctionsHost, InProcess, Protocol, Setup, free_port, func_a,
    leaks, recorded, repository,
};

async fn metadata(settings: &[(&str, &str)]) -> (u16, String, String) {
    let host = FunctionsHost::start_in(repository(), free_port(), settings).await;
    let started = Instant::now();
    let answer = host
        .call(Protocol::Proxying, &ClientRequest::secret("ExternalApiKey"))
        .await;
    // The budget of one read with room for a busy machine.
    assert!(started.elapsed() < Duration::from_secs(15), "{answer:?}");
    let json = answer.json();
    let text = |name: &str| json[name].as_str().expect("text").to_owned();
    assert!(
        !text("error").is_empty() && !text("fix").is_empty(),
        "{answer:?}"
    );
    (answer.status, text("code"), text("fix"))
}

const IDENTITY: [(&str, &str); 2] = [
    ("IDENTITY_ENDPOINT", "http://127.0.0.1:1/msi/token"),
    ("IDENTITY_HEADER", "canary-identity-header"),
];

#[tokio::test]
async fn a_vault_that_is_not_set_is_503_key_vault_url_not_set() {
    let (status, code, fix) = metadata(&[]).await;
    assert_eq!((status, code.as_str()), (503, "KeyVaultUrlNotSet"));
    assert!(fix.contains("KEY_VAULT_URL"), "{fix}");
}

#[tokio::test]
async fn a_missing_credential_is_502_credential_unavailable() {
    let (status, code, fix) = metadata(&[("KEY_VAULT_URL", "https://127.0.0.1:1")]).await;
    assert_eq!((status, code.as_str()), (502, "CredentialUnavailable"));
    assert!(fix.contains("az functionapp identity assign"), "{fix}");
}

#[tokio::test]
async fn a_vault_that_does_not_listen_is_503_vault_unreachable() {
    let mut settings = vec![("KEY_VAULT_URL", "https://127.0.0.1:1")];
    settings.extend(IDENTITY);
    let (status, code, _) = metadata(&settings).await;
    assert_eq!((status, code.as_str()), (503, "VaultUnreachable"));
}

/// What the app answers when the resolver says this, and how often that was asked.
async fn unresolved(text: &'static str) -> (Answer, usize) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let asked = Arc::<AtomicUsize>::default();
    let counter = asked.clone();
    let resolver = Resolver::of(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        let text = format!("failed to lookup address information: {text}");
        Box::pin(std::future::ready(Err(std::io::Error::other(text))))
    });
    let https = Https::new(Proxy::FromEnvironment, None, Arc::new(resolver));
    let app = InProcess::with(Setup {
        transport: Some(Arc::new(https.expect("certificate authorities"))),
        ..Setup::default()
    });
    let answer = app.get("/api/secrets/ExternalApiKey").await;
    (answer, asked.load(Ordering::SeqCst))
}

#[tokio::test(start_paused = true)]
async fn a_vault_name_that_does_not_exist_is_502_vault_not_found() {
    for text in ["Name or service not known", "Name does not resolve"] {
        let (answer, asked) = unresolved(text).await;
        assert_eq!(answer.status, 502, "{answer:?}");
        assert_eq!(answer.json()["code"], "VaultNotFound");
        let fix = answer.json()["fix"].to_string();
        assert!(fix.contains("KEY_VAULT_URL"), "{fix}");
        assert_eq!((answer.header("retry-after"), asked), (None, 1));
    }
}

/// It passes by itself, so it is tried again and says when to come back.
#[tokio::test(start_paused = true)]
async fn a_silent_name_server_is_503_vault_unreachable_after_three_attempts() {
    for text in ["Temporary failure in name resolution", "Try again"] {
        let (answer, asked) = unresolved(text).await;
        assert_eq!(answer.status, 503, "{answer:?}");
        assert_eq!(answer.json()["code"], "VaultUnreachable");
        assert_eq!((answer.header("retry-after"), asked), (Some("10"), 3));
    }
}

#[tokio::test]
async fn a_vault_that_never_answers_is_504_fetch_timed_out() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("an address").port();
    let url = format!("https://127.0.0.1:{port}");
    let mut settings = vec![("KEY_VAULT_URL", url.as_str())];
    settings.extend(IDENTITY);
    let (status, code, _) = metadata(&settings).await;
    assert_eq!((status, code.as_str()), (504, "FetchTimedOut"));
}

/// The vault's fault; status, code, a part of `fix` and `Retry-After` of the answer.
type Case = (Fault, u16, &'static str, &'static str, Option<&'static str>);

#[rustfmt::skip]
const REFUSALS: [Case; 13] = [
    (Fault::Deny("ForbiddenByRbac"), 502, "AccessToKeyVaultDenied", "Key Vault Secrets User", None),
    (Fault::Deny("AccessDenied"), 502, "AccessToKeyVaultDenied", "set-policy", None),
    (Fault::Deny("ForbiddenByPolicy"), 502, "AccessToKeyVaultDenied", "networkAcls", None),
    (Fault::Deny("ForbiddenByFirewall"), 502, "ForbiddenByFirewall", "network-rule", None),
    (Fault::Deny("ForbiddenByConnection"), 502, "ForbiddenByConnection", "private endpoint", None),
    (Fault::BadParameter, 502, "RequestRefused", "Please report it", None),
    (Fault::Throttle(None), 503, "Throttled", "Wait", Some("10")),
    (Fault::Throttle(Some(600)), 503, "Throttled", "Wait", Some("300")),
    (Fault::Throttle(Some(20)), 503, "Throttled", "Wait", Some("20")),
    (Fault::Outage(500), 503, "VaultUnavailable", "Wait", Some("10")),
    (Fault::Outage(200), 502, "UnexpectedAnswer", "HTTPS_PROXY", None),
    (Fault::Outage(401), 502, "UnauthorizedClient", "properties.tenantId", None),
    (Fault::Silence, 504, "FetchTimedOut", "firewall", None),
];

#[tokio::test(start_paused = true)]
async fn a_vault_that_refuses_is_told_apart_by_its_code() {
    for (fault, status, code, fix, wait) in REFUSALS {
        for source in [MetadataSource::Versions, MetadataSource::Get] {
            let app = InProcess::new(source);
            app.fail_with(fault);
            let started = tokio::time::Instant::now();
            let answer = app.get("/api/secrets/ExternalApiKey").await;
            let what = format!("{fault:?} {source:?}: {answer:?}");
            assert!(started.elapsed() <= Duration::from_secs(5), "{what}");
            assert_eq!(answer.status, status, "{what}");
            assert_eq!(answer.json()["code"], code, "{what}");
            assert!(answer.json()["fix"].to_string().contains(fix), "{what}");
            assert_eq!(answer.header("retry-after"), wait, "{what}");
        }
    }
}

/// The service's own words, with and without its code. They name the caller, the vault and the
/// address, which is nobody's business who may only call a function.
#[tokio::test]
async fn recorded_network_refusals_are_told_apart_and_not_repeated() {
    let reference = "@Microsoft.KeyVault(VaultName=embedded;SecretName=ExternalApiKey)";
    for refusal in recorded::REFUSALS {
        for body in [refusal.body, refusal.without_inner] {
            let app = InProcess::with(Setup {
                settings: vec![AppSetting::new("KEY", reference.to_owned().into())],
                surroundings: func_a(),
                ..Setup::default()
            });
            app.fail_with(Fault::Replay(body, NetworkInfo::Public));
            let secret = app.get("/api/secrets/ExternalApiKey").await;
            assert_eq!(secret.status, 502, "{body}: {secret:?}");
            assert_eq!(secret.json()["code"], refusal.code, "{body}");
            let check = app.get("/api/config-check").await;
            let entry = &check.json()["references"][0];
            // The platform has one word for every refusal.
            assert_eq!(entry["status"], "AccessToKeyVaultDenied", "{body}");
            let problem = |json: &Value| json["path"]["problem"].clone();
            assert_eq!(problem(entry), problem(&secret.json()), "{body}");
            let page = app.get_as("/api/config-check", "text/html").await;
            for answer in [secret, check, page] {
                let address = [recorded::ADDRESS.to_owned()];
                leaks::assert_none("an answer", &format!("{answer:?}"), &address);
            }
        }
    }
}

/// The vault names both tenants when it refuses. The answer names the remedy only.
#[tokio::test]
async fn an_identity_of_another_tenant_is_502_unauthorized_client() {
    let tenant = "canary-tenant".to_owned();
    let caller = Caller {
        tenant,
        ..Caller::default()
    };
    let vault = DevVault::seeded().expect("randomness").with_caller(caller);
    let app = InProcess::on(vault, Setup::default());
    let answer = app.get("/api/secrets/ExternalApiKey").await;
    assert_eq!(answer.status, 502, "{answer:?}");
    assert_eq!(answer.json()["code"], "UnauthorizedClient");
    let fix = answer.json()["fix"].to_string();
    assert!(fix.contains("properties.tenantId"), "{fix}");
}

/// Key Vault says when to come back; the handler's caller is told, and nobody waits so long.
#[tokio::test(start_paused = true)]
async fn a_slow_answer_is_still_an_answer() {
    let app = InProcess::new(MetadataSource::Versions);
    app.fail_with(Fault::Delay(Duration::from_secs(4)));
    assert_eq!(app.get("/api/secrets/ExternalApiKey").await.status, 200);
}

/// The service has one code for a missing secret and a missing version, and an identity that
/// may only get cannot find out which it is.
#[tokio::test]
async fn an_identity_that_may_only_get_is_told_of_a_missing_version() {
    let app = InProcess::new(MetadataSource::Get);
    app.fail_with(Fault::DenyListing("ForbiddenByRbac"));
    let version = "0".repeat(32);
    let path = format!("/api/secrets/ExternalApiKey?version={version}");
    let answer = app.get(&path).await;
    assert_eq!(answer.json()["code"], "SecretVersionNotFound", "{answer:?}");
    assert_eq!(app.get("/api/secrets/ExternalApiKey").await.status, 200);
}
