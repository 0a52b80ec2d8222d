//! Bind, serve, drain.

use std::{
    convert::Infallible,
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use axum::{ServiceExt, extract::Request, response::Response, serve::Listener};
use tokio::{net::TcpListener, sync::watch, time::sleep};
use tower::Service;

use super::connections::Limited;

/// How long requests in flight may take once the process was asked to stop. The Functions
/// host gives no grace at all; container platforms give 10 s or more.
pub const GRACE: Duration = Duration::from_secs(8);

/// Listens on loopback, which is where the host looks and where nobody else can.
///
/// # Errors
///
/// The port is taken or not allowed.
pub async fn bind(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await
}

/// Serves until `stop` completes, then lets requests in flight finish within `grace`.
///
/// # Errors
///
/// The listener failed.
pub async fn serve<L: Listener<Addr: fmt::Debug>>(
    listener: L,
    entry: impl Service<Request, Response = Response, Error = Infallible, Future: Send>
    + Clone
    + Send
    + 'static,
    stop: impl Future<Output = ()> + Send + 'static,
    grace: Duration,
) -> io::Result<()> {
    let (stopping, mut stopped) = watch::channel(false);
    let serving = axum::serve(Limited::new(listener), entry.into_make_service())
        .with_graceful_shutdown(async move {
            stop.await;
            let _ = stopping.send(true);
        });
    let mut serving = std::pin::pin!(serving.into_future());
    let out_of_grace = async {
        // An error means that the server has ended by itself, and `serving` wins below.
        if stopped.wait_for(|stopping| *stopping).await.is_ok() {
            sleep(grace).await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        ended = &mut serving => ended,
        () = out_of_grace => {
            tracing::warn!("stopped with requests still in flight");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, routing::get};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        net::TcpStream,
        sync::{mpsc, oneshot},
        time::{Instant, timeout},
    };

    use super::*;
    use crate::host::connections::{ANSWER_LIMIT, CONNECTIONS_LIMIT};

    #[tokio::test]
    async fn a_request_that_does_not_end_is_cut_after_the_grace() {
        let listener = bind(0).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (arrived, arrival) = oneshot::channel();
        let arrived = std::sync::Mutex::new(Some(arrived));
        let never = move || {
            if let Some(arrived) = arrived.lock().expect("lock").take() {
                let _ = arrived.send(());
            }
            std::future::pending::<()>()
        };
        let never = std::sync::Arc::new(never);
        let router = Router::new().route("/", get(move || never()));
        let mut client = TcpStream::connect(address).await.expect("connected");
        let request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        client.write_all(request).await.expect("sent");
        let stop = async {
            let _ = arrival.await;
        };
        let grace = Duration::from_millis(50);
        let served = timeout(
            Duration::from_secs(30),
            serve(listener, router, stop, grace),
        );
        served.await.expect("ended").expect("without a failure");
    }

    /// Hands out connections that never leave the process.
    struct InMemory(mpsc::UnboundedReceiver<DuplexStream>);

    impl Listener for InMemory {
        type Io = DuplexStream;
        type Addr = ();

        async fn accept(&mut self) -> (DuplexStream, ()) {
            match self.0.recv().await {
                Some(connection) => (connection, ()),
                None => std::future::pending().await,
            }
        }

        fn local_addr(&self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A server for as long as the test; what it gives connects to it.
    fn server() -> impl Fn() -> DuplexStream {
        let (connect, connections) = mpsc::unbounded_channel();
        let router = Router::new()
            .route("/", get(|| async { "ready" }))
            .route("/slow", get(|| sleep(Duration::from_secs(30))));
        let never = std::future::pending();
        tokio::spawn(serve(InMemory(connections), router, never, GRACE));
        move || {
            let (client, server) = duplex(4096);
            connect.send(server).expect("a server");
            client
        }
    }

    async fn ask(client: &mut DuplexStream, path: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        client.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = vec![0; 1024];
        let length = client.read(&mut answer).await.expect("answered");
        String::from_utf8_lossy(&answer[..length]).into_owned()
    }

    #[tokio::test(start_paused = true)]
    async fn a_half_sent_request_does_not_live_for_ever() {
        let connect = server();
        for half in [
            "G",
            "GET / HTTP/1.1\r\nHost: x\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n",
        ] {
            let mut client = connect();
            assert!(ask(&mut client, "/").await.starts_with("HTTP/1.1 200"));
            let started = Instant::now();
            client.write_all(half.as_bytes()).await.expect("sent");
            // Whoever goes on slowly is no better.
            let ended = async {
                loop {
                    sleep(Duration::from_secs(1)).await;
                    if client.write_all(b"a").await.is_err() {
                        break;
                    }
                }
            };
            timeout(Duration::from_secs(3_600), ended)
                .await
                .expect("ended");
            assert!(started.elapsed() <= ANSWER_LIMIT + Duration::from_secs(2));
        }
    }

    /// The Functions host keeps its connections, and a function may take its time.
    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_stays() {
        let connect = server();
        let mut clients = [connect(), connect()];
        for _ in 0..3 {
            sleep(Duration::from_secs(24 * 3_600)).await;
            for client in &mut clients {
                for path in ["/", "/slow"] {
                    assert!(
                        ask(client, path).await.starts_with("HTTP/1.1 200"),
                        "{path}"
                    );
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_connection_too_many_waits() {
        let connect = server();
        let mut clients: Vec<_> = (0..CONNECTIONS_LIMIT).map(|_| connect()).collect();
        for client in &mut clients {
            assert!(ask(client, "/").await.ends_with("ready"));
        }
        let mut next = connect();
        let waiting = timeout(Duration::from_secs(3_600), ask(&mut next, "/"));
        assert!(waiting.await.is_err());
        clients.pop();
        let mut answer = [0; 15];
        next.read_exact(&mut answer).await.expect("answered");
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
    }
}
