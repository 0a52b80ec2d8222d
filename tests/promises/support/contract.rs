//! `docs/openapi.json` as a measure of answers: each may have only what the document lists, and
//! what it has is told, so that a test can ask for the rest.

use std::{collections::BTreeSet, fs, sync::LazyLock};

use serde_json::{Map, Value};

use super::{Answer, repository};

pub(crate) struct Contract(Value);

/// What the document says, as far as an answer can show it: `config-check 200 vary`,
/// `Problem.fix`, `Status=Resolved`.
pub(crate) type Facts = BTreeSet<String>;

impl Contract {
    pub(crate) fn read() -> &'static Self {
        static DOCUMENT: LazyLock<Contract> = LazyLock::new(|| {
            let text = fs::read_to_string(repository().join("docs/openapi.json"));
            Contract(serde_json::from_str(&text.expect("the document")).expect("JSON"))
        });
        &DOCUMENT
    }

    pub(crate) fn document(&self) -> &Value {
        &self.0
    }

    pub(crate) fn paths(&self) -> &Map<String, Value> {
        self.0["paths"].as_object().expect("paths")
    }

    /// The documented path that a request for `path` belongs to.
    pub(crate) fn path_of(&self, path: &str) -> Option<&str> {
        let fits = |(known, given): (&str, &str)| {
            let is_parameter = known.starts_with('{') && !given.is_empty();
            is_parameter || known.eq_ignore_ascii_case(given)
        };
        let has_route = |known: &&String| {
            known.split('/').count() == path.split('/').count()
                && known.split('/').zip(path.split('/')).all(fits)
        };
        self.paths().keys().find(has_route).map(String::as_str)
    }

    /// What is behind a `$ref`, and its name.
    pub(crate) fn resolve<'a>(&'a self, value: &'a Value) -> (Option<&'a str>, &'a Value) {
        let Some(reference) = value["$ref"].as_str() else {
            return (None, value);
        };
        let pointer = reference.strip_prefix('#').expect("this document");
        let target = self.0.pointer(pointer);
        let name = reference.rsplit('/').next();
        (name, target.unwrap_or_else(|| panic!("no {reference}")))
    }

    /// Everything that the document says about answers.
    pub(crate) fn facts(&self) -> Facts {
        let mut facts = Facts::new();
        let operations = self.paths().values().filter_map(Value::as_object);
        for operation in operations.flat_map(Map::values) {
            let responses = operation["responses"].as_object().expect("responses");
            for (status, response) in responses {
                let at = at(operation, status);
                let response = self.resolve(response).1;
                for (name, header) in object(&response["headers"]) {
                    let at = format!("{at} {}", name.to_lowercase());
                    self.walk(&at, &self.resolve(header).1["schema"], None, &mut facts);
                    facts.insert(at);
                }
                for (kind, content) in object(&response["content"]) {
                    let at = format!("{at} {kind}");
                    self.walk(&at, &content["schema"], None, &mut facts);
                    facts.insert(at);
                }
                facts.extend(codes(response).map(|code| format!("{at} {code}")));
                facts.insert(at);
            }
        }
        facts
    }

    /// What `answer` to a request for the documented `path` shows.
    ///
    /// # Panics
    ///
    /// If it has anything that the document does not list, or lacks what must be there.
    pub(crate) fn check(&self, method: &str, path: &str, answer: &Answer) -> Facts {
        let item = self.paths()[path].as_object().expect("methods");
        // Another method is refused by the route, for all that it answers.
        let operation = item.get(&method.to_lowercase());
        let operation = operation.or(item.values().next()).expect("a method");
        let status = answer.status.to_string();
        let at = at(operation, &status);
        let response = operation["responses"].get(&status);
        let response = response.unwrap_or_else(|| panic!("{at} is not documented: {answer:?}"));
        let response = self.resolve(response).1;
        let mut facts = Facts::from([at.clone()]);
        self.check_headers(&at, response, answer, &mut facts);
        let kind = answer.header("content-type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default();
        let contents: Vec<_> = object(&response["content"]).collect();
        // A browser without a key gets a page, and everybody else an empty answer.
        let may_be_empty = contents.is_empty() || (answer.status == 401 && kind.is_empty());
        if may_be_empty {
            assert_eq!((kind, answer.body.as_str()), ("", ""), "{at}: {answer:?}");
            return facts;
        }
        let content = contents.iter().find(|(known, _)| *known == kind);
        let (_, content) = content.unwrap_or_else(|| panic!("{at} {kind}: not documented"));
        let body = match kind {
            "application/json" => answer.json(),
            _ => answer.body.clone().into(),
        };
        let shown = format!("{at} {kind}");
        self.walk(&shown, &content["schema"], Some(&body), &mut facts);
        facts.insert(shown);
        let is_refusal = self.resolve(&content["schema"]).0 == Some("Problem");
        if let (true, Some(code)) = (is_refusal, body["code"].as_str()) {
            let is_listed = codes(response).any(|listed| listed == code);
            assert!(is_listed, "{at} {code}: not documented");
            facts.insert(format!("{at} {code}"));
        }
        facts
    }

    fn check_headers(&self, at: &str, response: &Value, answer: &Answer, facts: &mut Facts) {
        let documented: Vec<_> = object(&response["headers"])
            .map(|(name, header)| (name.to_lowercase(), self.resolve(header).1))
            .collect();
        for (name, header) in &documented {
            let is_missing = answer.header(name).is_none();
            let is_required = header["required"] == true;
            assert!(
                !(is_missing && is_required),
                "{at} {name}: missing in {answer:?}"
            );
        }
        let own = answer
            .headers
            .iter()
            .filter(|(name, _)| name != "content-type");
        for (name, value) in own {
            let at = format!("{at} {name}");
            let header = documented.iter().find(|(known, _)| known == name);
            let (_, header) = header.unwrap_or_else(|| panic!("{at}: not documented"));
            let schema = &header["schema"];
            let value = match schema["type"].as_str() {
                Some("integer") => serde_json::from_str(value).expect("a number"),
                _ => Value::from(value.as_str()),
            };
            self.walk(&at, schema, Some(&value), facts);
            facts.insert(at);
        }
    }

    /// Notes what `value` shows of `schema`, or what can be shown of it at all.
    fn walk(&self, at: &str, schema: &Value, value: Option<&Value>, facts: &mut Facts) {
        let (name, schema) = self.resolve(schema);
        let at = name.unwrap_or(at);
        if let Some(value) = value {
            let is_expected = types(schema).any(|name| is_of_type(name, value));
            assert!(is_expected, "{at} is not {}: {value}", schema["type"]);
        }
        if let Some(listed) = schema["enum"].as_array() {
            assert!(
                value.is_none_or(|value| listed.contains(value)),
                "{at}={value:?}"
            );
            let shown = listed.iter().filter(|one| value.is_none_or(|v| v == *one));
            facts.extend(shown.map(|one| format!("{at}={}", one.as_str().unwrap_or("?"))));
        }
        let is_array = types(schema).any(|name| name == "array");
        assert_eq!(is_array, schema.get("items").is_some(), "{at}");
        if let Some(schema) = schema.get("items")
            && value != Some(&Value::Null)
        {
            let items = value.map(|value| value.as_array().expect("an array"));
            for item in each(items.map(|items| items.iter())) {
                let at = format!("{at}[]");
                self.walk(&at, schema, item, facts);
                facts.insert(at);
            }
        }
        if let Some(schema) = schema.get("additionalProperties") {
            let members = value.map(|value| value.as_object().expect("an object"));
            for member in each(members.map(Map::values)) {
                let at = format!("{at}.*");
                self.walk(&at, schema, member, facts);
                facts.insert(at);
            }
            return;
        }
        let properties: Vec<_> = object(&schema["properties"]).collect();
        for (member, _) in value.into_iter().flat_map(object) {
            let is_listed = properties.iter().any(|(listed, _)| *listed == member);
            assert!(is_listed, "{at}.{member}: not documented");
        }
        let required = schema["required"].as_array();
        for (member, schema) in properties {
            let is_required = required.is_some_and(|all| all.iter().any(|one| *one == member));
            let at = format!("{at}.{member}");
            let given = value.map(|value| value.get(member));
            if !is_required && given.is_none_or(|given| given.is_none()) {
                facts.insert(format!("{at} left out"));
            }
            if let Some(None) = given {
                assert!(!is_required, "{at}: missing in {value:?}");
                continue;
            }
            self.walk(&at, schema, given.flatten(), facts);
            facts.insert(at);
        }
    }
}

/// The codes that a text names in backticks. Names of parameters begin in lower case.
pub(crate) fn codes(described: &Value) -> impl Iterator<Item = &str> {
    let text = described["description"].as_str().expect("a description");
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter(|word| {
        word.starts_with(|c: char| c.is_ascii_uppercase())
            && word.bytes().all(|byte| byte.is_ascii_alphabetic())
    })
}

fn at(operation: &Value, status: &str) -> String {
    let name = operation["operationId"].as_str().expect("a name");
    format!("{name} {status}")
}

/// The members of an object, of which there are none elsewhere.
fn object(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let members = value.as_object().into_iter().flatten();
    members.map(|(name, value)| (name.as_str(), value))
}

/// Each of what is there, or once nothing, for a schema alone.
fn each<'a>(
    values: Option<impl Iterator<Item = &'a Value>>,
) -> impl Iterator<Item = Option<&'a Value>> {
    let alone = values.is_none().then_some(None);
    values.into_iter().flatten().map(Some).chain(alone)
}

fn types(schema: &Value) -> impl Iterator<Item = &str> {
    let several = schema["type"].as_array().into_iter().flatten();
    let one = schema.get("type").filter(|one| one.is_string());
    several.chain(one).filter_map(Value::as_str)
}

fn is_of_type(name: &str, value: &Value) -> bool {
    match name {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        other => panic!("no schema here is {other}"),
    }
}
