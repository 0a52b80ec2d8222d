//! `bare PORT ANSWERS`: what axum can do on this machine at best. Gives ready-made answers from
//! a JSON file, on the handler's kind of runtime, and does nothing else. The load harness in
//! `examples/load` measures the handler against it.

use std::{env, error::Error, fs, net::Ipv4Addr};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode},
    routing::{MethodFilter, get, on},
};
use serde::Deserialize;
use tokio::net::TcpListener;

#[derive(Deserialize)]
struct Answer {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (port, file) = arguments
        .next()
        .zip(arguments.next())
        .ok_or("PORT ANSWERS")?;
    let answers: Vec<Answer> = serde_json::from_slice(&fs::read(file)?)?;
    let mut router = Router::new().route("/", get(|| async { StatusCode::OK }));
    for answer in answers {
        let headers: HeaderMap = answer
            .headers
            .iter()
            .map(|(name, value)| {
                let name = HeaderName::from_bytes(name.as_bytes())?;
                Ok((name, HeaderValue::from_str(value)?))
            })
            .collect::<Result<_, Box<dyn Error>>>()?;
        let body = Bytes::from(answer.body);
        let respond = move || {
            let mut response = Response::new(Body::from(body.clone()));
            *response.headers_mut() = headers.clone();
            response
        };
        // Only a request with a body is read to its end.
        let method = match answer.method.as_str() {
            "POST" => on(MethodFilter::POST, move |_: Bytes| async move { respond() }),
            _ => get(move || async move { respond() }),
        };
        router = router.route(&answer.path, method);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.parse()?)).await?;
        axum::serve(listener, router).await?;
        Ok(())
    })
}
