//! `leasehold graph show`.

use crate::{
    context::Context,
    failure::Failure,
    numbers,
    output::{self, graphs},
};
use leasehold::JobId;
use std::process::ExitCode;

/// Draw the jobs that a job depends on, the jobs that depend on it, and so on
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The id of any job of the graph
    id: JobId,
    /// Print a Mermaid diagram
    #[arg(long)]
    mermaid: bool,
    /// At most this many jobs, the nearest first
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = numbers::within::<u32>(1..=100_000))]
    limit: u32,
}

pub(super) async fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let graph = context.client().await?.graph(args.id, args.limit).await.map_err(|error| context.failure(&error))?;
    if graph.is_cut && !context.json {
        output::note(&format!("the graph has more jobs; --limit {} shows more of them", u64::from(args.limit) * 10));
    }
    output::either(context.json, &graph, || {
        if args.mermaid { graphs::mermaid(&graph) } else { graphs::tree(&graph, args.id) }
    })?;
    Ok(ExitCode::SUCCESS)
}
