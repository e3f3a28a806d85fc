//! `leasehold watch`: arguments, and the start and the end.

use super::{
    folder::Folder,
    pattern::Pattern,
    watcher::{Template, Watcher},
};
use crate::{context::Context, failure::Failure, numbers, output, signals, times};
use leasehold::{Kind, QueueName};
use leasehold_core::MAX_ATTEMPTS_MAX;
use std::{path::PathBuf, process::ExitCode, time::Duration};

/// Make a job for each file that appears in a folder, and move the file when the job has ended
///
/// The payload has the path of the file. When the job has succeeded, the file lies in completed/ in the folder; when the job is
/// dead or cancelled, in failed/. Runs until TERM or Ctrl-C, and then prints one line with numbers of files.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold watch /srv/incoming --queue files --kind import \\
    --pattern '*.parquet'
  leasehold worker --queue files=4 --exec 'import=jq -r .path | xargs \\
    -d \"\\n\" ./import'

The id of a job follows from the path, the size and the time of the last write. So each file has \
one job, also if the watcher is killed and started again, or if two watchers watch the folder. A \
file that is changed later is a new file and gets a new job.

A file is taken when its size and time have not changed for --settle-ms. Safer: write the file \
under a hidden name (.name) or a name that the pattern does not match, and rename it. Only regular \
files in the folder itself are taken.

A file that comes when the job of an earlier file has ended gets a job of its own, also if name, \
size and time are the same.

The last line counts files since the start of this watcher:
  seen       found in the folder; each changed version counts again
  made       got a job from this watcher
  known      had a job already: from an earlier run of the watcher, or from
             another watcher
  completed  moved to completed/ by this watcher
  failed     moved to failed/ by this watcher
  elsewhere  moved by another watcher
  changed    written again after the file was ready for its job
  vanished   removed by another program before the job had ended")]
pub(crate) struct Args {
    /// The folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The queue
    #[arg(long)]
    queue: QueueName,
    /// The kind: which handler runs the job
    #[arg(long)]
    kind: Kind,
    /// Take only files whose name matches: * is any text, ? is any one byte. Hidden files match only if the pattern begins with a dot
    #[arg(long, default_value = "*")]
    pattern: Pattern,
    /// For how long a file must stay the same before it is taken
    #[arg(long, value_name = "MS", default_value_t = 500, value_parser = numbers::within::<u64>(0..=3_600_000))]
    settle_ms: u64,
    /// How many attempts a job may spend
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = numbers::within::<i32>(1..=i64::from(MAX_ATTEMPTS_MAX)))]
    max_attempts: i32,
    /// How long one run may take, such as 30s [default: no limit]
    #[arg(long, allow_hyphen_values = true, value_parser = times::duration)]
    timeout: Option<Duration>,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let stop = signals::listen()?;
    let folder = Folder::open(&args.folder, args.pattern)
        .map_err(|error| Failure::usage(format!("the folder {} cannot be read: {error}", args.folder.display())))?;
    if let Some(shelf) = folder.blocked_shelf() {
        let (folder, name) = (args.folder.display(), shelf.name());
        return Err(Failure::usage(format!(
            "{folder}/{name} is not a folder, and files whose jobs have ended are moved into the folder {folder}/{name}; \
             rename or remove {folder}/{name}"
        )));
    }
    let client = context.client().await?;
    let template =
        Template { queue: args.queue, kind: args.kind, max_attempts: args.max_attempts, timeout: args.timeout };
    tracing::info!(folder = %folder.path().display(), "the watcher has started");
    let mut watcher = Watcher::new(folder, template, Duration::from_millis(args.settle_ms), &client, context);
    let ended = tokio::select! {
        ended = watcher.run() => ended,
        () = stop.soon.cancelled() => Ok(()),
    };
    let counts = watcher.counts();
    output::either(context.json, &counts, || counts.as_text())?;
    ended.map(|()| ExitCode::SUCCESS)
}
