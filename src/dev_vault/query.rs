//! The query of a request, and lists in pages.

use std::collections::BTreeMap;

use axum::{http::Uri, response::Response};
use serde::Serialize;
use serde_json::json;

use super::refusal::{Refusal, ok};

/// Items on one page, unless fewer are asked for.
const PAGE: usize = 25;
/// What the official clients of the last ten years ask for. For plain secrets there is no
/// difference between these.
const API_VERSIONS: [&str; 14] = [
    "2015-06-01",
    "2016-10-01",
    "7.0",
    "7.1",
    "7.2",
    "7.3",
    "7.4",
    "7.5",
    "7.6-preview.2",
    "7.6",
    "2025-06-01-preview",
    "2025-07-01",
    "2026-03-01-preview",
    "2026-04-01",
];

/// The query of a request, its keys decoded: one client escapes even their hyphens.
pub(super) struct Query {
    api_version: String,
    max_results: usize,
    skip: usize,
    /// As what a secret is wanted.
    pub(super) content_type: Option<String>,
}

impl Query {
    pub(super) fn parse(uri: &Uri) -> Result<Self, Refusal> {
        let pairs: BTreeMap<_, _> =
            form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).collect();
        let number = |key: &str| pairs.get(key).map(|value| value.parse::<usize>());
        let api_version = pairs
            .get("api-version")
            .filter(|version| !version.is_empty())
            .ok_or_else(|| Refusal::bad("The api-version query parameter is required."))?;
        if !API_VERSIONS.contains(&&**api_version) {
            return Err(Refusal::bad(&format!(
                "The specified version ({api_version}) is not recognized. Consider using the latest supported version (2026-04-01)."
            )));
        }
        let max_results = match number("maxresults") {
            None => PAGE,
            Some(Ok(number)) if (1..=PAGE).contains(&number) => number,
            Some(_) => return Err(Refusal::bad("maxresults must be from 1 to 25.")),
        };
        let skip = match number("$skiptoken") {
            None => 0,
            Some(Ok(skip)) => skip,
            Some(Err(_)) => return Err(Refusal::bad("The skip token is invalid.")),
        };
        Ok(Self {
            api_version: api_version.clone().into_owned(),
            max_results,
            skip,
            content_type: pairs.get("outContentType").map(ToString::to_string),
        })
    }

    pub(super) fn page<T, I: Serialize>(
        &self,
        host: &str,
        path: &str,
        all: &[T],
        item: impl Fn(&T) -> I,
    ) -> Response {
        let end = self.skip.saturating_add(self.max_results);
        let next_link = (end < all.len()).then(|| {
            // The service names the default port here.
            let port = if host.contains(':') { "" } else { ":443" };
            let (version, number) = (&self.api_version, self.max_results);
            // The service does not escape the sign either.
            let query = format!("api-version={version}&$skiptoken={end}&maxresults={number}");
            format!("https://{host}{port}/{path}?{query}")
        });
        let value: Vec<_> = all
            .iter()
            .skip(self.skip)
            .take(self.max_results)
            .map(item)
            .collect();
        ok(&json!({ "value": value, "nextLink": next_link }))
    }
}
