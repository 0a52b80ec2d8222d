//! A keep-alive client on one thread that does as little as possible per request.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use futures_util::future::try_join_all;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// When a run ends.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    After(Duration),
    Answers(usize),
}

/// What the client saw.
pub(crate) struct Seen {
    pub(crate) elapsed: Duration,
    /// Of every request, in nanoseconds, ascending.
    latencies: Vec<u64>,
}

impl Seen {
    pub(crate) fn answers(&self) -> usize {
        self.latencies.len()
    }

    pub(crate) fn per_second(&self) -> f64 {
        count(self.answers()) / self.elapsed.as_secs_f64()
    }

    /// In microseconds; `permille` 500 is the median.
    pub(crate) fn percentile(&self, permille: usize) -> f64 {
        let place = (self.latencies.len() * permille / 1_000).min(self.latencies.len() - 1);
        Duration::from_nanos(self.latencies[place]).as_secs_f64() * 1e6
    }
}

/// A number for arithmetic with fractions; there are never more than 2^52 of anything here.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(crate) fn count(number: usize) -> f64 {
    number as f64
}

pub(crate) fn address(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Sends `request` over and over on each of `connections`, one at a time on each.
pub(crate) fn drive(
    port: u16,
    request: &[u8],
    connections: usize,
    until: Until,
) -> io::Result<Seen> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    runtime.block_on(async {
        let streams = (0..connections).map(|_| TcpStream::connect(address(port)));
        let streams = try_join_all(streams).await?;
        let started = Instant::now();
        let (deadline, most) = match until {
            Until::After(time) => (Some(started + time), usize::MAX),
            Until::Answers(answers) => (None, answers.div_ceil(connections)),
        };
        let each = streams
            .into_iter()
            .map(|stream| tokio::spawn(converse(stream, request.to_vec(), deadline, most)));
        let mut latencies = Vec::new();
        for of_one in try_join_all(each).await? {
            latencies.extend(of_one?);
        }
        let elapsed = started.elapsed();
        latencies.sort_unstable();
        Ok(Seen { elapsed, latencies })
    })
}

async fn converse(
    mut stream: TcpStream,
    request: Vec<u8>,
    deadline: Option<Instant>,
    most: usize,
) -> io::Result<Vec<u64>> {
    stream.set_nodelay(true)?;
    let mut latencies = Vec::new();
    let mut answer = Vec::with_capacity(16 * 1024);
    let mut sent = Instant::now();
    while latencies.len() < most && deadline.is_none_or(|deadline| sent < deadline) {
        stream.write_all(&request).await?;
        answer.clear();
        while !is_whole(&answer)? {
            if stream.read_buf(&mut answer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let received = Instant::now();
        latencies.push(u64::try_from((received - sent).as_nanos()).unwrap_or(u64::MAX));
        sent = received;
    }
    Ok(latencies)
}

/// Whether the answer has arrived; an error if it is not the answer that was wanted.
pub(crate) fn is_whole(answer: &[u8]) -> io::Result<bool> {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(false);
    };
    let head = &answer[..end];
    if !head.starts_with(b"HTTP/1.1 200 ") {
        return Err(io::Error::other(String::from_utf8_lossy(head).into_owned()));
    }
    let name = b"content-length: ";
    let length = head
        .windows(name.len())
        .position(|part| part == name)
        .map(|place| &head[place + name.len()..])
        .and_then(|rest| rest.split(|byte| *byte == b'\r').next())
        .and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<usize>().ok())
        .ok_or_else(|| io::Error::other("no content-length"))?;
    Ok(answer.len() >= end + 4 + length)
}
