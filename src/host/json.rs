//! JSON that is read without copying it.

use std::{borrow::Cow, fmt, marker::PhantomData, ops::Deref};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};

/// A string; borrowed unless it holds escapes.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// An object in its own order; for a handful of members, faster than a map.
#[derive(Debug)]
pub(super) struct Pairs<'a, V>(Vec<(Text<'a>, V)>);

impl<V> Pairs<'_, V> {
    /// The member called `name`; the last one if there are several.
    pub(super) fn get(&self, name: &str) -> Option<&V> {
        let mut found = self.iter().filter(|(key, _)| *key == name);
        found.next_back().map(|(_, value)| value)
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, &V)> {
        self.0.iter().map(|(key, value)| (&**key, value))
    }
}

impl<'de: 'a, 'a, V: Deserialize<'de>> Deserialize<'de> for Pairs<'a, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<'a, V>(PhantomData<Pairs<'a, V>>);

        impl<'de: 'a, 'a, V: Deserialize<'de>> Visitor<'de> for Members<'a, V> {
            type Value = Pairs<'a, V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(Members(PhantomData))
    }
}

/// One string, or an array of strings.
#[derive(Debug)]
pub(super) enum Texts<'a> {
    One(Text<'a>),
    Many(Vec<Text<'a>>),
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

impl<'de: 'a, 'a> Deserialize<'de> for Texts<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany<'a>(PhantomData<Texts<'a>>);

        impl<'de: 'a, 'a> Visitor<'de> for OneOrMany<'a> {
            type Value = Texts<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an array of strings")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Texts::One(Text(text.into())))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Texts::One(Text(text.to_owned().into())))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut texts: A) -> Result<Self::Value, A::Error> {
                let mut many = Vec::new();
                while let Some(text) = texts.next_element()? {
                    many.push(text);
                }
                Ok(Texts::Many(many))
            }
        }

        deserializer.deserialize_any(OneOrMany(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_borrowed_unless_they_hold_escapes() {
        let json = r#"{"a": "plain", "b": ["x", "\u0079"], "\u0061": "last"}"#;
        let pairs: Pairs<'_, Texts<'_>> = serde_json::from_str(json).expect("pairs");
        let texts = |name| pairs.get(name).expect(name).iter().collect::<Vec<_>>();
        assert_eq!(texts("a"), ["last"]);
        assert_eq!(texts("b"), ["x", "y"]);
        let Texts::Many(many) = pairs.get("b").expect("b") else {
            panic!("one text");
        };
        assert!(matches!(many[0].0, Cow::Borrowed(_)));
        assert!(matches!(many[1].0, Cow::Owned(_)));
        assert!(pairs.get("c").is_none());
    }

    #[test]
    fn other_shapes_are_refused() {
        for json in ["[]", "1", r#"{"a": 1}"#, r#"{"a": [1]}"#, r#"{"a": {}}"#] {
            assert!(
                serde_json::from_str::<Pairs<'_, Texts<'_>>>(json).is_err(),
                "{json}"
            );
        }
    }
}
