//! `GET config-check[?strict=true][&freshness=true][&pretty=true]`: did the Key Vault references resolve,
//! and if not, why? Shows no secret.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use serde::Serialize;

use super::{AppState, Shared, page, query::Query};
use crate::{
    answer::{Problem, json_bytes, line},
    host::invocation::defect,
    key_vault::error::SettingError,
    references::{
        Masked, ReferenceReport, ReportOptions, SettingState, Status, single_flight::SingleFlight,
    },
    settings::names,
};

/// The recipe's three members, then the references in the settings' order.
#[derive(Serialize)]
pub(super) struct Answer {
    /// Whether `EXTERNAL_API_KEY` has a value that is not a reference.
    pub(super) external_api_key_set: bool,
    /// Whether `DATABASE_PASSWORD` has a value that is not a reference.
    pub(super) database_password_set: bool,
    /// How `EXTERNAL_API_KEY` begins.
    pub(super) api_key_prefix: Masked,
    /// Every reference of the app, up to 1,000.
    pub(super) references: Vec<ReferenceReport>,
    /// How many references there are besides. Nothing more is known about them.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) not_listed: usize,
    /// The handler's own settings that cannot be used; absent if there are none.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
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

/// One answer and how it is shown, for everybody who gets it.
pub(super) struct Report {
    answer: Answer,
    is_healthy: bool,
    json: OnceLock<Bytes>,
    page: OnceLock<Bytes>,
}

/// What callers of one moment share: one report for each thing that can be asked about the
/// references. A crowd of callers takes the memory of one report, not of one each.
pub(super) struct Reports {
    plain: SingleFlight<Arc<Report>>,
    compared: SingleFlight<Arc<Report>>,
}

pub(super) async fn get(
    State(app): State<AppState>,
    request: Request,
) -> Result<Response, Problem> {
    let asked = Asked::parse(request.uri().query())?;
    let html = prefers_html(request.headers());
    let mut response = match app.0.settled.get() {
        Some(settled) if !asked.freshness => settled.show(&asked, html),
        _ => app.report(asked.freshness).await?.show(&asked, html),
    };
    let vary = HeaderValue::from_static("Accept");
    response.headers_mut().insert(header::VARY, vary);
    Ok(response)
}

impl AppState {
    /// The report that callers of this moment share.
    async fn report(&self, freshness: bool) -> Result<Arc<Report>, Problem> {
        let reports = &self.0.reports;
        let shared = if freshness {
            &reports.compared
        } else {
            &reports.plain
        };
        let app = self.clone();
        let report = shared.get(|| async move {
            // Who is ready to ask joins before what is known already has answered.
            tokio::task::yield_now().await;
            app.0.report(ReportOptions { freshness }).await
        });
        report.await.ok_or_else(defect)
    }
}

impl Shared {
    async fn report(&self, options: ReportOptions) -> Arc<Report> {
        // Asked before the report is made: what can still change may change meanwhile.
        let is_settled = self.references.is_settled() && !options.freshness;
        let references = self.references.report(options).await;
        let api_key = self.references.state(names::EXTERNAL_API_KEY);
        let password = self.references.state(names::DATABASE_PASSWORD);
        let answer = Answer {
            external_api_key_set: matches!(api_key, SettingState::Set(_)),
            database_password_set: matches!(password, SettingState::Set(_)),
            api_key_prefix: match api_key {
                SettingState::Set(value) => value.masked().clone(),
                // Nothing of a reference is shown: it is not the secret's prefix.
                SettingState::NotSet | SettingState::Unresolved => Masked::nothing(),
            },
            references,
            not_listed: self.references.not_listed(),
            settings: self.wrong.clone(),
        };
        let report = Arc::new(Report::new(answer));
        if is_settled {
            self.settled.get_or_init(|| report.clone());
        }
        report
    }
}

impl Reports {
    pub(super) fn new() -> Self {
        // Findings have a life of their own.
        let shared = || SingleFlight::new(|_| Duration::ZERO);
        Self {
            plain: shared(),
            compared: shared(),
        }
    }
}

impl Report {
    fn new(answer: Answer) -> Self {
        let is_resolved = |reference: &ReferenceReport| reference.status == Status::Resolved;
        let is_healthy = answer.references.iter().all(is_resolved)
            && answer.not_listed == 0
            && answer.settings.is_empty();
        Self {
            answer,
            is_healthy,
            json: OnceLock::new(),
            page: OnceLock::new(),
        }
    }

    fn show(&self, asked: &Asked, html: bool) -> Response {
        let status = asked.status(self.is_healthy);
        if html {
            let page = self.page.get_or_init(|| page::render(&self.answer));
            return page::respond(status, page.clone());
        }
        let json = self.json.get_or_init(|| line(&self.answer).into());
        json_bytes(status, json.clone())
    }
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

#[cfg(test)]
mod tests {
    use super::*;

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
