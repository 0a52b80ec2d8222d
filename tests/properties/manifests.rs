//! Manifests either make a router in which each route can be reached, or say what is wrong, one
//! line for each thing. The texts stand one after the other, with `---` between.

use axum::{body::Body, extract::Request};
use keyvault_functions::host::{
    invocation::{Access, Limits},
    manifest::Manifest,
    router::Functions,
};
use tower::ServiceExt;

pub(crate) fn holds(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut texts = text.split("\n---\n");
    let mut next = || texts.next().unwrap_or_default();
    let (host, one, two) = (next(), next(), next());
    let manifest = match Manifest::parse(host, &[("one", one), ("two", two)]) {
        Ok(manifest) => manifest,
        Err(errors) => return each_is_a_line(&errors),
    };
    let functions = Functions::new()
        .register("one", async || "one")
        .register("two", async || "two");
    let router = match functions.router(&manifest, &(), &Access::Host, Limits::default()) {
        Ok(router) => router,
        Err(errors) => return each_is_a_line(&errors),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    for function in manifest.functions.values() {
        let path = function
            .route
            .fill(&manifest.route_prefix, |_| Some("x".into()));
        let path = path.expect("each parameter has a value");
        // Letters that no URL has can be written in a manifest, and never asked for.
        let Ok(request) = Request::get(&path).body(Body::empty()) else {
            continue;
        };
        if request.uri().path() != path {
            continue;
        }
        let answer = runtime.block_on(router.clone().oneshot(request));
        let status = answer.expect("an answer").status().as_u16();
        assert!([200, 405].contains(&status), "{status} for {path}");
    }
}

fn each_is_a_line(errors: &[impl std::fmt::Display]) {
    assert!(!errors.is_empty());
    for error in errors {
        let line = error.to_string();
        assert!(!line.is_empty() && !line.contains('\n'), "{line:?}");
    }
}
