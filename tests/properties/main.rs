//! What must hold whatever comes in: the properties of the fuzz targets (`fuzz/`), without
//! nightly. Each takes its checked-in seeds, then mutations of them, the same in every run.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod envelope;
mod events;
mod manifests;
mod platform_report;
mod reference;
mod vault_answer;

use std::{fs, path::Path};

use proptest::{
    prelude::*,
    sample::Index,
    test_runner::{RngSeed, TestRunner},
};

/// Mutations of one target's seeds.
const CASES: u32 = 1_000;

/// What changes a text most: the words and signs that the parsers look for.
const WORDS: [&[u8]; 22] = [
    b"",
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"/",
    b"\\u0000",
    b"null",
    b"-1",
    b"1e999",
    b"\xff",
    b"{x}",
    b"{y}",
    b"\n---\n",
    b"@Microsoft.KeyVault(",
    b"Data",
    b"nextLink",
    b"get",
    b"..",
];

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("a corpus")
        .map(|entry| entry.expect("a file").path())
        .collect();
    files.sort_unstable();
    assert!(files.len() >= 4, "{target} has seeds");
    files
        .into_iter()
        .map(|file| fs::read(file).expect("read"))
        .collect()
}

/// Puts a word in the place of a part of the text, or a part of it somewhere else.
#[derive(Debug, Clone)]
struct Change {
    at: Index,
    length: usize,
    word: Option<usize>,
    from: Index,
}

impl Change {
    fn apply(&self, data: &mut Vec<u8>) {
        let at = self.at.index(data.len() + 1);
        let end = (at + self.length).min(data.len());
        let new = match self.word {
            Some(word) => WORDS[word].to_vec(),
            None => {
                let from = self.from.index(data.len() + 1);
                data[from..(from + 24).min(data.len())].to_vec()
            }
        };
        data.splice(at..end, new);
    }
}

fn change() -> impl Strategy<Value = Change> {
    let word = proptest::option::of(0..WORDS.len());
    (any::<Index>(), 0..8_usize, word, any::<Index>()).prop_map(|(at, length, word, from)| Change {
        at,
        length,
        word,
        from,
    })
}

fn check(target: &str, holds: fn(&[u8])) {
    let seeds = seeds(target);
    for seed in &seeds {
        holds(seed);
    }
    let mutated = (any::<Index>(), proptest::collection::vec(change(), 1..6)).prop_map(
        move |(seed, changes)| {
            let mut data = seed.get(&seeds).clone();
            for change in &changes {
                change.apply(&mut data);
            }
            data
        },
    );
    let mut runner = TestRunner::new(ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(7),
        ..ProptestConfig::default()
    });
    let run = runner.run(&mutated, |data| {
        holds(&data);
        Ok(())
    });
    if let Err(failure) = run {
        panic!("{target}: {failure}");
    }
}

#[test]
fn envelopes() {
    check("envelope", envelope::holds);
}

#[test]
fn deliveries_of_events() {
    check("events", events::holds);
}

#[test]
fn manifests() {
    check("manifests", manifests::holds);
}

#[test]
fn platform_reports() {
    check("platform_report", platform_report::holds);
}

#[test]
fn references() {
    check("reference", reference::holds);
}

#[test]
fn vault_answers() {
    check("vault_answer", vault_answer::holds);
}
