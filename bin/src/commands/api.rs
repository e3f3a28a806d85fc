//! `leasehold api`.

use crate::{context::Context, failure::Failure, job_spec, signals, times};
use leasehold_api::{Api, Server, Settings};
use leasehold_telemetry::Vitals;
use std::{net::SocketAddr, process::ExitCode, time::Duration};

/// Serve jobs over HTTP: for clients, and for workers in any language
///
/// Describes itself at /v1/openapi.json, and at /docs for people. There are no tokens yet, so the server listens on loopback
/// addresses only.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold api                              # on 127.0.0.1:8080, until TERM or Ctrl-C
  leasehold api --listen '[::1]:7000'
  curl -s localhost:8080/v1/jobs -H 'content-type: application/json' -d '{\"kind\":\"mail\",\"payload\":{\"to\":\"ann\"}}'")]
pub(crate) struct Args {
    /// Where to listen; port 0 is any free port [default: api.listen]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let stop = signals::listen()?;
    let address = args.listen.unwrap_or(context.config.api.listen);
    let server = Server::bind(address).await.map_err(|error| match error {
        leasehold_api::StartError::NotLoopback(_) => Failure::usage(error.to_string()),
        leasehold_api::StartError::Bind { .. } => Failure::new(error.to_string()),
    })?;
    let pair = context.pair("leasehold api").await?;
    let settings = Settings {
        read_job: job_spec::from_command,
        read_node: job_spec::node_from_request,
        read_duration: times::duration,
        lease: context.config.lease(),
        backoff: context.config.backoff(),
    };
    // The server has no loop that could hang: the accept loop waits for clients.
    let vitals = Vitals::new(pair.stores(), Duration::MAX, || Duration::ZERO).with_queues(pair.queues());
    server.run(Api::new(pair, settings), vitals, stop.soon, stop.now).await;
    Ok(ExitCode::SUCCESS)
}
