//! The contract of the functions (`OpenAPI`): what can be asked, and every answer and refusal.
//!
//! Paths, methods and auth levels come from the manifests, shapes from the types that are sent,
//! refusals from where they are made, so that none of it is written twice. Nothing serves it:
//! `docs/openapi.json` is this document, and a test keeps it so.

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode, header};
use serde_json::json;
use utoipa::{
    ToSchema,
    openapi::{
        ComponentsBuilder, Content, ContentBuilder, Header, HttpMethod, InfoBuilder, License,
        ObjectBuilder, OneOfBuilder, OpenApi, OpenApiBuilder, PathItem, PathsBuilder, Ref, RefOr,
        Required, Response, ResponseBuilder, Schema, SecurityRequirement, Type,
        example::ExampleBuilder,
        header::HeaderBuilder,
        path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn},
        schema::AllOfBuilder,
        security::{ApiKey, ApiKeyValue, SecurityScheme},
    },
};

use super::{config_check, secrets_metadata};
use crate::{
    answer::Problem,
    host::{
        authorization::AuthLevel,
        manifest::{FunctionManifest, Manifest},
        pretty, router,
    },
};

const JSON: &str = "application/json";
/// The two ways to present a key, by their names in the document.
const KEY_HEADER: &str = "x-functions-key";
const KEY_QUERY: &str = "code";

type Schemas = Vec<(String, RefOr<Schema>)>;

/// What a function adds to what its manifest says.
#[derive(Default)]
pub(super) struct Described {
    pub(super) summary: &'static str,
    pub(super) parameters: Vec<Parameter>,
    pub(super) answers: Vec<(StatusCode, ResponseBuilder)>,
    pub(super) schemas: Schemas,
    pub(super) refusals: Vec<Problem>,
}

/// A function without a description still has what the manifest and the host say.
fn described(function: &str) -> Described {
    match function {
        "config-check" => config_check::described(),
        "secrets-metadata" => secrets_metadata::described(),
        _ => Described::default(),
    }
}

/// The document of the functions that `manifest` lists.
#[must_use]
pub fn document(manifest: &Manifest) -> OpenApi {
    let mut paths = PathsBuilder::new();
    let mut schemas = schemas::<Problem>();
    for (name, function) in &manifest.functions {
        let mut described = described(name);
        schemas.append(&mut described.schemas);
        let path = function.route.pattern(&manifest.route_prefix);
        if path.contains('{') {
            // An empty parameter is a path of no function.
            described.refusals.push(router::no_route(manifest));
        }
        let methods = function.methods.iter().filter_map(http_method);
        let operation = operation(name, function, described);
        paths = paths.path(path, PathItem::from_http_methods(methods, operation));
    }
    let in_header = ApiKey::Header(ApiKeyValue::new(KEY_HEADER));
    let in_query = ApiKey::Query(ApiKeyValue::new(KEY_QUERY));
    let components = ComponentsBuilder::new()
        .schemas_from_iter(schemas)
        .security_scheme(KEY_HEADER, SecurityScheme::ApiKey(in_header))
        .security_scheme(KEY_QUERY, SecurityScheme::ApiKey(in_query))
        .build();
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title(env!("CARGO_PKG_NAME"))
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(env!("CARGO_PKG_DESCRIPTION")))
                .license(Some(License::new(env!("CARGO_PKG_LICENSE")))),
        )
        .paths(paths)
        .components(Some(components))
        .build()
}

fn http_method(method: &Method) -> Option<HttpMethod> {
    Some(match *method {
        Method::GET => HttpMethod::Get,
        Method::POST => HttpMethod::Post,
        Method::PUT => HttpMethod::Put,
        Method::PATCH => HttpMethod::Patch,
        Method::DELETE => HttpMethod::Delete,
        Method::HEAD => HttpMethod::Head,
        Method::OPTIONS => HttpMethod::Options,
        _ => return None,
    })
}

fn operation(name: &str, function: &FunctionManifest, described: Described) -> Operation {
    let mut responses = refused(described.refusals.into_iter().chain(router::refusals()));
    for (status, answer) in described.answers {
        responses.insert(status.as_u16(), answer.build());
    }
    let without_body = |text: &str| Response::new(text);
    let too_many_headers = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE.as_u16();
    responses.insert(
        too_many_headers,
        without_body("More headers than are read."),
    );
    let mut operation = OperationBuilder::new()
        .operation_id(Some(name))
        .summary(Some(described.summary))
        .parameters(Some(described.parameters));
    let needed = match function.auth_level {
        AuthLevel::Anonymous => None,
        AuthLevel::Function => Some("Needs a function key or the master key."),
        AuthLevel::Admin => Some("Needs the master key."),
    };
    if let Some(needed) = needed {
        let none: [&str; 0] = [];
        operation = operation
            .description(Some(needed))
            .security(SecurityRequirement::new(KEY_HEADER, none))
            .security(SecurityRequirement::new(KEY_QUERY, none));
        let unauthorized = without_body("No key, or one that does not open this function.");
        responses.insert(StatusCode::UNAUTHORIZED.as_u16(), unauthorized);
    }
    for (status, response) in responses {
        operation = operation.response(status.to_string(), response);
    }
    operation.build()
}

/// One response for each status, with the codes it can carry and an example of each.
fn refused(problems: impl Iterator<Item = Problem>) -> BTreeMap<u16, Response> {
    let mut by_status: BTreeMap<StatusCode, BTreeMap<&str, Problem>> = BTreeMap::new();
    for problem in problems {
        let codes = by_status.entry(problem.status()).or_default();
        codes.entry(problem.code()).or_insert(problem);
    }
    let response = |(status, codes): (StatusCode, BTreeMap<&str, Problem>)| {
        let code = string().enum_values(Some(codes.keys().copied()));
        let schema = AllOfBuilder::new()
            .item(Ref::from_schema_name(Problem::name()))
            .item(ObjectBuilder::new().property("code", code));
        let examples = codes.iter().map(|(code, problem)| {
            let example = ExampleBuilder::new().value(Some(json!(problem)));
            (*code, example.build())
        });
        let content = ContentBuilder::new()
            .schema(Some(schema))
            .examples_from_iter(examples)
            .build();
        let reason = status.canonical_reason().unwrap_or_default();
        let mut response = ResponseBuilder::new()
            .description(reason)
            .content(JSON, content);
        if codes.values().any(Problem::passes) {
            let seconds = header("Seconds after which to ask again, where that may help.");
            response = response.header(header::RETRY_AFTER.as_str(), seconds);
        }
        (status.as_u16(), response.build())
    };
    by_status.into_iter().map(response).collect()
}

/// `T` and the types in it, for the document's components.
pub(super) fn schemas<T: ToSchema>() -> Schemas {
    let mut all = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut all);
    all
}

/// An answer with a `T` in JSON.
pub(super) fn answer<T: ToSchema>(text: &str) -> ResponseBuilder {
    let content = Content::new(Some(Ref::from_schema_name(T::name())));
    ResponseBuilder::new()
        .description(text)
        .content(JSON, content)
}

/// Content that is any text.
pub(super) fn text() -> Content {
    Content::new(Some(string().build()))
}

pub(super) fn header(text: &str) -> Header {
    let header = HeaderBuilder::new().schema(Some(string().build()));
    header.description(Some(text)).build()
}

/// A query parameter that is `true` or `false`, in words or digits.
pub(super) fn switch(name: &str, text: &str) -> Parameter {
    let word = ObjectBuilder::new().schema_type(Type::Boolean);
    let digit = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .enum_values(Some([0, 1]));
    let schema = Schema::from(OneOfBuilder::new().item(word).item(digit));
    parameter(name, ParameterIn::Query, schema)
        .description(Some(text))
        .build()
}

/// The switch that every function here has.
pub(super) fn pretty() -> Parameter {
    switch(
        pretty::NAME,
        "Indent the answer, for a person at a terminal.",
    )
}

/// A query parameter whose value matches `pattern`.
pub(super) fn pattern(name: &str, pattern: &str, text: &str) -> Parameter {
    let schema = string().pattern(Some(pattern)).build();
    parameter(name, ParameterIn::Query, schema)
        .description(Some(text))
        .build()
}

/// A part of the path whose value matches `pattern`.
pub(super) fn path(name: &str, pattern: &str, example: &str) -> Parameter {
    let schema = string().pattern(Some(pattern)).build();
    parameter(name, ParameterIn::Path, schema)
        .required(Required::True)
        .example(Some(json!(example)))
        .build()
}

fn parameter(name: &str, place: ParameterIn, schema: impl Into<RefOr<Schema>>) -> ParameterBuilder {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .schema(Some(schema))
}

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}
