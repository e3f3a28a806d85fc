//! Graphs of jobs that depend on each other, and the order in which a graph can run.

use crate::{
    id::JobId,
    job::NewJob,
    limits::GRAPH_MAX_JOBS,
    names::{Kind, QueueName},
    parent::ParentFailure,
    state::State,
};
use serde::Serialize;
use std::collections::HashMap;

/// A job of a drawn graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct GraphJob {
    /// The job.
    pub id: JobId,
    /// The kind; `None` after the row of the job has left history.
    pub kind: Option<Kind>,
    /// The queue; `None` after the row of the job has left history.
    pub queue: Option<QueueName>,
    /// The state; `None` after the row of the job has left history.
    pub state: Option<State>,
}

impl GraphJob {
    /// A job of a graph, for the stores.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(id: JobId, kind: Option<Kind>, queue: Option<QueueName>, state: Option<State>) -> Self {
        Self { id, kind, queue, state }
    }
}

/// A dependency of a drawn graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct GraphEdge {
    /// The job that must end first.
    pub parent: JobId,
    /// The job that depends on the parent.
    pub child: JobId,
    /// Whether the child no longer waits for this parent.
    pub met: bool,
    /// What happens to the child when the parent ends without success.
    pub on_parent_failure: ParentFailure,
}

impl GraphEdge {
    /// A dependency, for the stores.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(parent: JobId, child: JobId, met: bool, on_parent_failure: ParentFailure) -> Self {
        Self { parent, child, met, on_parent_failure }
    }
}

/// A job, the jobs that it depends on, the jobs that depend on it, and so on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Graph {
    /// The jobs, by id.
    pub jobs: Vec<GraphJob>,
    /// The dependencies among these jobs.
    pub edges: Vec<GraphEdge>,
    /// The graph has more jobs than were read.
    pub is_cut: bool,
}

impl Graph {
    /// A graph, for the stores.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(jobs: Vec<GraphJob>, edges: Vec<GraphEdge>, is_cut: bool) -> Self {
        Self { jobs, edges, is_cut }
    }
}

/// A job of a graph that is about to be submitted.
///
/// ```
/// # use leasehold_core::{NamedJob, NewJob};
/// # let job = || Ok::<_, Box<dyn std::error::Error>>(NewJob::new("k".parse()?, serde_json::value::to_raw_value(&())?));
/// let graph = [NamedJob::new("load", job()?), NamedJob::new("sum", job()?).after(["load"])];
/// assert_eq!(graph[1].after, ["load"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NamedJob {
    /// The name within the graph; empty: none.
    pub name: String,
    /// The names of the jobs that this job depends on.
    pub after: Vec<String>,
    /// The job. Its `depends_on` names jobs outside of the graph.
    pub job: NewJob,
}

impl NamedJob {
    /// A job with its name within the graph.
    #[must_use]
    pub fn new(name: impl Into<String>, job: NewJob) -> Self {
        Self { name: name.into(), after: Vec::new(), job }
    }

    /// The names of the jobs of the graph that must succeed before this job starts. Replaces the names of an earlier call.
    #[must_use]
    pub fn after<T: Into<String>>(self, names: impl IntoIterator<Item = T>) -> Self {
        Self { after: names.into_iter().map(Into::into).collect(), ..self }
    }
}

/// The graph cannot be accepted. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidGraph {
    /// Two jobs have one name.
    #[error("the name {0:?} is given to two jobs")]
    NameTwice(String),
    /// A job comes after a job that is not in the graph.
    #[error("{child} comes after {name:?}, and no job of the graph has this name")]
    UnknownName {
        /// The job.
        child: String,
        /// The name that no job has.
        name: String,
    },
    /// A job depends on itself.
    #[error("{0} depends on itself")]
    Itself(String),
    /// Jobs depend on each other.
    #[error("the jobs depend on each other in a cycle: {}", told(.0))]
    Cycle(Vec<String>),
    /// The graph has too many jobs.
    #[error("the graph has {0} jobs; at most {GRAPH_MAX_JOBS} are allowed")]
    TooLarge(usize),
}

fn told(names: &[String]) -> String {
    const MOST: usize = 20;
    let mut text = names.iter().take(MOST).cloned().collect::<Vec<_>>().join(" → ");
    if names.len() > MOST {
        text.push_str(" → …");
    }
    text
}

/// The jobs of a graph, with ids in `depends_on` instead of the names in `after`.
///
/// # Errors
/// What is wrong with the graph.
pub fn resolve(graph: Vec<NamedJob>) -> Result<Vec<NewJob>, InvalidGraph> {
    if graph.len() > GRAPH_MAX_JOBS {
        return Err(InvalidGraph::TooLarge(graph.len()));
    }
    let mut ids: HashMap<&str, JobId> = HashMap::with_capacity(graph.len());
    for node in graph.iter().filter(|node| !node.name.is_empty()) {
        if ids.insert(&node.name, node.job.id).is_some() {
            return Err(InvalidGraph::NameTwice(node.name.clone()));
        }
    }
    let mut jobs = Vec::with_capacity(graph.len());
    for node in &graph {
        let mut job = node.job.clone();
        for name in &node.after {
            let parent = ids.get(name.as_str()).ok_or_else(|| InvalidGraph::UnknownName {
                child: if node.name.is_empty() { "a job".to_owned() } else { node.name.clone() },
                name: name.clone(),
            })?;
            if !job.depends_on.contains(parent) {
                job.depends_on.push(*parent);
            }
        }
        jobs.push(job);
    }
    let name = |nth: usize| if graph[nth].name.is_empty() { jobs[nth].id.to_string() } else { graph[nth].name.clone() };
    run_order(&jobs).map_err(|cycle| cycle_of(cycle.into_iter().map(name).collect()))?;
    Ok(jobs)
}

/// The error for jobs that depend on each other in a cycle, each the parent of the next one, the first one at both ends.
#[must_use]
pub fn cycle_of(names: Vec<String>) -> InvalidGraph {
    if names.len() == 2 { InvalidGraph::Itself(names[0].clone()) } else { InvalidGraph::Cycle(names) }
}

/// Indexes of the jobs in an order in which each job comes after its parents among these jobs (Kahn's algorithm).
///
/// # Errors
/// A cycle: indexes of jobs, each the parent of the next one, with the first job at both ends.
pub fn run_order(jobs: &[NewJob]) -> Result<Vec<usize>, Vec<usize>> {
    let places: HashMap<JobId, usize> = jobs.iter().enumerate().map(|(nth, job)| (job.id, nth)).collect();
    let mut children = vec![Vec::new(); jobs.len()];
    let mut open_parents = vec![0_usize; jobs.len()];
    for (child, job) in jobs.iter().enumerate() {
        for parent in job.depends_on.iter().filter_map(|id| places.get(id)) {
            children[*parent].push(child);
            open_parents[child] += 1;
        }
    }
    let mut order: Vec<usize> = (0..jobs.len()).filter(|&nth| open_parents[nth] == 0).collect();
    let mut next = 0;
    while let Some(&parent) = order.get(next) {
        for &child in &children[parent] {
            open_parents[child] -= 1;
            if open_parents[child] == 0 {
                order.push(child);
            }
        }
        next += 1;
    }
    let Some(start) = open_parents.iter().position(|open| *open > 0) else { return Ok(order) };
    // Each of the jobs that are left has a parent among them. So the path from any of them to its parents ends in a cycle.
    let up = |nth: usize| {
        let parents = jobs[nth].depends_on.iter().filter_map(|id| places.get(id).copied());
        parents.into_iter().find(|&parent| open_parents[parent] > 0).unwrap_or(nth)
    };
    let on_cycle = (0..jobs.len()).fold(start, |nth, _| up(nth));
    let mut cycle = vec![on_cycle];
    let mut nth = up(on_cycle);
    while nth != on_cycle {
        cycle.push(nth);
        nth = up(nth);
    }
    cycle.push(on_cycle);
    cycle.reverse();
    Err(cycle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, after: &[&str]) -> NamedJob {
        let payload = serde_json::value::RawValue::from_string("{}".to_owned()).expect("JSON");
        let job = NewJob::new("k".parse().expect("a name"), payload);
        NamedJob { name: name.to_owned(), after: after.iter().map(|&name| name.to_owned()).collect(), job }
    }

    #[test]
    fn names_become_ids() {
        let graph = vec![node("b", &["a", "a"]), node("a", &[]), node("", &["b", "a"])];
        let ids: Vec<JobId> = graph.iter().map(|node| node.job.id).collect();
        let jobs = resolve(graph).expect("a graph");
        assert_eq!(jobs[0].depends_on, [ids[1]]);
        assert!(jobs[1].depends_on.is_empty());
        assert_eq!(jobs[2].depends_on, [ids[0], ids[1]]);
        assert_eq!(run_order(&jobs), Ok(vec![1, 0, 2]));
    }

    #[test]
    fn a_wrong_graph_is_named() {
        for (graph, told) in [
            (vec![node("a", &[]), node("a", &[])], "the name \"a\" is given to two jobs"),
            (vec![node("a", &["z"])], "a comes after \"z\", and no job of the graph has this name"),
            (vec![node("a", &["a"])], "a depends on itself"),
            (
                vec![node("x", &[]), node("a", &["x", "c"]), node("b", &["a"]), node("c", &["b"]), node("d", &["c"])],
                "the jobs depend on each other in a cycle: b → c → a → b",
            ),
        ] {
            assert_eq!(resolve(graph).expect_err(told).to_string(), told);
        }
    }
}
