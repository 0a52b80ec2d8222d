//! A vault on loopback behind real TLS with a certificate authority of its own, and an
//! App-Service-shaped identity endpoint that gives tokens for it. Both can break on the wire.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    extract::Request,
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use keyvault_functions::dev_vault::{Certificates, DevVault};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use super::{
    Fault, Folder, FunctionsHost, faults::Faults, free_port, process::PATIENCE, repository,
};

/// What happens on a connection to the vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// The vault answers.
    Serves,
    /// The connection is accepted, and then nothing.
    BlackHole,
    /// What answers does not speak TLS.
    NotTls,
    /// The signed request is read, and the connection closed.
    HalfClosed,
    /// A challenge that names this `resource` or `scope`.
    Challenges(&'static str),
    /// The signed request is answered with these bytes, and the connection closed.
    Says(&'static str),
    /// A request that carries a token or a body is answered with this status and with all that
    /// it carried, in the headers and the body: the worst that a server can do.
    Echoes(u16),
    /// The answer begins and does not go on.
    SlowBody,
    /// The answer does not end.
    HugeBody,
}

/// What the identity endpoint does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Identity {
    /// Gives a token of this many seconds.
    Gives(i64),
    /// Gives a token of an hour, with a number for the time where others have a text.
    GivesNumber,
    /// Gives a token that the vault does not accept.
    GivesAnother,
    /// Answers with this status and the text of the service.
    Refuses(u16),
    /// Answers with this status and all that the request carried.
    Echoes(u16),
    /// Never answers.
    Silent,
}

pub(crate) struct TlsVault {
    pub(crate) vault: DevVault,
    faults: Faults,
    pub(crate) port: u16,
    wire: Arc<Mutex<Wire>>,
    identity: Arc<Mutex<Identity>>,
    requests: Arc<AtomicUsize>,
    challenges: Arc<AtomicUsize>,
    traces: Traces,
    tokens: Arc<AtomicUsize>,
    identity_port: u16,
    token: String,
    files: Folder,
    tasks: Vec<JoinHandle<()>>,
}

impl TlsVault {
    pub(crate) async fn start() -> Self {
        Self::start_on(0).await
    }

    pub(crate) async fn start_on(port: u16) -> Self {
        let vault = DevVault::seeded().expect("randomness");
        let token = vault.credential().get_token(&["x"], None).await;
        let token = token.expect("a token").token.secret().to_owned();
        let certificates = Certificates::make().expect("certificates");
        let files = Folder::new();
        files.write("ca.pem", &certificates.authority_pem);
        let listener = TcpListener::bind(("127.0.0.1", port))
            .await
            .expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let wire = Arc::new(Mutex::new(Wire::Serves));
        let requests = Arc::<AtomicUsize>::default();
        let challenges = Arc::<AtomicUsize>::default();
        let identity = Arc::new(Mutex::new(Identity::Gives(3_600)));
        let tokens = Arc::<AtomicUsize>::default();
        let endpoint = identity_endpoint(identity.clone(), token.clone(), tokens.clone());
        let faults = Faults::default();
        let router = faults.wrap(vault.router());
        let router = counted(router, &requests, &challenges).merge(endpoint.clone());
        let traces = Traces::default();
        let router = traced(router, traces.clone());
        let accepting = accept(listener, certificates.acceptor, router, wire.clone());
        let identities = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let identity_port = identities.local_addr().expect("an address").port();
        let serving = async move {
            axum::serve(identities, endpoint).await.expect("served");
        };
        Self {
            vault,
            faults,
            port,
            wire,
            identity,
            requests,
            challenges,
            traces,
            tokens,
            identity_port,
            token,
            files,
            tasks: vec![tokio::spawn(accepting), tokio::spawn(serving)],
        }
    }

    /// Switches `fault` on, or every fault off.
    pub(crate) fn fail_with(&self, fault: impl Into<Option<Fault>>) {
        self.faults.set(fault);
    }

    pub(crate) fn wire(&self, wire: Wire) {
        *self.wire.lock().expect("lock") = wire;
    }

    pub(crate) fn identity(&self, identity: Identity) {
        *self.identity.lock().expect("lock") = identity;
    }

    /// Waits for a signed request beyond the first `before`.
    pub(crate) async fn was_asked_after(&self, before: usize) {
        let started = Instant::now();
        while self.requests() <= before {
            assert!(started.elapsed() < PATIENCE, "the vault was not asked");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Signed requests that reached the vault.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// Requests without a token.
    pub(crate) fn challenges(&self) -> usize {
        self.challenges.load(Ordering::SeqCst)
    }

    /// `traceparent` of every request.
    pub(crate) fn traces(&self) -> Vec<String> {
        self.traces.lock().expect("lock").clone()
    }

    /// Requests for a token.
    pub(crate) fn tokens(&self) -> usize {
        self.tokens.load(Ordering::SeqCst)
    }

    /// The identity endpoint over TLS, with the vault's certificate.
    pub(crate) fn identity_over_tls(&self) -> String {
        format!("https://localhost:{}/msi/token", self.port)
    }

    /// The token that the identity endpoint gives.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Stops listening: the next connection is refused.
    pub(crate) async fn stop(&mut self) {
        self.tasks[0].abort();
        let _ = (&mut self.tasks[0]).await;
    }

    /// A Functions host whose handler reads this vault as on Azure: with a managed identity,
    /// over TLS. It has tried the vault once.
    pub(crate) async fn host(&self, more: &[(&str, &str)]) -> FunctionsHost {
        let url = format!("https://localhost:{}", self.port);
        let ca = self.files.path().join("ca.pem");
        let endpoint = format!("http://127.0.0.1:{}/msi/token", self.identity_port);
        let mut settings = vec![
            ("KEY_VAULT_URL", url.as_str()),
            ("KEY_VAULT_CA_FILE", ca.to_str().expect("a path")),
            ("IDENTITY_ENDPOINT", endpoint.as_str()),
            ("IDENTITY_HEADER", "canary-identity-header"),
        ];
        settings.extend_from_slice(more);
        let mut host = FunctionsHost::start_in(repository(), free_port(), &settings).await;
        host.handler.forbid(self.token.clone());
        host.handler.wrote("Key Vault ").await;
        host.handler.wrote("answer").await;
        host
    }
}

impl Drop for TlsVault {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

fn counted(router: Router, signed: &Arc<AtomicUsize>, unsigned: &Arc<AtomicUsize>) -> Router {
    let (signed, unsigned) = (signed.clone(), unsigned.clone());
    router.layer(middleware::from_fn(move |request: Request, next: Next| {
        let is_signed = request.headers().contains_key("authorization");
        let counter = if is_signed { &signed } else { &unsigned };
        counter.fetch_add(1, Ordering::SeqCst);
        next.run(request)
    }))
}

type Traces = Arc<Mutex<Vec<String>>>;

fn traced(router: Router, traces: Traces) -> Router {
    router.layer(middleware::from_fn(move |request: Request, next: Next| {
        let sent = request.headers().get_all("traceparent").iter();
        let sent = sent.map(|value| value.to_str().expect("text").to_owned());
        traces.lock().expect("lock").extend(sent);
        next.run(request)
    }))
}

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    router: Router,
    wire: Arc<Mutex<Wire>>,
) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let wire = *wire.lock().expect("lock");
        tokio::spawn(converse(stream, acceptor.clone(), router.clone(), wire));
    }
}

async fn converse(mut stream: TcpStream, acceptor: TlsAcceptor, router: Router, wire: Wire) {
    match wire {
        Wire::BlackHole => return std::future::pending().await,
        Wire::NotTls => {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            return;
        }
        _ => {}
    }
    let Ok(mut tls) = acceptor.accept(stream).await else {
        return;
    };
    if wire == Wire::Serves {
        let service = TowerToHyperService::new(router);
        let mut server = auto::Builder::new(TokioExecutor::new());
        // Whatever breaks next breaks the next request.
        server.http1().keep_alive(false);
        let _ = server.serve_connection(TokioIo::new(tls), service).await;
        return;
    }
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match tls.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        let given = String::from_utf8_lossy(&head).into_owned();
        let head = given.to_ascii_lowercase();
        if let Wire::Echoes(status) = wire
            && (head.contains("authorization: ") || head.starts_with("post "))
        {
            let length = head.split("content-length: ").nth(1);
            let length = length.and_then(|rest| rest.lines().next()?.parse().ok());
            let mut body = vec![0; length.unwrap_or_default()];
            let _ = tls.read_exact(&mut body).await;
            let all = given + &String::from_utf8_lossy(&body);
            let _ = tls.write_all(echo(status, &all).as_bytes()).await;
            break;
        }
        if !head.contains("authorization: ") {
            let audience = match wire {
                Wire::Challenges(audience) => audience,
                _ => "resource=\"https://vault.azure.net\"",
            };
            let challenge = format!(
                "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer authorization=\"https://login.microsoftonline.com/t\", {audience}\r\nContent-Length: 0\r\n\r\n"
            );
            let _ = tls.write_all(challenge.as_bytes()).await;
            continue;
        }
        match wire {
            // A complete answer leaves the connection open for the next request.
            Wire::Says(bytes) if bytes.ends_with(['}', '>']) => {
                let _ = tls.write_all(bytes.as_bytes()).await;
            }
            _ => break,
        }
    }
    let begin =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99999999\r\n\r\n{";
    match wire {
        Wire::Says(bytes) => drop(tls.write_all(bytes.as_bytes()).await),
        Wire::SlowBody => {
            let _ = tls.write_all(begin.as_bytes()).await;
            let _ = tls.flush().await;
            std::future::pending::<()>().await;
        }
        Wire::HugeBody => {
            let _ = tls.write_all(begin.as_bytes()).await;
            let chunk = vec![b' '; 64 * 1024];
            for _ in 0..1_000 {
                if tls.write_all(&chunk).await.is_err() {
                    break;
                }
            }
        }
        Wire::HalfClosed
        | Wire::Challenges(_)
        | Wire::Serves
        | Wire::BlackHole
        | Wire::NotTls
        | Wire::Echoes(_) => {}
    }
    let _ = tls.shutdown().await;
}

/// An answer that shows all of `request`, in the places where an SDK looks for something.
fn echo(status: u16, request: &str) -> String {
    let line = request.replace("\r\n", " ");
    let body = json!({
        "error": {"code": line, "message": request, "innererror": {"code": line}},
        "error_description": request,
        "access_token": 7,
        "id": line,
        "value": request,
        "nextLink": line,
        "attributes": line,
    })
    .to_string();
    let escaped: String = form_urlencoded::byte_serialize(line.as_bytes()).collect();
    format!(
        "HTTP/1.1 {status} {line}\r\nContent-Type: application/json\r\n\
         WWW-Authenticate: Bearer authorization=\"https://localhost/{escaped}\", \
         resource=\"https://vault.azure.net\", error=\"{line}\"\r\n\
         Location: https://localhost/{escaped}\r\nx-ms-request-id: {line}\r\n\
         x-ms-error-code: {line}\r\nRetry-After: {line}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn identity_endpoint(
    identity: Arc<Mutex<Identity>>,
    token: String,
    tokens: Arc<AtomicUsize>,
) -> Router {
    let give = |token: &str, life: i64| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = i64::try_from(now.map_or(0, |now| now.as_secs())).unwrap_or_default();
        json!({
            "access_token": token,
            "expires_on": (now + life).to_string(),
            "resource": "https://vault.azure.net",
            "token_type": "Bearer",
        })
        .to_string()
        .into_response()
    };
    let answer = move |request: Request| async move {
        tokens.fetch_add(1, Ordering::SeqCst);
        let is_known = request
            .headers()
            .get("x-identity-header")
            .is_some_and(|header| header == "canary-identity-header");
        if !is_known {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        let identity = *identity.lock().expect("lock");
        match identity {
            Identity::Gives(life) => give(&token, life),
            Identity::GivesNumber => json!({
                "access_token": token,
                "expires_on": SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .map_or(0, |now| now.as_secs() + 3_600),
                "token_type": "Bearer",
            })
            .to_string()
            .into_response(),
            Identity::GivesAnother => give("canary-token-of-another-audience", 3_600),
            Identity::Refuses(status) => refuse(status),
            Identity::Echoes(status) => {
                let headers = format!("{:?} {}", request.headers(), request.uri());
                let status = StatusCode::from_u16(status).expect("a status");
                let token = json!({"error": headers, "error_description": headers,
                    "access_token": token, "expires_on": headers, "message": headers});
                (status, token.to_string()).into_response()
            }
            Identity::Silent => {
                tokio::time::sleep(Duration::from_secs(60)).await;
                StatusCode::OK.into_response()
            }
        }
    };
    Router::new().route("/msi/token", get(answer))
}

fn refuse(status: u16) -> Response {
    let body = json!({"statusCode": status, "message": "Unable to load the proper Managed Identity. canary"});
    let status = StatusCode::from_u16(status).expect("a status");
    (status, body.to_string()).into_response()
}
