//! Events in the Event Grid schema. An event names a version and never has a value.

use serde::Serialize;
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::FormatItem, macros::format_description};

use crate::{
    dev_vault::{
        address::Address,
        secrets::{Attributes, random_guid},
    },
    key_vault::ObjectKind,
};

/// Version of the shape of `data`, as the service sends it.
pub(super) const DATA_VERSION: &str = "1";
/// Version of the shape around it.
pub(super) const METADATA_VERSION: &str = "1";

/// How long before the end of a version the service says that it is near, in seconds: 30 days,
/// which nobody can change.
const NEAR: i64 = 30 * 24 * 60 * 60;

/// As the service writes a time.
const TIME: &[FormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:7]Z");

/// A version that was just made.
#[derive(Debug, Clone, Copy)]
pub(in crate::dev_vault) struct NewVersion<'a> {
    pub(in crate::dev_vault) kind: ObjectKind,
    pub(in crate::dev_vault) name: &'a str,
    pub(in crate::dev_vault) version: &'a str,
    pub(in crate::dev_vault) attributes: Attributes,
}

/// One event.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Event {
    id: String,
    topic: String,
    subject: String,
    data: Value,
    #[serde(rename = "eventType")]
    kind: String,
    #[serde(rename = "eventTime")]
    time: String,
    data_version: &'static str,
    metadata_version: &'static str,
}

impl Event {
    /// What a new version in `vault` brings about: its creation, and its end if that is near or over.
    ///
    /// # Errors
    ///
    /// The operating system has no randomness to give.
    pub(super) fn of(
        new: NewVersion<'_>,
        vault: &Address,
        now: OffsetDateTime,
    ) -> Result<Vec<Self>, getrandom::Error> {
        let NewVersion {
            kind,
            name,
            version,
            attributes,
        } = new;
        let object = match kind {
            ObjectKind::Secret => "Secret",
            ObjectKind::Key => "Key",
            ObjectKind::Certificate => "Certificate",
        };
        let collection = kind.collection();
        let data = json!({
            "Id": format!("{}/{collection}/{name}/{version}", vault.url),
            "VaultName": vault.name.as_str(),
            "ObjectType": object,
            "ObjectName": name,
            "Version": version,
            "NBF": attributes.nbf,
            "EXP": attributes.exp,
        });
        let occasions = ["NewVersionCreated"].into_iter().chain(end(new, now));
        let event = |occasion| {
            let kind = format!("Microsoft.KeyVault.{object}{occasion}");
            Self::new(kind, vault, name, data.clone(), now)
        };
        occasions.map(event).collect()
    }

    /// Asks a receiver whether it wants events. There is no `validationUrl`: nobody can confirm
    /// this subscription but the receiver itself.
    ///
    /// # Errors
    ///
    /// The operating system has no randomness to give.
    pub(super) fn of_validation(
        vault: &Address,
        code: &str,
        now: OffsetDateTime,
    ) -> Result<Self, getrandom::Error> {
        let kind = "Microsoft.EventGrid.SubscriptionValidationEvent".to_owned();
        let data = json!({ "validationCode": code });
        Self::new(kind, vault, "", data, now)
    }

    fn new(
        kind: String,
        vault: &Address,
        subject: &str,
        data: Value,
        now: OffsetDateTime,
    ) -> Result<Self, getrandom::Error> {
        Ok(Self {
            id: random_guid()?,
            topic: vault.name.resource_id(),
            subject: subject.to_owned(),
            data,
            kind,
            time: now.format(TIME).unwrap_or_default(),
            data_version: DATA_VERSION,
            metadata_version: METADATA_VERSION,
        })
    }

    /// Its type.
    pub(super) fn kind(&self) -> &str {
        &self.kind
    }

    /// The name of the object that it is about.
    pub(super) fn name(&self) -> &str {
        &self.subject
    }
}

/// What is to be said about the end of a new version. Whether the end of a key is near is told only
/// by a rotation policy, which no key has here.
fn end(new: NewVersion<'_>, now: OffsetDateTime) -> Option<&'static str> {
    let left = new.attributes.exp?.saturating_sub(now.unix_timestamp());
    match new.kind {
        _ if left <= 0 => Some("Expired"),
        ObjectKind::Secret | ObjectKind::Certificate if left <= NEAR => Some("NearExpiry"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use time::macros::datetime;

    use super::*;
    use crate::dev_vault::VaultName;

    const NOW: OffsetDateTime = datetime!(2026-07-25 01:08:33.103673612 UTC);
    const VERSION: &str = "ee059b2bb5bc48398a53b168c6cdcb10";

    fn vault() -> Address {
        Address {
            name: VaultName::default(),
            url: "https://localhost:8443".to_owned(),
        }
    }

    fn made(kind: ObjectKind, exp: Option<i64>) -> Vec<Value> {
        let attributes = Attributes {
            nbf: Some(1_699_656_798),
            exp,
            ..Attributes::default()
        };
        let new = NewVersion {
            kind,
            name: "NewSecret",
            version: VERSION,
            attributes,
        };
        let events = Event::of(new, &vault(), NOW).expect("randomness");
        let events = events.into_iter().map(serde_json::to_value);
        events.map(|event| event.expect("JSON")).collect()
    }

    fn types(kind: ObjectKind, exp: Option<i64>) -> Vec<String> {
        let events = made(kind, exp);
        let types = events.iter().map(|event| event["eventType"].as_str());
        let types = types.map(|text| text.expect("text").strip_prefix("Microsoft.KeyVault."));
        types
            .map(|text| text.expect("a prefix").to_owned())
            .collect()
    }

    #[test]
    fn an_event_has_the_documented_shape() {
        let mut event = made(ObjectKind::Secret, None).remove(0);
        let id = event["id"].take();
        let parts = id.as_str().expect("text").split('-').map(str::len);
        assert_eq!(parts.collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        assert_eq!(
            event,
            json!({
                "id": null,
                "topic": "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-dev/providers/Microsoft.KeyVault/vaults/embedded",
                "subject": "NewSecret",
                "data": {
                    "Id": format!("https://localhost:8443/secrets/NewSecret/{VERSION}"),
                    "VaultName": "embedded",
                    "ObjectType": "Secret",
                    "ObjectName": "NewSecret",
                    "Version": VERSION,
                    "NBF": 1_699_656_798,
                    "EXP": null,
                },
                "eventType": "Microsoft.KeyVault.SecretNewVersionCreated",
                "eventTime": "2026-07-25T01:08:33.1036736Z",
                "dataVersion": "1",
                "metadataVersion": "1",
            })
        );
    }

    #[test]
    fn each_kind_of_object_has_its_own_words() {
        for (kind, object, collection) in [
            (ObjectKind::Secret, "Secret", "secrets"),
            (ObjectKind::Key, "Key", "keys"),
            (ObjectKind::Certificate, "Certificate", "certificates"),
        ] {
            let event = made(kind, None).remove(0);
            let id = format!("https://localhost:8443/{collection}/NewSecret/{VERSION}");
            assert_eq!(event["data"]["Id"], id);
            assert_eq!(event["data"]["ObjectType"], object);
            assert_eq!(types(kind, None), [format!("{object}NewVersionCreated")]);
        }
    }

    #[test]
    fn an_end_that_is_near_or_over_is_an_event_of_its_own() {
        let now = NOW.unix_timestamp();
        for (exp, end) in [
            (now + NEAR + 1, None),
            (now + NEAR, Some("NearExpiry")),
            (now + 1, Some("NearExpiry")),
            (now, Some("Expired")),
            (i64::MIN, Some("Expired")),
        ] {
            for (kind, object) in [
                (ObjectKind::Secret, "Secret"),
                (ObjectKind::Certificate, "Certificate"),
            ] {
                let created = format!("{object}NewVersionCreated");
                let end = end.map(|end| format!("{object}{end}"));
                let expected: Vec<_> = [created].into_iter().chain(end).collect();
                assert_eq!(types(kind, Some(exp)), expected);
            }
        }
        // Without a rotation policy nobody says when it is near.
        let near = types(ObjectKind::Key, Some(now + 1));
        assert_eq!(near, ["KeyNewVersionCreated"]);
        let over = types(ObjectKind::Key, Some(now));
        assert_eq!(over, ["KeyNewVersionCreated", "KeyExpired"]);
        let events = made(ObjectKind::Secret, Some(now));
        let ids: BTreeSet<_> = events.iter().map(|event| event["id"].as_str()).collect();
        assert_eq!(ids.len(), 2, "each has its own");
        assert_eq!(events[0]["data"], events[1]["data"]);
        assert_eq!(events[1]["data"]["EXP"], now);
    }

    #[test]
    fn a_validation_has_a_code_and_no_address() {
        let event = Event::of_validation(&vault(), "c", NOW).expect("randomness");
        let event = serde_json::to_value(event).expect("JSON");
        assert_eq!(event["data"], json!({"validationCode": "c"}));
        assert_eq!(event["subject"], "");
        let kind = "Microsoft.EventGrid.SubscriptionValidationEvent";
        assert_eq!(event["eventType"], kind);
    }
}
