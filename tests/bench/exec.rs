//! `leasehold each` compared with `xargs`: a real process for each line, which does nothing.

use crate::{
    arguments::{Arguments, Exec},
    lab::Lab,
    results::{Results, Run},
};
use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use std::{fs::File, process::Stdio};
use tokio::process::Command;

const NOTHING: &str = "/bin/true";

pub(crate) async fn measure(arguments: &Arguments, size: &Exec) -> Result<Results> {
    let mut lab = Lab::open("exec", arguments).await?;
    let lines = lab.servers.folder().join("lines");
    std::fs::write(&lines, (1..=size.n).map(|line| format!("{line}\n")).collect::<String>())?;
    let parallel = size.parallel.to_string();
    for _ in 0..size.rounds {
        let mut xargs = Command::new("xargs");
        xargs.args(["-P", &parallel, "-n", "1", NOTHING]).stdin(Stdio::from(File::open(&lines)?)).kill_on_drop(true);
        keep(&mut lab, "xargs", size, &mut xargs).await?;

        lab.servers.fresh().await?;
        let migrated = lab.leasehold().args(["migrate", "up"]).stdout(Stdio::null()).status().await;
        ensure!(migrated.context("making the schema")?.success(), "leasehold migrate failed");
        let mut each = lab.leasehold();
        each.args(["each", "--queue", "lines", "--jobs", &parallel, "--from"]).arg(&lines).args(["--", NOTHING, "{}"]);
        keep(&mut lab, "leasehold each", size, each.stdout(Stdio::null())).await?;
    }
    Ok(lab.results)
}

async fn keep(lab: &mut Lab, subject: &str, size: &Exec, command: &mut Command) -> Result<()> {
    let watch = crate::machine::Watch::begin(&lab.servers);
    let seconds = lab.time(command).await?;
    let others = watch.end(&lab.servers);
    let rate = size.n as f64 / seconds;
    eprintln!("{subject}: {rate:.0} lines per second; other processes used {:.0} %", others.share * 100.0);
    let line = json!({ "n": size.n, "parallel": size.parallel, "lines_per_s": rate });
    lab.results.runs.push(Run::of(subject, "lines", line, others.share, others.disturbed));
    Ok(())
}
