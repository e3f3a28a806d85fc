//! Graphs of jobs, as a tree for a terminal and as a Mermaid diagram.

use leasehold::{Graph, GraphJob, JobId, State};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

/// How many children of one job are drawn. The others are counted.
const CHILDREN_DRAWN: usize = 20;
/// How deep the tree is drawn. A line of a terminal is not longer.
const DEPTH_MAX: usize = 60;

/// The tree from the jobs without parents down. A job with several parents is drawn below the first of them, and named below
/// the others.
pub(crate) fn tree(graph: &Graph, asked_for: JobId) -> String {
    let mut drawing = Drawing::of(graph, asked_for);
    let has_parent: BTreeSet<JobId> = graph.edges.iter().map(|edge| edge.child).collect();
    let roots: Vec<JobId> = graph.jobs.iter().map(|job| job.id).filter(|id| !has_parent.contains(id)).collect();
    drawing.level(&roots, "", 0);
    drawing.text
}

struct Drawing<'a> {
    jobs: BTreeMap<JobId, &'a GraphJob>,
    children: BTreeMap<JobId, Vec<JobId>>,
    /// How many parents of a job are in the graph.
    parents: BTreeMap<JobId, usize>,
    drawn: BTreeSet<JobId>,
    asked_for: JobId,
    text: String,
}

impl<'a> Drawing<'a> {
    fn of(graph: &'a Graph, asked_for: JobId) -> Self {
        let mut children: BTreeMap<JobId, Vec<JobId>> = BTreeMap::new();
        let mut parents: BTreeMap<JobId, usize> = BTreeMap::new();
        for edge in &graph.edges {
            children.entry(edge.parent).or_default().push(edge.child);
            *parents.entry(edge.child).or_default() += 1;
        }
        let jobs = graph.jobs.iter().map(|job| (job.id, job)).collect();
        Self { jobs, children, parents, drawn: BTreeSet::new(), asked_for, text: String::new() }
    }

    /// Draws jobs below each other, each with its children.
    fn level(&mut self, ids: &[JobId], indent: &str, depth: usize) {
        // The job that was asked for is among the drawn ones.
        let mut first: Vec<JobId> = ids.iter().copied().take(CHILDREN_DRAWN).collect();
        if ids.contains(&self.asked_for) && !first.contains(&self.asked_for) {
            first.pop();
            first.push(self.asked_for);
        }
        let others: Vec<JobId> = ids.iter().copied().filter(|id| !first.contains(id)).collect();
        for (nth, &id) in first.iter().enumerate() {
            let is_last = nth + 1 == first.len() && others.is_empty();
            let (branch, below) = match (depth, is_last) {
                (0, _) => ("", ""),
                (_, true) => ("└─ ", "   "),
                (_, false) => ("├─ ", "│  "),
            };
            let is_new = self.drawn.insert(id);
            let line = self.line(id, is_new);
            let _ = writeln!(self.text, "{indent}{branch}{line}");
            let children = if is_new { self.children.get(&id).cloned().unwrap_or_default() } else { Vec::new() };
            if depth >= DEPTH_MAX && !children.is_empty() {
                let _ = writeln!(self.text, "{indent}{below}└─ …");
            } else {
                self.level(&children, &format!("{indent}{below}"), depth + 1);
            }
        }
        if !others.is_empty() {
            let branch = if depth == 0 { "" } else { "└─ " };
            let line = self.counted(&others);
            let _ = writeln!(self.text, "{indent}{branch}{line}");
            // The jobs that depend on the jobs that are only counted.
            let below: Vec<JobId> =
                others.iter().flat_map(|id| self.children.get(id).cloned().unwrap_or_default()).collect();
            let new: BTreeSet<JobId> = below.into_iter().filter(|id| !self.drawn.contains(id)).collect();
            self.level(&new.into_iter().collect::<Vec<_>>(), &format!("{indent}   "), depth + 1);
        }
    }

    fn line(&self, id: JobId, is_new: bool) -> String {
        let job = self.jobs.get(&id);
        let kind = job.and_then(|job| job.kind.as_ref()).map_or("?", |kind| kind.as_str());
        let state = job.and_then(|job| job.state);
        let mut line = format!("{} {kind}  {id}  {}", sign(state), state.map_or("no longer kept", State::as_str));
        match self.parents.get(&id) {
            Some(count) if *count > 1 && is_new => {
                let _ = write!(line, "  ({count} parents)");
            }
            _ if !is_new => line.push_str("  (drawn above)"),
            _ => {}
        }
        if id == self.asked_for {
            line.push_str("  ◀");
        }
        line
    }

    fn counted(&self, ids: &[JobId]) -> String {
        let mut states: BTreeMap<&str, usize> = BTreeMap::new();
        for id in ids {
            let state = self.jobs.get(id).and_then(|job| job.state);
            *states.entry(state.map_or("no longer kept", State::as_str)).or_default() += 1;
        }
        let counts: Vec<String> = states.into_iter().map(|(state, count)| format!("{count} {state}")).collect();
        format!("… and {} more: {}", ids.len(), counts.join(", "))
    }
}

const fn sign(state: Option<State>) -> &'static str {
    match state {
        Some(State::Succeeded) => "✓",
        Some(State::Dead) => "✗",
        Some(State::Cancelled) => "⊘",
        Some(State::Running) => "▶",
        Some(State::Queued | State::Scheduled) => "○",
        Some(State::Blocked) => "◌",
        None => "?",
    }
}

/// A diagram for Markdown.
pub(crate) fn mermaid(graph: &Graph) -> String {
    let names: BTreeMap<JobId, usize> = graph.jobs.iter().enumerate().map(|(nth, job)| (job.id, nth + 1)).collect();
    let mut text = String::from("flowchart TD\n");
    for job in &graph.jobs {
        let kind = job.kind.as_ref().map_or("?", |kind| kind.as_str());
        let state = job.state.map_or("gone", State::as_str);
        let _ = writeln!(text, "  j{}[\"{kind}<br/>{}<br/>{state}\"]:::{state}", names[&job.id], job.id);
    }
    for edge in &graph.edges {
        let arrow = if edge.met { "-->" } else { "-.->" };
        let _ = writeln!(text, "  j{} {arrow} j{}", names[&edge.parent], names[&edge.child]);
    }
    for (state, colour) in [
        ("blocked", "#dddddd"),
        ("scheduled", "#cfe2ff"),
        ("queued", "#cfe2ff"),
        ("running", "#fff3cd"),
        ("succeeded", "#d1e7dd"),
        ("dead", "#f8d7da"),
        ("cancelled", "#e2e3e5"),
        ("gone", "#ffffff"),
    ] {
        let _ = writeln!(text, "  classDef {state} fill:{colour},stroke:#333333,color:#000000");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold::GraphEdge;

    /// A graph with jobs 1 to `states.len()`, and edges from parent to child.
    fn graph(states: &[State], edges: &[(u128, u128)]) -> Graph {
        let id = |nth: u128| JobId(uuid(nth));
        let jobs = states.iter().zip(1..).map(|(state, nth)| {
            let kind = format!("k{nth}").parse().expect("a name");
            GraphJob::new(id(nth), Some(kind), Some("q".parse().expect("a name")), Some(*state))
        });
        let edges = edges.iter().map(|&(parent, child)| {
            let met = states[usize::try_from(parent).expect("small") - 1] == State::Succeeded;
            GraphEdge::new(id(parent), id(child), met, leasehold::ParentFailure::Cancel)
        });
        Graph::new(jobs.collect(), edges.collect(), false)
    }

    fn uuid(nth: u128) -> uuid::Uuid {
        uuid::Uuid::from_u128(nth)
    }

    #[test]
    fn a_job_with_two_parents_is_drawn_once() {
        use State::{Blocked, Queued, Succeeded};
        let diamond = graph(&[Succeeded, Succeeded, Queued, Blocked], &[(1, 2), (1, 3), (2, 4), (3, 4)]);
        let drawn = tree(&diamond, JobId(uuid(4)));
        let shortened = drawn.replace("00000000-0000-0000-0000-00000000000", "");
        assert_eq!(
            shortened,
            "✓ k1  1  succeeded\n\
             ├─ ✓ k2  2  succeeded\n\
             │  └─ ◌ k4  4  blocked  (2 parents)  ◀\n\
             └─ ○ k3  3  queued\n   \
                └─ ◌ k4  4  blocked  (drawn above)  ◀\n"
        );
        let diagram = mermaid(&diamond);
        assert!(diagram.contains("j2 --> j4") && diagram.contains("j3 -.-> j4"), "{diagram}");
    }

    #[test]
    fn many_parents_are_counted() {
        let states: Vec<State> = (0..1000).map(|_| State::Queued).chain([State::Blocked]).collect();
        let edges: Vec<(u128, u128)> = (1..=1000).map(|parent| (parent, 1001)).collect();
        let drawn = tree(&graph(&states, &edges), JobId(uuid(1001)));
        assert!(drawn.contains("… and 980 more: 980 queued"), "{drawn}");
        assert!(drawn.lines().count() < 50 && drawn.contains("(1000 parents)"), "{drawn}");
    }
}
