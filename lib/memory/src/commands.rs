//! The parts that several calls of the head share: the scripts with their bounds, the rules that a deliberately broken
//! simulation leaves out, and the events that are counted.

use crate::{
    broken::Broken,
    keys::Server,
    scripts::{Mode, in_order},
};
use leasehold_core::{Kind, QueueName};
use leasehold_ports::{EXTEND_FOR, Fill, Filled, Hint, Pushed, Served, Swept};
use std::time::Duration;

/// The same value as in `lib/handoff`.
const ASIDE_PART_OF_HEAD: u32 = 8;
/// The kinds as members of the set of served kinds.
pub(crate) const EVERY_KIND: &str = "";

/// The maximum length of an aside list.
pub(crate) fn aside_max(server: &Server) -> u32 {
    (server.head_max / ASIDE_PART_OF_HEAD).max(1)
}

/// The time after this duration, in ms.
pub(crate) fn until(now: i64, time: Duration) -> i64 {
    now.saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
}

/// Puts hints into a head.
pub(crate) fn push(server: &mut Server, queue: &QueueName, mode: Mode, hints: &[Hint]) -> Pushed {
    if hints.is_empty() {
        return Pushed::default();
    }
    let bound = server.head_max;
    let pushed = server.of(queue).push(bound, mode, &in_order(hints));
    server.keys.noted.insert(queue.clone());
    server.count("a hint had no room in the head", pushed.overflowed > 0);
    server.count("a hint was pushed twice", pushed.doubles > 0);
    pushed
}

/// Makes the lists and the waiting hints of a queue agree.
pub(crate) fn sweep(server: &mut Server, queue: &QueueName, force: bool) -> Swept {
    if server.is_broken(Broken::NothingIsSwept) {
        return Swept::default();
    }
    let swept = server.of(queue).sweep(force);
    server.count("lists and set of Redis were made to agree", swept != Swept::default());
    swept
}

/// The kinds that live workers serve.
pub(crate) fn served(server: &mut Server, queue: &QueueName, now: i64) -> Served {
    let kinds = &server.of(queue).kinds;
    let holding: Vec<&String> = kinds.iter().filter(|(_, until)| **until > now).map(|(kind, _)| kind).collect();
    match holding.as_slice() {
        [] => Served::Unknown,
        kinds if kinds.iter().any(|kind| *kind == EVERY_KIND) => Served::Every,
        kinds => Served::Only(kinds.iter().filter_map(|kind| kind.parse().ok()).collect()),
    }
}

/// The aside lists: the kind, the number of hints, and whether the list is full.
pub(crate) fn asides(server: &mut Server, queue: &QueueName) -> Vec<(Kind, u64, bool)> {
    let bound = u64::from(aside_max(server));
    let keys = server.of(queue);
    keys.named_asides().map(|(kind, ids)| (kind.clone(), ids.len() as u64, ids.len() as u64 >= bound)).collect()
}

/// Makes a head match the front of its line.
pub(crate) fn fill(server: &mut Server, Fill { queue, reading, hints, more, to }: &Fill, now: i64) -> Filled {
    if server.is_broken(Broken::NothingIsFilled) {
        return Filled::default();
    }
    let swept = sweep(server, queue, false);
    let bound = server.head_max;
    let to = to.as_deref().map(|place| (place, until(now, EXTEND_FOR)));
    let filled = server.of(queue).fill(bound, *reading, &in_order(hints), *more, to, now);
    if !hints.is_empty() || *more {
        server.keys.noted.insert(queue.clone());
    }
    server.count("a fill brought hints", filled.pushed > 0);
    Filled { swept, ..filled }
}
