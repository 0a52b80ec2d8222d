//! Why the network or the identity keeps the handler from a vault is told exactly, with a fix for
//! that cause, and ids and addresses are shown only to who may know them. No test asks real DNS.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    future::{pending, ready},
    io,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use azure_core::http::{AsyncRawResponse, HttpClient, Request};
use futures_util::{FutureExt, future::join_all};
use keyvault_functions::{
    dev_vault::{Caller, CallerKind, DevVault, NetworkInfo},
    diagnosis::{FunctionApp, Identity, Plan, Surroundings},
    key_vault::{
        Error,
        dns::Resolver,
        error::CredentialError,
        https::{Https, Proxy},
    },
    references::AppSetting,
};
use serde_json::Value;
use tokio::time::{Duration, Instant, advance};
use tracing::Level;
use tracing_subscriber::filter::Targets;

use super::support::{Fault, InProcess, Lines, Setup, func_a, guid, leaks, recorded};

const REFERENCE: &str = "@Microsoft.KeyVault(VaultName=embedded;SecretName=ExternalApiKey)";
const SECRET: &str = "/api/secrets/ExternalApiKey";
const CHECK: &str = "/api/config-check";

/// The vault's own addresses. Those of the app are in the forms of the header.
const PUBLIC: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
const PRIVATE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 9, 9));

/// What the name server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dns {
    NoSuchName,
    NoAnswer,
    /// No name server answers in time, which is how it shows on Azure.
    Silent,
    Public,
    /// The same, and the vault has a private endpoint.
    PublicWithAlias,
    Private,
}

impl Dns {
    const ALL: [Self; 6] = [
        Self::NoSuchName,
        Self::NoAnswer,
        Self::Silent,
        Self::Public,
        Self::PublicWithAlias,
        Self::Private,
    ];

    fn has_address(self) -> bool {
        !matches!(self, Self::NoSuchName | Self::NoAnswer | Self::Silent)
    }

    /// As the C library words it.
    fn resolver(self) -> Arc<Resolver> {
        let none = |text| {
            let text = format!("failed to lookup address information: {text}");
            Err(io::Error::other(text))
        };
        Arc::new(Resolver::of(move |name| {
            let is_alias = name.starts_with("embedded.privatelink.vaultcore.azure.net");
            let found = match self {
                Self::Silent => return pending().boxed(),
                Self::NoAnswer => none("Temporary failure in name resolution"),
                Self::NoSuchName => none("Name or service not known"),
                Self::Public if is_alias => none("Name does not resolve"),
                Self::Public | Self::PublicWithAlias => Ok(vec![PUBLIC]),
                Self::Private => Ok(vec![PRIVATE]),
            };
            ready(found).boxed()
        }))
    }
}

/// What the vault says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    None,
    Firewall,
    Connection,
    Policy,
    Silence,
}

impl Refusal {
    const ALL: [Self; 5] = [
        Self::None,
        Self::Firewall,
        Self::Connection,
        Self::Policy,
        Self::Silence,
    ];

    fn fault(self, arrived: NetworkInfo) -> Option<Fault> {
        let replay = |code| {
            let mut all = recorded::REFUSALS.iter();
            let refusal = all.find(|one| one.body.contains(code)).expect(code);
            Some(Fault::Replay(refusal.body, arrived))
        };
        match self {
            Self::None | Self::Silence => None,
            Self::Firewall => replay(r#""ForbiddenByFirewall""#),
            Self::Connection => replay(r#""ForbiddenByConnection""#),
            Self::Policy => replay(r#""ForbiddenByPolicy""#),
        }
    }
}

/// As whom the handler signs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whom {
    System,
    Slot,
    User,
    OtherTenant,
    Nobody,
}

impl Whom {
    const ALL: [Self; 5] = [
        Self::System,
        Self::Slot,
        Self::User,
        Self::OtherTenant,
        Self::Nobody,
    ];

    fn caller(self) -> Caller {
        let own = |slot: Option<&str>| CallerKind::SystemAssigned {
            app: "func-a".to_owned(),
            slot: slot.map(str::to_owned),
        };
        Caller {
            kind: match self {
                Self::User => CallerKind::UserAssigned {
                    name: "id-a".to_owned(),
                },
                Self::Slot => own(Some("staging")),
                _ => own(None),
            },
            object_id: guid('a').to_string(),
            client_id: guid('c').to_string(),
            tenant: match self {
                Self::OtherTenant => guid('e').to_string(),
                _ => Caller::default().tenant,
            },
        }
    }

    fn surroundings(self) -> Surroundings {
        let slot = (self == Self::Slot).then_some("staging");
        let plan = match self {
            Self::Slot => Plan::Dedicated,
            Self::User => Plan::Consumption,
            _ => Plan::FlexConsumption,
        };
        Surroundings {
            app: FunctionApp::new(Some("func-a"), Some("rg-a"), slot, Some(plan)),
            identity: match self {
                Self::User => Identity::UserAssigned(guid('c').to_string()),
                _ => Identity::SystemAssigned,
            },
            has_identity_endpoint: self != Self::Nobody,
            ..Surroundings::default()
        }
    }
}

fn app(dns: Dns, refusal: Refusal, whom: Whom) -> InProcess {
    let arrived = match dns {
        Dns::Private => NetworkInfo::PrivateLink,
        _ => NetworkInfo::Public,
    };
    let vault = DevVault::seeded().expect("randomness");
    let vault = vault.with_caller(whom.caller()).with_network_info(arrived);
    let app = InProcess::on(
        vault,
        Setup {
            settings: vec![AppSetting::new(
                "EXTERNAL_API_KEY",
                REFERENCE.to_owned().into(),
            )],
            surroundings: whom.surroundings(),
            transport: match refusal {
                // Without an address nothing gets beyond this.
                _ if !dns.has_address() => Some(https(dns.resolver())),
                Refusal::Silence => Some(Arc::new(Silent)),
                _ => None,
            },
            resolver: Some(dns.resolver()),
            unconnected: (whom == Whom::Nobody)
                .then_some(Error::Credential(CredentialError::NothingConfigured)),
            ..Setup::default()
        },
    );
    app.fail_with(refusal.fault(arrived));
    app
}

/// Nothing answers.
#[derive(Debug)]
struct Silent;

#[async_trait]
impl HttpClient for Silent {
    async fn execute_request(&self, _: &Request) -> azure_core::Result<AsyncRawResponse> {
        pending().await
    }
}

fn https(resolver: Arc<Resolver>) -> Arc<Https> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let https = Https::new(Proxy::FromEnvironment, None, resolver);
    Arc::new(https.expect("certificate authorities"))
}

/// What a reader is shown of `json`, whose sentence is in `detail`.
fn shown(json: &Value, detail: &str) -> String {
    let mut shown = String::new();
    for member in ["status", "code", detail, "fix", "path", "identity"] {
        let text = match &json[member] {
            Value::Null => continue,
            // Each command on a line of its own, for who lets az read them.
            Value::String(text) => text
                .replace(" with az ", " with\naz ")
                .replace('\n', "\n      $ "),
            other => other.to_string(),
        };
        let _ = writeln!(shown, "    {member}: {text}");
    }
    if shown.is_empty() {
        shown.push_str("    (answered)\n");
    }
    shown
}

/// Each cell's words for who holds a function key, and for who holds the master key. Cells with the
/// same words stand together.
#[tokio::test(start_paused = true)]
async fn each_cause_of_network_and_identity_has_its_words() {
    let mut cells: Vec<(String, String)> = Vec::new();
    for whom in Whom::ALL {
        for dns in Dns::ALL {
            for refusal in Refusal::ALL {
                let is_reached = dns.has_address() || refusal == Refusal::None;
                // Who has no token asks no vault, and this one's plan has no private network.
                let is_met = match whom {
                    Whom::Nobody => (dns, refusal) == (Dns::Public, Refusal::None),
                    Whom::User => dns != Dns::Private,
                    _ => true,
                };
                if !is_reached || !is_met {
                    continue;
                }
                let app = app(dns, refusal, whom);
                // The first answer, when nothing is known yet.
                let check = app.get(CHECK).await;
                let secret = app.get(SECRET).await;
                let reference = &check.json()["references"][0];
                let words = format!(
                    "  config-check\n{}  secrets/<name>\n{}",
                    shown(reference, "detail"),
                    shown(&secret.json(), "error"),
                );
                cells.push((format!("{whom:?}, DNS {dns:?}, refusal {refusal:?}"), words));
            }
        }
    }
    let mut told: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (cell, words) in &cells {
        told.entry(words).or_default().push(cell);
    }
    let mut snapshot = String::new();
    for (_, words) in &cells {
        if let Some(same) = told.remove(&**words) {
            let _ = writeln!(snapshot, "{}\n{words}", same.join("\n"));
        }
    }
    insta::assert_snapshot!(snapshot);
}

const ARRIVALS: [(NetworkInfo, Option<&str>); 9] = [
    (NetworkInfo::Loopback, Some("public-network")),
    (NetworkInfo::Public, Some("public-network")),
    (NetworkInfo::PrivateLink, Some("private-link")),
    (NetworkInfo::Subnet, Some("service-endpoint")),
    (NetworkInfo::OldPublic, Some("public-network")),
    (NetworkInfo::OldPrivate, Some("private-network")),
    (NetworkInfo::ManagedHsm, Some("public-network")),
    (NetworkInfo::ManagedHsmAddress, Some("public-network")),
    (NetworkInfo::Absent, None),
];

/// A test for each form that the service documents, or has been seen to send.
#[tokio::test]
async fn how_requests_arrive_is_told_on_request() {
    for (form, arrived_by) in ARRIVALS {
        let vault = DevVault::seeded().expect("randomness");
        let app = InProcess::on(
            vault.with_network_info(form),
            Setup {
                settings: vec![AppSetting::new("KEY", REFERENCE.to_owned().into())],
                resolver: Some(Dns::Private.resolver()),
                ..Setup::default()
            },
        );
        let secret = app.get(&format!("{SECRET}?path=true")).await.json();
        let path = &secret["path"];
        assert_eq!(path["arrived_by"].as_str(), arrived_by, "{form:?}");
        assert_eq!(path["problem"], Value::Null, "{form:?}");
        assert_eq!(path["resolves_to"], serde_json::json!([PRIVATE]));
        assert_eq!(
            (&path["private"], &path["alias"]),
            (&true.into(), &true.into())
        );
        // Whatever the recipe asks for is there as ever.
        assert_eq!(secret["name"], "ExternalApiKey");
        assert_eq!(app.get(SECRET).await.json()["path"], Value::Null);

        let check = app.get(&format!("{CHECK}?path=true")).await.json();
        let path = &check["references"][0]["path"];
        assert_eq!(path["arrived_by"].as_str(), arrived_by, "{form:?}");
        let silent = app.get(CHECK).await.json();
        assert_eq!(silent["references"][0]["path"], Value::Null);
    }
}

/// The path is probed for all that ask in ten seconds, and for all references of a vault.
#[tokio::test(start_paused = true)]
async fn who_asks_for_the_path_does_not_burden_the_vault() {
    let setting = |number: usize| {
        let value = REFERENCE.replace("ExternalApiKey", &format!("n{number}"));
        let held = AppSetting::new(format!("S{number}"), "held".to_owned().into());
        held.reported(Some(&value), None)
    };
    let asked = Arc::<AtomicUsize>::default();
    let counter = asked.clone();
    let resolver = Resolver::of(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        ready(Ok(vec![IpAddr::from([203, 0, 113, 10])])).boxed()
    });
    let app = InProcess::with(Setup {
        settings: (0..100).map(setting).collect(),
        resolver: Some(Arc::new(resolver)),
        ..Setup::default()
    });
    for _ in 0..20 {
        let check = app.get(&format!("{CHECK}?path=true")).await.json();
        for reference in check["references"].as_array().expect("an array") {
            assert_eq!(reference["status"], "Resolved");
            assert_eq!(reference["path"]["arrived_by"], "public-network");
        }
    }
    assert_eq!(app.reads(), 1, "one probe");
    assert_eq!(asked.load(Ordering::SeqCst), 2, "the name, and its alias");
    advance(Duration::from_secs(11)).await;
    app.get(&format!("{CHECK}?path=true")).await;
    assert_eq!((app.reads(), asked.load(Ordering::SeqCst)), (2, 4));
}

/// Whoever holds a function key sees the kinds of things, and no id and no address of the app. Nor
/// does whoever reads the log, at its finest.
#[tokio::test]
async fn ids_and_addresses_are_for_the_master_key() {
    let (lines, _in_this_thread) =
        Lines::of_this_thread(&Targets::new().with_default(Level::TRACE));
    for form in [
        NetworkInfo::PrivateLink,
        NetworkInfo::Subnet,
        NetworkInfo::Public,
    ] {
        for (whom, fault) in [
            (Whom::System, None),
            (Whom::System, Some(Fault::Deny("ForbiddenByRbac"))),
            (
                Whom::System,
                Some(Fault::Replay(recorded::REFUSALS[0].body, form)),
            ),
            (Whom::OtherTenant, None),
        ] {
            let vault = DevVault::seeded().expect("randomness");
            let vault = vault.with_caller(whom.caller());
            let app = InProcess::on(
                vault.with_network_info(form),
                Setup {
                    settings: vec![AppSetting::new("KEY", REFERENCE.to_owned().into())],
                    surroundings: whom.surroundings(),
                    resolver: Some(Dns::Public.resolver()),
                    ..Setup::default()
                },
            );
            app.fail_with(fault);
            let ids = [
                "/subscriptions/0",
                guid('a').as_str(),
                guid('c').as_str(),
                guid('e').as_str(),
                recorded::ADDRESS,
                "203.0.113.10",
                "10.1.2.",
                "00000000-0000",
            ]
            .map(str::to_owned);
            for accept in ["application/json", "text/html"] {
                let check = app.get_as(&format!("{CHECK}?path=true"), accept).await;
                leaks::assert_none("config-check", &check.body, &ids);
                assert!(check.body.contains("system-assigned"), "{check:?}");
            }
            let secret = app.get(&format!("{SECRET}?path=true")).await;
            let json = secret.json();
            let own = guid('a');
            assert_eq!(json["identity"]["object_id"], own.as_str(), "{secret:?}");
            assert_eq!(json["identity"]["name"], "func-a", "{secret:?}");
            let address = &json["path"]["vault_sees"]["address"];
            assert!(address.is_string(), "{secret:?}");
            app.get("/api/expiring").await;
            let written = lines.take();
            assert!(written.contains("Key Vault read"), "{written}");
            leaks::assert_none("the log", &written, &ids);
        }
    }
}

/// What another tenant's id is good for is shown to who may see it.
#[tokio::test]
async fn a_vault_of_another_tenant_is_told_from_a_missing_right() {
    let app = app(Dns::Public, Refusal::None, Whom::OtherTenant);
    let check = app.get(CHECK).await.json();
    let reference = &check["references"][0];
    assert_eq!(reference["status"], "UnauthorizedClient");
    let detail = reference["detail"].to_string();
    assert!(detail.contains("belongs to another tenant"), "{detail}");
    let secret = app.get(SECRET).await.json();
    let (vaults, own) = (Caller::default().tenant, guid('e'));
    let expected = format!("The vault's is {vaults}, the identity's is {own}.");
    let error = secret["error"].to_string();
    assert!(error.contains(&expected), "{error}");
}

/// A vault that answers slowly, or not to everybody, is not said to be out of reach.
#[tokio::test(start_paused = true)]
async fn a_slow_vault_is_not_taken_for_one_that_cannot_be_reached() {
    let app = app(Dns::Private, Refusal::None, Whom::System);
    app.fail_with(Fault::Delay(Duration::from_secs(2)));
    let paths = (0..60).map(|number| format!("/api/secrets/n{number}"));
    let answers = paths.map(|path| {
        let app = app.clone();
        async move { app.get(&path).await.json() }
    });
    let answers = join_all(answers).await;
    let late: Vec<_> = answers
        .iter()
        .filter(|json| json["code"] == "FetchTimedOut")
        .collect();
    assert!(!late.is_empty());
    for json in late {
        assert_eq!(json["path"]["problem"], Value::Null, "{json}");
        assert!(
            !json["error"].to_string().contains("no answer came"),
            "{json}"
        );
    }
}

/// Whatever is asked for, an answer comes in good time.
#[tokio::test(start_paused = true)]
async fn an_answer_waits_for_no_path() {
    for (dns, refusal) in [
        (Dns::Silent, Refusal::None),
        (Dns::Private, Refusal::Silence),
    ] {
        let app = app(dns, refusal, Whom::System);
        for (path, limit) in [
            (CHECK.to_owned(), Duration::from_millis(2_600)),
            (format!("{CHECK}?path=true"), Duration::from_millis(2_600)),
            (SECRET.to_owned(), Duration::from_millis(5_100)),
            (format!("{SECRET}?path=true"), Duration::from_millis(5_100)),
        ] {
            advance(Duration::from_secs(30)).await;
            let began = Instant::now();
            let answer = app.get(&path).await;
            assert!(
                began.elapsed() <= limit,
                "{dns:?} {path}: {:?}",
                began.elapsed()
            );
            let json = answer.json();
            let told = json["path"].is_object() || json["references"][0]["path"].is_object();
            assert!(told, "{dns:?} {path}: {answer:?}");
        }
    }
}

/// The commands that grant a right have the identity's own id where that may be shown, and the
/// look-up where it may not.
#[tokio::test]
async fn commands_are_exact_where_ids_may_be_shown() {
    let app = app(Dns::Public, Refusal::None, Whom::System);
    app.fail_with(Fault::Deny("ForbiddenByRbac"));
    let fix = app.get(SECRET).await.json()["fix"].to_string();
    assert!(
        fix.contains(&format!("--assignee-object-id \\\"{}\\\"", guid('a'))),
        "{fix}"
    );
    assert!(!fix.contains("identity show"), "{fix}");
    let check = app.get(CHECK).await.json();
    let fix = check["references"][0]["fix"].to_string();
    assert!(fix.contains("az functionapp identity show"), "{fix}");
}

/// Something on the way that answers with a page of its own is not taken for the vault.
#[tokio::test(start_paused = true)]
async fn what_answers_in_the_vaults_place_is_not_taken_for_it() {
    let app = app(Dns::Public, Refusal::None, Whom::System);
    for status in [200, 403, 418] {
        advance(Duration::from_secs(10)).await;
        app.fail_with(Fault::Outage(status));
        let answer = app.get(&format!("{SECRET}?refresh=true")).await.json();
        assert_eq!(
            answer["path"]["problem"], "NotKeyVault",
            "{status}: {answer}"
        );
        assert!(
            answer["error"].to_string().contains("is not Key Vault"),
            "{answer}"
        );
        assert!(
            answer["error"].to_string().contains("198.51.100.7"),
            "{answer}"
        );
    }
    // What Azure's own gateway may say is no such thing.
    advance(Duration::from_secs(10)).await;
    app.fail_with(Fault::Outage(503));
    let answer = app.get("/api/secrets/Other").await.json();
    assert_eq!(
        (&answer["code"], &answer["path"]),
        (&"VaultUnavailable".into(), &Value::Null)
    );
}

/// Nobody asks for a token for a name that leads back to this machine.
#[tokio::test]
async fn no_token_leaves_for_a_vault_that_resolves_to_this_machine() {
    for address in [
        "127.0.0.1",
        "169.254.169.254",
        "::1",
        "fe80::1",
        "0.0.0.0",
        "::ffff:127.0.0.1",
    ] {
        let address: IpAddr = address.parse().expect("an address");
        let resolver = || Arc::new(Resolver::of(move |_| ready(Ok(vec![address])).boxed()));
        let app = InProcess::with(Setup {
            transport: Some(https(resolver())),
            resolver: Some(resolver()),
            surroundings: func_a(),
            ..Setup::default()
        });
        let answer = app.get(SECRET).await.json();
        assert_eq!(answer["code"], "VaultUnreachable", "{address}");
        assert_eq!(answer["path"]["problem"], "OwnMachine", "{address}");
        assert_eq!(app.tokens(), 0, "{address}");
    }
}
