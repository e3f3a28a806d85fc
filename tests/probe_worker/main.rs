//! A worker process for tests. It uses the Rust crate as a user would, and runs `Probe` jobs and
//! the callbacks of batches.
//!
//! `probe_worker QUEUE SLOTS`; the URLs of the stores come from the environment.

use leasehold::{
    Config, LogFormat, Worker,
    traces::{self, Traces},
};
use leasehold_tests::{BatchCallback, Probe};
use std::{process::ExitCode, time::Duration};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::{Layer, filter::LevelFilter, layer::SubscriberExt, util::SubscriberInitExt};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(tally) => {
            println!("{tally}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("probe_worker: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<String> {
    let config = Config::load()?;
    let traces = traces::start(&config, "probe_worker")?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let lines = match config.log.format {
        LogFormat::Plain => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let lines = lines.with_filter(LevelFilter::INFO);
    tracing_subscriber::registry().with(lines).with(traces.as_ref().map(Traces::layer)).init();
    let mut arguments = std::env::args().skip(1);
    let queue = arguments.next().unwrap_or_else(|| "default".to_owned());
    let slots = arguments.next().map_or(Ok(10), |text| text.parse())?;
    let (stop, stop_now) = (CancellationToken::new(), CancellationToken::new());
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn({
        let (stop, stop_now) = (stop.clone(), stop_now.clone());
        async move {
            terminate.recv().await;
            stop.cancel();
            terminate.recv().await;
            stop_now.cancel();
        }
    });
    let worker = Worker::builder(&config).register::<Probe>().register::<BatchCallback>();
    let tally = worker.queue(&queue, slots).run(stop, stop_now).await?;
    if let Some(traces) = traces {
        traces.stop(Duration::from_secs(1)).await;
    }
    Ok(serde_json::to_string(&tally)?)
}
