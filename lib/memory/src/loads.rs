//! How many jobs queues could run: the numbers for the scaling signal.

use crate::rows::{Row, Rows, later, serves};
use leasehold_core::{Claimability, State, WorkerId};
use leasehold_ports::{Kinds, LimitedJobs, LoadQuestion, QueueLoad};
use std::{collections::BTreeMap, time::Duration};

const MINUTE: Duration = Duration::from_secs(60);

impl Rows {
    pub(crate) fn queue_loads(&self, questions: &[LoadQuestion], draining: &[WorkerId]) -> Vec<QueueLoad> {
        questions.iter().map(|question| self.queue_load(question, draining)).collect()
    }

    fn queue_load(&self, question: &LoadQuestion, draining: &[WorkerId]) -> QueueLoad {
        let now = self.clock.now();
        let mut load = QueueLoad::default();
        let mut limited: BTreeMap<&[String], u64> = BTreeMap::new();
        let is_recent = |row: &Row| question.others_within.is_some_and(|within| later(row.run_at, within) >= now);
        for row in self.live.values().filter(|row| row.job.queue == question.queue) {
            if row.life.state == State::Running {
                let drains = row.life.worker.is_some_and(|worker| draining.contains(&worker));
                *(if drains { &mut load.draining } else { &mut load.running }) += 1;
                continue;
            }
            if !serves(&question.kinds, &row.job.kind) && !is_recent(row) {
                continue;
            }
            match self.claimability(row, self.is_paused(row), &Kinds::All) {
                Claimability::Claimable | Claimability::Crashed | Claimability::InDanger => load.waiting += 1,
                Claimability::Limited => *limited.entry(&row.job.limit_keys).or_default() += 1,
                _ => continue,
            }
            let due_s = (now - row.run_at).num_milliseconds().max(0) as f64 / 1000.0;
            load.oldest_s = Some(load.oldest_s.map_or(due_s, |oldest| oldest.max(due_s)));
        }
        let keys = limited.keys().flat_map(|keys| keys.iter());
        load.rooms = keys.filter_map(|key| Some((key.clone(), self.key_room(key)?))).collect();
        load.limited =
            limited.into_iter().map(|(keys, waiting)| LimitedJobs { keys: keys.to_vec(), waiting }).collect();
        let ended =
            |row: &&Row| row.job.queue == question.queue && row.finished_at.is_some_and(|at| later(at, MINUTE) > now);
        load.finished = self.history.values().filter(ended).count() as u64;
        load
    }
}
