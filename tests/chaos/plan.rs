//! What a scenario says of itself, beside what it does.

/// The fleet and the load that a scenario is played on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Worker processes.
    pub(crate) workers: usize,
    /// Slots of each.
    pub(crate) slots: u32,
    /// Reaper processes.
    pub(crate) reapers: usize,
    /// `worker.lease_ms`: short, so that losing it is part of the run.
    pub(crate) lease_ms: u64,
    /// `head.max`: shorter than the backlog, so that the head has to be filled all the time.
    pub(crate) head_max: u32,
    /// Jobs that the load keeps in the line.
    pub(crate) backlog: usize,
    /// How long a job takes, in ms: so long that sleeping fills the slots before the machine is busy.
    pub(crate) job_ms: (u64, u64),
    /// Leases a job may lose, and attempts it has. Where many workers die, more than the usual three.
    pub(crate) max_crashes: i16,
}

impl Shape {
    /// What most scenarios are played on.
    pub(crate) const USUAL: Self = Self {
        workers: 3,
        slots: 8,
        reapers: 1,
        lease_ms: 3_000,
        head_max: 256,
        backlog: 600,
        job_ms: (60, 180),
        max_crashes: 3,
    };

    /// Slots of the whole fleet.
    pub(crate) fn all_slots(&self) -> usize {
        self.workers * self.slots as usize
    }

    /// Connections to PostgreSQL that each process may have: of many processes each has few.
    pub(crate) fn connections(&self) -> usize {
        (SERVER_CONNECTIONS as usize / 2 / self.workers.max(1)).clamp(3, 10)
    }
}

/// Connections that PostgreSQL takes.
pub(crate) const SERVER_CONNECTIONS: u32 = 500;

/// When a scenario counts as recovered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recovery {
    /// Every job that a killed worker held was begun by another: the slowest, from the kill on.
    Orphans,
    /// Jobs end about as fast as before: from the end of the fault on.
    Rate,
    /// As many slots are busy as before: the slowest, from each blow on.
    Busy,
}

/// What a scenario is played on and what it promises, beyond the invariants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) shape: Shape,
    pub(crate) recovery: Recovery,
    /// Which part of the rate before, or of the slots that were busy, counts as all of it: no machine is always alike.
    pub(crate) as_before: f64,
    /// The recovery takes at most this long.
    pub(crate) recovers_within_s: f64,
    /// Rate during the fault, as a part of the rate before: at least this.
    pub(crate) least_rate: f64,
    /// Jobs that may be dead at the end: those that killed their workers.
    pub(crate) dead: usize,
    /// Late results that workers must have seen refused: fewer, and the fault was not felt.
    pub(crate) least_refused: u64,
    /// Attempts that were spent without a result: at most so many.
    pub(crate) most_burned: i64,
    /// Leases that ran out although their handler had begun and its worker was neither killed nor frozen: at most so many.
    pub(crate) most_taken: usize,
}

impl Plan {
    /// For the rest of a plan.
    pub(crate) const USUAL: Self = Self {
        shape: Shape::USUAL,
        recovery: Recovery::Rate,
        as_before: 0.7,
        recovers_within_s: 5.0,
        least_rate: 0.0,
        dead: 0,
        least_refused: 0,
        most_burned: i64::MAX,
        most_taken: usize::MAX,
    };

    /// For a machine of which nothing is known, with neighbours that make noise: how long things may take and how fast
    /// they must go is judged with so much room that chance does not decide. What must never happen is judged as always.
    pub(crate) fn roomy(self) -> Self {
        Self {
            recovers_within_s: self.recovers_within_s * 5.0,
            least_rate: self.least_rate / 2.0,
            as_before: self.as_before * 0.6,
            ..self
        }
    }
}
