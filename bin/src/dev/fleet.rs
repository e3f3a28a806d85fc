//! The reaper, the HTTP server and the workers of `dev`.

use super::{args::Args, member::Member, undertaker::Undertaker};
use crate::{context::Context, failure::Failure};
use leasehold::{Setting, Sources};
use secrecy::{ExposeSecret, SecretString};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

/// How long a worker may take after its grace to end commands and to write the ends of its jobs.
const BEYOND_GRACE: Duration = Duration::from_secs(10);
/// How long the reaper may take to stop: it has no work to finish.
const REAPER_PATIENCE: Duration = Duration::from_secs(10);

/// How long the HTTP server may take to stop: requests in flight may end.
const API_PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Fleet {
    undertaker: Undertaker,
    workers: JoinSet<()>,
    /// The reaper and the HTTP server.
    reaper: JoinSet<()>,
    stop_workers: CancellationToken,
    stop_reaper: CancellationToken,
    now: CancellationToken,
    failed: Mutex<mpsc::Receiver<String>>,
}

impl Fleet {
    /// Starts a reaper, the HTTP server at this address, and the workers, and keeps them running.
    pub(super) fn start(args: &Args, http: SocketAddr, context: &Context) -> Result<Self, Failure> {
        let undertaker = Undertaker::start()?;
        let group = undertaker.group();
        let (environment, unset) = environment(context);
        let (tell, failed) = mpsc::channel(1);
        let (stop_workers, stop_reaper) = (CancellationToken::new(), CancellationToken::new());
        let now = CancellationToken::new();

        let reaper = Member {
            name: "reaper".to_owned(),
            arguments: vec!["reaper".to_owned()],
            environment: environment.clone(),
            unset: unset.clone(),
            group,
            patience: REAPER_PATIENCE,
        };
        let mut reapers = JoinSet::new();
        reapers.spawn(reaper.keep(stop_reaper.clone(), now.clone(), tell.clone()));

        let api = Member {
            name: "api".to_owned(),
            arguments: vec!["api".to_owned(), format!("--listen={http}")],
            environment: environment.clone(),
            unset: unset.clone(),
            group,
            patience: API_PATIENCE,
        };
        reapers.spawn(api.keep(stop_reaper.clone(), now.clone(), tell.clone()));

        let mut workers = JoinSet::new();
        for number in 1..=args.workers {
            let worker = Member {
                name: format!("worker {number}"),
                arguments: worker_arguments(args),
                environment: environment.clone(),
                unset: unset.clone(),
                group,
                patience: Duration::from_millis(context.config.worker.grace_ms) + BEYOND_GRACE,
            };
            workers.spawn(worker.keep(stop_workers.clone(), now.clone(), tell.clone()));
        }
        Ok(Self { undertaker, workers, reaper: reapers, stop_workers, stop_reaper, now, failed: Mutex::new(failed) })
    }

    /// Ready when a process cannot start at all.
    pub(super) async fn failed(&self) -> Failure {
        match self.failed.lock().await.recv().await {
            Some(name) => Failure::usage(format!("{name} cannot run; its messages are above")),
            // No process is left to report a failure; a signal will end the wait.
            None => std::future::pending().await,
        }
    }

    /// Stops the workers, then the reaper: the reaper still handles the jobs that the workers release.
    pub(super) async fn stop(mut self, now: &CancellationToken) {
        let (hurry, asked) = (self.now.clone(), now.clone());
        let passing_on = tokio::spawn(async move {
            asked.cancelled().await;
            hurry.cancel();
        });
        self.stop_workers.cancel();
        while self.workers.join_next().await.is_some() {}
        self.stop_reaper.cancel();
        while self.reaper.join_next().await.is_some() {}
        passing_on.abort();
        self.undertaker.release().await;
    }
}

fn worker_arguments(args: &Args) -> Vec<String> {
    let mut arguments = vec!["worker".to_owned(), "--commands".to_owned()];
    let default = ["default".to_owned()];
    let queues = if args.queues.is_empty() { &default[..] } else { &args.queues };
    for queue in queues {
        arguments.extend(["--queue".to_owned(), queue.clone()]);
    }
    for command in &args.exec {
        arguments.extend(["--exec".to_owned(), command.clone()]);
    }
    arguments.extend(args.pass_env.as_argument());
    arguments
}

/// The settings of this process as variables: the file that a flag named, the settings that other flags set, and the
/// servers. Also returns the names of other variables that would set the same settings.
fn environment(context: &Context) -> (Vec<(String, String)>, Vec<String>) {
    let Sources { file, overrides, .. } = &context.sources;
    let (mut variables, mut unset) = (Vec::new(), Vec::new());
    variables.extend(file.iter().map(|file| ("LEASEHOLD_CONFIG".to_owned(), file.display().to_string())));
    let mut set = |key: &str, value: &str| {
        let Some(setting) = Setting::find(key) else { return };
        let by_key = format!("LEASEHOLD_{}", key.replace('.', "__").to_uppercase());
        unset.extend([format!("{}_FILE", setting.variable()), format!("{by_key}_FILE"), by_key]);
        variables.push((setting.variable(), value.to_owned()));
    };
    for (key, value) in overrides {
        set(key, value);
    }
    let url = |url: &Option<SecretString>| url.as_ref().map(|url| url.expose_secret().to_owned()).unwrap_or_default();
    set("database.url", &url(&context.config.database.url));
    set("redis.url", &url(&context.config.redis.url));
    // Several workers on this machine cannot use the same port.
    if let Some(address) = context.config.worker.listen {
        set("worker.listen", &SocketAddr::new(address.ip(), 0).to_string());
    }
    (variables, unset)
}
