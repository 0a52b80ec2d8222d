//! JSON that is read without copying what holds no escapes.

use std::{
    borrow::{Borrow, Cow},
    collections::BTreeMap,
    ops::Deref,
};

use serde::Deserialize;

/// A string; borrowed unless it holds escapes.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// An object. Of members with the same name, the last one counts.
pub(super) type Object<'a, V> = BTreeMap<Text<'a>, V>;

/// One string, or an array of strings.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Texts<'a> {
    One(#[serde(borrow)] Text<'a>),
    Many(#[serde(borrow)] Vec<Text<'a>>),
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Text<'_> {
    fn borrow(&self) -> &str {
        self
    }
}

impl Texts<'_> {
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        let texts = match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        };
        texts.iter().map(|text| &**text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_borrowed_unless_they_hold_escapes() {
        let json = r#"{"a": "plain", "b": ["x", "\u0079"], "\u0061": "last"}"#;
        let object: Object<'_, Texts<'_>> = serde_json::from_str(json).expect("an object");
        let texts = |name| object.get(name).expect(name).iter().collect::<Vec<_>>();
        assert_eq!(texts("a"), ["last"]);
        assert_eq!(texts("b"), ["x", "y"]);
        let Texts::Many(many) = object.get("b").expect("b") else {
            panic!("one text");
        };
        assert!(matches!(many[0].0, Cow::Borrowed(_)));
        assert!(matches!(many[1].0, Cow::Owned(_)));
        assert!(!object.contains_key("c"));
    }

    #[test]
    fn other_shapes_are_refused() {
        for json in ["[]", "1", r#"{"a": 1}"#, r#"{"a": [1]}"#, r#"{"a": {}}"#] {
            assert!(
                serde_json::from_str::<Object<'_, Texts<'_>>>(json).is_err(),
                "{json}"
            );
        }
    }
}
