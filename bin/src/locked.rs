//! Says which sessions hold jobs, for commands that change many jobs and leave out the locked ones.

use leasehold::{Client, JobId};

/// The sessions, in parentheses after a space. Empty if they are not known.
pub(crate) async fn by(client: &Client, jobs: &[JobId]) -> String {
    let holders = client.store().job_holders(jobs).await;
    if holders.is_empty() {
        return String::new();
    }
    let holders: Vec<String> = holders.iter().map(ToString::to_string).collect();
    format!(" ({})", holders.join("; "))
}
