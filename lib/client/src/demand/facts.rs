//! Decides which jobs are demand: a pure function of facts from both stores.

use leasehold_core::{Demand, Kind, QueueName};
use leasehold_ports::{Kinds, LastServed, LoadQuestion, QueueLoad, WorkerRecord};
use std::time::Duration;

/// A kind that a worker has served within this time counts as served: its workers may be restarting. Longer than a roll-out takes,
/// and short enough that jobs of a kind that is no longer served do not keep workers for long.
const LATELY: Duration = Duration::from_secs(3600);

/// The workers of a queue, and the kinds that they have served.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub(super) queue: &'a QueueName,
    /// The live workers of all queues.
    pub(super) workers: &'a [WorkerRecord],
    /// When workers last served the kinds of the queue, as far as Redis remembers.
    pub(super) last_served: &'a [LastServed],
}

impl Facts<'_> {
    /// The workers of the queue that take jobs, each with its slots.
    fn taking(&self) -> impl Iterator<Item = (&WorkerRecord, u64)> {
        self.workers.iter().filter(|worker| !worker.draining).filter_map(|worker| {
            let slots = worker.queues.iter().filter(|(queue, _)| queue == self.queue);
            let slots: u64 = slots.map(|(_, slots)| u64::from(*slots)).sum();
            (slots > 0).then_some((worker, slots))
        })
    }

    /// Decides which jobs count.
    ///
    /// - While workers take jobs of the queue: the jobs of the kinds that workers serve, or have served recently.
    /// - While no worker takes jobs, but there was one recently: the jobs of all remembered kinds. Of the other kinds, only jobs
    ///   that have become due since the last worker was there, because the next worker may serve them. Older jobs of these kinds
    ///   had a worker that did not serve them: if they counted, a queue that is scaled to zero would start a worker again and
    ///   again.
    /// - Otherwise every job counts, because a queue that is scaled to zero could never start without this rule.
    pub(super) fn question(&self) -> LoadQuestion {
        let (mut every, mut kinds): (bool, Vec<Kind>) = (false, Vec::new());
        let mut has_worker = false;
        for (worker, _) in self.taking() {
            has_worker = true;
            match &worker.kinds {
                None => every = true,
                Some(only) => kinds.extend(only.iter().cloned()),
            }
        }
        // A stopping worker means that a worker was there a moment ago, no matter what Redis remembers.
        let stops =
            |worker: &WorkerRecord| worker.draining && worker.queues.iter().any(|(queue, _)| queue == self.queue);
        let last_seen = match self.workers.iter().any(stops) {
            true => Some(Duration::ZERO),
            false => self.last_served.iter().map(|last| last.ago).min(),
        };
        let remembered = self.last_served.iter().filter(|last| !has_worker || last.ago <= LATELY);
        for last in remembered {
            match &last.kind {
                None => every = true,
                Some(kind) => kinds.push(kind.clone()),
            }
        }
        every |= !has_worker && last_seen.is_none_or(|ago| ago > LATELY);
        kinds.sort_unstable();
        kinds.dedup();
        LoadQuestion {
            queue: self.queue.clone(),
            kinds: if every { Kinds::All } else { Kinds::Only(kinds) },
            others_within: last_seen.filter(|_| !has_worker && !every),
        }
    }

    /// The demand of the queue.
    pub(super) fn demand(&self, load: QueueLoad) -> Demand {
        let (workers, slots) = self.taking().fold((0, 0), |(workers, slots), (_, own)| (workers + 1, slots + own));
        let waiting = load.waiting + with_room(&load);
        Demand::new(self.queue.to_string()).with(|demand| {
            demand.demand = load.running + waiting;
            demand.waiting = waiting;
            demand.running = load.running;
            demand.draining = load.draining;
            (demand.workers, demand.slots) = (workers, slots);
            demand.oldest_s = load.oldest_s.filter(|_| waiting > 0);
            demand.drain_s = match (waiting, load.finished) {
                (0, _) => Some(0.0),
                (_, 0) => None,
                (waiting, finished) => Some((waiting as f64 * 600.0 / finished as f64).round() / 10.0),
            };
        })
    }
}

/// How many jobs with limit keys could start at the same time: each takes room of all its keys. Jobs with few keys come first, because
/// they take room of few keys. So the answer is exact if the keys are nested: for example, if all jobs with the key of a tenant
/// also have the key of the whole fleet.
fn with_room(load: &QueueLoad) -> u64 {
    let mut rooms = load.rooms.clone();
    let mut groups: Vec<_> = load.limited.iter().collect();
    groups.sort_by_key(|group| group.keys.iter().filter(|key| rooms.contains_key(*key)).count());
    let mut started = 0;
    for group in groups {
        let room = group.keys.iter().filter_map(|key| rooms.get(key)).min().copied();
        let starts = group.waiting.min(room.unwrap_or(u64::MAX));
        for key in &group.keys {
            if let Some(room) = rooms.get_mut(key) {
                *room -= starts;
            }
        }
        started += starts;
    }
    started
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_core::WorkerId;
    use leasehold_ports::LimitedJobs;

    fn worker(kinds: Option<&[&str]>, slots: u32, draining: bool) -> WorkerRecord {
        WorkerRecord {
            id: WorkerId::new(),
            host: "h".into(),
            pid: 1,
            version: "0".into(),
            started_at: String::new(),
            queues: vec![(queue(), slots), ("other".parse().expect("a name"), 50)],
            kinds: kinds.map(|kinds| kinds.iter().map(|kind| kind.parse().expect("a name")).collect()),
            running: 0,
            oldest_run_s: None,
            draining,
            http: None,
        }
    }

    fn queue() -> QueueName {
        "q".parse().expect("a name")
    }

    fn served(kind: Option<&str>, seconds: u64) -> LastServed {
        LastServed { kind: kind.map(|kind| kind.parse().expect("a name")), ago: Duration::from_secs(seconds) }
    }

    /// In a test: the kinds that count, or `*`; and for how many seconds jobs of other kinds count.
    fn counts(workers: &[WorkerRecord], last_served: &[LastServed]) -> (String, Option<u64>) {
        let queue = queue();
        let question = Facts { queue: &queue, workers, last_served }.question();
        let kinds = question.kinds.names().map_or_else(|| "*".to_owned(), |names| names.join(","));
        (kinds, question.others_within.map(|within| within.as_secs()))
    }

    #[test]
    fn a_kind_counts_if_workers_serve_it_or_did_lately() {
        let (a, b) = (worker(Some(&["a"]), 2, false), worker(Some(&["b", "a"]), 2, false));
        assert_eq!(counts(&[a.clone(), b], &[]), ("a,b".into(), None));
        assert_eq!(counts(&[a.clone(), worker(None, 1, false)], &[]), ("*".into(), None));
        assert_eq!(counts(&[a], &[served(Some("b"), 3600), served(Some("c"), 3601)]), ("a,b".into(), None));
    }

    #[test]
    fn a_queue_without_workers_can_start() {
        let everything = ("*".to_owned(), None);
        assert_eq!(counts(&[], &[]), everything, "Redis remembers nothing");
        assert_eq!(counts(&[], &[served(Some("a"), 3601)]), everything, "the last worker was there long ago");
        assert_eq!(counts(&[], &[served(None, 60)]), everything);
        assert_eq!(counts(&[], &[served(Some("a"), 60), served(Some("b"), 90_000)]), ("a,b".into(), Some(60)));
        let draining = worker(Some(&["a"]), 2, true);
        assert_eq!(
            counts(&[draining], &[served(Some("a"), 5)]),
            ("a".into(), Some(0)),
            "a worker that stops is still there"
        );
    }

    fn demand(workers: &[WorkerRecord], load: QueueLoad) -> Demand {
        let queue = queue();
        Facts { queue: &queue, workers, last_served: &[] }.demand(load)
    }

    #[test]
    fn demand_is_what_runs_and_what_could_run() {
        let load = QueueLoad { waiting: 30, running: 4, draining: 3, finished: 90, ..QueueLoad::default() };
        let found = demand(&[worker(None, 8, false), worker(None, 4, false), worker(None, 8, true)], load);
        assert_eq!((found.demand, found.waiting, found.running, found.draining), (34, 30, 4, 3));
        assert_eq!((found.workers, found.slots, found.slots_per_worker()), (2, 12, Some(6.0)));
        assert_eq!(found.drain_s, Some(20.0));
        let nothing = demand(&[], QueueLoad::default());
        assert_eq!(
            (nothing.demand, nothing.is_active(), nothing.drain_s, nothing.oldest_s),
            (0, false, Some(0.0), None)
        );
        assert!(
            demand(&[], QueueLoad { draining: 1, ..QueueLoad::default() }).is_active(),
            "a run must be able to end"
        );
    }

    fn waiting(rooms: &[(&str, u64)], groups: &[(&[&str], u64)]) -> u64 {
        let rooms = rooms.iter().map(|(key, room)| ((*key).to_owned(), *room)).collect();
        let limited = groups.iter().map(|(keys, waiting)| LimitedJobs {
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            waiting: *waiting,
        });
        demand(&[], QueueLoad { limited: limited.collect(), rooms, ..QueueLoad::default() }).waiting
    }

    #[test]
    fn a_job_counts_if_all_its_keys_have_room() {
        assert_eq!(waiting(&[("a", 10)], &[(&["a"], 1000)]), 10);
        assert_eq!(waiting(&[("a", 10)], &[(&["a"], 3)]), 3);
        assert_eq!(waiting(&[("a", 0)], &[(&["a"], 3)]), 0);
        assert_eq!(waiting(&[], &[(&["free"], 1000)]), 1000);
        let of_tenants: [(&[&str], u64); 3] = [(&["all", "t1"], 100), (&["all", "t2"], 1), (&["all", "t3"], 50)];
        assert_eq!(waiting(&[("all", 5), ("t1", 2), ("t2", 1)], &of_tenants), 5);
        assert_eq!(waiting(&[("all", 100), ("t1", 2), ("t2", 1), ("t3", 20)], &of_tenants), 23);
        assert_eq!(waiting(&[("a", 4), ("b", 4)], &[(&["a", "b"], 9), (&["a"], 3), (&["b"], 9)]), 7);
    }
}
