//! What each role asks of each store: a sum of traits. Every store that implements these traits has the role
//! automatically.

use crate::{
    claims::{Claims, LookUp},
    due::DueJobs,
    ends::{HearEnds, TellEnds},
    filling::FillHead,
    graphs::{Graphs, ReadParents},
    hints::{FindHints, HintLeases, TakeHints},
    jobs::{ExplainJobs, Jobs},
    line::ReadLine,
    line_changes::LineChanges,
    loads::CountLoads,
    notices::{HearNotices, SendNotices},
    operator::{FindViolations, InspectHead},
    registry::{ListWorkers, ReaperRegistry, WorkerRegistry},
    reorders::Reorders,
    repairs::{LookAtHeads, PushHints, RepairHead},
    runs::{DeferredSettles, Renewals, ReportProgress, Settles},
    schedules::Schedules,
    upkeep::Upkeep,
};

macro_rules! roles {
    ($($(#[$doc:meta])* $role:ident = $first:ident $(+ $more:ident)*;)*) => {$(
        $(#[$doc])*
        pub trait $role: $first $(+ $more)* {}

        impl<T: $first $(+ $more)* + ?Sized> $role for T {}
    )*};
}

roles! {
    /// What a client asks of the authority.
    ClientStore = Jobs + ExplainJobs + CountLoads + Graphs + ReadParents + ReadLine;
    /// What a client asks of the head.
    ClientHead = RepairHead + HintLeases + SendNotices + ListWorkers + FindHints + HearEnds + TellEnds;
    /// What a worker asks of the authority.
    WorkerStore = Claims + LookUp + Renewals + ReportProgress + Settles + ReadLine + ReadParents;
    /// What a worker asks of the head.
    WorkerHead = TakeHints + HintLeases + PushHints + FillHead + HearNotices + SendNotices + TellEnds + WorkerRegistry;
    /// What a reaper asks of the authority.
    ReaperStore = DueJobs + DeferredSettles + LookUp + LineChanges + Reorders + Schedules + Upkeep;
    /// What a reaper asks of the head.
    ReaperHead =
        FillHead + LookAtHeads + RepairHead + HintLeases + HearNotices + SendNotices + ReaperRegistry + ListWorkers;
    /// What an operator's tool asks of the authority.
    OperatorStore = ReaperStore + FindViolations;
    /// What an operator's tool asks of the head.
    OperatorHead = ReaperHead + InspectHead;
}
