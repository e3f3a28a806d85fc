//! Injects faults into the fleet and the stores, one after the other, at random.

use crate::{
    fleet::{Fleet, Role},
    process::Surroundings,
    weather::{Condition, Server},
};
use leasehold_core::JobId;
use leasehold_tests::{Keys, NOWHERE, QueueKeys, Score};
use std::sync::Arc;
use tokio::time::{Instant, sleep};

/// The director of one run.
pub(crate) struct Director {
    pub(crate) fleet: Fleet,
    around: Arc<Surroundings>,
    /// A copy of Redis from a while ago.
    backup: Option<Keys>,
    /// Roles whose workers died, and when they are started again.
    empty: Vec<(Instant, Option<Role>)>,
}

impl Director {
    pub(crate) fn new(fleet: Fleet) -> Self {
        Self { around: Arc::clone(&fleet.around), fleet, backup: None, empty: Vec::new() }
    }

    /// Injects faults until `until`.
    pub(crate) async fn run(&mut self, until: Instant, busy: u64) {
        while Instant::now() < until {
            sleep(self.around.dice.ms(1..busy)).await;
            self.restart(false);
            let harm = self.around.dice.below(22);
            self.harm(harm);
        }
    }

    /// Ends all faults.
    pub(crate) fn heal(&mut self) {
        self.around.trace.line("director", &"heals");
        self.around.weather.clear();
        self.fleet.store.rows().locked.clear();
        self.fleet.members.iter().for_each(|member| member.process.thaw());
        self.restart(true);
        if self.fleet.at_work(false).is_empty() {
            self.fleet.start_reaper();
        }
    }

    /// Starts dead workers again when their time has come. The director also finds workers that a job has killed.
    fn restart(&mut self, all: bool) {
        let members = std::mem::take(&mut self.fleet.members);
        let (dead, alive) = members.into_iter().partition(|member| member.process.is_dead());
        self.fleet.members = alive;
        let dead: Vec<crate::fleet::Member> = dead;
        for member in dead {
            let again_at = Instant::now() + self.around.dice.ms(1..2000);
            self.empty.push((again_at, member.role));
        }
        for (again_at, role) in std::mem::take(&mut self.empty) {
            match role {
                _ if !all && Instant::now() < again_at => self.empty.push((again_at, role)),
                Some(role) => self.fleet.start_worker(&role),
                None => self.fleet.start_reaper(),
            }
        }
    }

    fn did(&self, what: &str) {
        self.around.trace.line("director", &what);
        self.around.trace.count(format!("director: {what}"));
    }

    fn harm(&mut self, which: u64) {
        let lease_ms = u64::try_from(self.fleet.times.lease.as_millis()).unwrap_or(1);
        match which {
            0..2 => self.kill(true),
            2 => self.kill(false),
            3..5 => self.freeze(true, lease_ms),
            5 => self.freeze(false, lease_ms),
            6..8 => self.stop_worker(false),
            8 => self.stop_worker(true),
            9 => {
                self.did("another reaper");
                if self.fleet.at_work(false).len() < 3 {
                    self.fleet.start_reaper();
                }
            }
            10 => self.away(Server::Postgres, lease_ms),
            11..13 => self.away(Server::Redis, lease_ms),
            13 => self.stall(),
            14 => self.lossy(),
            15 => self.flush(),
            16 => self.backup_or_rewind(),
            17 | 18 => self.lock_rows(lease_ms),
            _ => self.damage(),
        }
    }

    fn victim(&self, workers: bool) -> Option<usize> {
        let at_work = self.fleet.at_work(workers);
        (!at_work.is_empty()).then(|| self.around.dice.pick(&at_work))
    }

    fn kill(&mut self, worker: bool) {
        if let Some(nth) = self.victim(worker) {
            self.did(if worker { "kills a worker" } else { "kills a reaper" });
            self.fleet.members[nth].process.kill();
        }
    }

    fn freeze(&mut self, worker: bool, lease_ms: u64) {
        if let Some(nth) = self.victim(worker) {
            self.did(if worker { "freezes a worker" } else { "freezes a reaper" });
            let time = self.around.dice.ms(lease_ms / 4..lease_ms * 3);
            self.fleet.members[nth].process.freeze(time);
        }
    }

    fn stop_worker(&mut self, at_once: bool) {
        if let Some(nth) = self.victim(true) {
            self.did(if at_once { "stops a worker at once" } else { "stops a worker" });
            let member = &self.fleet.members[nth];
            if at_once {
                member.stop_now.cancel();
            }
            member.stop.cancel();
            let role = member.role.clone();
            self.empty.push((Instant::now() + self.around.dice.ms(1..1000), role));
        }
    }

    fn away(&self, place: Server, lease_ms: u64) {
        let time = self.around.dice.ms(50..lease_ms * 2);
        self.did(&format!("{place:?} is away"));
        self.around.weather.change(place, |now| now.away_until = Some(Instant::now() + time));
        if place == Server::Postgres && self.around.dice.chance(0.5) {
            self.did("Postgres restarts");
            let mut rows = self.fleet.store.rows();
            rows.restarted_in(time);
        }
    }

    fn stall(&self) {
        let place = self.around.dice.pick(&[Server::Postgres, Server::Redis]);
        let time = self.around.dice.ms(50..4000);
        self.did(&format!("{place:?} stalls"));
        self.around.weather.change(place, |now| now.stalled_until = Some(Instant::now() + time));
    }

    fn lossy(&self) {
        let place = self.around.dice.pick(&[Server::Postgres, Server::Redis]);
        let loss = self.around.dice.pick(&[0.0, 0.02, 0.1, 0.3]);
        let latency_ms = self.around.dice.pick(&[0, 3, 20, 100]);
        self.did(&format!("calls to {place:?} are lost"));
        self.around.weather.change(place, |now| *now = Condition { loss, latency_ms, ..*now });
    }

    /// A transaction of a user locks some rows, and stays open for a shorter or longer time than a lease.
    fn lock_rows(&self, lease_ms: u64) {
        let dice = &self.around.dice;
        let (count, time) = (1 + dice.index(8), dice.ms(20..lease_ms * 2));
        let mut rows = self.fleet.store.rows();
        let live: Vec<JobId> = rows.live.keys().copied().collect();
        for _ in 0..count.min(live.len()) {
            rows.lock(dice.pick(&live), time);
        }
        drop(rows);
        self.did("locks rows");
    }

    fn flush(&self) {
        self.did("flushes Redis");
        self.fleet.head.damage(|keys| *keys = Keys::default());
    }

    fn backup_or_rewind(&mut self) {
        match self.backup.take() {
            Some(backup) => {
                self.did("rewinds Redis");
                self.fleet.head.damage(|keys| *keys = backup);
            }
            None => self.backup = Some(self.fleet.head.keys()),
        }
    }

    /// Damages the keys of one queue. No process reads the keys of a queue that Redis does not note.
    fn damage(&self) {
        let dice = &self.around.dice;
        let which = dice.below(8);
        self.fleet.head.damage(|keys| {
            let Keys { queues, noted, .. } = keys;
            let queues = queues.iter_mut().filter(|(queue, _)| noted.contains(*queue));
            let mut queues: Vec<&mut QueueKeys> = queues.map(|(_, keys)| keys).collect();
            if queues.is_empty() {
                return;
            }
            let nth = dice.index(queues.len());
            let queue = &mut *queues[nth];
            let known: Vec<JobId> = queue.leases.keys().copied().collect();
            let one = (!known.is_empty()).then(|| dice.pick(&known));
            match (which, one) {
                (0, _) => queue.ready.clear(),
                (1, _) => queue.leases.clear(),
                (2, _) => queue.claimed.extend(queue.ready.pop_front()),
                (3, _) => queue.overflow = if queue.overflow.is_some() { None } else { Some(NOWHERE) },
                (4, Some(id)) => queue.ready.push_back(id),
                (5, Some(id)) => drop(queue.leases.insert(id, Score::Waits(NOWHERE))),
                (6, Some(id)) => drop(queue.leases.insert(id, Score::Leased(i64::MAX / 2))),
                (_, Some(id)) => drop(queue.leases.remove(&id)),
                _ => {}
            }
        });
        self.did(&format!("damages keys: {which}"));
    }
}
