//! Vaults that answer by a script.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use azure_core::{
    credentials::{AccessToken, TokenRequestOptions},
    http::{
        AsyncRawResponse, HttpClient, Request, StatusCode,
        headers::{AUTHORIZATION, Headers, WWW_AUTHENTICATE},
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use time::OffsetDateTime;

use super::*;
use crate::key_vault::{
    error::Tenants,
    limits::{FIRST_FAILURE_PAUSE, READS_AT_ONCE},
    names::ObjectVersion,
    principal::Guid,
};

/// A vault that answers a signed request by the number of its token, and the identity that
/// signs in to it, whose tokens are numbered from 1.
struct Scripted<F> {
    answer: F,
    tokens: Arc<AtomicUsize>,
}

impl<F> fmt::Debug for Scripted<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scripted")
    }
}

impl<F: Fn(usize) -> (u16, String) + Send + Sync + 'static> Scripted<F> {
    fn connection(answer: F) -> Connection {
        Self::counted(answer).0
    }

    /// With the number of tokens that were given.
    fn counted(answer: F) -> (Connection, Arc<AtomicUsize>) {
        let tokens = Arc::<AtomicUsize>::default();
        let scripted = Arc::new(Self {
            answer,
            tokens: tokens.clone(),
        });
        (Connection::new(scripted.clone(), scripted), tokens)
    }
}

impl Scripted<()> {
    /// The identity alone.
    fn signs_in() -> Arc<Self> {
        Arc::new(Self {
            answer: (),
            tokens: Arc::default(),
        })
    }
}

#[async_trait]
impl<F: Fn(usize) -> (u16, String) + Send + Sync> HttpClient for Scripted<F> {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let mut headers = Headers::new();
        headers.insert(
            WWW_AUTHENTICATE,
            "Bearer authorization=\"https://login.microsoftonline.com/t\", resource=\"https://vault.azure.net\"",
        );
        let token = request.headers().get_optional_str(&AUTHORIZATION);
        let token = token.and_then(|text| text.strip_prefix("Bearer ")?.parse().ok());
        let (status, body) = match token {
            None => (401, String::new()),
            Some(token) => (self.answer)(token),
        };
        Ok(AsyncRawResponse::from_bytes(
            StatusCode::from(status),
            headers,
            body,
        ))
    }
}

#[async_trait]
impl<F: Send + Sync> TokenCredential for Scripted<F> {
    async fn get_token(
        &self,
        _: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let number = self.tokens.fetch_add(1, Ordering::SeqCst) + 1;
        let expires = OffsetDateTime::now_utc() + Duration::from_secs(3_600);
        Ok(AccessToken::new(number.to_string(), expires))
    }
}

/// A version's first digit, its creation and its last update.
type Listed = (char, i64, i64);

async fn latest_of(listed: &[Listed], asked: Option<char>) -> (String, String) {
    let items = listed.iter().map(|(digit, created, updated)| {
        let version = digit.to_string().repeat(32);
        format!(
            r#"{{"id":"https://v.vault.azure.net/secrets/n/{version}","attributes":{{"created":{created},"updated":{updated}}}}}"#
        )
    });
    let page = format!(r#"{{"value":[{}]}}"#, items.collect::<Vec<_>>().join(","));
    let connection = Scripted::connection(move |_| (200, page.clone()));
    let url = VaultUrl::of_public_vault("v").expect("valid");
    let vault = Vault::new(&url, &connection).expect("a client");
    let version = asked.map(|digit| digit.to_string().repeat(32));
    let id = ObjectId {
        kind: ObjectKind::Secret,
        name: ObjectName::parse("n").expect("valid"),
        version: version.map(|text| ObjectVersion::parse(&text).expect("valid")),
    };
    let read = vault.metadata(&id, MetadataSource::Versions).await;
    let read = read.expect("metadata");
    let digit = |version: &ObjectVersion| version.as_str()[..1].to_owned();
    let also = read.also_latest.iter().map(digit).collect();
    (read.version.as_ref().map(digit).expect("a version"), also)
}

/// The service lists versions by their random ids, so the order says nothing about time.
#[tokio::test]
async fn versions_of_one_second_are_all_named() {
    let cases: [(&[Listed], &str, &str); 6] = [
        (&[('a', 10, 10), ('b', 20, 20)], "b", ""),
        (&[('b', 20, 20), ('a', 10, 90)], "b", ""),
        (&[('a', 20, 20), ('b', 20, 20), ('c', 10, 10)], "a", "b"),
        (&[('a', 20, 20), ('b', 20, 30), ('c', 20, 20)], "b", "ac"),
        (&[('a', 10, 10), ('b', 10, 10), ('c', 20, 20)], "c", ""),
        (&[('c', 20, 20), ('a', 10, 10), ('b', 20, 20)], "c", "b"),
    ];
    for (listed, latest, also) in cases {
        let found = latest_of(listed, None).await;
        assert_eq!(found, (latest.to_owned(), also.to_owned()), "{listed:?}");
    }
    let asked = latest_of(&[('a', 20, 20), ('b', 20, 20)], Some('b')).await;
    assert_eq!(asked, ("b".to_owned(), String::new()));
}

/// A vault that accepts only tokens from this number on; how many were given.
fn choosy(from: &Arc<AtomicUsize>) -> (Vault, Arc<AtomicUsize>) {
    const PAGE: &str = r#"{"value":[{"id":"https://v.vault.azure.net/secrets/n/00000000000000000000000000000001"}]}"#;
    let from = from.clone();
    let (connection, tokens) = Scripted::counted(move |token| {
        if token < from.load(Ordering::SeqCst) {
            (401, String::new())
        } else {
            (200, PAGE.to_owned())
        }
    });
    let url = VaultUrl::of_public_vault("v").expect("valid");
    (Vault::new(&url, &connection).expect("a client"), tokens)
}

async fn read(vault: &Vault) -> Result<(), Error> {
    let id = ObjectId {
        kind: ObjectKind::Secret,
        name: ObjectName::parse("n").expect("valid"),
        version: None,
    };
    let read = vault.metadata(&id, MetadataSource::Versions).await;
    read.map(drop)
}

#[tokio::test(start_paused = true)]
async fn a_young_token_that_is_refused_is_replaced_within_the_same_call() {
    let from = Arc::<AtomicUsize>::default();
    let (vault, tokens) = choosy(&from);
    assert_eq!(read(&vault).await, Ok(()));
    for wanted in 2..6 {
        // The keys that tokens are signed with change.
        from.store(wanted, Ordering::SeqCst);
        let crowd = (0..READS_AT_ONCE).map(|_| read(&vault));
        for read in futures_util::future::join_all(crowd).await {
            assert_eq!(read, Ok(()), "{wanted}");
        }
        assert_eq!(tokens.load(Ordering::SeqCst), wanted);
        tokio::time::advance(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_vault_that_refuses_for_ever_costs_few_tokens() {
    let from = Arc::new(AtomicUsize::new(usize::MAX));
    let (vault, tokens) = choosy(&from);
    for _ in 0..6_000 {
        assert_eq!(
            read(&vault).await,
            Err(Error::TokenRefused(Tenants::Unknown))
        );
        tokio::time::advance(Duration::from_millis(100)).await;
    }
    // At 0, 1, 3, 7, 15 and 31 s, then each 30 s until 600 s; and the first one.
    let spent = tokens.load(Ordering::SeqCst);
    assert!((20..=26).contains(&spent), "{spent}");
    from.store(0, Ordering::SeqCst);
    tokio::time::advance(FIRST_FAILURE_PAUSE).await;
    assert_eq!(read(&vault).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_vault_that_refuses_every_other_token_costs_one_in_a_second() {
    let from = Arc::<AtomicUsize>::default();
    let (vault, tokens) = choosy(&from);
    for _ in 0..100 {
        from.store(tokens.load(Ordering::SeqCst) + 1, Ordering::SeqCst);
        let _ = read(&vault).await;
        tokio::time::advance(Duration::from_millis(100)).await;
    }
    let spent = tokens.load(Ordering::SeqCst);
    assert!((10..=12).contains(&spent), "{spent}");
}

/// A vault that answers signed requests in turn, each after a while, and then always.
#[derive(Debug)]
struct Paced {
    turns: Mutex<VecDeque<(Duration, u16)>>,
    signed: AtomicUsize,
}

#[async_trait]
impl HttpClient for Paced {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let mut headers = Headers::new();
        let token = request.headers().get_optional_str(&AUTHORIZATION);
        let (wait, status) = if token.is_none() {
            headers.insert(
                WWW_AUTHENTICATE,
                "Bearer resource=\"https://vault.azure.net\"",
            );
            (Duration::ZERO, 401)
        } else {
            self.signed.fetch_add(1, Ordering::SeqCst);
            let turn = self.turns.lock().expect("lock").pop_front();
            turn.unwrap_or((Duration::ZERO, 200))
        };
        tokio::time::sleep(wait).await;
        if status == 429 {
            headers.insert("retry-after", "20");
        }
        let page = r#"{"value":[{"id":"https://v.vault.azure.net/secrets/n/00000000000000000000000000000001"}]}"#;
        let status = StatusCode::from(status);
        Ok(AsyncRawResponse::from_bytes(status, headers, page))
    }
}

#[tokio::test(start_paused = true)]
async fn a_success_that_began_before_a_pause_does_not_lift_it() {
    let soon = Duration::from_millis(1);
    let late = Duration::from_secs(1);
    let paced = Arc::new(Paced {
        turns: Mutex::new([(soon, 200), (late, 200), (soon, 429)].into()),
        signed: AtomicUsize::new(0),
    });
    let connection = Connection::new(paced.clone(), Scripted::<()>::signs_in());
    let url = VaultUrl::of_public_vault("v").expect("valid");
    let vault = Vault::new(&url, &connection).expect("a client");
    assert_eq!(read(&vault).await, Ok(()));
    let throttled = |left| {
        Err(Error::Throttled {
            retry_after: Some(Duration::from_millis(left)),
        })
    };
    let (slow, refused) = tokio::join!(read(&vault), read(&vault));
    assert_eq!((slow, refused), (Ok(()), throttled(20_000)));
    assert_eq!(read(&vault).await, throttled(19_001));
    assert_eq!(paced.signed.load(Ordering::SeqCst), 3);
    tokio::time::advance(Duration::from_secs(20)).await;
    assert_eq!(read(&vault).await, Ok(()));
}

/// Challenges every request, naming an audience.
#[derive(Debug)]
struct Challenges(String);

#[async_trait]
impl HttpClient for Challenges {
    async fn execute_request(&self, _: &Request) -> azure_core::Result<AsyncRawResponse> {
        let mut headers = Headers::new();
        headers.insert(WWW_AUTHENTICATE, format!("Bearer resource=\"{}\"", self.0));
        let status = StatusCode::Unauthorized;
        Ok(AsyncRawResponse::from_bytes(status, headers, ""))
    }
}

#[tokio::test]
async fn a_token_is_asked_for_the_vaults_own_audience_only() {
    let local = "https://localhost:8443";
    for (vault, audience, is_asked) in [
        ("https://v.vault.azure.net", "https://vault.azure.net", true),
        ("https://v.vault.azure.cn", "https://vault.azure.cn", true),
        (
            "https://v.vault.usgovcloudapi.net",
            "https://vault.usgovcloudapi.net",
            true,
        ),
        (
            "https://v.managedhsm.azure.net",
            "https://managedhsm.azure.net",
            true,
        ),
        ("https://v.vault.azure.net", "https://vault.azure.cn", false),
        ("https://v.vault.azure.net", "https://azure.net", false),
        (
            "https://v.vault.azure.net",
            "https://managedhsm.azure.net",
            false,
        ),
        (
            "https://vault.evil.example",
            "https://vault.azure.net",
            false,
        ),
        ("https://vault.evil.example", "https://evil.example", false),
        (local, "https://vault.azure.net", true),
        (local, "https://managedhsm.azure.cn", true),
        (local, "https://managedhsm.usgovcloudapi.net", true),
        (local, "https://management.azure.com/", false),
        (local, "https://localhost", false),
        (local, "https://vault.azure.net/.default https://x", false),
        (local, "", false),
    ] {
        let signs_in = Scripted::<()>::signs_in();
        let challenges = Arc::new(Challenges(audience.to_owned()));
        let connection = Connection::new(challenges, signs_in.clone());
        let url = VaultUrl::parse(vault).expect("valid");
        let refused = read(&Vault::new(&url, &connection).expect("a client")).await;
        let is_token = signs_in.tokens.load(Ordering::SeqCst) > 0;
        assert_eq!(is_token, is_asked, "{vault} {audience}");
        if !is_asked {
            assert_eq!(refused, Err(Error::UnexpectedAnswer), "{vault} {audience}");
        }
    }
}

const VAULTS_TENANT: &str = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa";
const OTHER_TENANT: &str = "bbbbbbbb-bbbb-bbbb-bbbb-bbbbbbbbbbbb";

/// A vault of one tenant, and a person who is signed in to another one until they know better.
#[derive(Debug, Default)]
struct OfTenant {
    knows_better: AtomicBool,
}

fn token_of(tenant: &str) -> String {
    let claims = URL_SAFE_NO_PAD.encode(format!(r#"{{"tid":"{tenant}"}}"#));
    format!("e30.{claims}.s")
}

#[async_trait]
impl HttpClient for OfTenant {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let token = request.headers().get_optional_str(&AUTHORIZATION);
        let is_own = token == Some(&format!("Bearer {}", token_of(VAULTS_TENANT)));
        let mut headers = Headers::new();
        let challenge = format!(
            "Bearer authorization=\"https://login.microsoftonline.com/{VAULTS_TENANT}\", resource=\"https://vault.azure.net\""
        );
        headers.insert(WWW_AUTHENTICATE, challenge);
        let (status, body) = if is_own {
            (
                StatusCode::Ok,
                r#"{"value":[{"id":"https://v.vault.azure.net/secrets/n/00000000000000000000000000000001"}]}"#,
            )
        } else {
            (StatusCode::Unauthorized, "")
        };
        Ok(AsyncRawResponse::from_bytes(status, headers, body))
    }
}

#[async_trait]
impl TokenCredential for OfTenant {
    async fn get_token(
        &self,
        _: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let tenant = if self.knows_better.load(Ordering::SeqCst) {
            VAULTS_TENANT
        } else {
            OTHER_TENANT
        };
        let expires = OffsetDateTime::now_utc() + Duration::from_secs(3_600);
        Ok(AccessToken::new(token_of(tenant), expires))
    }
}

#[tokio::test(start_paused = true)]
async fn who_signs_in_to_the_right_tenant_is_let_in_without_a_restart() {
    let both = Arc::new(OfTenant::default());
    let url = VaultUrl::of_public_vault("v").expect("valid");
    let connection = Connection::new(both.clone(), both.clone());
    let vault = Vault::new(&url, &connection).expect("a client");
    let vaults = Guid::parse(VAULTS_TENANT).expect("an id");
    let refused = Err(Error::TokenRefused(Tenants::Different(vaults)));
    assert_eq!(read(&vault).await, refused);
    both.knows_better.store(true, Ordering::SeqCst);
    // New tokens are asked for in growing pauses.
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(read(&vault).await, Ok(()));
}
