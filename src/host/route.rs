//! Route templates of `function.json`, for instance `secrets/{secret_name}`.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stays as it is inside one segment of a path (RFC 3986, unreserved).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// One function's route below the route prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Parameter(String),
}

/// Why a route template was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// A segment this handler cannot match.
    #[error(
        "the segment {0:?} is not supported: use plain text or one whole {{name}} (no constraint, no `?`, no `*`)"
    )]
    Segment(String),
}

impl Route {
    /// Parses a template; slashes at both ends mean nothing.
    ///
    /// # Errors
    ///
    /// A segment that mixes text and parameter, or carries a constraint (`{id:int}`),
    /// an optional mark (`{id?}`) or a catch-all (`{*path}`).
    pub fn parse(template: &str) -> Result<Self, RouteError> {
        let segments = template
            .split('/')
            .filter(|segment| !segment.is_empty())
            .map(|segment| {
                let name = segment
                    .strip_prefix('{')
                    .and_then(|rest| rest.strip_suffix('}'));
                let is_name = |name: &str| {
                    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                };
                match name {
                    Some(name) if is_name(name) => Ok(Segment::Parameter(name.to_owned())),
                    None if !segment.contains(['{', '}', '?', '#', '%', '*', ':']) => {
                        Ok(Segment::Literal(segment.to_owned()))
                    }
                    _ => Err(RouteError::Segment(segment.to_owned())),
                }
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { segments })
    }

    /// Whether the two are one route under different spellings, their methods left aside.
    #[must_use]
    pub fn collides(&self, other: &Self) -> bool {
        let is_same = |(one, two): (&Segment, &Segment)| match (one, two) {
            (Segment::Literal(one), Segment::Literal(two)) => one.eq_ignore_ascii_case(two),
            (Segment::Parameter(_), Segment::Parameter(_)) => true,
            // A literal wins over a parameter, so these two can live together.
            (Segment::Literal(_), Segment::Parameter(_))
            | (Segment::Parameter(_), Segment::Literal(_)) => false,
        };
        self.segments.len() == other.segments.len()
            && self.segments.iter().zip(&other.segments).all(is_same)
    }

    /// Routes with a smaller one come first where both match: in each segment, from the left, plain
    /// text wins over a parameter.
    pub(super) fn precedence(&self) -> Vec<bool> {
        let segments = self.segments.iter();
        segments
            .map(|segment| matches!(segment, Segment::Parameter(_)))
            .collect()
    }

    /// Whether a request for `/name` is one for this route, if there is no prefix.
    pub(super) fn matches_name(&self, name: &str) -> bool {
        match &self.segments[..] {
            [Segment::Literal(text)] => text.eq_ignore_ascii_case(name),
            [Segment::Parameter(_)] => true,
            _ => false,
        }
    }

    /// Whether it is one parameter and nothing else.
    pub(super) fn is_one_parameter(&self) -> bool {
        matches!(&self.segments[..], [Segment::Parameter(_)])
    }

    /// Whether it is the prefix and nothing else.
    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// The template as axum writes it, below `/{prefix}`.
    #[must_use]
    pub fn pattern(&self, prefix: &str) -> String {
        self.path(prefix, |name| Some(format!("{{{name}}}").into()))
            .unwrap_or_default()
    }

    /// A path that this route matches, its parameters taken from `value`, percent-encoded.
    /// `None` if a parameter has no value.
    #[must_use]
    pub fn fill<'v>(
        &self,
        prefix: &str,
        value: impl Fn(&str) -> Option<Cow<'v, str>>,
    ) -> Option<String> {
        self.path(prefix, |name| {
            let value = value(name).filter(|value| !value.is_empty())?;
            // `.` and `..` are path navigation even when they are data.
            if matches!(&*value, "." | "..") {
                return Some(value.replace('.', "%2E").into());
            }
            Some(utf8_percent_encode(&value, SEGMENT).to_string().into())
        })
    }

    fn path<'v>(
        &self,
        prefix: &str,
        parameter: impl Fn(&str) -> Option<Cow<'v, str>>,
    ) -> Option<String> {
        let mut path = String::new();
        if !prefix.is_empty() {
            path.push('/');
            path.push_str(prefix);
        }
        for segment in &self.segments {
            path.push('/');
            match segment {
                Segment::Literal(text) => path.push_str(text),
                Segment::Parameter(name) => path.push_str(&parameter(name)?),
            }
        }
        Some(path)
    }

    /// The path as the manifests spell it, if `path` belongs to this route by the rules of
    /// the Functions host: letter case of the fixed parts and a trailing slash do not matter.
    /// Borrowed if it has that spelling already.
    #[must_use]
    pub fn canonical<'p>(&self, prefix: &str, path: &'p str) -> Option<Cow<'p, str>> {
        // Bytes: a search for a char is dear for texts that are this short.
        let is_slash = |byte: &u8| *byte == b'/';
        let mut given = path.strip_prefix('/')?.as_bytes().split(is_slash);
        let mut is_canonical = true;
        let mut is = |text: &str, given: &[u8]| {
            let is_equal = text.as_bytes() == given;
            is_canonical &= is_equal;
            is_equal || text.as_bytes().eq_ignore_ascii_case(given)
        };
        if !prefix.is_empty() && !is(prefix, given.next()?) {
            return None;
        }
        let start = given.clone();
        for segment in &self.segments {
            let given = given.next()?;
            match segment {
                Segment::Literal(text) if is(text, given) => {}
                Segment::Parameter(_) if !given.is_empty() => {}
                _ => return None,
            }
        }
        match (given.next(), given.next()) {
            (None, _) if is_canonical => return Some(path.into()),
            (None | Some([]), None) => {}
            _ => return None,
        }
        let parts = self.segments.iter().zip(start);
        let parts = parts.map(|(segment, given)| match segment {
            Segment::Literal(text) => text.as_str(),
            // What is between two slashes is text still.
            Segment::Parameter(_) => std::str::from_utf8(given).unwrap_or_default(),
        });
        let prefix = Some(prefix).filter(|prefix| !prefix.is_empty());
        let mut canonical = String::with_capacity(path.len());
        for part in prefix.into_iter().chain(parts) {
            canonical.push('/');
            canonical.push_str(part);
        }
        Some(canonical.into())
    }
}

impl std::fmt::Display for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, segment) in self.segments.iter().enumerate() {
            let slash = if index == 0 { "" } else { "/" };
            match segment {
                Segment::Literal(text) => write!(f, "{slash}{text}")?,
                Segment::Parameter(name) => write!(f, "{slash}{{{name}}}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> Route {
        Route::parse("secrets/{secret_name}").expect("a route")
    }

    #[test]
    fn parses_and_prints() {
        for template in ["config-check", "secrets/{secret_name}", "a/{b}/c"] {
            let route = Route::parse(template).expect(template);
            assert_eq!(route.to_string(), template);
            assert_eq!(route.pattern("api"), format!("/api/{template}"));
        }
        assert_eq!(
            Route::parse("/x/").expect("a route").pattern("api"),
            "/api/x"
        );
    }

    #[test]
    fn what_it_cannot_match_is_refused() {
        for template in ["{id:int}", "{id?}", "{*path}", "a{b}", "{}", "a%20b", "x?y"] {
            assert!(Route::parse(template).is_err(), "{template}");
        }
    }

    #[test]
    fn filling_encodes_whatever_could_leave_the_segment() {
        let fill = |value: &'static str| secrets().fill("api", |_| Some(value.into()));
        assert_eq!(fill("Ab-1").as_deref(), Some("/api/secrets/Ab-1"));
        assert_eq!(fill("../x").as_deref(), Some("/api/secrets/..%2Fx"));
        assert_eq!(fill("..").as_deref(), Some("/api/secrets/%2E%2E"));
        assert_eq!(
            fill("a?b#c d").as_deref(),
            Some("/api/secrets/a%3Fb%23c%20d")
        );
        assert_eq!(fill(""), None);
        assert_eq!(secrets().fill("api", |_| None), None);
    }

    #[test]
    fn case_and_trailing_slash_do_not_matter() {
        let canonical = |path| secrets().canonical("api", path);
        for path in ["/api/secrets/Ab", "/API/Secrets/Ab", "/api/secrets/Ab/"] {
            assert_eq!(
                canonical(path).as_deref(),
                Some("/api/secrets/Ab"),
                "{path}"
            );
        }
        for path in [
            "/api/secrets",
            "/api/secrets/",
            "/api/secrets/a/b",
            "/secrets/a",
            "",
        ] {
            assert_eq!(canonical(path), None, "{path}");
        }
    }
}
