//! The parameters of a request's query that a function knows, each given at most once.

use std::{borrow::Cow, time::Duration};

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

    /// `?name=36h`, `30d` or `8w`; nothing if it is not given.
    ///
    /// # Errors
    ///
    /// No such time, or more than 400 days.
    pub(super) fn time(&self, name: &str) -> Result<Option<Duration>, Problem> {
        match self.text(name) {
            None => Ok(None),
            Some(text) => match parse_time(text) {
                Some(time) => Ok(Some(time)),
                None => Err(refusal::not_a_time(name)),
            },
        }
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

/// A number of hours, days or weeks, such as `36h`, `30d` or `8w`; 400 days at most.
#[must_use]
pub fn parse_time(text: &str) -> Option<Duration> {
    const HOUR: u64 = 3_600;
    const LONGEST: Duration = Duration::from_secs(400 * 24 * HOUR);
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let hours = match unit {
        "h" => 1,
        "d" => 24,
        "w" => 7 * 24,
        _ => return None,
    };
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = is_number.then(|| number.parse().ok())??;
    let time = number.checked_mul(hours * HOUR).map(Duration::from_secs);
    time.filter(|time| *time <= LONGEST)
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
    fn a_time_is_a_number_of_hours_days_or_weeks() {
        let time = |text: &str| {
            let text = format!("within={text}");
            let query = Query::parse(Some(&text), &["within"]).ok()?;
            query
                .time("within")
                .ok()
                .flatten()
                .map(|time| time.as_secs() / 3_600)
        };
        for (text, hours) in [
            ("36h", 36),
            ("30d", 720),
            ("8w", 1_344),
            ("0d", 0),
            ("400d", 9_600),
        ] {
            assert_eq!(time(text), Some(hours), "{text}");
        }
        for text in [
            "",
            "d",
            "30",
            "30m",
            "-1d",
            "%2B1d",
            "1.5d",
            "401d",
            "1d ",
            "99999999999999999999w",
            "9%C3%A9",
        ] {
            assert_eq!(time(text), None, "{text}");
        }
        let query = Query::parse(None, &["within"]).ok();
        assert!(query.is_some_and(|query| query.time("within").is_ok_and(|time| time.is_none())));
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
