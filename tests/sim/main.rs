//! The simulation: the real worker and the real reaper on stores in memory, in virtual time. All faults come from a seed.
//!
//! In one run, a few workers with their own queues, slots and kinds, one to three reapers and two clients work, while a
//! director injects faults: it kills, freezes and stops processes, cuts and slows the connections to both stores, and
//! flushes, rewinds and damages Redis (`director`, `process`, `weather`). Then all faults end. Within a bound of virtual
//! time all jobs must be finished and both stores must agree (`world`). Then `judge` judges the journal of the store, the
//! rows, and the reports of the handlers. `make sim SEED=…` shows one run, `make sim SEEDS=…` sets the number of runs.
//!
//! The stores are in `lib/memory`. The same conformance suites test these stores and the real ones.
//!
//! Not covered: statements and scripts on a real server (`tests/store`, `tests/lua`), plans, pools and connections, real
//! clocks and threads (here is one thread, and each verb of a store is one step), and the work of a handler while its
//! process is frozen (its timers continue to run, and the actions that they trigger wait). `tests/chaos` and `tests/deaths`
//! cover these.

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

/// The number of runs of one check, unless `SEEDS` sets another number.
const RUNS: u64 = 1000;
/// A broken rule must be noticed within this number of runs.
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

/// The judge can find errors: for each broken rule there is a run that fails.
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
