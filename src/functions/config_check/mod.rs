//! `GET config-check[?strict=true][&freshness=true][&expiry=true][&within=30d][&path=true]
//! [&pretty=true]`: did the Key Vault references resolve, and if not, why? Shows no secret.

mod answer;
mod page;
mod rotation;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{
    body::Bytes,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use time::OffsetDateTime;

use self::answer::Answer;
pub use self::answer::{DATABASE_PASSWORD, EXTERNAL_API_KEY};
use super::{AppState, Shared, query::Query};
use crate::{
    answer::{Problem, json_bytes, line, page as pages},
    host::invocation::defect,
    key_vault::SingleFlight,
    references::ReportOptions,
};

/// What the callers of one moment share: one report for each thing that can be asked about the
/// references. A crowd of callers takes the memory of one report, not of one each.
pub(super) struct Reports {
    of_each_kind: [SingleFlight<Arc<Report>>; 8],
    /// The one that asks no vault, once nothing can change it.
    settled: OnceLock<Arc<Report>>,
}

/// One answer, and how it is shown to everybody who gets it.
struct Report {
    answer: Answer,
    made: OffsetDateTime,
    json: OnceLock<Bytes>,
    page: OnceLock<Bytes>,
}

pub(super) async fn get(
    State(app): State<AppState>,
    request: Request,
) -> Result<Response, Problem> {
    let known = ["strict", "freshness", "expiry", "within", "path"];
    let query = Query::parse(request.uri().query(), &known)?;
    let is_page = pages::is_wanted(request.headers());
    let strict = query.switch("strict")?;
    let within = query.time("within")?;
    let asked_for_expiry = query.switch("expiry")? || within.is_some();
    let options = ReportOptions {
        freshness: query.switch("freshness")?,
        // A person wants to know what breaks next.
        expiry: asked_for_expiry || is_page,
        path: query.switch("path")?,
    };
    let report = app.0.reports.get(&app, options).await?;
    // What a program did not ask for does not make it fail.
    let until =
        asked_for_expiry.then(|| OffsetDateTime::now_utc() + within.unwrap_or(super::MONTH));
    let status = if strict && !report.answer.is_healthy(until) {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    };
    let mut response = if is_page {
        pages::respond(status, report.page(&app.0))
    } else {
        json_bytes(status, report.json())
    };
    let vary = HeaderValue::from_static("Accept");
    response.headers_mut().insert(header::VARY, vary);
    Ok(response)
}

impl Reports {
    pub(super) fn new() -> Self {
        // Findings have a life of their own.
        let shared = |_| SingleFlight::new(|_| Duration::ZERO);
        Self {
            of_each_kind: std::array::from_fn(shared),
            settled: OnceLock::new(),
        }
    }

    async fn get(&self, app: &AppState, options: ReportOptions) -> Result<Arc<Report>, Problem> {
        if options == ReportOptions::default()
            && let Some(settled) = self.settled.get()
        {
            return Ok(settled.clone());
        }
        let ReportOptions {
            freshness,
            expiry,
            path,
        } = options;
        let kind = usize::from(freshness) + 2 * usize::from(expiry) + 4 * usize::from(path);
        let shared = &self.of_each_kind[kind];
        let app = app.clone();
        let report = shared.get(|| async move {
            // Who is ready to ask joins before what is known already has answered.
            tokio::task::yield_now().await;
            app.0.report(options).await
        });
        report.await.ok_or_else(defect)
    }
}

impl Shared {
    async fn report(&self, options: ReportOptions) -> Arc<Report> {
        // Asked before the report is made: what can still change may change meanwhile.
        let asks_no_vault = options == ReportOptions::default();
        let is_settled = self.references.is_settled() && asks_no_vault && !self.rotation.is_on();
        let references = self.references.report(options).await;
        let made = OffsetDateTime::now_utc();
        let report = Arc::new(Report {
            answer: Answer::new(
                &self.references,
                references,
                self.rotation.report(made),
                self.wrong.clone(),
            ),
            made,
            json: OnceLock::new(),
            page: OnceLock::new(),
        });
        if is_settled {
            self.reports.settled.get_or_init(|| report.clone());
        }
        report
    }
}

impl Report {
    fn json(&self) -> Bytes {
        let json = self.json.get_or_init(|| line(&self.answer).into());
        json.clone()
    }

    fn page(&self, app: &Shared) -> Bytes {
        let render = || page::render(&self.answer, app, self.made);
        let page = self.page.get_or_init(render);
        page.clone()
    }
}
