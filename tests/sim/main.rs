//! The simulation: the real worker and the real reaper on stores in memory, in virtual time, with everything going wrong
//! that can, as the dice of a seed fall.
//!
//! One run: a few workers with queues, slots and kinds of their own, one to three reapers and two clients are at work
//! while a director kills, freezes and stops them, cuts and slows the ways to both stores, and flushes, rewinds and
//! damages Redis (`director`, `process`, `weather`). Then everything heals. Within a bound of virtual time all jobs must be
//! finished and both stores agree (`world`); then the journal of the store, the rows and what the handlers say are judged
//! (`judge`). `make sim SEED=…` shows one run, `make sim SEEDS=…` makes more or fewer of them.
//!
//! The stores are in `tests/support/memory`; the same conformance suites hold for them and for the real ones.
//!
//! Not covered: what a statement or a script does on a real server (`tests/store`, `tests/lua`), plans, pools and
//! connections, real clocks and threads (one thread here, and each store's verb is one step), the work of a handler while
//! its process is frozen (its timers run on; what they lead to waits). `tests/chaos` and `tests/deaths` are for these.

mod client;
mod dice;
mod director;
mod fleet;
mod judge;
mod process;
mod runs;
mod sometimes;
mod trace;
mod weather;
mod work;
mod world;

use leasehold_tests::Broken;
use runs::{replay, run_many, run_one, story_of};
use world::Order;

/// Runs of one check, unless `SEEDS` says otherwise.
const RUNS: u64 = 2000;
/// A rule that is not kept is noticed within so many.
const NOTICED_WITHIN: u64 = 600;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

#[test]
fn every_seed_keeps_the_promises() {
    if let Some(seed) = number("SEED") {
        let outcome = run_one(Order { seed, broken: None, keeps_lines: true });
        println!("{}\n{:#?}", outcome.lines.join("\n"), outcome.seen);
        assert!(outcome.wrong.is_empty(), "{:#?}", outcome.wrong);
        return;
    }
    let runs = run_many(1, number("SEEDS").unwrap_or(RUNS), None, false);
    println!("{} runs: {:#?}", runs.done, runs.seen);
    if let Some((seed, wrong)) = runs.failed.first_key_value() {
        println!("{}", story_of(*seed, None));
        for (seed, wrong) in &runs.failed {
            println!("seed {seed}: {}", wrong[0]);
        }
        panic!("{} of {} runs failed; of seed {seed}: {wrong:#?}\n{}", runs.failed.len(), runs.done, replay(*seed));
    }
    if runs.done >= RUNS {
        let unseen = sometimes::unseen(&runs.seen);
        assert!(unseen.is_empty(), "never seen in {} runs: {unseen:#?}", runs.done);
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 1..=20 {
        let order = Order { seed, broken: None, keeps_lines: true };
        let (first, second) = (run_one(order), run_one(order));
        let differ = first.lines.iter().zip(&second.lines).find(|(first, second)| first != second);
        assert_eq!(differ, None, "seed {seed}");
        assert_eq!(first.lines.len(), second.lines.len(), "seed {seed}");
    }
}

/// The judge can see: for each rule there is a run that goes wrong without it.
#[test]
fn each_broken_rule_is_noticed() {
    for broken in Broken::ALL {
        let runs = run_many(1, NOTICED_WITHIN, Some(broken), true);
        let Some((seed, wrong)) = runs.failed.first_key_value() else {
            panic!("{broken:?} was not noticed in {} runs", runs.done);
        };
        println!("{broken:?}, seed {seed}: {}", wrong[0]);
    }
}
