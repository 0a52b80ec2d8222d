//! What Event Grid sends, in both of its schemas. What Key Vault's documentation and its events do
//! differently from each other is taken either way.
//! Source: Azure documentation, "Azure Key Vault as Event Grid source", and captures of deliveries.

use serde::Deserialize;
use serde_json::{Map, Value};
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime};

use crate::key_vault::{ObjectId, ObjectKind, ObjectName, ObjectVersion, VaultUrl};

/// Most events of one delivery.
const EVENTS_LIMIT: usize = 5_000;
/// Longest text of an event that is looked at, such as its id.
const TEXT_LIMIT: usize = 1_024;

/// What one delivery has.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Delivery {
    /// A question whether events are wanted here.
    pub(super) handshake: Option<Handshake>,
    /// What has happened in a vault.
    pub(super) events: Vec<Event>,
    /// Events that say nothing about an object of a vault.
    pub(super) others: usize,
    /// Events that cannot be understood.
    pub(super) malformed: usize,
}

/// The validation of the Event Grid schema.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Handshake {
    /// The resource id of what would send events.
    pub(super) topic: String,
    pub(super) code: String,
}

/// One thing that has happened to one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// Unique together with the topic.
    pub(super) id: String,
    pub(super) what: What,
    pub(super) vault: VaultUrl,
    /// With the version that the event is about.
    pub(super) object: ObjectId,
    pub(super) time: Option<OffsetDateTime>,
    pub(super) expires: Option<OffsetDateTime>,
}

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum What {
    NewVersion,
    NearExpiry,
    Expired,
}

/// A body that is no delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoDelivery;

/// An event of either schema.
#[derive(Deserialize)]
struct Raw {
    id: String,
    #[serde(alias = "source")]
    topic: Option<String>,
    #[serde(alias = "type", rename = "eventType")]
    kind: String,
    #[serde(alias = "time", rename = "eventTime")]
    time: Option<String>,
    #[serde(default)]
    data: Map<String, Value>,
}

/// Reads a delivery: one event, or a list.
pub(super) fn read(body: &[u8]) -> Result<Delivery, NoDelivery> {
    let body: Value = serde_json::from_slice(body).map_err(|_| NoDelivery)?;
    let events = match body {
        Value::Array(events) if events.len() <= EVENTS_LIMIT => events,
        one @ Value::Object(_) => vec![one],
        _ => return Err(NoDelivery),
    };
    let mut delivery = Delivery::default();
    for event in events {
        match serde_json::from_value(event).ok().and_then(Read::of) {
            Some(Read::Handshake(handshake)) => delivery.handshake = Some(handshake),
            Some(Read::Event(event)) => delivery.events.push(event),
            Some(Read::Other) => delivery.others += 1,
            None => delivery.malformed += 1,
        }
    }
    Ok(delivery)
}

enum Read {
    Handshake(Handshake),
    Event(Event),
    Other,
}

impl Read {
    fn of(raw: Raw) -> Option<Self> {
        if raw.id.len() > TEXT_LIMIT || raw.kind.len() > TEXT_LIMIT {
            return None;
        }
        if raw
            .kind
            .eq_ignore_ascii_case("Microsoft.EventGrid.SubscriptionValidationEvent")
        {
            let code = text(&raw.data, "validationCode")?.to_owned();
            let topic = raw.topic?;
            return Some(Self::Handshake(Handshake { topic, code }));
        }
        let Some((kind, what)) = kind_of(&raw.kind) else {
            return Some(Self::Other);
        };
        let (vault, object) = object(kind, text(&raw.data, "id")?)?;
        let seconds = number(&raw.data, "exp");
        Some(Self::Event(Event {
            id: raw.id,
            what,
            vault,
            object,
            time: raw.time.as_deref().and_then(parse_time),
            expires: seconds.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok()),
        }))
    }
}

/// Of what kind of object a type of event tells what.
fn kind_of(name: &str) -> Option<(ObjectKind, What)> {
    const PREFIX: &str = "Microsoft.KeyVault.";
    const KINDS: [(&str, ObjectKind); 3] = [
        ("Secret", ObjectKind::Secret),
        ("Key", ObjectKind::Key),
        ("Certificate", ObjectKind::Certificate),
    ];
    const WHATS: [(&str, What); 3] = [
        ("NewVersionCreated", What::NewVersion),
        ("NearExpiry", What::NearExpiry),
        ("Expired", What::Expired),
    ];
    let name = name.strip_prefix(PREFIX)?;
    KINDS.into_iter().find_map(|(prefix, kind)| {
        let rest = name.strip_prefix(prefix)?;
        let what = WHATS.into_iter().find(|(what, _)| *what == rest);
        what.map(|(_, what)| (kind, what))
    })
}

/// The vault and the object of an identifier such as `https://v.vault.azure.net/secrets/n/1234…`.
fn object(kind: ObjectKind, id: &str) -> Option<(VaultUrl, ObjectId)> {
    let rest = id.strip_prefix("https://")?;
    let (host, path) = rest.split_once('/')?;
    let mut path = path.split('/').filter(|part| !part.is_empty());
    let (collection, name, version) = (path.next()?, path.next()?, path.next());
    if !collection.eq_ignore_ascii_case(kind.collection()) || path.next().is_some() {
        return None;
    }
    let object = ObjectId {
        kind,
        name: ObjectName::parse(name).ok()?,
        version: match version {
            Some(version) => Some(ObjectVersion::parse(version).ok()?),
            None => None,
        },
    };
    Some((VaultUrl::parse(&format!("https://{host}")).ok()?, object))
}

/// A member without regard to the letter case of its name and to blanks around it: some of the
/// documented examples have them.
fn member<'a>(data: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let mut members = data.iter();
    let found = members.find(|(key, _)| key.trim().eq_ignore_ascii_case(name));
    found.map(|(_, value)| value)
}

fn text<'a>(data: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    let text = member(data, name)?.as_str()?.trim();
    (!text.is_empty() && text.len() <= TEXT_LIMIT).then_some(text)
}

/// A number, or one in a text.
fn number(data: &Map<String, Value>, name: &str) -> Option<i64> {
    match member(data, name)? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// `2026-07-25T01:08:33.1036736Z`, to the second.
fn parse_time(text: &str) -> Option<OffsetDateTime> {
    let number = |at: std::ops::Range<usize>| text.get(at)?.parse::<u16>().ok();
    let byte = |at| u8::try_from(number(at)?).ok();
    let month = Month::try_from(byte(5..7)?).ok()?;
    let date = Date::from_calendar_date(number(0..4)?.into(), month, byte(8..10)?).ok()?;
    let time = date.with_hms(byte(11..13)?, byte(14..16)?, byte(17..19)?);
    time.ok()
        .filter(|_| text.ends_with('Z'))
        .map(PrimitiveDateTime::assume_utc)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const VERSION: &str = "ee059b2bb5bc48398a53b168c6cdcb10";

    fn event_grid(kind: &str, data: &Value) -> Value {
        json!({
            "id": "00eccf70-95a7-4e7c-8299-2eb17ee9ad64",
            "topic": "/subscriptions/S/resourceGroups/RG/providers/Microsoft.KeyVault/vaults/sample-kv",
            "subject": "newsecret",
            "eventType": kind,
            "eventTime": "2026-07-25T01:08:33.1036736Z",
            "data": data,
            "dataVersion": "1",
            "metadataVersion": "1",
        })
    }

    fn read_value(value: &Value) -> Delivery {
        read(value.to_string().as_bytes()).expect("a delivery")
    }

    #[test]
    fn every_documented_form_is_read() {
        let captured = json!({
            "Id": format!("https://sample-kv.vault.azure.net/secrets/newsecret/{VERSION}"),
            "VaultName": "sample-kv", "ObjectType": "Secret", "ObjectName": "newsecret",
            "Version": VERSION, "NBF": 1_699_656_798, "EXP": null,
        });
        let documented = json!({
            "id ": format!(" https://sample-kv.vault.azure.net/secrets/newsecret/{VERSION}"),
            "VaultName": "sample-kv", "ObjectType": "Secret", "ObjectName ": "newsecret",
            " Version": VERSION, "NBF": "1559081980", "EXP": "1559082102",
        });
        for (data, expires) in [(&captured, None), (&documented, Some(1_559_082_102))] {
            let event = event_grid("Microsoft.KeyVault.SecretNewVersionCreated", data);
            let cloud_event = json!({
                "specversion": "1.0", "id": event["id"], "source": event["topic"],
                "subject": "newsecret", "type": event["eventType"], "time": event["eventTime"],
                "data": data,
            });
            for body in [
                json!([event]),
                event.clone(),
                cloud_event.clone(),
                json!([cloud_event]),
            ] {
                let delivery = read_value(&body);
                let [event] = &delivery.events[..] else {
                    panic!("{body}: {delivery:?}")
                };
                assert_eq!(event.what, What::NewVersion);
                assert_eq!(event.vault.host(), "sample-kv.vault.azure.net");
                assert_eq!(event.object.to_string(), format!("newsecret/{VERSION}"));
                assert_eq!(event.object.kind, ObjectKind::Secret);
                assert_eq!(event.expires.map(OffsetDateTime::unix_timestamp), expires);
                let time = event.time.map(OffsetDateTime::unix_timestamp);
                assert_eq!(time, Some(1_784_941_713));
            }
        }
    }

    #[test]
    fn every_type_is_known() {
        for (collection, kind) in [
            ("secrets", "Secret"),
            ("keys", "Key"),
            ("certificates", "Certificate"),
        ] {
            for what in ["NewVersionCreated", "NearExpiry", "Expired"] {
                let id = format!("https://v.vault.azure.net/{collection}/n/{VERSION}");
                let name = format!("Microsoft.KeyVault.{kind}{what}");
                let delivery = read_value(&event_grid(&name, &json!({"Id": id})));
                assert_eq!(delivery.events.len(), 1, "{name}");
            }
        }
        for name in [
            "Microsoft.KeyVault.VaultAccessPolicyChanged",
            "Other.Thing",
            "",
        ] {
            let delivery = read_value(&event_grid(name, &json!({})));
            assert_eq!((delivery.others, delivery.malformed), (1, 0), "{name}");
        }
    }

    #[test]
    fn what_cannot_be_understood_spoils_nothing_else() {
        let name = "Microsoft.KeyVault.SecretNewVersionCreated";
        let good = json!({"Id": format!("https://v.vault.azure.net/secrets/n/{VERSION}")});
        let delivery = read_value(&json!([
            event_grid(name, &good),
            7,
            {"id": "x"},
            event_grid(name, &json!({})),
            event_grid(name, &json!({"Id": "http://v.vault.azure.net/secrets/n"})),
            event_grid(name, &json!({"Id": "https://v.vault.azure.net/keys/n"})),
            event_grid(name, &json!({"Id": "https://v.vault.azure.net/secrets/../keys/n"})),
            event_grid(name, &json!({"Id": "https://v.vault.azure.net/secrets/n/x"})),
            event_grid(name, &json!({"Id": 1})),
        ]));
        assert_eq!((delivery.events.len(), delivery.malformed), (1, 8));
        for body in ["", "x", "7", "\"x\"", "null", "["] {
            assert_eq!(read(body.as_bytes()), Err(NoDelivery), "{body}");
        }
        let many = vec![json!({}); EVENTS_LIMIT + 1];
        assert_eq!(read(json!(many).to_string().as_bytes()), Err(NoDelivery));
    }

    #[test]
    fn a_handshake_has_a_code_and_a_topic() {
        let name = "Microsoft.EventGrid.SubscriptionValidationEvent";
        let data = json!({"validationCode": "512d38b6", "validationUrl": "https://evil.example"});
        let delivery = read_value(&json!([event_grid(name, &data)]));
        let handshake = delivery.handshake.expect("a handshake");
        assert_eq!(handshake.code, "512d38b6");
        assert!(handshake.topic.ends_with("/vaults/sample-kv"));
        let delivery = read_value(&json!([event_grid(name, &json!({}))]));
        assert_eq!((delivery.handshake, delivery.malformed), (None, 1));
    }
}
