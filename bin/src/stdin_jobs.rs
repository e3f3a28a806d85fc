//! Jobs from standard input, in batches.

use crate::{failure::Failure, job_flags::JobFlags, job_line, lines::Lines};
use leasehold::NewJob;
use leasehold_core::BATCH_MAX;
use std::time::Duration;
use tokio::sync::mpsc;

/// An incomplete batch is sent after this time without a new line, so that a slow writer does not delay its jobs.
const PATIENCE: Duration = Duration::from_millis(100);

/// Jobs that are sent in one call.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) jobs: Vec<NewJob>,
    /// The line number of each job.
    pub(crate) lines: Vec<u64>,
}

/// Batches of valid jobs, until the input ends or a line is invalid. The batch with the invalid line is not sent, not
/// even its lines before the invalid one. Blank lines are skipped.
pub(crate) fn batches(flags: JobFlags) -> mpsc::Receiver<Result<Batch, Failure>> {
    let (tell, mut lines) = mpsc::channel(BATCH_MAX);
    // Reading runs in a thread, because a read of standard input cannot be cancelled.
    std::thread::spawn(move || {
        let read = || -> Result<(), Failure> {
            let mut input = Lines::open(None)?;
            while let Some((number, line)) = input.next()? {
                if line.trim().is_empty() {
                    continue;
                }
                let job = job_line::from_line(&line, &flags).map_err(|failure| failure.at_line(number))?;
                if tell.blocking_send(Ok((number, job))).is_err() {
                    break;
                }
            }
            Ok(())
        };
        if let Err(failure) = read() {
            let _ = tell.blocking_send(Err(failure));
        }
    });
    let (send, batches) = mpsc::channel(2);
    tokio::spawn(async move {
        let mut batch = Batch::default();
        loop {
            let waiting = if batch.jobs.is_empty() { Duration::MAX } else { PATIENCE };
            let more = match tokio::time::timeout(waiting, lines.recv()).await {
                Ok(Some(Ok((number, job)))) => {
                    batch.jobs.push(job);
                    batch.lines.push(number);
                    if batch.jobs.len() < BATCH_MAX {
                        continue;
                    }
                    true
                }
                Ok(Some(Err(failure))) => {
                    let _ = send.send(Err(failure)).await;
                    return;
                }
                Ok(None) => false,
                Err(_) => true,
            };
            if !batch.jobs.is_empty() && send.send(Ok(std::mem::take(&mut batch))).await.is_err() || !more {
                return;
            }
        }
    });
    batches
}
