//! Graphs: jobs that depend on other jobs.

use crate::{Client, Enqueued, Error, Graph, JobId, NamedJob, Parent};

impl Client {
    /// Enqueues jobs that depend on each other in one transaction: all of them or none. Answers have the order of the graph.
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// let small = client.enqueue(Resize { path: "a.png".into(), width: 160 }).build()?;
    /// let tiny = client.enqueue(Resize { path: "160px.a.png".into(), width: 16 }).build()?;
    /// let graph = vec![NamedJob::new("small", small), NamedJob::new("tiny", tiny).after(["small"])];
    /// let answers = client.enqueue_graph(graph).await?;
    /// assert_eq!((answers[0].state, answers[1].state), (State::Queued, State::Blocked));
    /// assert_eq!(queue.drain(worker()).await?.succeeded, 2);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::Graph`] if the graph has a cycle or a wrong name, [`Error::Invalid`] if a job is invalid, or PostgreSQL
    /// fails. Nothing was enqueued.
    pub async fn enqueue_graph(&self, graph: Vec<NamedJob>) -> Result<Vec<Enqueued>, Error> {
        self.untyped().enqueue_graph(graph).await
    }

    /// The jobs that a job depends on, the jobs that depend on it, and so on, up to `limit` jobs.
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// let small = client.enqueue(resize("a.png")).send().await?;
    /// let tiny = client.enqueue(resize("160px.a.png")).depends_on([small]).send().await?;
    /// let graph = client.graph(small, 100).await?;
    /// assert_eq!((graph.jobs.len(), graph.is_cut), (2, false));
    /// assert_eq!((graph.edges[0].parent, graph.edges[0].child), (small.get(), tiny.get()));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::NoSuchJob`], or PostgreSQL fails.
    pub async fn graph(&self, id: impl Into<JobId>, limit: u32) -> Result<Graph, Error> {
        self.untyped().graph(id.into(), limit).await
    }

    /// The parents of a job, in the order of its `depends_on`, without their results.
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// let small = client.enqueue(resize("a.png")).send().await?;
    /// let tiny = client.enqueue(resize("160px.a.png")).depends_on([small]).send().await?;
    /// let parents = client.parents(tiny).await?;
    /// assert_eq!((parents[0].id, parents[0].met), (small.get(), false));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn parents(&self, id: impl Into<JobId>) -> Result<Vec<Parent>, Error> {
        self.untyped().parents(id.into()).await
    }
}
