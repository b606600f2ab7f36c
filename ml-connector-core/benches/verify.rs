//! How long a webhook's signature takes to verify, against `ring` and against the usual way, in one run.
//!
//! `cargo bench -p ml-connector-core --bench verify`; a build that is not optimized adds some 200 ns to each call. The
//! last line is for machines.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // this measures time, and may panic

use std::{
    alloc::System,
    hint::black_box,
    time::{Duration, Instant},
};

use hmac::{Hmac, KeyInit, Mac};
use ml_connector_core::{
    Secret,
    webhook::{Encoding, HmacSha256},
};
use sha2::Sha256;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
const SIZES: [usize; 4] = [256, 1 << 10, 4 << 10, 16 << 10];
/// Each way is measured so often, in turns, and its best round counts: what disturbs a round only makes it slower.
const ROUNDS: u32 = 300;
const ROUND: Duration = Duration::from_millis(2);

/// A signature may take this long at 256 bytes, in nanoseconds …
const NS_256_GOAL: f64 = 400.0;
/// … and this many times as long as `ring` from 4 KiB.
const RATIO_GOAL: f64 = 1.05;

struct Figures {
    ours: f64,
    ring: f64,
    usual: f64,
    allocations: usize,
}

fn main() {
    println!(
        "{:>8} {:>10} {:>10} {:>10} {:>8} {:>12}",
        "bytes", "ours/ns", "ring/ns", "usual/ns", "ratio", "allocations"
    );
    let figures = SIZES.map(|size| {
        let figures = measure(size);
        let Figures { ours, ring, usual, allocations } = &figures;
        println!("{size:>8} {ours:>10.0} {ring:>10.0} {usual:>10.0} {:>8.3} {allocations:>12}", ours / ring);
        figures
    });
    let [small, _, page, large] = &figures;
    let (ratio_4k, ratio_16k) = (page.ours / page.ring, large.ours / large.ring);
    let allocations: usize = figures.iter().map(|figures| figures.allocations).sum();
    let met = small.ours <= NS_256_GOAL && ratio_4k.max(ratio_16k) <= RATIO_GOAL && allocations == 0;
    println!(
        "bench=verify ns_256={:.0} ns_256_goal={NS_256_GOAL:.0} ratio_ring_4k={ratio_4k:.3} ratio_ring_16k={ratio_16k:.3} \
         ratio_ring_goal={RATIO_GOAL} allocations={allocations} allocations_goal=0 met={met}",
        small.ours
    );
}

fn measure(size: usize) -> Figures {
    let body: Vec<u8> = (0..=250).cycle().take(size).collect();
    let verifier = HmacSha256::new([&Secret::from(SECRET)]).unwrap();
    let signature = verifier.sign(&[&body], Encoding::Hex);
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes());
    let tag = ring::hmac::sign(&key, &body);

    let ours = || verifier.verify(&[black_box(&body)], black_box(&signature), &[Encoding::Hex]).is_ok();
    let ring = || ring::hmac::verify(&key, black_box(&body), black_box(tag.as_ref())).is_ok();
    let usual = || usual_way(black_box(&body)) == *black_box(&signature);
    assert!(ours() && ring() && usual());

    let region = Region::new(ALLOCATOR);
    (0..1000).for_each(|_| assert!(ours()));
    let change = region.change();

    let mut best = [f64::MAX; 3];
    for _ in 0..ROUNDS {
        for (best, figure) in best.iter_mut().zip([round(ours), round(ring), round(usual)]) {
            *best = best.min(figure);
        }
    }
    let [ours, ring, usual] = best;
    Figures { ours, ring, usual, allocations: change.allocations + change.reallocations }
}

/// Nanoseconds a call takes.
fn round(call: impl Fn() -> bool) -> f64 {
    let began = Instant::now();
    let mut calls = 0_u32;
    while began.elapsed() < ROUND {
        for _ in 0..16 {
            assert!(black_box(call()));
        }
        calls += 16;
    }
    began.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
}

/// Key, MAC and text anew for each request, compared as text: what most handlers do.
fn usual_way(body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(body);
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}
