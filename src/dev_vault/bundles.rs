//! Secrets as JSON.

use std::collections::BTreeMap;

use serde::Serialize;

use super::store::{Attributes, Deleted, Version};

/// How long a deleted secret can be recovered, in seconds: the service's default, 90 days.
const RETENTION: i64 = 90 * 24 * 60 * 60;

/// A secret without its value. Unset members are left out, as in the service.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Item {
    id: String,
    attributes: AllAttributes,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AllAttributes {
    #[serde(flatten)]
    own: Attributes,
    created: i64,
    updated: i64,
    recovery_level: &'static str,
    recoverable_days: u8,
}

/// A secret with its value.
#[derive(Serialize)]
pub(super) struct Bundle<'a> {
    pub(super) value: &'a str,
    #[serde(flatten)]
    pub(super) item: Item,
}

/// A secret that can be recovered.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeletedBundle {
    recovery_id: String,
    deleted_date: i64,
    scheduled_purge_date: i64,
    #[serde(flatten)]
    item: Item,
}

impl Item {
    pub(super) fn of_version(host: &str, name: &str, version: &Version) -> Self {
        let mut item = Self::of_secret(host, name, version);
        item.id = format!("{}/{}", item.id, version.id);
        item
    }

    pub(super) fn of_secret(host: &str, name: &str, version: &Version) -> Self {
        Self {
            id: format!("https://{host}/secrets/{name}"),
            attributes: AllAttributes {
                own: version.attributes,
                created: version.created,
                updated: version.updated,
                recovery_level: "Recoverable+Purgeable",
                recoverable_days: 90,
            },
            tags: version.tags.clone(),
            content_type: version.content_type.clone(),
        }
    }
}

impl DeletedBundle {
    pub(super) fn of_version(host: &str, deleted: &Deleted) -> Self {
        Self {
            recovery_id: format!("https://{host}/deletedsecrets/{}", deleted.name),
            deleted_date: deleted.at,
            scheduled_purge_date: deleted.at + RETENTION,
            item: Item::of_version(host, &deleted.name, &deleted.latest),
        }
    }

    pub(super) fn of_secret(host: &str, deleted: &Deleted) -> Self {
        Self {
            item: Item::of_secret(host, &deleted.name, &deleted.latest),
            ..Self::of_version(host, deleted)
        }
    }
}
