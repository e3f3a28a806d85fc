//! The calls of each role to each store: a sum of traits. Every store that implements these traits has the role
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
    /// The calls of a client to the authority.
    ClientStore = Jobs + ExplainJobs + CountLoads + Graphs + ReadParents + ReadLine;
    /// The calls of a client to the head.
    ClientHead = RepairHead + HintLeases + SendNotices + ListWorkers + FindHints + HearEnds + TellEnds;
    /// The calls of a worker to the authority.
    WorkerStore = Claims + LookUp + Renewals + ReportProgress + Settles + ReadLine + ReadParents;
    /// The calls of a worker to the head.
    WorkerHead = TakeHints + HintLeases + PushHints + FillHead + HearNotices + SendNotices + TellEnds + WorkerRegistry;
    /// The calls of a reaper to the authority.
    ReaperStore = DueJobs + DeferredSettles + LookUp + LineChanges + Reorders + Schedules + Upkeep;
    /// The calls of a reaper to the head.
    ReaperHead =
        FillHead + LookAtHeads + RepairHead + HintLeases + HearNotices + SendNotices + ReaperRegistry + ListWorkers;
    /// The calls of an operator's tool to the authority.
    OperatorStore = ReaperStore + FindViolations;
    /// The calls of an operator's tool to the head.
    OperatorHead = ReaperHead + InspectHead;
}
