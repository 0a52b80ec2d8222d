//! `instructions WORK TIMES`: does one piece of work so many times, for callgrind to count what
//! it takes. `.ci/instructions` runs it and compares.

#![expect(clippy::print_stderr, reason = "a program for a terminal")]

#[path = "../benches/support/mod.rs"]
mod support;

use std::{env, error::Error, hint::black_box, process::ExitCode};

use axum::http::Uri;
use keyvault_functions::{
    host::authorization::AuthLevel,
    references::{Masked, Reference},
};
use secrecy::SecretString;
use support::{FORMS, Requests};

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let times = |text: String| text.parse::<usize>().ok();
    let done = match (arguments.next(), arguments.next().and_then(times)) {
        (Some(work), Some(times)) => run(&work, times),
        _ => Err("instructions WORK TIMES".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(work: &str, times: usize) -> Result<(), Box<dyn Error>> {
    support::write_lines()?;
    let runtime = support::runtime()?;
    runtime.block_on(async {
        let requests = Requests::new()?;
        let (keys, headers) = support::keys()?;
        let uri = Uri::from_static("/api/secrets/ExternalApiKey");
        let (cache, id) = support::cached().await?;
        let value = SecretString::from(support::VALUE);
        for _ in 0..times {
            match work {
                "parse a reference" => drop(black_box(Reference::parse(black_box(FORMS[0])))),
                "mask" => drop(black_box(Masked::of(black_box(&value)))),
                "compare keys" => {
                    let _ = black_box(keys.admit(AuthLevel::Admin, black_box(&headers), &uri));
                }
                "cache hit" => drop(black_box(cache.get(black_box(&id)).await)),
                // Its first answer is the one that is rendered.
                "start and config-check, direct" => {
                    Requests::new()?.answer("config-check, direct").await?;
                }
                request => requests.answer(request).await?,
            }
        }
        Ok(())
    })
}
