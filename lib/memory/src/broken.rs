//! Rules that a simulation can take away, to see that it would notice.

/// One rule of the stores that is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// A settle ends whatever runs under that id, whoever it is of.
    SettleIgnoresTheFence,
    /// A settle is answered before it is written, and then not written.
    SettleIsAnsweredUnwritten,
    /// A lease runs out a lease after the claim, renewed or not.
    ExpireIgnoresRenewals,
    /// A lost lease counts as no crash.
    ExpireCountsNoCrash,
    /// An enqueue is answered before it is written, and then, one time in eight, not written.
    EnqueueIsAnsweredUnwritten,
    /// Two live jobs may have one unique key.
    UniqueKeysAreNotGuarded,
    /// A claim also takes what somebody runs.
    ClaimTakesRunningJobs,
    /// A claim does not ask whether the queue is paused.
    ClaimIgnoresPauses,
    /// A cancel of a running job is answered and forgotten.
    CancelIsForgotten,
    /// A job that is given back has spent its attempt.
    ReleaseKeepsTheAttempt,
    /// What is scheduled stays so.
    NothingIsPromoted,
    /// What a blocking take moved and nobody leased stays where it is.
    NothingIsAdopted,
    /// The head is never filled from the line.
    NothingIsFilled,
    /// Leases that ran out in Redis are not told.
    ExpiredHintsAreNotTold,
    /// Lists and set of Redis are not made to agree.
    NothingIsSwept,
}

impl Broken {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::SettleIgnoresTheFence,
        Self::SettleIsAnsweredUnwritten,
        Self::ExpireIgnoresRenewals,
        Self::ExpireCountsNoCrash,
        Self::EnqueueIsAnsweredUnwritten,
        Self::UniqueKeysAreNotGuarded,
        Self::ClaimTakesRunningJobs,
        Self::ClaimIgnoresPauses,
        Self::CancelIsForgotten,
        Self::ReleaseKeepsTheAttempt,
        Self::NothingIsPromoted,
        Self::NothingIsAdopted,
        Self::NothingIsFilled,
        Self::ExpiredHintsAreNotTold,
        Self::NothingIsSwept,
    ];
}
