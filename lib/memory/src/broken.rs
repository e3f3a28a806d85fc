//! Rules that a simulation can break, to prove that its judge notices.

/// One rule of the stores that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// A settle ends the current run of the job, no matter which worker holds it.
    SettleIgnoresTheFence,
    /// A settle is answered as written, but is not written.
    SettleIsAnsweredUnwritten,
    /// A lease runs out one lease after the claim, even if it is renewed.
    ExpireIgnoresRenewals,
    /// A lost lease does not count as a crash.
    ExpireCountsNoCrash,
    /// An enqueue is answered as written, but one in eight is not written.
    EnqueueIsAnsweredUnwritten,
    /// A finished job is not found by its id: a client resends without `id_may_exist`.
    ResendsForgetTheId,
    /// Two live jobs may have the same unique key.
    UniqueKeysAreNotGuarded,
    /// A claim also takes running jobs.
    ClaimTakesRunningJobs,
    /// A claim does not check whether the queue or the kind is paused.
    ClaimIgnoresPauses,
    /// A cancel of a running job is answered and then forgotten.
    CancelIsForgotten,
    /// A released job has spent its attempt.
    ReleaseKeepsTheAttempt,
    /// More jobs of a limit key run than its limit allows.
    LimitsAreIgnored,
    /// Scheduled jobs stay scheduled.
    NothingIsPromoted,
    /// A schedule fires although another reaper has fired the tick.
    ATickFiresTwice,
    /// A success is written without its follow-on jobs.
    FollowOnIsForgotten,
    /// The follow-on jobs of a run are enqueued although the run has lost its lease.
    FollowOnIgnoresTheFence,
    /// A child starts when the first of its parents has ended.
    OneParentIsEnough,
    /// A hint that a blocking take moved and that has no lease stays where it is.
    NothingIsAdopted,
    /// The head is never filled from the line.
    NothingIsFilled,
    /// Redis does not report leases that ran out.
    ExpiredHintsAreNotTold,
    /// The lists and the set of Redis are never made to agree.
    NothingIsSwept,
}

impl Broken {
    /// All rules.
    pub const ALL: [Self; 21] = [
        Self::SettleIgnoresTheFence,
        Self::SettleIsAnsweredUnwritten,
        Self::ExpireIgnoresRenewals,
        Self::ExpireCountsNoCrash,
        Self::EnqueueIsAnsweredUnwritten,
        Self::ResendsForgetTheId,
        Self::UniqueKeysAreNotGuarded,
        Self::ClaimTakesRunningJobs,
        Self::ClaimIgnoresPauses,
        Self::CancelIsForgotten,
        Self::ReleaseKeepsTheAttempt,
        Self::LimitsAreIgnored,
        Self::NothingIsPromoted,
        Self::ATickFiresTwice,
        Self::FollowOnIsForgotten,
        Self::FollowOnIgnoresTheFence,
        Self::OneParentIsEnough,
        Self::NothingIsAdopted,
        Self::NothingIsFilled,
        Self::ExpiredHintsAreNotTold,
        Self::NothingIsSwept,
    ];
}
