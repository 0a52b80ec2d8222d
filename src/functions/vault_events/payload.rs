//! What Event Grid sends, in both of its schemas. What Key Vault's documentation and its events do
//! differently from each other is taken either way.
//! Source: Azure documentation, "Azure Key Vault as Event Grid source", and captures of deliveries.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
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
    /// Name of the vault that would send events; nothing if it is no vault.
    pub(super) vault: Option<String>,
    pub(super) code: String,
}

/// One thing that has happened to one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// Unique together with the vault.
    pub(super) id: String,
    pub(super) what: What,
    pub(super) vault: VaultUrl,
    /// With the version that the event is about.
    pub(super) object: ObjectId,
    pub(super) time: Option<OffsetDateTime>,
}

/// What has happened. When something expires is not taken from an event: the vault knows.
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
struct Raw<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow, alias = "source")]
    topic: Option<Cow<'a, str>>,
    #[serde(borrow, alias = "type", rename = "eventType")]
    kind: Cow<'a, str>,
    #[serde(borrow, alias = "time", rename = "eventTime")]
    time: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    data: Data<'a>,
}

/// What is looked at of an event's data, as it stands there.
#[derive(Default)]
struct Data<'a> {
    id: Option<&'a RawValue>,
    validation_code: Option<&'a RawValue>,
}

/// A list of events that are not read yet: one that is malformed spoils no other.
struct Events<'a>(Vec<&'a RawValue>);

/// Reads a delivery: one event, or a list.
pub(super) fn read(body: &[u8]) -> Result<Delivery, NoDelivery> {
    let body: &RawValue = serde_json::from_slice(body).map_err(|_| NoDelivery)?;
    let events = match body.get().as_bytes().first() {
        Some(b'{') => vec![body],
        Some(b'[') => {
            let events: Result<Events<'_>, _> = serde_json::from_str(body.get());
            events.map_err(|_| NoDelivery)?.0
        }
        _ => return Err(NoDelivery),
    };
    let mut delivery = Delivery::default();
    for event in events {
        match serde_json::from_str(event.get()).ok().and_then(Read::of) {
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
    fn of(raw: Raw<'_>) -> Option<Self> {
        if raw.id.len() > TEXT_LIMIT || raw.kind.len() > TEXT_LIMIT {
            return None;
        }
        if raw
            .kind
            .eq_ignore_ascii_case("Microsoft.EventGrid.SubscriptionValidationEvent")
        {
            return Some(Self::Handshake(Handshake {
                vault: vault_of(&raw.topic?).map(str::to_owned),
                code: text(raw.data.validation_code?)?,
            }));
        }
        let Some((kind, what)) = kind_of(&raw.kind) else {
            return Some(Self::Other);
        };
        let (vault, object) = object(kind, &text(raw.data.id?)?)?;
        Some(Self::Event(Event {
            id: raw.id.into_owned(),
            what,
            vault,
            object,
            time: raw.time.as_deref().and_then(parse_time),
        }))
    }
}

/// The vault's name in a resource id.
fn vault_of(topic: &str) -> Option<&str> {
    let mut parts = topic.split('/');
    for expected in [
        Some(""),
        Some("subscriptions"),
        None,
        Some("resourceGroups"),
        None,
        Some("providers"),
        Some("Microsoft.KeyVault"),
        Some("vaults"),
    ] {
        let part = parts.next()?;
        if expected.is_some_and(|expected| !expected.eq_ignore_ascii_case(part)) {
            return None;
        }
    }
    let name = parts.next()?;
    parts.next().is_none().then_some(name)
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

/// A text without the blanks around it: some of the documented examples have them.
fn text(value: &RawValue) -> Option<String> {
    let text: String = serde_json::from_str(value.get()).ok()?;
    let text = text.trim();
    (!text.is_empty() && text.len() <= TEXT_LIMIT).then(|| text.to_owned())
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

impl<'de> Deserialize<'de> for Events<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Events<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("events")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut events = Vec::new();
                while let Some(event) = list.next_element()? {
                    if events.len() == EVENTS_LIMIT {
                        return Err(A::Error::custom("too many"));
                    }
                    events.push(event);
                }
                Ok(Events(events))
            }
        }
        deserializer.deserialize_seq(List)
    }
}

/// Members are found without regard to the letter case of their names and to blanks around them:
/// some of the documented examples have those.
impl<'de: 'a, 'a> Deserialize<'de> for Data<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Data<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Data::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut data = Data::default();
                while let Some(name) = map.next_key::<Cow<'de, str>>()? {
                    let name = name.trim();
                    let member = if name.eq_ignore_ascii_case("id") {
                        &mut data.id
                    } else if name.eq_ignore_ascii_case("validationCode") {
                        &mut data.validation_code
                    } else {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    };
                    *member = Some(map.next_value()?);
                }
                Ok(data)
            }
        }
        deserializer.deserialize_any(Members)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

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
        for data in [&captured, &documented] {
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
        assert_eq!(handshake.vault.as_deref(), Some("sample-kv"));
        let delivery = read_value(&json!([event_grid(name, &json!({}))]));
        assert_eq!((delivery.handshake, delivery.malformed), (None, 1));
    }

    #[test]
    fn only_the_id_of_a_vault_names_one() {
        let vault = "/subscriptions/S/resourceGroups/RG/providers/Microsoft.KeyVault/vaults/kv";
        assert_eq!(vault_of(vault), Some("kv"));
        assert_eq!(vault_of(&vault.to_ascii_uppercase()), Some("KV"));
        for topic in [
            "",
            "kv",
            "/vaults/kv",
            "/subscriptions/S/resourceGroups/RG/providers/Microsoft.Storage/storageAccounts/kv",
            "/subscriptions/S/resourceGroups/RG/providers/Microsoft.EventGrid/topics/kv",
            "/subscriptions/S/resourceGroups/RG/providers/Microsoft.KeyVault/vaults/kv/secrets/kv",
        ] {
            assert_eq!(vault_of(topic), None, "{topic}");
        }
    }
}
