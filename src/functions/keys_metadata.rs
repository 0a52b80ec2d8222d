//! `GET keys/{key_name}[?version=VERSION][&refresh=true][&pretty=true]`: the state of a key and its
//! public properties. The key itself never leaves the vault.

use axum::{
    extract::{Path, RawQuery, State, rejection::PathRejection},
    response::Response,
};

use super::{AppState, metadata};
use crate::{answer::Problem, key_vault::ObjectKind};

pub(super) async fn get(
    State(app): State<AppState>,
    name: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    metadata::answer(&app, ObjectKind::Key, name.ok(), query.as_deref()).await
}
