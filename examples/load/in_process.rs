//! What a request costs before and after the wire.

use std::{error::Error, hint::black_box, time::Instant};

use keyvault_functions::references::Reference;

use super::{
    client::count,
    report::median,
    support::{self, FORMS, REQUESTS, Requests},
};

const TURNS: usize = 20_000;
const ROUNDS: usize = 9;

/// Times in nanoseconds.
pub(crate) struct InProcess {
    pub(crate) hit: f64,
    pub(crate) hit_allocations: f64,
    pub(crate) parse: f64,
    pub(crate) parse_allocations: f64,
    /// By name: time and allocations.
    pub(crate) requests: Vec<(&'static str, f64, f64)>,
}

pub(crate) fn measure() -> Result<InProcess, Box<dyn Error>> {
    support::write_lines()?;
    let runtime = support::runtime()?;
    let (parse, parse_allocations) = repeat(|| {
        let _ = black_box(Reference::parse(black_box(FORMS[0])));
    });
    runtime.block_on(async {
        let (cache, id) = support::cached().await?;
        let (hit, hit_allocations) =
            repeat_async(async || drop(black_box(cache.get(&id).await))).await;
        let asked = Requests::new()?;
        let mut requests = Vec::new();
        for name in REQUESTS {
            let (making, made) = repeat(|| drop(black_box(asked.make(name))));
            let answer = async || drop(black_box(asked.send(asked.make(name)).await));
            let (answering, allocated) = repeat_async(answer).await;
            // Without what it costs to make the request.
            requests.push((name, answering - making, allocated - made));
        }
        Ok(InProcess {
            hit,
            hit_allocations,
            parse,
            parse_allocations,
            requests,
        })
    })
}

fn repeat(mut turn: impl FnMut()) -> (f64, f64) {
    turn();
    let allocations = allocation_counter::measure(&mut turn).count_total;
    let round = || {
        let started = Instant::now();
        (0..TURNS).for_each(|_| turn());
        per_turn(started)
    };
    (
        median(std::iter::repeat_with(round).take(ROUNDS).collect()),
        whole(allocations),
    )
}

async fn repeat_async(turn: impl AsyncFn()) -> (f64, f64) {
    turn().await;
    let mut counted = std::pin::pin!(turn());
    let mut allocations = 0;
    // What is measured here never waits.
    std::future::poll_fn(|context| {
        let mut polled = std::task::Poll::Pending;
        let counted = allocation_counter::measure(|| polled = counted.as_mut().poll(context));
        allocations += counted.count_total;
        polled
    })
    .await;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let started = Instant::now();
        for _ in 0..TURNS {
            turn().await;
        }
        times.push(per_turn(started));
    }
    (median(times), whole(allocations))
}

fn per_turn(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1e9 / count(TURNS)
}

fn whole(allocations: u64) -> f64 {
    count(usize::try_from(allocations).unwrap_or(usize::MAX))
}
