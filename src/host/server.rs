//! Bind, serve, drain.

use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use axum::{Router, serve::Listener};
use tokio::{net::TcpListener, sync::watch, time::sleep};

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
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
    grace: Duration,
) -> io::Result<()> {
    let (stopping, mut stopped) = watch::channel(false);
    let serving = axum::serve(listener, router).with_graceful_shutdown(async move {
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
    use axum::routing::get;
    use tokio::{io::AsyncWriteExt, net::TcpStream, sync::oneshot, time::timeout};

    use super::*;

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
}
