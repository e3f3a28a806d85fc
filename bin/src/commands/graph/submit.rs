//! `leasehold graph submit`.

use crate::{context::Context, failure::Failure, job_flags, job_line, output};
use leasehold::{Enqueued, NamedJob, QueueName};
use leasehold_core::{PAYLOAD_MAX_BYTES, json_problem};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::{fs::File, io::Read, process::ExitCode};

/// The longest graph, in bytes. One statement sends the whole graph.
const GRAPH_MAX_BYTES: u64 = 64 * PAYLOAD_MAX_BYTES as u64;

/// Enqueue a graph of jobs in one transaction: all of them or none
///
/// Prints the name and the id of each job once the graph is committed.
#[derive(Debug, clap::Args)]
#[command(after_help = "The graph is a JSON object:
  {\"jobs\": [
    {\"name\": \"load\",  \"kind\": \"load\", \"payload\": {\"day\": \"2030-01-31\"}},
    {\"name\": \"check\", \"kind\": \"check\", \"after\": [\"load\"]},
    {\"name\": \"mail\",  \"kind\": \"mail\", \"after\": [\"load\", \"check\"],
     \"on_parent_failure\": \"run\"}
  ]}
A job has the fields of a line of `leasehold enqueue --stdin`. `after` names jobs of the graph, \
and `depends_on` has ids of jobs outside of it. A job starts when all of these have succeeded. If \
one of them ends without success, on_parent_failure says what happens: cancel (the default), hold \
or run. A graph has at most 10,000 jobs. A graph with a cycle is refused.")]
pub(super) struct Args {
    /// The file, or - for standard input
    file: String,
    /// The queue of jobs that name no queue
    #[arg(long, default_value = "default")]
    queue: QueueName,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GraphFile {
    jobs: Vec<Box<RawValue>>,
}

/// A job that was submitted.
#[derive(Serialize)]
struct Submitted<'a> {
    name: Option<&'a str>,
    #[serde(flatten)]
    answer: &'a Enqueued,
}

pub(super) async fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let text = read(&args.file)?;
    let file = parsed(&text).map_err(|problem| {
        let name = if args.file == "-" { "standard input" } else { &args.file };
        Failure::usage(format!("{name} is no graph: {problem}"))
    })?;
    let flags = job_flags::defaults(&args.queue);
    let nodes = file.jobs.iter().enumerate().map(|(nth, node)| {
        job_line::from_node(node.get(), &flags).map_err(|failure| failure.of(&which(nth, node.get())))
    });
    let graph: Vec<NamedJob> = nodes.collect::<Result<_, _>>()?;
    let names: Vec<String> = graph.iter().map(|node| node.name.clone()).collect();
    let client = context.client().await?;
    let answers = client.enqueue_graph(graph).await.map_err(|error| match error {
        leasehold::Error::Graph(error) => Failure::usage(error.to_string()),
        error => context.failure(&error),
    })?;
    let name = |name: &str| if name.is_empty() { "-".to_owned() } else { name.to_owned() };
    if context.json {
        let named = names.iter().map(|name| Some(name.as_str()).filter(|name| !name.is_empty()));
        let submitted: Vec<_> = named.zip(&answers).map(|(name, answer)| Submitted { name, answer }).collect();
        output::json_lines(&submitted)?;
    } else {
        let widest = names.iter().map(|name| name.chars().count()).max().unwrap_or_default();
        let lines = names.iter().zip(&answers).map(|(of, answer)| format!("{:<widest$}  {}\n", name(of), answer.id));
        output::text(&lines.collect::<String>())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Names a job of the graph in an error: its position, and its name if it can be read.
fn which(nth: usize, node: &str) -> String {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    match serde_json::from_str::<Named>(node) {
        Ok(Named { name }) if !name.is_empty() => format!("job {} ({name})", nth + 1),
        _ => format!("job {}", nth + 1),
    }
}

fn parsed(text: &str) -> Result<GraphFile, String> {
    // Serde also reads a struct from an array.
    if !text.trim_start().starts_with('{') {
        return Err(
            r#"it must be an object with a list of jobs, such as {"jobs": [{"name": "a", "kind": "k"}]}"#.to_owned()
        );
    }
    let file: GraphFile = serde_json::from_str(text).map_err(|error| json_problem(&error))?;
    if file.jobs.is_empty() { Err("its list of jobs is empty".to_owned()) } else { Ok(file) }
}

fn read(file: &str) -> Result<String, Failure> {
    let cannot = |error: std::io::Error| Failure::usage(format!("cannot read {file}: {error}"));
    let input: Box<dyn Read> =
        if file == "-" { Box::new(std::io::stdin()) } else { Box::new(File::open(file).map_err(cannot)?) };
    let mut text = String::new();
    let read = input.take(GRAPH_MAX_BYTES + 1).read_to_string(&mut text).map_err(cannot)?;
    if read as u64 > GRAPH_MAX_BYTES {
        return Err(Failure::usage(format!("{file} is longer than {GRAPH_MAX_BYTES} bytes")));
    }
    Ok(text)
}
