//! What Resource Manager says about the app's references.
//! Source: the specification of `Microsoft.Web`, and answers that were published.

use serde::Deserialize;
use serde_json::Value;

use crate::key_vault::ObjectVersion;

/// Most references of an answer.
const REFERENCES_LIMIT: usize = 2_000;
/// Longest text that is kept.
const TEXT_LIMIT: usize = 256;

/// One reference, as the platform knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigReference {
    /// Name of the app setting.
    pub setting: String,
    /// The platform's status; letters and digits only.
    pub status: Option<String>,
    /// The version of the secret that is in effect, if that is known.
    pub active_version: Option<ObjectVersion>,
}

/// One page.
pub(super) struct Page {
    pub(super) references: Vec<ConfigReference>,
    pub(super) next: Option<String>,
}

/// Reads a page; nothing if it is none. Of what is not known, nothing is kept.
pub(super) fn page(body: &[u8]) -> Option<Page> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        value: Vec<Value>,
        #[serde(default)]
        next_link: Option<String>,
    }
    let answer: Answer = serde_json::from_slice(body).ok()?;
    let references = answer.value.iter().take(REFERENCES_LIMIT);
    Some(Page {
        references: references.filter_map(reference).collect(),
        next: answer.next_link.filter(|next| !next.is_empty()),
    })
}

/// One reference; nothing if nobody could say whose it is.
fn reference(item: &Value) -> Option<ConfigReference> {
    let text = |name: &str| item["properties"][name].as_str();
    let is_word =
        |text: &&str| text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    Some(ConfigReference {
        setting: item["name"].as_str()?.chars().take(TEXT_LIMIT).collect(),
        status: text("status").filter(is_word).map(str::to_owned),
        active_version: text("activeVersion").and_then(|text| ObjectVersion::parse(text).ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_whatever_else_is_in_it() {
        let body = r#"{"id":null,"nextLink":null,"value":[
            {"id":"x","location":"Sweden Central","name":"A","properties":{
                "activeVersion":"EE059b2bb5bc48398a53b168c6cdcb10","details":"canary",
                "identityType":{"type":"SystemAssigned"},"status":"Resolved","vaultName":"kv"}},
            {"name":"B","properties":{"activeVersion":null,"status":"Access denied"}},
            7, {"name":null}, {"name":"D","properties":"canary"},
            {"name":"C"}]}"#;
        let page = page(body.as_bytes()).expect("a page");
        assert_eq!(page.next, None);
        let [a, b, d, c] = &page.references[..] else {
            panic!("{:?}", page.references)
        };
        let version = a.active_version.as_ref().map(ObjectVersion::as_str);
        assert_eq!(version, Some("ee059b2bb5bc48398a53b168c6cdcb10"));
        assert_eq!(a.status.as_deref(), Some("Resolved"));
        assert_eq!((&b.status, &b.active_version), (&None, &None));
        assert_eq!((d.setting.as_str(), &d.status), ("D", &None));
        assert_eq!(c.setting, "C");
        assert!(super::page(b"<html>").is_none());
        assert!(super::page(b"{}").is_none());
    }
}
