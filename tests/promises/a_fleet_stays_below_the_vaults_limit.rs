//! A thousand instances with fifty secrets each stay below what Key Vault serves, right after
//! a deployment too.
//!
//! Assumptions, the worst that a cache can meet: every instance wants every secret all the
//! time, so each is read again as soon as it is due; an instance wants a secret for the first
//! time within a minute of its start; a read is one request (up to 25 versions); at start come
//! two more (the challenge, and the first read). Instances are replaced over five minutes.
//! The limit is Key Vault's for one vault: 4,000 transactions in 10 s (2025-07).

use std::time::Duration;

use keyvault_functions::key_vault::CachePolicy;

const INSTANCES: u64 = 1_000;
const SECRETS: u64 = 50;
const LIMIT: usize = 4_000;
const WINDOW: f64 = 10.0;
const HOUR: f64 = 3_600.0;

/// The most requests in any 10 s of the hour after a deployment that takes `deployment`
/// seconds, with every secret wanted first within `first` seconds.
fn busiest(policy: CachePolicy, deployment: f64, first: f64) -> usize {
    let mut times = Vec::new();
    let mut random = Random(0x5eed);
    for _ in 0..INSTANCES {
        let start = random.up_to(deployment);
        times.extend([start, start]);
        for _ in 0..SECRETS {
            let mut next = start + random.up_to(first);
            while next < HOUR {
                times.push(next);
                next += policy.due_after().as_secs_f64();
            }
        }
    }
    times.sort_by(f64::total_cmp);
    let mut begin = 0;
    let mut most = 0;
    for (end, time) in times.iter().enumerate() {
        while times[begin] < time - WINDOW {
            begin += 1;
        }
        most = most.max(end - begin + 1);
    }
    most
}

/// Repeatable numbers for the simulation (`SplitMix64`).
struct Random(u64);

impl Random {
    fn up_to(&mut self, limit: f64) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let high = u32::try_from((bits ^ (bits >> 31)) >> 32).unwrap_or(0);
        f64::from(high) / f64::from(u32::MAX) * limit
    }
}

fn policy(ttl: u64) -> CachePolicy {
    CachePolicy {
        fresh_for: Duration::from_secs(ttl),
        max_stale: Duration::from_secs(3_600),
        missing_for: Duration::from_secs(30),
        capacity: 1_000,
    }
}

#[test]
fn a_fleet_deployed_over_five_minutes_stays_below_the_limit() {
    let most = busiest(policy(300), 300.0, 60.0);
    println!("{most} requests in the busiest 10 s, of {LIMIT}");
    assert!(most < LIMIT, "{most}");
}

/// Where the limit is: a fleet that starts within ten seconds is throttled, whatever caches it
/// has, and is bridged by retries; a shorter TTL is throttled all the time.
#[test]
fn the_simulation_notices_a_fleet_above_the_limit() {
    assert!(busiest(policy(300), 10.0, 10.0) > LIMIT);
    assert!(busiest(policy(60), 300.0, 60.0) > LIMIT);
}
