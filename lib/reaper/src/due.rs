//! The moment at which the next scheduled job, or the next tick of a schedule, is due, so that a reaper need not wait for its
//! next tick.

use std::time::Duration;
use tokio::time::Instant;

/// The next moment, as far as this reaper knows. The clock of this process only says how long to wait. The database decides what
/// is due.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Due {
    at: Option<Instant>,
}

impl Due {
    /// Stores the moment that PostgreSQL has named; `None`: not soon.
    pub(crate) const fn learn(&mut self, at: Option<Instant>) {
        self.at = at;
    }

    /// Notes that a job was scheduled that is due after this time.
    pub(crate) fn hear(&mut self, after: Duration) {
        let at = Instant::now() + after;
        self.at = Some(self.at.map_or(at, |before| before.min(at)));
    }

    /// Removes the moment if it has come. Returns whether it has.
    pub(crate) fn take_if_now(&mut self) -> bool {
        self.at.take_if(|at| *at <= Instant::now()).is_some()
    }

    /// Removes and returns the moment, so that a run that fails is not repeated without a pause.
    pub(crate) const fn take(&mut self) -> Option<Instant> {
        self.at.take()
    }

    pub(crate) const fn at(self) -> Option<Instant> {
        self.at
    }
}
