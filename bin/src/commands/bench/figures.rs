//! The JSON line with the figures.

use super::{Mode, Plan};
use leasehold_bench::{Costs, Quantiles, quantile};
use serde::Serialize;

/// The line.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    peer: &'static str,
    version: &'static str,
    mode: Mode,
    n: u64,
    procs: u32,
    conc: u32,
    #[serde(flatten)]
    figures: Figures,
    #[serde(skip_serializing_if = "Option::is_none")]
    costs: Option<Costs>,
}

/// The results, by mode. Rates are in jobs per second.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Figures {
    Drain {
        enqueue_per_s: f64,
        drain_per_s: f64,
        before_ready: u64,
        /// The rates of the first tenth and the last tenth of the jobs that were run while the clock ran.
        first_tenth_per_s: f64,
        last_tenth_per_s: f64,
    },
    Flow {
        flow_per_s: f64,
    },
    FlowForATime {
        flow_per_s: f64,
        /// The number of jobs that were run: the `n` of the line.
        #[serde(skip)]
        jobs: u64,
        seconds: u64,
        /// The rate in each tenth of that time.
        tenths_per_s: Vec<f64>,
    },
    Latency {
        seen: usize,
        #[serde(flatten)]
        delays: Delays,
    },
    Floor {
        enqueue_per_s: f64,
        drain_per_s: f64,
        flow_per_s: f64,
        #[serde(flatten)]
        delays: Delays,
    },
}

/// How long single jobs took.
#[derive(Debug, Serialize)]
pub(crate) struct Delays {
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
    /// Pairs of percentile and ms.
    quantiles_ms: Quantiles,
}

impl Line {
    pub(crate) fn new(plan: &Plan, figures: Figures, costs: Option<Costs>) -> Self {
        let n = match &figures {
            Figures::FlowForATime { jobs, .. } => *jobs,
            _ => plan.jobs,
        };
        Self {
            peer: if plan.mode == Mode::Floor { "floor" } else { "leasehold" },
            version: env!("CARGO_PKG_VERSION"),
            mode: plan.mode,
            n,
            procs: plan.procs,
            conc: plan.slots,
            figures,
            costs,
        }
    }
}

impl Delays {
    /// Percentiles of sorted delays, in ms.
    pub(crate) fn of(sorted: &[f64]) -> Self {
        let at = |part| quantile(sorted, part).unwrap_or(f64::NAN);
        Self { p50_ms: at(0.50), p95_ms: at(0.95), p99_ms: at(0.99), quantiles_ms: Quantiles::of(sorted) }
    }
}
