//! The plan of a scenario: its fleet, its load and its promises.

/// The fleet and the load of a scenario.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Worker processes.
    pub(crate) workers: usize,
    /// Slots of each worker.
    pub(crate) slots: u32,
    /// Reaper processes.
    pub(crate) reapers: usize,
    /// `worker.lease_ms`: short, so that the run includes lost leases.
    pub(crate) lease_ms: u64,
    /// `head.max`: shorter than the backlog, so that the head must be filled all the time.
    pub(crate) head_max: u32,
    /// The number of jobs that the load keeps in the line.
    pub(crate) backlog: usize,
    /// The duration of a job, in ms: long enough that sleeping jobs fill the slots while the machine is not busy.
    pub(crate) job_ms: (u64, u64),
    /// How many of a hundred jobs depend on jobs that were enqueued a little earlier.
    pub(crate) dependent_percent: usize,
    /// How many of a hundred jobs have limit keys: the key of a cluster, and the key of all clusters.
    pub(crate) limited_percent: usize,
    /// How many of a hundred jobs have the fair key of a tenant.
    pub(crate) fair_percent: usize,
    /// How many leases a job may lose. Where many workers die, this is more than the usual three.
    pub(crate) max_crashes: i16,
}

impl Shape {
    /// The shape of most scenarios.
    pub(crate) const USUAL: Self = Self {
        workers: 3,
        slots: 8,
        reapers: 1,
        lease_ms: 3_000,
        head_max: 256,
        backlog: 600,
        job_ms: (60, 180),
        dependent_percent: 0,
        limited_percent: 0,
        fair_percent: 0,
        max_crashes: 3,
    };

    /// The slots of the whole fleet.
    pub(crate) fn all_slots(&self) -> usize {
        self.workers * self.slots as usize
    }

    /// The maximum of connections to PostgreSQL for each process: with many processes, each one has few.
    pub(crate) fn connections(&self) -> usize {
        (SERVER_CONNECTIONS as usize / 2 / self.workers.max(1)).clamp(3, 10)
    }
}

/// The maximum of connections that PostgreSQL accepts.
pub(crate) const SERVER_CONNECTIONS: u32 = 500;

/// When a fleet counts as recovered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recovery {
    /// Another worker has started every job that a killed worker held. Measured from each kill; the slowest counts.
    Orphans,
    /// Jobs end about as fast as before the fault. Measured from the end of the fault.
    Rate,
    /// As many slots are busy as before the fault. Measured from each injection; the slowest counts.
    Busy,
}

/// The fleet and the load of a scenario, and its promises beyond the invariants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) shape: Shape,
    pub(crate) recovery: Recovery,
    /// The part of the earlier rate, or of the earlier busy slots, that counts as recovered: the speed of a machine
    /// always varies.
    pub(crate) recovery_threshold: f64,
    /// The maximum recovery time.
    pub(crate) recovers_within_s: f64,
    /// The minimum rate during the fault, as a part of the rate before.
    pub(crate) rate_min: f64,
    /// The number of jobs that must be dead at the end, because they killed their workers.
    pub(crate) dead: usize,
    /// The minimum number of late results that workers saw refused. With fewer, the fault had no effect.
    pub(crate) refused_min: u64,
    /// The maximum number of attempts that were spent without a result.
    pub(crate) burned_max: i64,
    /// The maximum number of leases that ran out although the handler had started and its worker was neither killed nor
    /// frozen.
    pub(crate) live_leases_lost_max: usize,
}

impl Plan {
    /// Defaults for a plan.
    pub(crate) const USUAL: Self = Self {
        shape: Shape::USUAL,
        recovery: Recovery::Rate,
        recovery_threshold: 0.7,
        recovers_within_s: 5.0,
        rate_min: 0.0,
        dead: 0,
        refused_min: 0,
        burned_max: i64::MAX,
        live_leases_lost_max: usize::MAX,
    };

    /// The plan for an unknown machine with noisy neighbours: recovery times and rates get so much room that chance
    /// does not decide. The invariants stay as strict.
    pub(crate) fn relaxed(self) -> Self {
        Self {
            recovers_within_s: self.recovers_within_s * 5.0,
            rate_min: self.rate_min / 2.0,
            recovery_threshold: self.recovery_threshold * 0.6,
            ..self
        }
    }
}
