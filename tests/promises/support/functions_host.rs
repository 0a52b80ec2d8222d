//! A stand-in for the Functions host: starts the handler as the host does and sends it what
//! the host sends, in each protocol mode.
//!
//! Source of the shapes: azure-functions-host, `HttpWorkerProcess`, `DefaultHttpWorkerService`,
//! `HttpRequestExtensions`, `ScriptInvocationRequestTransformer`.

use std::{
    net::TcpListener,
    path::Path,
    time::{Duration, Instant},
};

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use serde_json::{Map, Value, json};

use super::{
    Answer, client,
    process::{Handler, PATIENCE},
    repository,
};

/// What the host adds to the content type of an envelope's answer.
pub(crate) const CHARSET: &str = "; charset=utf-8";

pub(crate) const INVOCATION_ID: &str = "5f6e7d2a-2f1e-4a9d-8a50-0d0a6b0f1c11";
const HOST_VERSION: &str = "4.1052.200";

/// How the host hands a request to the handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Forwarding,
    Proxying,
    Envelope,
}

pub(crate) const MODES: [Protocol; 3] =
    [Protocol::Forwarding, Protocol::Proxying, Protocol::Envelope];

/// The key that the client presented to the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    None,
    Function,
    Master,
}

/// What a client asks the function app.
#[derive(Debug, Clone)]
pub(crate) struct ClientRequest {
    pub(crate) function: &'static str,
    pub(crate) path: String,
    /// Pairs in their order, not encoded.
    pub(crate) query: Vec<(&'static str, String)>,
    /// Route values as the host finds them.
    pub(crate) params: Vec<(&'static str, String)>,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    pub(crate) key: Key,
}

impl ClientRequest {
    pub(crate) fn config_check() -> Self {
        Self {
            function: "config-check",
            path: "/api/config-check".into(),
            query: Vec::new(),
            params: Vec::new(),
            headers: Vec::new(),
            key: Key::Function,
        }
    }

    pub(crate) fn secret(name: &str) -> Self {
        Self {
            function: "secrets-metadata",
            path: format!("/api/secrets/{name}"),
            params: vec![("secret_name", name.to_owned())],
            key: Key::Master,
            ..Self::config_check()
        }
    }

    pub(crate) fn with_query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    pub(crate) fn with_header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn with_key(self, key: Key) -> Self {
        Self { key, ..self }
    }

    /// The query as the host holds it: one value for each key, whatever its letter case, and
    /// repeated ones joined with a comma.
    fn joined_query(&self) -> Vec<(&'static str, String)> {
        let mut joined: Vec<(&'static str, String)> = Vec::new();
        for (name, value) in &self.query {
            match joined
                .iter_mut()
                .find(|(known, _)| known.eq_ignore_ascii_case(name))
            {
                Some((_, before)) => {
                    before.push(',');
                    before.push_str(value);
                }
                None => joined.push((name, value.clone())),
            }
        }
        joined
    }

    fn url(&self, base: &str) -> String {
        self.url_with(base, &self.query)
    }

    fn url_with(&self, base: &str, query: &[(&str, String)]) -> String {
        if query.is_empty() {
            return format!("{base}{}", self.path);
        }
        let mut encoded = form_urlencoded::Serializer::new(String::new());
        encoded.extend_pairs(query);
        format!("{base}{}?{}", self.path, encoded.finish())
    }

    /// The envelope that the host makes of this.
    pub(crate) fn envelope(&self) -> Value {
        let query: Map<String, Value> = self
            .joined_query()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        let mut headers: Map<String, Value> = Map::new();
        headers.insert("Host".into(), json!(["app.azurewebsites.net"]));
        for (name, value) in &self.headers {
            headers.insert((*name).to_owned(), json!([value]));
        }
        let params: Map<String, Value> = self
            .params
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone().into()))
            .collect();
        json!({
            "Data": {"req": {
                "Url": self.url("https://app.azurewebsites.net"),
                "Method": "GET",
                "Query": query,
                "Headers": headers,
                "Params": params,
                "Identities": identities(self.key),
            }},
            "Metadata": {"sys": {"MethodName": self.function, "UtcNow": "2026-05-14T15:14:15.128919Z"}},
        })
    }
}

/// What the host finds out about the caller. An Easy Auth identity stands first.
fn identities(key: Key) -> Value {
    let claim = |name: &str, value: &str| {
        json!({"Issuer": "LOCAL AUTHORITY", "OriginalIssuer": "LOCAL AUTHORITY", "Properties": {},
            "Type": format!("http://schemas.microsoft.com/2017/07/functions/claims/{name}"),
            "Value": value, "ValueType": "http://www.w3.org/2001/XMLSchema#string"})
    };
    let level = match key {
        Key::None => {
            return json!([{"AuthenticationType": null, "IsAuthenticated": false, "Claims": []}]);
        }
        Key::Function => "Function",
        Key::Master => "Admin",
    };
    json!([
        {"AuthenticationType": "aad", "IsAuthenticated": true, "Actor": null, "Claims": []},
        {"AuthenticationType": "WebJobsAuthLevel", "IsAuthenticated": true, "Actor": null,
         "Claims": [claim("authlevel", level), claim("invoke", "true"), claim("keyid", "default")]},
    ])
}

/// A host with its handler.
pub(crate) struct FunctionsHost {
    pub(crate) handler: Handler,
    pub(crate) port: u16,
    client: reqwest::Client,
}

impl FunctionsHost {
    /// Starts the handler on the embedded vault, with `settings` as app settings.
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Self {
        let mut environment = vec![("KEY_VAULT_URL", "embedded")];
        environment.extend_from_slice(settings);
        Self::start_in(repository(), free_port(), &environment).await
    }

    /// Starts the handler for the app root `folder` on `port`, and waits until it is ready.
    pub(crate) async fn start_in(folder: &Path, port: u16, settings: &[(&str, &str)]) -> Self {
        let binary = Path::new(env!("CARGO_BIN_EXE_handler"));
        Self::start_binary(binary, folder, port, settings).await
    }

    /// Like [`FunctionsHost::start_in`], for a handler that was built otherwise.
    pub(crate) async fn start_binary(
        binary: &Path,
        folder: &Path,
        port: u16,
        settings: &[(&str, &str)],
    ) -> Self {
        let port_text = port.to_string();
        let root = folder.to_str().expect("a path").to_owned();
        let mut environment = vec![
            ("FUNCTIONS_CUSTOMHANDLER_PORT", port_text.as_str()),
            ("FUNCTIONS_HTTPWORKER_PORT", port_text.as_str()),
            ("FUNCTIONS_CUSTOMHANDLER_WORKER_ID", INVOCATION_ID),
            ("FUNCTIONS_APP_ROOT_PATH", root.as_str()),
            ("FUNCTIONS_WORKER_RUNTIME", "custom"),
        ];
        environment.extend_from_slice(settings);
        let handler = Handler::start_binary(binary, folder, &[], &environment);
        let mut host = Self {
            handler,
            port,
            client: client(),
        };
        host.wait_until_ready().await;
        host
    }

    /// `GET /` every 25 ms, as the host does.
    async fn wait_until_ready(&mut self) {
        let started = Instant::now();
        while self.client.get(self.at("/")).send().await.is_err() {
            let output = self.handler.output();
            assert!(self.handler.is_running(), "the handler ended:\n{output}");
            assert!(started.elapsed() < PATIENCE, "not ready:\n{output}");
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    pub(crate) fn at(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Hands on what the host hands on after it has admitted the caller.
    pub(crate) async fn call(&self, mode: Protocol, request: &ClientRequest) -> Answer {
        match mode {
            Protocol::Forwarding => self.forward(request).await,
            Protocol::Proxying => self.proxy(request).await,
            Protocol::Envelope => self.invoke(request.function, request.envelope()).await.0,
        }
    }

    async fn forward(&self, request: &ClientRequest) -> Answer {
        let asked = ClientRequest {
            path: rebuilt(&request.path),
            ..request.clone()
        };
        let mut forwarded = self
            .client
            .get(asked.url_with(&self.at(""), &request.joined_query()))
            .header("host", "app.azurewebsites.net")
            .header(
                "user-agent",
                format!("curl/8.0 Azure-Functions-Host/{HOST_VERSION}"),
            )
            .header("x-azure-functions-hostversion", HOST_VERSION)
            .header(
                "x-azure-functions-invocationid",
                format!("spoofed, {INVOCATION_ID}"),
            );
        for (name, value) in &request.headers {
            forwarded = forwarded.header(*name, *value);
        }
        Answer::of(forwarded.send().await.expect("an answer")).await
    }

    async fn proxy(&self, request: &ClientRequest) -> Answer {
        let mut proxied = self
            .client
            .get(request.url(&self.at("")))
            .header("x-forwarded-for", "203.0.113.7")
            .header("x-forwarded-host", "app.azurewebsites.net")
            .header("x-forwarded-proto", "https")
            .header("x-azure-functions-hostversion", HOST_VERSION)
            .header("x-azure-functions-invocationid", INVOCATION_ID)
            .header("x-ms-invocation-id", INVOCATION_ID);
        for (name, value) in &request.headers {
            proxied = proxied.header(*name, *value);
        }
        Answer::of(proxied.send().await.expect("an answer")).await
    }

    /// Posts an envelope and reads the answer as the host does, with its log lines.
    pub(crate) async fn invoke(&self, function: &str, envelope: Value) -> (Answer, Vec<String>) {
        let response = self.post(function, envelope.to_string().into_bytes()).await;
        read_envelope(&response)
    }

    /// Posts any bytes to a function, chunked as the host does.
    pub(crate) async fn post(&self, function: &str, body: Vec<u8>) -> Answer {
        let chunks: Vec<_> = body
            .chunks(64 * 1024)
            .map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec()))
            .collect();
        let body = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
        let response = self
            .client
            .post(self.at(&format!("/{function}")))
            .header("content-type", "application/json; charset=utf-8")
            .header("user-agent", format!("Azure-Functions-Host/{HOST_VERSION}"))
            .header("x-azure-functions-hostversion", HOST_VERSION)
            .header("x-azure-functions-invocationid", INVOCATION_ID)
            .body(body)
            .send()
            .await
            .expect("an answer");
        Answer::of(response).await
    }
}

/// A path as the host rebuilds it when it forwards: decoded, and put together anew by .NET's
/// `UriBuilder`, for which an unescaped `?` or `#` ends it.
fn rebuilt(path: &str) -> String {
    let decoded = percent_decode_str(path).decode_utf8().expect("UTF-8");
    let end = decoded.find(['?', '#']).unwrap_or(decoded.len());
    let path = decoded[..end].trim_end();
    utf8_percent_encode(path, PATH).to_string()
}

/// What `UriBuilder` escapes in a path. A percent sign before two digits is none of it.
const PATH: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`');

/// Fails wherever the real host would fail, hang or lose the answer, and changes what it changes:
/// its formatter adds the character set.
pub(crate) fn read_envelope(response: &Answer) -> (Answer, Vec<String>) {
    assert_eq!(response.status, 200, "the host drops this: {response:?}");
    assert_eq!(response.header("content-type"), Some("application/json"));
    let json = response.json();
    let res = &json["Outputs"]["res"];
    let text = |value: &Value| {
        let text = value.as_str();
        text.unwrap_or_else(|| panic!("not text: {value}"))
            .to_owned()
    };
    let status = res["statusCode"].as_u64().expect("a number");
    let headers = res["headers"].as_object().expect("an object");
    let headers = headers.iter().map(|(name, value)| {
        let mut value = text(value);
        if name.eq_ignore_ascii_case("content-type") && !value.contains("charset") {
            value.push_str(CHARSET);
        }
        (name.clone(), value)
    });
    let logs = json["Logs"].as_array().expect("an array");
    let logs = logs.iter().map(text).collect();
    let status = u16::try_from(status).expect("a status");
    (Answer::new(status, headers, text(&res["body"])), logs)
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}
