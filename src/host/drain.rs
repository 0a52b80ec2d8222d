//! What nobody reads of a request is read and dropped. The Functions host is still writing it when
//! the answer is there: if the connection closed then, the host would lose the answer, and its
//! caller would get a 500.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Error,
    body::{Body, BodyDataStream, Bytes, HttpBody},
    extract::Request,
    response::Response,
};
use futures_util::{Stream, StreamExt};
use tokio::{sync::oneshot, time::timeout};

/// How much is read and dropped, in bytes: the host's own limit in base64.
pub(super) const MAX_DROPPED: usize = 140 * 1024 * 1024;

/// How long a body may take over loopback.
pub(super) const READ_LIMIT: Duration = Duration::from_secs(30);

/// Answers `request`, and then reads what is left of its body before anybody gets the answer.
pub(super) async fn answered<F: Future<Output = Response>>(
    mut request: Request<Body>,
    answer: impl FnOnce(Request<Body>) -> F,
) -> Response {
    let lent = lend(&mut request);
    let response = answer(request).await;
    if let Some(lent) = lent {
        lent.read_to_its_end().await;
    }
    response
}

/// The body of a request that is being answered.
pub(super) struct LentBody(oneshot::Receiver<BodyDataStream>);

/// Lends the body of `request` to whoever answers it; nothing if there is none.
pub(super) fn lend(request: &mut Request<Body>) -> Option<LentBody> {
    if request.body().is_end_stream() {
        return None;
    }
    let (give_back, returned) = oneshot::channel();
    let body = mem::take(request.body_mut());
    *request.body_mut() = Body::from_stream(Lent {
        body: Some(body.into_data_stream()),
        give_back: Some(give_back),
    });
    Some(LentBody(returned))
}

impl LentBody {
    /// Reads what the answer left of it.
    pub(super) async fn read_to_its_end(mut self) {
        // Who still reads it while the answer is on its way reads it to its end.
        if let Ok(rest) = self.0.try_recv() {
            dropped(rest).await;
        }
    }
}

/// Reads `body` to its end, within the bounds.
pub(super) async fn dropped(mut body: impl Stream<Item = Result<Bytes, Error>> + Unpin) {
    let all = async {
        let mut dropped = 0;
        while let Some(Ok(data)) = body.next().await {
            dropped += data.len();
            if dropped > MAX_DROPPED {
                break;
            }
        }
    };
    // Beyond the bounds the connection is closed, and the answer may be lost.
    let _ = timeout(READ_LIMIT, all).await;
}

/// A body that comes back when its reader has had enough of it.
struct Lent {
    body: Option<BodyDataStream>,
    give_back: Option<oneshot::Sender<BodyDataStream>>,
}

impl Stream for Lent {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match &mut self.body {
            Some(body) => body.poll_next_unpin(context),
            None => Poll::Ready(None),
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some((body, give_back)) = self.body.take().zip(self.give_back.take()) {
            // Nobody waits for it once the caller is gone.
            let _ = give_back.send(body);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use axum::response::IntoResponse;
    use futures_util::stream;
    use http_body_util::BodyExt;
    use tokio::time::Instant;

    use super::*;

    /// Chunks of a MiB, which are counted as they are taken.
    fn chunks(count: usize) -> (Body, Arc<AtomicUsize>) {
        let taken = Arc::new(AtomicUsize::new(0));
        let counted = taken.clone();
        let mebibyte = Bytes::from(vec![0; 1024 * 1024]);
        let chunks = stream::iter(0..count).map(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            Ok::<_, Error>(mebibyte.clone())
        });
        (Body::from_stream(chunks), taken)
    }

    #[tokio::test]
    async fn whatever_is_left_is_read_and_no_more_than_the_bound() {
        for (count, read, taken) in [(3, 0, 3), (3, 2, 3), (3, 3, 3), (1_000, 0, 141)] {
            let (body, counter) = chunks(count);
            let response = answered(Request::new(body), async |request| {
                let mut body = request.into_body();
                for _ in 0..read {
                    let _ = body.frame().await;
                }
                ().into_response()
            });
            assert!(response.await.status().is_success());
            assert_eq!(counter.load(Ordering::SeqCst), taken, "{count}, {read}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_go_on_holds_up_the_answer_for_a_while_only() {
        let body = Body::from_stream(stream::pending::<Result<Bytes, Error>>());
        let started = Instant::now();
        answered(Request::new(body), async |_| ().into_response()).await;
        assert_eq!(started.elapsed(), READ_LIMIT);
    }
}
