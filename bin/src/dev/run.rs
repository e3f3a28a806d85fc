//! `dev` from start to end.

use super::{args::Args, banner, fleet::Fleet, servers::Servers, settings_file::SettingsFile};
use crate::{
    commands::served::each_once,
    context::Context,
    failure::Failure,
    signals::{self, Stop},
};
use leasehold_servers::Folder;
use std::{
    net::{SocketAddr, TcpListener},
    process::ExitCode,
};

pub(crate) async fn run(args: Args, mut context: Context) -> Result<ExitCode, Failure> {
    each_once("--queue", args.queues.iter().map(|queue| queue.split('=').next().unwrap_or_default()))?;
    each_once("--exec", args.exec.iter().map(|exec| exec.split('=').next().unwrap_or_default()))?;
    let stop = signals::listen()?;
    let folder = Folder::open(&args.data_dir).map_err(super::servers::failure)?;
    // A `dev` that was killed may have left the file, which names servers that have ended.
    SettingsFile::forget(&folder);

    let Some(servers) = start_servers(&args, &mut context, &folder, &stop).await? else { return Ok(ExitCode::SUCCESS) };
    let ended = serve(&args, &context, &folder, &servers, &stop).await;
    servers.stop(stop.now.is_cancelled()).await;
    ended.map(|()| ExitCode::SUCCESS)
}

/// `None` when a signal came first. Servers that were about to start end with this process.
async fn start_servers(
    args: &Args,
    context: &mut Context,
    folder: &Folder,
    stop: &Stop,
) -> Result<Option<Servers>, Failure> {
    let servers = tokio::select! {
        servers = Servers::start(&context.config, folder, usize::from(args.workers)) => servers?,
        () = stop.soon.cancelled() => return Ok(None),
    };
    servers.fill_in(&mut context.config);
    Ok(Some(servers))
}

/// The address of the HTTP interface: a free port, unless the user names one. It stays the same if the server is started again.
fn address(given: Option<SocketAddr>) -> Result<SocketAddr, Failure> {
    match given {
        Some(address) if address.port() != 0 => Ok(address),
        given => {
            let any = given.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
            Ok(TcpListener::bind(any)?.local_addr()?)
        }
    }
}

async fn serve(args: &Args, context: &Context, folder: &Folder, servers: &Servers, stop: &Stop) -> Result<(), Failure> {
    let store = context.database().await?;
    let applied = store.migrate().await.map_err(|error| context.store_failure(error))?;
    if !applied.is_empty() {
        let (migrations, functions) = (applied.migrations.len(), applied.functions.len());
        tracing::info!(migrations, functions, "the schema is up to date");
    }
    drop(store);

    let http = address(args.listen)?;
    let fleet = Fleet::start(args, http, context)?;
    let settings_file = SettingsFile::write(folder, &context.config)?;
    banner::print(args, http, context, folder, servers)?;
    let ended = tokio::select! {
        () = stop.soon.cancelled() => Ok(()),
        failure = fleet.failed() => Err(failure),
        never = servers.keep() => match never {},
    };
    drop(settings_file);
    if ended.is_ok() {
        // The terminal may be closed. Everything is stopped all the same.
        let _ = banner::say("stopping: workers first, then the reaper and the servers (Ctrl-C again: at once)");
    }
    fleet.stop(&stop.now).await;
    ended
}
