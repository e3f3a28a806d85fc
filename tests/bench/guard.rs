//! What CI asks: is it still as fast as it was? No machine of CI is like another, so nothing is compared but ratios to the
//! floor, measured in turns with it on the same servers, and counts that do not depend on the machine at all.
//!
//! Of all rounds the best one counts, of the floor as of the queue: whoever else uses the machine can only make a run
//! slower, and on a busy one medians lay twice as far apart as the best did.
//!
//! The bounds have slack for noise and for debug builds. What they catch is what goes wrong by a factor: a round trip or
//! a sleep on the path of a job, batches that are none any more, an index that is not used, a statement that everybody
//! waits for. A few percent are for `make bench`.

use crate::{
    arguments::{Arguments, Guard},
    lab::{Lab, Order},
    results::{Results, Spread},
    table::number,
};
use anyhow::Result;
use std::time::Duration;

/// A figure, and how bad it may be.
struct Bound {
    what: &'static str,
    /// Where the figure is found: the setting of its runs, and its name.
    of: (&'static str, &'static str),
    /// The figure of the floor that it is divided by; none if it is a count.
    floor: Option<&'static str>,
    worst: Worst,
    /// What it was when the bound was set, in a debug build on a quiet machine.
    usual: &'static str,
}

enum Worst {
    AtLeast(f64),
    AtMost(f64),
}

const BOUNDS: [Bound; 7] = [
    Bound {
        what: "drain, of the floor",
        of: ("drain", "drain_per_s"),
        floor: Some("drain_per_s"),
        worst: Worst::AtLeast(0.09),
        usual: "0.24",
    },
    Bound {
        what: "flow, of the floor",
        of: ("flow", "flow_per_s"),
        floor: Some("flow_per_s"),
        worst: Worst::AtLeast(0.09),
        usual: "0.24",
    },
    Bound {
        what: "latency p50, of the floor",
        of: ("latency", "p50_ms"),
        floor: Some("p50_ms"),
        worst: Worst::AtMost(5.5),
        usual: "1.9",
    },
    Bound {
        what: "from enqueue to result p50, of the floor's latency",
        of: ("latency", "settled_p50_ms"),
        floor: Some("p50_ms"),
        worst: Worst::AtMost(6.0),
        usual: "1.9",
    },
    Bound {
        what: "transactions for a job, drain",
        of: ("drain", "costs/transactions_per_job"),
        floor: None,
        worst: Worst::AtMost(0.05),
        usual: "0.018",
    },
    Bound {
        what: "WAL for a job, of the floor, drain",
        of: ("drain", "costs/wal_bytes_per_job"),
        floor: Some("costs/wal_bytes_per_job"),
        worst: Worst::AtMost(2.8),
        usual: "2.3",
    },
    Bound {
        what: "PostgreSQL's CPU for a job, of the floor, drain",
        of: ("drain", "costs/postgres_cpu_us_per_job"),
        floor: Some("costs/postgres_cpu_us_per_job"),
        worst: Worst::AtMost(6.0),
        usual: "2.9",
    },
];

/// What the floor's latency counts as at least, in ms: the two commits that it is take nearly nothing where the disk
/// syncs at once, and then our round trips would be compared with that.
const FLOOR_LATENCY_MS: f64 = 0.8;

/// The floor needs more jobs to be seen by a clock.
const FLOOR_SCALE: u64 = 5;

/// A run takes one or two seconds. One that is this slow need not be waited for.
const RUN_WITHIN: Duration = Duration::from_secs(30);

pub(crate) async fn measure(arguments: &Arguments, size: &Guard) -> Result<Results> {
    let mut lab = Lab::open("guard", arguments).await?.run_within(RUN_WITHIN);
    for _ in 0..size.rounds {
        lab.bench("floor", "floor", &Order::new("floor", size.n * FLOOR_SCALE).with(["--gap-ms", "5"])).await?;
        lab.bench("leasehold", "drain", &Order::new("drain", size.n)).await?;
        lab.bench("leasehold", "flow", &Order::new("flow", size.n)).await?;
        lab.bench("leasehold", "latency", &Order::new("latency", size.latency_n).with(["--gap-ms", "5"])).await?;
    }
    Ok(lab.results)
}

/// Says how it is, and whether all of it is within bounds.
pub(crate) fn judge(results: &Results) -> bool {
    let mut good = true;
    for bound in &BOUNDS {
        let found = bound.found(results);
        let holds = bound.holds(found);
        good &= holds;
        let found = found.map_or_else(|| "not measured".to_owned(), number);
        let (word, worst) = match bound.worst {
            Worst::AtLeast(worst) => ("at least", worst),
            Worst::AtMost(worst) => ("at most", worst),
        };
        let verdict = if holds { "good" } else { "BAD " };
        println!("{verdict}  {}: {found} ({word} {worst}; it was {})", bound.what, bound.usual);
    }
    good
}

impl Bound {
    /// The best of all rounds, divided by that of the floor.
    fn found(&self, results: &Results) -> Option<f64> {
        let best = |spread: Spread| match self.worst {
            Worst::AtLeast(_) => spread.most,
            Worst::AtMost(_) => spread.least,
        };
        let ours = best(results.spread("leasehold", self.of.0, self.of.1)?);
        match self.floor {
            None => Some(ours),
            Some(figure) => {
                let floor = best(results.spread("floor", "floor", figure)?);
                let floor = if figure.ends_with("_ms") { floor.max(FLOOR_LATENCY_MS) } else { floor };
                (floor > 0.0).then(|| ours / floor)
            }
        }
    }

    /// What was not measured does not hold.
    fn holds(&self, found: Option<f64>) -> bool {
        found.is_some_and(|found| match self.worst {
            Worst::AtLeast(worst) => found >= worst,
            Worst::AtMost(worst) => found <= worst,
        })
    }
}
