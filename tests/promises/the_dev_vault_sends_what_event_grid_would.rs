//! `handler dev-vault --events URL` tells one receiver on this machine of each new version, as
//! Event Grid does: first the handshake, then each event until it is taken or lost.

use std::{collections::VecDeque, sync::Arc};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use keyvault_functions::{
    dev_vault::{
        Address, Attributes, DevVault, EventReceiver, KeyType, NewCertificate, NewKey, NewSecret,
        ReceiverUrl, Subscription, VaultName,
    },
    key_vault::VaultUrl,
};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::{
    net::TcpListener,
    sync::{Mutex, mpsc},
    task::JoinSet,
    time::timeout,
};

use super::support::{DevVaultProcess, Folder, Handler, PATIENCE, leaks};

/// A part of every secret that a test makes up; the process and its events are searched for it.
const KEY: &str = "canary-of-the-events";

/// What a receiver was sent.
struct Received {
    headers: HeaderMap,
    event: Value,
}

impl Received {
    fn header(&self, name: &str) -> Option<&str> {
        let value = self.headers.get(name)?;
        Some(value.to_str().expect("text"))
    }

    /// Type without its prefix, and name.
    fn what(&self) -> (&str, &str) {
        let text = |member: &str| self.event[member].as_str().expect("text");
        let kind = text("eventType");
        let kind = kind.strip_prefix("Microsoft.KeyVault.").unwrap_or(kind);
        (kind, text("subject"))
    }
}

/// A receiver on this machine. It confirms every subscription and takes every event, unless it is
/// to answer otherwise.
struct Receiver {
    url: String,
    received: mpsc::UnboundedReceiver<Received>,
    _server: JoinSet<()>,
}

struct Answers {
    /// The next ones; after them, the usual ones.
    next: Mutex<VecDeque<u16>>,
    received: mpsc::UnboundedSender<Received>,
}

impl Receiver {
    async fn start(answers: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        Self::at(listener, answers)
    }

    fn at(listener: TcpListener, answers: &[u16]) -> Self {
        let (sender, received) = mpsc::unbounded_channel();
        let answers = Answers {
            next: Mutex::new(answers.iter().copied().collect()),
            received: sender,
        };
        let url = listener.local_addr().expect("an address");
        let router = Router::new().fallback(answer).with_state(Arc::new(answers));
        let mut server = JoinSet::new();
        server.spawn(async move {
            axum::serve(listener, router).await.expect("served");
        });
        Self {
            url: format!("http://{url}/api/events"),
            received,
            _server: server,
        }
    }

    async fn next(&mut self) -> Received {
        let received = timeout(PATIENCE, self.received.recv()).await;
        received.expect("in time").expect("a request")
    }

    /// The next event, after a handshake.
    async fn handshake(&mut self) {
        let received = self.next().await;
        assert_eq!(
            received.header("aeg-event-type"),
            Some("SubscriptionValidation")
        );
    }
}

async fn answer(
    State(answers): State<Arc<Answers>>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    let text = String::from_utf8(body.to_vec()).expect("text");
    leaks::assert_none("an event", &text, &[]);
    let events: Vec<Value> = serde_json::from_str(&text).expect("an array");
    let [event] = <[Value; 1]>::try_from(events).expect("one event");
    let code = event["data"]["validationCode"].clone();
    let received = Received { headers, event };
    answers.received.send(received).expect("a test");
    let status = answers.next.lock().await.pop_front().unwrap_or(200);
    let status = StatusCode::from_u16(status).expect("a status");
    (status, json!({ "validationResponse": code }).to_string())
}

/// A vault in this process that sends events to `receiver`. Its pauses are a thousandth of Event
/// Grid's.
fn vault_with_events(receiver: &Receiver) -> (DevVault, JoinSet<()>) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let vault = DevVault::seeded().expect("a vault");
    let url = ReceiverUrl::parse(&receiver.url).expect("here");
    let to = EventReceiver::new(url, None).expect("a receiver");
    let address = Address {
        name: VaultName::default(),
        url: "https://localhost:8443".to_owned(),
    };
    let subscription = Subscription::new(to, address).with_pauses(|pause| pause / 1_000);
    let mut background = JoinSet::new();
    background.spawn(vault.events(subscription).expect("randomness"));
    (vault, background)
}

fn set(vault: &DevVault, name: &str) {
    let secret = NewSecret::of("canary of a value");
    vault.store().set(name, secret).expect("set");
}

#[tokio::test]
async fn a_new_version_is_an_event_once_the_receiver_has_confirmed() {
    let mut receiver = Receiver::start(&[]).await;
    let vault = DevVaultProcess::start_with_events(&receiver.url, KEY).await;
    let handshake = receiver.next().await;
    for (name, expected) in [
        ("aeg-event-type", "SubscriptionValidation"),
        ("aeg-subscription-name", "DEV-VAULT"),
        ("content-type", "application/json; charset=utf-8"),
        ("x-functions-key", KEY),
    ] {
        assert_eq!(handshake.header(name), Some(expected), "{name}");
    }
    let kind = "Microsoft.EventGrid.SubscriptionValidationEvent";
    assert_eq!(handshake.what(), (kind, ""));
    assert_eq!(handshake.event["data"]["validationUrl"], Value::Null);
    vault.handler.wrote("confirmed the subscription").await;

    let end = OffsetDateTime::now_utc().unix_timestamp() + 3_600;
    let secret = json!({"value": "canary of a value", "attributes": {"exp": end}});
    let id = vault.set("Rotated", &secret).await;
    let created = receiver.next().await;
    for (name, expected) in [
        ("aeg-event-type", "Notification"),
        ("aeg-subscription-name", "DEV-VAULT"),
        ("aeg-delivery-count", "0"),
        ("aeg-metadata-version", "1"),
        ("aeg-data-version", "1"),
        ("content-type", "application/json; charset=utf-8"),
        ("x-functions-key", KEY),
    ] {
        assert_eq!(created.header(name), Some(expected), "{name}");
    }
    assert_eq!(created.what(), ("SecretNewVersionCreated", "Rotated"));
    assert_eq!(created.event["topic"], handshake.event["topic"]);
    assert_eq!(
        created.event["data"],
        json!({
            "Id": id,
            "VaultName": "embedded",
            "ObjectType": "Secret",
            "ObjectName": "Rotated",
            "Version": id.rsplit('/').next(),
            "NBF": null,
            "EXP": end,
        })
    );
    assert!(VaultUrl::parse(vault.printed("KEY_VAULT_URL")).is_ok());
    assert!(id.starts_with(vault.printed("KEY_VAULT_URL")), "{id}");
    assert_eq!(
        receiver.next().await.what(),
        ("SecretNearExpiry", "Rotated")
    );
    let line = "delivered an event event_type=Microsoft.KeyVault.SecretNearExpiry name=Rotated";
    vault.handler.wrote(line).await;
}

/// A wrong key is the mistake that loses events on Azure, too.
#[tokio::test]
async fn an_event_that_is_refused_is_lost_and_a_line_says_why() {
    let mut receiver = Receiver::start(&[200, 401, 400, 200]).await;
    let vault = DevVaultProcess::start_with_events(&receiver.url, KEY).await;
    receiver.handshake().await;
    let secret = json!({"value": "canary of a value"});
    for name in ["First", "Second", "Third"] {
        vault.set(name, &secret).await;
        let what = ("SecretNewVersionCreated", name);
        assert_eq!(receiver.next().await.what(), what);
    }
    for line in [
        "the receiver does not accept DEV_VAULT_EVENTS_KEY",
        "the receiver answered 400",
        "delivered an event event_type=Microsoft.KeyVault.SecretNewVersionCreated name=Third",
    ] {
        vault.handler.wrote(line).await;
    }
}

#[tokio::test]
async fn an_event_is_sent_again_after_503_and_not_after_400() {
    let mut receiver = Receiver::start(&[200, 400, 503, 500, 204]).await;
    let (vault, _background) = vault_with_events(&receiver);
    receiver.handshake().await;
    set(&vault, "Refused");
    assert_eq!(receiver.next().await.what().1, "Refused");
    set(&vault, "Later");
    // Of the pauses after 400 and 503, the first one would be the shorter one.
    let mut ids = Vec::new();
    for count in ["0", "1", "2"] {
        let sent = receiver.next().await;
        assert_eq!(sent.what().1, "Later");
        assert_eq!(sent.header("aeg-delivery-count"), Some(count));
        ids.push(sent.event["id"].clone());
    }
    ids.dedup();
    assert_eq!(ids.len(), 1, "the same event");
    set(&vault, "Last");
    let last = receiver.next().await;
    assert_eq!(
        (last.what().1, last.header("x-functions-key")),
        ("Last", None)
    );
}

#[tokio::test]
async fn a_receiver_that_starts_later_is_asked_until_it_confirms() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let mut receiver = Receiver {
        url,
        received: mpsc::unbounded_channel().1,
        _server: JoinSet::new(),
    };
    let (vault, _background) = vault_with_events(&receiver);
    set(&vault, "Early");
    // Nobody answers.
    for _ in 0..4 {
        drop(listener.accept().await.expect("a connection"));
    }
    receiver = Receiver::at(listener, &[503]);
    receiver.handshake().await;
    receiver.handshake().await;
    assert_eq!(receiver.next().await.what().1, "Early");
}

#[tokio::test]
async fn a_receiver_that_refuses_is_sent_nothing_more() {
    for status in [202, 401, 404] {
        let mut receiver = Receiver::start(&[status]).await;
        let (vault, mut background) = vault_with_events(&receiver);
        set(&vault, "Early");
        receiver.handshake().await;
        let ended = timeout(PATIENCE, background.join_next()).await;
        assert!(matches!(ended, Ok(Some(Ok(())))), "{status}");
        set(&vault, "Late");
        assert!(receiver.received.try_recv().is_err(), "{status}");
    }
}

#[tokio::test]
async fn keys_and_certificates_are_events_too() {
    let mut receiver = Receiver::start(&[]).await;
    let (vault, _background) = vault_with_events(&receiver);
    receiver.handshake().await;
    let now = OffsetDateTime::now_utc();
    let attributes = Attributes::default();
    let key = NewKey {
        key_type: KeyType::Rsa,
        attributes,
        tags: [].into(),
    };
    let store = vault.store();
    store.add_key("SIGNINGKEY", key, now).expect("a key");
    let certificate = NewCertificate {
        dns_names: vec!["localhost".to_owned()],
        attributes,
        tags: [].into(),
    };
    let version = store.add_certificate("Web", certificate, now);
    let version = version.expect("a certificate");
    // An object is called as it was first spelt.
    let what = ("KeyNewVersionCreated", "SigningKey");
    assert_eq!(receiver.next().await.what(), what);
    for (object, collection) in [
        ("Certificate", "certificates"),
        ("Key", "keys"),
        ("Secret", "secrets"),
    ] {
        let sent = receiver.next().await;
        let kind = format!("{object}NewVersionCreated");
        assert_eq!(sent.what(), (kind.as_str(), "Web"));
        let id = format!("https://localhost:8443/{collection}/Web/{version}");
        assert_eq!(sent.event["data"]["Id"], id);
    }
}

#[tokio::test]
async fn a_key_that_cannot_be_sent_is_refused_unseen() {
    let folder = Folder::new();
    let url = "http://localhost:7071/api/events";
    let environment = [("DEV_VAULT_EVENTS_KEY", "canary with spaces")];
    let arguments = ["dev-vault", "--port", "0", "--events", url];
    let mut handler = Handler::start(folder.path(), &arguments, &environment);
    assert_eq!(handler.ended().await.code(), Some(78));
    let output = handler.output();
    assert!(output.contains("DEV_VAULT_EVENTS_KEY: found"), "{output}");
}
