//! The result of the main job, in the words of the README.

use crate::fleet::{Counts, Stopped};
use std::{fmt, path::PathBuf};

/// The result of the main job.
pub(crate) struct Verdict {
    files: usize,
    seconds: f64,
    counts: Counts,
    stale_writes_refused: u64,
    losses_noticed: u64,
    lost: usize,
    wrong: Vec<String>,
}

impl Verdict {
    /// Compares the output of the fleet, one line for each file in the order of the files, with the expected output.
    pub(crate) fn new(
        paths: &[PathBuf],
        expected: &[String],
        output: &[String],
        seconds: f64,
        counts: Counts,
        stopped: Stopped,
    ) -> Self {
        let wrong = paths
            .iter()
            .zip(expected)
            .zip(output)
            .filter(|((_, right), printed)| right != printed)
            .map(|((path, right), printed)| format!("{}: {printed:?} expected {right:?}", path.display()))
            .collect();
        Self {
            files: paths.len(),
            seconds,
            lost: paths.len().saturating_sub(output.len().min(counts.succeeded)),
            counts,
            stale_writes_refused: stopped.stale_writes_refused,
            losses_noticed: stopped.losses_noticed,
            wrong,
        }
    }

    /// Whether nothing is lost, nothing is wrong, and the faults had an effect.
    pub(crate) fn is_good(&self) -> bool {
        self.lost == 0 && self.wrong.is_empty() && self.counts.succeeded == self.files && self.had_effect()
    }

    /// A run without a lost lease proves nothing. The frozen worker notices its losses when it continues: a renewal tells it,
    /// or a late result is refused.
    const fn had_effect(&self) -> bool {
        self.counts.leases_lost > 0 && self.losses_noticed > 0
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { succeeded, runs, leases_lost } = self.counts;
        writeln!(f)?;
        writeln!(f, "  files                  {:>8}", self.files)?;
        writeln!(f, "  succeeded              {succeeded:>8}")?;
        writeln!(
            f,
            "  seconds                {:>8.1}   ({:.0} files/s)",
            self.seconds,
            self.files as f64 / self.seconds
        )?;
        writeln!(f, "  runs                   {runs:>8}   ({} beyond the first)", runs.saturating_sub(self.files))?;
        writeln!(f, "  leases lost            {leases_lost:>8}")?;
        writeln!(f, "  noticed by workers     {:>8}", self.losses_noticed)?;
        writeln!(f, "  late results refused   {:>8}", self.stale_writes_refused)?;
        writeln!(f, "  lost                   {:>8}", self.lost)?;
        writeln!(f, "  wrong                  {:>8}", self.wrong.len())?;
        for wrong in self.wrong.iter().take(10) {
            writeln!(f, "    {wrong}")?;
        }
        writeln!(f)?;
        writeln!(
            f,
            "{}: {} lost, {} wrong.",
            if self.is_good() { "Good" } else { "NOT GOOD" },
            self.lost,
            self.wrong.len()
        )?;
        if !self.had_effect() {
            writeln!(
                f,
                "The faults had no effect: the killed and the frozen worker should have lost leases, and the frozen one should have noticed."
            )?;
        }
        writeln!(f, "To see more, start a fleet yourself and follow a job:")?;
        writeln!(f, "  target/release/leasehold dev --workers {}", crate::WORKERS)?;
        writeln!(f, "  target/release/leasehold enqueue --kind command --payload '{{\"argv\":[\"date\"]}}'")?;
        write!(f, "  target/release/leasehold job list   ·   job show ID   ·   stats --watch   ·   doctor")
    }
}
