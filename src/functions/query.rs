//! The parameters of a request's query that a function knows, each given at most once.

use std::borrow::Cow;

use axum::http::StatusCode;

use super::refusal;
use crate::{answer::Problem, host::pretty};

/// What was given of the parameters that a function knows.
pub(super) struct Query<'a>(Vec<(&'static str, Cow<'a, str>)>);

impl<'a> Query<'a> {
    /// Reads the parameters called `known` from `text`. Others, such as `code`, pass by. Letter case
    /// of the names does not matter, as in the Functions host.
    ///
    /// # Errors
    ///
    /// `pretty` that is no switch, and a parameter that is given twice. The host joins repeated
    /// ones with a comma in envelopes and when it forwards, so a comma is the same refusal: the
    /// answer must not depend on the mode.
    pub(super) fn parse(text: Option<&'a str>, known: &[&'static str]) -> Result<Self, Problem> {
        let mut given: Vec<(&'static str, Cow<'a, str>)> = Vec::new();
        let known = || known.iter().chain([&pretty::NAME]);
        for (key, value) in form_urlencoded::parse(text.unwrap_or_default().as_bytes()) {
            let Some(name) = known().find(|name| name.eq_ignore_ascii_case(&key)) else {
                continue;
            };
            let is_repeated = given.iter().any(|(before, _)| before == name);
            if is_repeated || value.contains(',') {
                return Err(repeated(name));
            }
            given.push((name, value));
        }
        let query = Self(given);
        // The host room indents the answer.
        query.switch(pretty::NAME)?;
        Ok(query)
    }

    /// The value of `name`, which may be empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let given = self.0.iter().find(|(given, _)| *given == name);
        given.map(|(_, value)| &**value)
    }

    /// `?name=true`; false if it is not given.
    ///
    /// # Errors
    ///
    /// Another word than `true` and `false`, in words or digits.
    pub(super) fn switch(&self, name: &str) -> Result<bool, Problem> {
        match self.text(name).map(str::to_ascii_lowercase).as_deref() {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(_) => Err(refusal::not_a_switch(name)),
        }
    }
}

/// The code is the one of [`refusal::not_a_switch`].
fn repeated(name: &str) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "InvalidQuery",
        format!("{name} takes one value."),
        format!("Give ?{name}= once, with one value."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["strict", "version"];

    fn given(text: &str) -> Option<(bool, Option<String>)> {
        let query = Query::parse(Some(text), KNOWN).ok()?;
        let version = query.text("version").map(str::to_owned);
        Some((query.switch("strict").ok()?, version))
    }

    #[test]
    fn a_switch_is_true_or_false() {
        for (text, is_on) in [
            ("", false),
            ("strict=true", true),
            ("strict=1&code=x", true),
            ("STRICT=True", true),
            ("strict=FALSE", false),
            ("strict=0", false),
            ("other=true", false),
        ] {
            assert_eq!(given(text), Some((is_on, None)), "{text}");
        }
        for text in ["strict", "strict=", "strict=yes", "strict=%20true"] {
            assert_eq!(given(text), None, "{text}");
        }
    }

    #[test]
    fn a_text_may_be_empty() {
        assert_eq!(given("version="), Some((false, Some(String::new()))));
        let decoded = Some((false, Some("a b".to_owned())));
        assert_eq!(given("version=a%20b&code=%2C"), decoded);
        assert!(Query::parse(None, KNOWN).is_ok_and(|query| query.text("version").is_none()));
    }

    #[test]
    fn what_is_given_twice_is_refused_joined_or_not() {
        for text in [
            "strict=true&strict=true",
            "strict=true&version=x&STRICT=false",
            "strict=true,false",
            "strict=true%2Cfalse",
            "version=&version=",
            "version=,",
        ] {
            let refused = Query::parse(Some(text), KNOWN).err();
            assert_eq!(refused.map(|refused| refused.code()), Some("InvalidQuery"));
        }
        assert!(given("code=a&code=b&code=a,b").is_some());
    }
}
