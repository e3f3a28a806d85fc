//! Jobs that depend on other jobs.

use crate::{broken::Broken, rows::Rows};
use leasehold_core::{
    Event, Graph, GraphEdge, GraphJob, JobId, NewJob, Parent, ParentFailure, State, Verb, cycle_of, run_order,
};
use leasehold_ports::{Class, Enqueued, Error, Waiting};
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What is wrong with a graph.
const DOING: &str = "enqueueing jobs that depend on others";

/// The dependencies between jobs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Edges {
    /// The edges of each child, in the order of its `depends_on`.
    parents: BTreeMap<JobId, Vec<Edge>>,
    children: BTreeMap<JobId, BTreeSet<JobId>>,
}

#[derive(Clone, Copy, Debug)]
struct Edge {
    parent: JobId,
    policy: ParentFailure,
    met: bool,
}

impl Edges {
    pub(crate) fn has_parents(&self, id: JobId) -> bool {
        self.parents.contains_key(&id)
    }

    fn add(&mut self, child: JobId, parents: &[JobId], policy: ParentFailure) {
        for &parent in parents {
            self.children.entry(parent).or_default().insert(child);
        }
        let edges = parents.iter().map(|&parent| Edge { parent, policy, met: false });
        self.parents.insert(child, edges.collect());
    }
}

impl Rows {
    /// Enqueues jobs that may depend on each other and on jobs that exist, all of them or none.
    pub(crate) fn enqueue_graph(&mut self, jobs: &[NewJob]) -> Result<Vec<Enqueued>, Error> {
        let valid = jobs.iter().try_for_each(NewJob::validate);
        valid.map_err(|error| Error::new("PostgreSQL", "checking jobs", Class::Invalid, error))?;
        let refused = |text: String| Error::new("PostgreSQL", DOING, Class::Refused, text);
        let order = run_order(jobs).map_err(|cycle| {
            refused(cycle_of(cycle.into_iter().map(|nth| jobs[nth].id.to_string()).collect()).to_string())
        })?;
        let sent: BTreeSet<JobId> = jobs.iter().map(|job| job.id).collect();
        let exists = |id: &JobId| sent.contains(id) || self.live.contains_key(id) || self.history.contains_key(id);
        if let Some(unknown) = jobs.iter().flat_map(|job| &job.depends_on).find(|id| !exists(id)) {
            return Err(refused(format!("depends_on names {unknown}, and no job has this id")));
        }
        let mut answers: Vec<Option<Enqueued>> = vec![None; jobs.len()];
        // An existing job can be the answer to a job of this call. Then its children depend on the existing job.
        let mut ids: BTreeMap<JobId, JobId> = BTreeMap::new();
        for nth in order {
            let job = &jobs[nth];
            let answer = self.enqueue_one(job);
            ids.insert(job.id, answer.id);
            if answer.inserted && !job.depends_on.is_empty() {
                let mut parents: Vec<JobId> = Vec::with_capacity(job.depends_on.len());
                for parent in job.depends_on.iter().map(|id| ids.get(id).copied().unwrap_or(*id)) {
                    if !parents.contains(&parent) {
                        parents.push(parent);
                    }
                }
                self.edges.add(answer.id, &parents, job.on_parent_failure);
            }
            answers[nth] = Some(answer);
        }
        let parents: BTreeSet<JobId> =
            jobs.iter().flat_map(|job| &job.depends_on).map(|id| ids.get(id).copied().unwrap_or(*id)).collect();
        for parent in parents {
            if let Some(row) = self.history.get(&parent) {
                self.parent_ended(parent, row.life.state);
            }
        }
        self.unblocked.clear();
        let now = |answer: Enqueued| {
            let row = self.live.get(&answer.id).or(self.history.get(&answer.id));
            answer.with(|answer| answer.state = row.map_or(answer.state, |row| row.life.state))
        };
        Ok(answers.into_iter().flatten().map(now).collect())
    }

    /// Tells the children of a job that it has ended. Notes which of them are now in the line.
    pub(crate) fn parent_ended(&mut self, parent: JobId, state: State) {
        let is_enough = self.is_broken(Broken::OneParentIsEnough);
        let mut ended = VecDeque::from([(parent, state)]);
        while let Some((parent, state)) = ended.pop_front() {
            let children = self.edges.children.get(&parent).cloned().unwrap_or_default();
            for child in children {
                if self.live.get(&child).is_none_or(|row| row.life.state != State::Blocked) {
                    continue;
                }
                let edges = self.edges.parents.entry(child).or_default();
                let Some(edge) = edges.iter_mut().find(|edge| edge.parent == parent && !edge.met) else { continue };
                if edge.policy.is_met_by(state) {
                    edge.met = true;
                    if is_enough || edges.iter().all(|edge| edge.met) {
                        let waiting = self.unblock(&[child]);
                        self.unblocked.extend(waiting);
                    }
                } else if edge.policy == ParentFailure::Cancel {
                    let why = format!("its parent {parent} is {state}");
                    let cancelled = self.happen_alone(child, Event::Cancel, |row, now| {
                        row.note(now, Verb::Cancel, None, Some(why.clone()));
                        row.last_error = Some(why);
                    });
                    if cancelled {
                        ended.push_back((child, State::Cancelled));
                    }
                }
            }
        }
    }

    /// Takes the jobs that came into the line because other jobs have ended.
    pub(crate) fn take_unblocked(&mut self) -> Vec<Waiting> {
        std::mem::take(&mut self.unblocked)
    }

    /// In memory, the children of a job are told of its end immediately.
    pub(crate) fn tell_children(&mut self, _limit: i64, _until: chrono::DateTime<chrono::Utc>) -> Vec<Waiting> {
        Vec::new()
    }

    /// A store in memory has no keys.
    pub(crate) fn encrypt_result(&self, _: JobId, result: &RawValue) -> Box<RawValue> {
        result.to_owned()
    }

    pub(crate) fn encrypt_jobs(&self, jobs: &[NewJob]) -> Vec<NewJob> {
        jobs.to_vec()
    }

    pub(crate) fn parents(&self, id: JobId, results_max: usize) -> Vec<Parent> {
        let mut bytes = 0;
        let edges = self.edges.parents.get(&id).into_iter().flatten();
        edges
            .map(|edge| {
                let row = self.live.get(&edge.parent).or(self.history.get(&edge.parent));
                let result = row.and_then(|row| row.result.clone());
                bytes += result.as_ref().map_or(0, |result| result.get().len());
                let is_left_out = result.is_some() && bytes > results_max;
                Parent::new(edge.parent, edge.policy, edge.met).with(|parent| {
                    parent.kind = row.map(|row| row.job.kind.clone());
                    parent.state = row.map(|row| row.life.state);
                    parent.result = result.filter(|_| !is_left_out);
                    parent.is_left_out = is_left_out;
                })
            })
            .collect()
    }

    pub(crate) fn graph(&self, id: JobId, limit: i64) -> Graph {
        let most = usize::try_from(limit).unwrap_or_default();
        let (mut found, mut next) = (BTreeSet::from([id]), VecDeque::from([id]));
        let mut is_cut = false;
        while let Some(id) = next.pop_front() {
            let up = self.edges.parents.get(&id).into_iter().flatten().map(|edge| edge.parent);
            let down = self.edges.children.get(&id).into_iter().flatten().copied();
            for other in up.chain(down) {
                if found.len() >= most && !found.contains(&other) {
                    is_cut = true;
                } else if found.insert(other) {
                    next.push_back(other);
                }
            }
        }
        let job = |id: &JobId| {
            let row = self.live.get(id).or(self.history.get(id));
            let (kind, queue) = (row.map(|row| row.job.kind.clone()), row.map(|row| row.job.queue.clone()));
            GraphJob::new(*id, kind, queue, row.map(|row| row.life.state))
        };
        let edges_of = |child: &JobId| {
            let child = *child;
            let edges = self.edges.parents.get(&child).into_iter().flatten();
            edges.map(move |edge| GraphEdge::new(edge.parent, child, edge.met, edge.policy))
        };
        let edges = found.iter().flat_map(edges_of).filter(|edge| found.contains(&edge.parent)).collect();
        Graph::new(found.iter().map(job).collect(), edges, is_cut)
    }
}
