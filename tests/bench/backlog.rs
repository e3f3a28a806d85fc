//! Whether the end of a long line drains as fast as its beginning, and how much memory Redis needs.

use crate::{
    arguments::{Arguments, Backlog},
    lab::{Lab, RunSpec},
    results::Results,
};
use anyhow::Result;

pub(crate) async fn measure(arguments: &Arguments, size: &Backlog) -> Result<Results> {
    let mut lab = Lab::open("backlog", arguments).await?;
    for _ in 0..size.rounds {
        // A tenth of the line too: the comparison shows what grows with the line.
        for n in [size.n / 10, size.n] {
            lab.bench("leasehold", &n.to_string(), &RunSpec::new("drain", n)).await?;
        }
    }
    Ok(lab.results)
}
