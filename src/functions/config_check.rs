//! `GET config-check[?strict=true][&freshness=true][&pretty=true]`: did the Key Vault references resolve,
//! and if not, why? Shows no secret.

use axum::{
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::{App, Shared, page, query::Query};
#[cfg(feature = "openapi")]
use super::{
    contract::{self, Described},
    refusal,
};
use crate::{
    key_vault::error::SettingError,
    problem::{Problem, json_bytes, line},
    references::{Options, ReferenceReport, SettingState, Status},
    settings::names,
};

/// Most characters of a value that are ever shown.
const SHOWN: usize = 4;

/// The recipe's three members, then the references in the settings' order.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ConfigCheck))]
pub(super) struct Answer {
    /// Whether `EXTERNAL_API_KEY` has a value that is not a reference.
    pub(super) external_api_key_set: bool,
    /// Whether `DATABASE_PASSWORD` has a value that is not a reference.
    pub(super) database_password_set: bool,
    /// How `EXTERNAL_API_KEY` begins.
    #[cfg_attr(feature = "openapi", schema(value_type = String, max_length = 7, example = "abcd..."))]
    pub(super) api_key_prefix: Masked,
    /// Every reference of the app, up to 1,000.
    pub(super) references: Vec<ReferenceReport>,
    /// How many references there are besides. Nothing more is known about them.
    #[serde(skip_serializing_if = "is_zero")]
    #[cfg_attr(feature = "openapi", schema(required = false, minimum = 1))]
    pub(super) not_listed: usize,
    /// The handler's own settings that cannot be used; absent if there are none.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<SettingError>, required = false))]
    pub(super) settings: Vec<SettingError>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde hands over")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// What the query asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    strict: bool,
    freshness: bool,
}

/// The answer in JSON, once it is the same for ever.
pub(super) struct Settled {
    body: Bytes,
    is_healthy: bool,
}

pub(super) async fn get(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let asked = Asked::parse(request.uri().query())?;
    let html = prefers_html(request.headers());
    let mut response = match app.0.settled.get() {
        Some(settled) if !html && !asked.freshness => {
            json_bytes(asked.status(settled.is_healthy), settled.body.clone())
        }
        _ => answer(&app.0, &asked, html).await,
    };
    let vary = HeaderValue::from_static("Accept");
    response.headers_mut().insert(header::VARY, vary);
    Ok(response)
}

async fn answer(app: &Shared, asked: &Asked, html: bool) -> Response {
    // Asked before the report is made: what can still change may change meanwhile.
    let is_settled = app.references.is_settled() && !asked.freshness;
    let options = Options {
        freshness: asked.freshness,
    };
    let references = app.references.report(options).await;
    let api_key = app.references.state(names::EXTERNAL_API_KEY);
    let password = app.references.state(names::DATABASE_PASSWORD);
    let is_set = |state: &SettingState<'_>| matches!(state, SettingState::Set(_));
    let answer = Answer {
        external_api_key_set: is_set(&api_key),
        database_password_set: is_set(&password),
        api_key_prefix: match api_key {
            SettingState::Set(value) => Masked::of(value),
            // Nothing of a reference is shown: it is not the secret's prefix.
            SettingState::NotSet | SettingState::Unresolved => Masked::nothing(),
        },
        references,
        not_listed: app.references.not_listed(),
        settings: app.wrong.clone(),
    };
    let is_resolved = |reference: &ReferenceReport| reference.status == Status::Resolved;
    let is_healthy = answer.references.iter().all(is_resolved)
        && answer.not_listed == 0
        && answer.settings.is_empty();
    let status = asked.status(is_healthy);
    if html {
        return page::render(status, &answer);
    }
    let body = Bytes::from(line(&answer));
    if is_settled {
        let body = body.clone();
        app.settled.get_or_init(|| Settled { body, is_healthy });
    }
    json_bytes(status, body)
}

impl Asked {
    fn parse(query: Option<&str>) -> Result<Self, Problem> {
        let query = Query::parse(query, &["strict", "freshness"])?;
        Ok(Self {
            strict: query.switch("strict")?,
            freshness: query.switch("freshness")?,
        })
    }

    fn status(&self, is_healthy: bool) -> StatusCode {
        if self.strict && !is_healthy {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::OK
        }
    }
}

/// For the contract: what can be asked and answered.
#[cfg(feature = "openapi")]
pub(super) fn described() -> Described {
    let strict = "Answer 503 while any reference is not resolved or not listed, or any setting of the handler cannot be used.";
    let freshness = "Compare values with the vault's current ones. Reads values, keeps nothing.";
    Described {
        summary: "Did the Key Vault references resolve, and if not, why not?",
        parameters: vec![
            contract::switch("strict", strict),
            contract::switch("freshness", freshness),
            contract::pretty(),
        ],
        answers: vec![
            (
                StatusCode::OK,
                contract::answer::<Answer>("Every reference of the app and its state.")
                    .content("text/html", contract::text()),
            ),
            (
                StatusCode::SERVICE_UNAVAILABLE,
                contract::answer::<Answer>(
                    "The same, with `strict`: not every reference is resolved and listed, or a setting of the handler cannot be used.",
                )
                .content("text/html", contract::text()),
            ),
        ],
        schemas: contract::schemas::<Answer>(),
        refusals: vec![refusal::not_a_switch("strict")],
    }
}

/// Whether a person is looking: a browser asks for HTML first, a program for JSON or
/// anything. JSON wins a tie.
fn prefers_html(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).into_iter();
    let ranges = accepted
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let (mut html, mut json, mut anything) = (None, None, None);
    for range in ranges {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let quality = parts
            .find_map(|part| part.strip_prefix("q="))
            .map_or(1.0, |quality| quality.parse::<f32>().unwrap_or(0.0));
        let place = match kind.as_str() {
            "text/html" => &mut html,
            "application/json" => &mut json,
            "*/*" => &mut anything,
            _ => continue,
        };
        *place = Some(quality);
    }
    let json = json.or(anything).unwrap_or(0.0);
    html.is_some_and(|html| html > json)
}

/// The beginning of a value: at most four characters and never more than a third of
/// them, then `...`. Values of up to four characters show nothing but `***`.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Masked(String);

impl Masked {
    /// What may be shown of `value`.
    #[must_use]
    pub fn of(value: &SecretString) -> Self {
        let value = value.expose_secret();
        let length = value.chars().count();
        if length <= SHOWN {
            return Self::nothing();
        }
        let shown = value.chars().take(SHOWN.min(length / 3));
        Self(shown.chain("...".chars()).collect())
    }

    fn nothing() -> Self {
        Self("***".to_owned())
    }

    /// The masked text, which may be shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(value: &str) -> String {
        Masked::of(&value.to_owned().into()).0
    }

    #[test]
    fn the_mask_is_the_recipes_with_a_bound() {
        for (value, shown) in [
            ("", "***"),
            ("a", "***"),
            ("abcd", "***"),
            ("abcde", "a..."),
            ("abcdefghijk", "abc..."),
            ("abcdefghijkl", "abcd..."),
            ("sk-abc123def456", "sk-a..."),
        ] {
            assert_eq!(masked(value), shown, "{value}");
        }
    }

    #[test]
    fn the_mask_counts_characters_not_bytes() {
        assert_eq!(masked("äöüß"), "***");
        assert_eq!(masked("äöüßé"), "ä...");
        assert_eq!(masked("日本語日本語日本語日本語"), "日本語日...");
    }

    #[test]
    fn the_mask_never_shows_more_than_a_third() {
        for length in 0..200 {
            let shown = masked(&"x".repeat(length)).replace("...", "");
            let shown = shown.chars().filter(|c| *c == 'x').count();
            assert!(shown <= SHOWN && 3 * shown <= length, "{length}");
        }
    }

    #[test]
    fn html_is_for_who_prefers_it() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for (accept, html) in [
            ("", false),
            ("*/*", false),
            ("application/json", false),
            ("text/html", true),
            (browser, true),
            ("text/html, application/json", false),
            ("text/html;q=0.5, application/json;q=0.4", true),
            ("text/html;q=0", false),
            ("text/html;q=x, */*;q=0.1", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("accept", accept.parse().expect("a value"));
            assert_eq!(prefers_html(&headers), html, "{accept}");
        }
        assert!(!prefers_html(&HeaderMap::new()));
    }
}
