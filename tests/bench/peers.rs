//! Other queues on this machine, measured by a program that is not a part of this project.

use crate::arguments::{Arguments, Peers};
use anyhow::{Context as _, Result, ensure};
use std::{fs, process::Command};

/// What the script must support, in short.
const CONTRACT: &str = "make bench-peers needs PEERS=path/to/program, one that measures other queues side by side with this one: \
                        it takes --repeat ROUNDS --n JOBS --json FILE --cmd NAME='command line' and prints tables; each command \
                        line obeys the contract in docs/performance.md";

pub(crate) fn run(arguments: &Arguments, size: &Peers) -> Result<()> {
    let Some(script) = size.script.as_ref().filter(|script| script.is_file()) else {
        let missing = size.script.as_ref().map(|script| format!("{} does not exist; ", script.display()));
        anyhow::bail!("{}{CONTRACT}", missing.unwrap_or_default());
    };
    let program = std::env::current_exe()?.with_file_name("leasehold");
    fs::create_dir_all(&arguments.out)?;
    let out = arguments.out.canonicalize()?;
    let output = Command::new(script)
        .args(["--repeat", &size.rounds.to_string(), "--n", &size.n.to_string(), "--json"])
        .arg(out.join("peers.json"))
        .arg("--cmd")
        .arg(format!("leasehold='{}' bench", program.display()))
        .args(&size.more)
        .stderr(std::process::Stdio::inherit())
        .output()
        .with_context(|| format!("running {}", script.display()))?;
    ensure!(output.status.success(), "{} ended with {}", script.display(), output.status);
    let tables = String::from_utf8(output.stdout).context("reading the tables as text")?;
    fs::write(out.join("peers.md"), &tables)?;
    println!("{tables}");
    Ok(())
}
