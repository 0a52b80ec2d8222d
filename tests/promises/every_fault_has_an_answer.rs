//! The fault matrix: whatever breaks between the handler and a vault, the caller gets an answer
//! by cause, in time, and the vault is not hammered. The table in `docs/reliability.md` is
//! checked against this one.

use std::{
    fs,
    time::{Duration, Instant},
};

use keyvault_functions::dev_vault::NewSecret;

use super::support::{
    Answer, ClientRequest, Fault, FunctionsHost, Identity, Protocol, TlsVault, Wire, repository,
};

/// How a fault is brought about.
#[derive(Debug, Clone, Copy)]
enum Break {
    Wire(Wire),
    Identity(Identity),
    Vault(Fault),
    /// Nothing listens.
    Stopped,
    /// The vault's certificate authority is unknown.
    UnknownCa,
    /// So many versions.
    Versions(usize),
    /// Another secret than there is.
    Missing,
}

/// What breaks, what the caller gets, within how many seconds, and how many signed requests
/// reach the vault at most.
struct Row {
    what: &'static str,
    how: Break,
    status: u16,
    code: &'static str,
    seconds: u64,
    requests: usize,
}

const fn row(
    what: &'static str,
    how: Break,
    (status, code): (u16, &'static str),
    seconds: u64,
    requests: usize,
) -> Row {
    Row {
        what,
        how,
        status,
        code,
        seconds,
        requests,
    }
}

const NOT_JSON: &str = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n<canary>";
const TRUNCATED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"value\":[";
const EMPTY_PAGES: &str = "HTTP/1.1 200 OK\r\nContent-Length: 74\r\n\r\n{\"value\":[],\"nextLink\":\"/secrets/ExternalApiKey/versions?$skiptoken=next\"}";
const FOREIGN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 56\r\n\r\n{\"value\":[],\"nextLink\":\"https://canary.example/secrets\"}";

#[rustfmt::skip]
const MATRIX: &[Row] = &[
    row("connection refused", Break::Stopped, (503, "VaultUnreachable"), 5, 0),
    row("connection accepted, then silence", Break::Wire(Wire::BlackHole), (504, "FetchTimedOut"), 5, 0),
    row("not TLS", Break::Wire(Wire::NotTls), (502, "VaultTlsFailed"), 5, 0),
    row("unknown certificate authority", Break::UnknownCa, (502, "VaultTlsFailed"), 5, 0),
    row("connection closed in place of an answer", Break::Wire(Wire::HalfClosed), (503, "VaultUnreachable"), 5, 3),
    row("an answer that begins and does not go on", Break::Wire(Wire::SlowBody), (504, "FetchTimedOut"), 5, 3),
    row("an answer that does not end", Break::Wire(Wire::HugeBody), (502, "UnexpectedAnswer"), 5, 3),
    row("an answer that is cut off", Break::Wire(Wire::Says(TRUNCATED)), (503, "VaultUnreachable"), 5, 3),
    row("an answer that is not JSON", Break::Wire(Wire::Says(NOT_JSON)), (502, "UnexpectedAnswer"), 5, 1),
    row("empty pages without end", Break::Wire(Wire::Says(EMPTY_PAGES)), (502, "TooManyVersions"), 5, 151),
    row("a next page at another host", Break::Wire(Wire::Says(FOREIGN)), (502, "UnexpectedAnswer"), 5, 1),
    row("401 to every token", Break::Vault(Fault::Outage(401)), (502, "UnauthorizedClient"), 5, 2),
    row("a token of another audience", Break::Identity(Identity::GivesAnother), (502, "UnauthorizedClient"), 5, 2),
    row("a token that has expired", Break::Identity(Identity::Gives(-60)), (200, ""), 5, 1),
    row("identity endpoint: 400", Break::Identity(Identity::Refuses(400)), (502, "CredentialUnavailable"), 5, 0),
    row("identity endpoint: 500", Break::Identity(Identity::Refuses(500)), (502, "CredentialUnavailable"), 5, 0),
    row("identity endpoint: silence", Break::Identity(Identity::Silent), (502, "CredentialUnavailable"), 5, 0),
    row("403 ForbiddenByRbac", Break::Vault(Fault::Deny("ForbiddenByRbac")), (502, "AccessToKeyVaultDenied"), 5, 1),
    row("403 AccessDenied", Break::Vault(Fault::Deny("AccessDenied")), (502, "AccessToKeyVaultDenied"), 5, 1),
    row("403 ForbiddenByFirewall", Break::Vault(Fault::Deny("ForbiddenByFirewall")), (502, "ForbiddenByFirewall"), 5, 1),
    row("403 ForbiddenByConnection", Break::Vault(Fault::Deny("ForbiddenByConnection")), (502, "ForbiddenByConnection"), 5, 1),
    row("400 BadParameter", Break::Vault(Fault::BadParameter), (502, "RequestRefused"), 5, 1),
    row("no such secret", Break::Missing, (404, "SecretNotFound"), 5, 1),
    row("429 without Retry-After", Break::Vault(Fault::Throttle(None)), (503, "Throttled"), 5, 1),
    row("429 with Retry-After: 600", Break::Vault(Fault::Throttle(Some(600))), (503, "Throttled"), 5, 1),
    row("500", Break::Vault(Fault::Outage(500)), (503, "VaultUnavailable"), 5, 3),
    row("503", Break::Vault(Fault::Outage(503)), (503, "VaultUnavailable"), 5, 3),
    row("1,000 versions", Break::Versions(1_000), (200, ""), 5, 40),
];

impl Row {
    /// As it stands in the documentation.
    fn printed(&self) -> String {
        let code = match self.code {
            "" => "an answer".to_owned(),
            code => format!("`{code}`"),
        };
        format!(
            "| {} | {} | {code} | {} s | {} | {} |",
            self.what,
            self.status,
            self.seconds,
            self.requests,
            self.kept()
        )
    }

    /// What the cache holds afterwards.
    fn kept(&self) -> &'static str {
        match (self.status, self.code) {
            (200, _) => "the answer",
            (404, _) => "that it is missing, 30 s",
            (_, "Throttled") => "the failure, as long as the vault asks, 60 s at most",
            _ => "the failure, 1 s",
        }
    }

    async fn run(&self) {
        let mut vault = TlsVault::start().await;
        let mut more: Vec<(&str, &str)> = Vec::new();
        // What would not be noticed once the handler has signed in is there from the start. The
        // first call can then be answered with the failure of the attempt at start.
        match self.how {
            Break::Identity(identity) => vault.identity(identity),
            // Any certificate authority but the vault's.
            Break::UnknownCa => more.push(("KEY_VAULT_CA_FILE", "")),
            _ => {}
        }
        let host = vault.host(&more).await;
        let mut secret = "ExternalApiKey";
        match self.how {
            Break::Wire(wire) => vault.wire(wire),
            Break::Vault(fault) => vault.fail_with(fault),
            Break::Stopped => vault.stop().await,
            Break::Versions(number) => {
                secret = "Rotated";
                for _ in 0..number {
                    let version = NewSecret::of("canary-version");
                    vault.vault.store().set(secret, version).expect("set");
                }
            }
            Break::Missing => secret = "Missing",
            Break::Identity(_) | Break::UnknownCa => {}
        }
        self.check(&host, &vault, secret).await;
    }

    async fn check(&self, host: &FunctionsHost, vault: &TlsVault, secret: &str) {
        let before = vault.requests();
        let started = Instant::now();
        let answer = host
            .call(Protocol::Proxying, &ClientRequest::secret(secret))
            .await;
        let elapsed = started.elapsed();
        let what = format!("{}: {answer:?}", self.what);
        assert_eq!(answer.status, self.status, "{what}");
        if answer.status != 200 {
            assert_eq!(answer.json()["code"], self.code, "{what}");
        }
        // With room for a machine that does something else at the same time.
        let limit = Duration::from_secs(self.seconds) + Duration::from_secs(3);
        assert!(elapsed < limit, "{elapsed:?} for {what}");
        let requests = vault.requests() - before;
        assert!(requests <= self.requests, "{requests} for {what}");

        let kept = self.kept_answer(host, vault, secret).await;
        if self.status == 200 {
            assert_eq!(kept.header("x-cache"), Some("HIT"), "{what}");
        }
    }

    /// The answer that is given again without asking the vault. On a machine that is so busy that a
    /// failure is forgotten before the next call arrives, it takes more than one call.
    async fn kept_answer(&self, host: &FunctionsHost, vault: &TlsVault, secret: &str) -> Answer {
        for _ in 0..20 {
            let (before, asked) = (vault.requests(), Instant::now());
            let request = ClientRequest::secret(secret);
            let again = host.call(Protocol::Proxying, &request).await;
            assert_eq!(again.status, self.status, "again: {}: {again:?}", self.what);
            if vault.requests() == before {
                return again;
            }
            let elapsed = asked.elapsed();
            let was_kept = Duration::from_millis(500);
            assert!(
                elapsed > was_kept,
                "{} asked again within {elapsed:?}",
                self.what
            );
        }
        panic!("{}: the vault was asked by every call", self.what)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_is_answered_by_cause_in_time_and_without_hammering_the_vault() {
    // A few at a time: every row has a handler of its own.
    for rows in MATRIX.chunks(6) {
        futures_util::future::join_all(rows.iter().map(Row::run)).await;
    }
}

/// The production path: TLS, the managed identity, the challenge, the cache.
#[tokio::test]
async fn a_healthy_start_is_one_challenge_and_one_token() {
    let vault = TlsVault::start().await;
    let host = vault.host(&[]).await;
    let get = async || {
        host.call(Protocol::Proxying, &ClientRequest::secret("ExternalApiKey"))
            .await
    };
    let (first, second) = (get().await, get().await);
    assert_eq!(first.header("x-cache"), Some("MISS"), "{first:?}");
    assert_eq!(second.header("x-cache"), Some("HIT"), "{second:?}");
    assert_eq!((vault.challenges(), vault.tokens()), (1, 1));
    assert_eq!(vault.requests(), 2, "the attempt at start and the read");
}

#[test]
fn the_fault_matrix_in_the_documentation_is_this_one() {
    let document = fs::read_to_string(repository().join("docs/reliability.md")).expect("there");
    let table: Vec<_> = document
        .split("\n## The fault matrix\n")
        .nth(1)
        .and_then(|rest| rest.split("\n## ").next())
        .expect("the section")
        .lines()
        .filter(|line| line.starts_with("| "))
        .skip(2)
        .map(str::to_owned)
        .collect();
    let printed: Vec<_> = MATRIX.iter().map(Row::printed).collect();
    assert_eq!(table, printed, "\n{}\n", printed.join("\n"));
}
