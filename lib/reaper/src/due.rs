//! The moment at which the next scheduled job is due, so that a reaper need not wait for its next tick.

use std::time::Duration;
use tokio::time::Instant;

/// When the next job is due, as far as this reaper knows. The clock of this process only says how long to wait. Whether a job is
/// due, the database decides.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Due {
    at: Option<Instant>,
}

impl Due {
    /// PostgreSQL has said when the next job is due; `None`: not soon.
    pub(crate) const fn learn(&mut self, at: Option<Instant>) {
        self.at = at;
    }

    /// A job was scheduled that is due after this time.
    pub(crate) fn hear(&mut self, after: Duration) {
        let at = Instant::now() + after;
        self.at = Some(self.at.map_or(at, |before| before.min(at)));
    }

    /// Removes and returns the moment, so that a run that fails is not repeated without a pause.
    pub(crate) const fn take(&mut self) -> Option<Instant> {
        self.at.take()
    }

    pub(crate) const fn at(self) -> Option<Instant> {
        self.at
    }
}
