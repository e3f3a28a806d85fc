//! The latest events of this server, for all clients. A client has a position in the ring, so no client has a buffer.

use leasehold_core::JobId;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;
use uuid::Uuid;

/// How many events the ring keeps: about a megabyte. A client that reconnects within this many events misses nothing.
const KEPT: usize = 4096;

/// Something that has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) name: &'static str,
    /// The place of the change. `None`: it is for every client.
    pub(super) queue: Option<String>,
    /// The job that has changed.
    pub(super) job: Option<JobId>,
    /// JSON in one line.
    pub(super) data: String,
}

impl Event {
    /// Events were lost: the client asks again for everything that it shows.
    pub(super) fn resync(reason: &str) -> Self {
        Self { name: "resync", queue: None, job: None, data: format!("{{\"reason\":\"{reason}\"}}") }
    }
}

/// The answer to a client that asks for the events from a position on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// The events, with their numbers.
    pub(super) events: Vec<(u64, Arc<Event>)>,
    /// The next position.
    pub(super) next: u64,
    /// Whether events before these are lost.
    pub(super) has_gap: bool,
}

/// The position from which a client continues when it reconnects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// With this event.
    At(u64),
    /// With the next event. The events since its last event are unknown.
    Unknown,
    /// With the next event. The ring has already overwritten the events since its last event.
    TooOld,
}

#[derive(Debug)]
pub(super) struct Ring {
    /// The generation: a new one for each start of a server, because event numbers of another server have no meaning here.
    generation: String,
    kept: Mutex<Kept>,
    /// The number of the next event.
    next: watch::Sender<u64>,
}

#[derive(Debug)]
struct Kept {
    /// The number of the first event in the ring.
    first: u64,
    events: VecDeque<Arc<Event>>,
}

/// The number of the first event of all. The number before it is the position of a client that connected before the first
/// event.
const FIRST: u64 = 1;

impl Default for Kept {
    fn default() -> Self {
        Self { first: FIRST, events: VecDeque::new() }
    }
}

impl Kept {
    fn next(&self) -> u64 {
        self.first + self.events.len() as u64
    }
}

impl Default for Ring {
    fn default() -> Self {
        let generation = Uuid::new_v4().simple().to_string()[..12].to_owned();
        Self { generation, kept: Mutex::default(), next: watch::Sender::new(FIRST) }
    }
}

impl Ring {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds events. The oldest events are dropped if there is no room.
    pub(super) fn push(&self, events: impl IntoIterator<Item = Event>) {
        let next = {
            let mut kept = self.kept();
            kept.events.extend(events.into_iter().map(Arc::new));
            let surplus = kept.events.len().saturating_sub(KEPT);
            kept.events.drain(..surplus);
            kept.first += surplus as u64;
            kept.next()
        };
        self.next.send_if_modified(|known| std::mem::replace(known, next) != next);
    }

    /// The number of the next event, and how to wait for it.
    pub(super) fn follow(&self) -> (u64, watch::Receiver<u64>) {
        let news = self.next.subscribe();
        (self.kept().next(), news)
    }

    /// Up to `most` events from this number on.
    pub(super) fn read(&self, from: u64, most: usize) -> Part {
        let kept = self.kept();
        let begin = from.max(kept.first);
        let skipped = usize::try_from(begin - kept.first).unwrap_or(usize::MAX);
        let events: Vec<_> = (begin..).zip(kept.events.iter().skip(skipped).take(most).cloned()).collect();
        Part { next: begin + events.len() as u64, events, has_gap: from < kept.first }
    }

    /// The id of an event, for clients.
    pub(super) fn id(&self, nth: u64) -> String {
        format!("{}-{nth}", self.generation)
    }

    /// The position from which a client continues after the event with this id.
    pub(super) fn start_after(&self, id: &str) -> Start {
        let Some((generation, nth)) = id.rsplit_once('-') else { return Start::Unknown };
        let kept = self.kept();
        match nth.parse::<u64>() {
            Ok(nth) if generation == self.generation && nth < kept.next() => {
                if nth + 1 < kept.first {
                    Start::TooOld
                } else {
                    Start::At(nth + 1)
                }
            }
            _ => Start::Unknown,
        }
    }

    /// The id of the event before this position: a client with this id continues here.
    pub(super) fn id_before(&self, position: u64) -> String {
        self.id(position.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(count: usize) -> impl Iterator<Item = Event> {
        (0..count).map(|nth| Event { name: "job", queue: Some("q".into()), job: None, data: nth.to_string() })
    }

    #[test]
    fn a_client_reads_on_where_it_was() {
        let ring = Ring::default();
        assert_eq!(ring.start_after(&ring.id_before(ring.follow().0)), Start::At(1), "before the first event");
        ring.push(events(3));
        let part = ring.read(2, 10);
        assert_eq!((part.events.len(), part.events[0].0, part.next, part.has_gap), (2, 2, 4, false));
        assert_eq!(ring.read(2, 1).next, 3, "in parts");
        assert_eq!(ring.read(4, 10), Part { events: Vec::new(), next: 4, has_gap: false });
        assert_eq!(ring.start_after(&ring.id(2)), Start::At(3));
    }

    #[test]
    fn an_id_that_is_unknown_or_too_old_is_told_apart() {
        let ring = Ring::default();
        ring.push(events(2));
        for unknown in ["", "x", "x-1", &ring.id(3), &Ring::default().id(1), &format!("{}-", ring.generation)] {
            assert_eq!(ring.start_after(unknown), Start::Unknown, "{unknown}");
        }
        ring.push(events(KEPT));
        assert_eq!(ring.start_after(&ring.id(1)), Start::TooOld);
        assert_eq!(ring.start_after(&ring.id(2)), Start::At(3), "the first one that is kept");
    }

    /// With any number of events, the ring keeps only its maximum, and a client that has read none of them learns that it
    /// has missed some.
    #[test]
    fn a_slow_client_costs_nothing_and_learns_that_it_was_slow() {
        let ring = Ring::default();
        let (position, _) = ring.follow();
        for _ in 0..5 {
            ring.push(events(KEPT));
        }
        assert_eq!(ring.kept().events.len(), KEPT);
        let part = ring.read(position, KEPT * 9);
        assert_eq!((part.has_gap, part.events.len(), part.next), (true, KEPT, 5 * KEPT as u64 + FIRST));
    }
}
