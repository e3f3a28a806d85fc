//! The guard in CI: is Leasehold as fast as before? CI machines differ, so the guard compares only ratios to the floor,
//! measured alternately with the floor on the same servers, and counts that do not depend on the machine.
//!
//! The best of all rounds counts, for the floor and for the queue. Other processes on the machine can only make a run
//! slower; on a busy machine the medians varied twice as much as the best rounds.
//!
//! The bounds leave room for noise and for debug builds. They catch problems that cost a factor: a round trip or a
//! sleep on the path of a job, batches that no longer form, an unused index, a statement that everybody waits for. To
//! see a few percent, use `make bench`.

use crate::{
    arguments::{Arguments, Guard},
    lab::{Lab, RunSpec},
    results::{Results, Spread},
    table::number,
};
use anyhow::Result;
use std::time::Duration;

/// A figure and its bound.
struct Bound {
    what: &'static str,
    /// Where to find the figure: the setting of its runs, and the name of the figure.
    of: (&'static str, &'static str),
    /// The figure of the floor to divide by; `None` for a count.
    floor: Option<&'static str>,
    worst: Worst,
    /// The figure when the bound was set, in a debug build on a quiet machine.
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
        // With few jobs, what each connection plans once is half of it. Counts have a trigger and a fold. A debug build whose
        // dependencies are not optimized was measured at 7.9.
        worst: Worst::AtMost(11.0),
        usual: "2.9",
    },
];

/// The minimum for the floor's latency, in ms. The floor's latency is two commits, which take almost no time on a disk
/// that syncs immediately. Then our round trips would be compared with almost nothing.
const FLOOR_LATENCY_MS: f64 = 0.8;

/// The floor is faster, so it needs more jobs for a measurable time.
const FLOOR_SCALE: u64 = 5;

/// A run takes one or two seconds. A run that takes longer than this is abandoned.
const RUN_WITHIN: Duration = Duration::from_secs(30);

pub(crate) async fn measure(arguments: &Arguments, size: &Guard) -> Result<Results> {
    let mut lab = Lab::open("guard", arguments).await?.run_within(RUN_WITHIN);
    for _ in 0..size.rounds {
        lab.bench("floor", "floor", &RunSpec::new("floor", size.n * FLOOR_SCALE).with(["--gap-ms", "5"])).await?;
        lab.bench("leasehold", "drain", &RunSpec::new("drain", size.n)).await?;
        lab.bench("leasehold", "flow", &RunSpec::new("flow", size.n)).await?;
        lab.bench("leasehold", "latency", &RunSpec::new("latency", size.latency_n).with(["--gap-ms", "5"])).await?;
    }
    Ok(lab.results)
}

/// Prints each figure. Returns whether all figures are within their bounds.
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
    /// The best of all rounds, divided by the best of the floor.
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

    /// A figure that was not measured is out of bounds.
    fn holds(&self, found: Option<f64>) -> bool {
        found.is_some_and(|found| match self.worst {
            Worst::AtLeast(worst) => found >= worst,
            Worst::AtMost(worst) => found <= worst,
        })
    }
}
