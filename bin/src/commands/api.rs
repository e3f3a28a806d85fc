//! `leasehold api`.

use crate::{addresses::address, commands::webhook, context::Context, failure::Failure, job_line, signals, times};
use leasehold_api::{
    Api, Auth, KedaServer, Measures, Operations, Server, Settings, StartError, Tls, WebhookSettings, Webhooks,
};
use leasehold_telemetry::Vitals;
use std::{net::SocketAddr, process::ExitCode, time::Duration};

/// Serve jobs over HTTP: for clients, and for workers in any language
///
/// Describes itself at /v1/openapi.json, and at /docs for people. Without tokens, the server listens on loopback addresses only.
/// `leasehold token create` makes tokens; from the first one on, every request needs one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  # on 127.0.0.1:8080, until TERM or Ctrl-C
  leasehold api
  leasehold api --listen '[::1]:7000'
  curl -s localhost:8080/v1/jobs -H 'content-type: application/json' \\
    -d '{\"kind\":\"mail\",\"payload\":{\"to\":\"ann\"}}'")]
pub(crate) struct Args {
    /// Where to listen; port 0 is any free port [default: api.listen]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    listen: Option<SocketAddr>,
    /// Serve the external scaler for KEDA here, such as 0.0.0.0:9465 [default: api.keda_listen]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    keda_listen: Option<SocketAddr>,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let stop = signals::listen()?;
    let address = args.listen.unwrap_or(context.config.api.listen);
    let tls = tls(context)?;
    let webhooks = webhook_settings(context)?;
    let pair = context.pair("leasehold api").await?;
    let auth = Auth::new(pair.store.clone(), address.ip().is_loopback(), context.config.api.rate_per_token);
    let has_tokens = auth.are_needed().await.map_err(|error| match error.is_denied() {
        true => Failure::new(
            "the user of database.url may not read tokens: run `leasehold migrate roles --apply`, and grant the user leasehold_api",
        ),
        false => context.store_failure(error),
    })?;
    let server = Server::bind(address, has_tokens).await.map_err(cannot_start)?;
    let keda = match args.keda_listen.or(context.config.api.keda_listen) {
        Some(address) => Some(KedaServer::bind(address).await.map_err(cannot_start)?),
        None => None,
    };
    let server = match tls {
        Some(tls) => server.with_tls(tls),
        None => server,
    };
    let settings = Settings {
        read_job: job_line::from_command,
        read_node: job_line::node_from_request,
        read_duration: times::duration,
        lease: context.config.lease(),
        backoff: context.config.backoff(),
        webhooks,
    };
    // The server has no loop that could hang: the accept loop waits for clients.
    let vitals = Vitals::new(pair.stores(), Duration::MAX, || Duration::ZERO)
        .with_queues(pair.queues(context.config.shown_queues()))
        .with_demands(pair.demands());
    let webhooks = Webhooks::new(&pair, &settings)?;
    let api = Api::new(pair, settings, auth);
    let vitals = vitals.with_metrics(Measures::of(api.clone()));
    let scaler = async {
        if let Some(keda) = keda {
            keda.run(api.clone(), stop.soon.clone(), stop.now.clone()).await;
        }
    };
    tokio::join!(
        webhooks.run(stop.soon.clone(), stop.now.clone()),
        Operations::new(api.clone()).run(stop.soon.clone()),
        server.run(api.clone(), vitals, stop.soon.clone(), stop.now.clone()),
        scaler
    );
    Ok(ExitCode::SUCCESS)
}

/// The certificate of the server, if there is one.
fn tls(context: &Context) -> Result<Option<Tls>, Failure> {
    let api = &context.config.api;
    match (&api.tls_cert_file, &api.tls_key_file) {
        (None, None) => Ok(None),
        (Some(cert), Some(key)) => Tls::load(cert, key).map(Some).map_err(|error| Failure::usage(error.to_string())),
        _ => Err(Failure::usage("api.tls_cert_file and api.tls_key_file belong together: set both, or none")),
    }
}

fn webhook_settings(context: &Context) -> Result<WebhookSettings, Failure> {
    let settings = &context.config.webhooks;
    Ok(WebhookSettings {
        allowed: webhook::allowed_networks(context)?,
        slots: settings.slots,
        keep_days: i32::try_from(settings.keep_days).unwrap_or(i32::MAX),
    })
}

fn cannot_start(error: StartError) -> Failure {
    match error {
        StartError::NotLoopback(_) => Failure::usage(error.to_string()),
        StartError::Bind { .. } => Failure::new(error.to_string()),
    }
}
