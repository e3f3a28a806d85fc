//! `leasehold completions`.

use crate::{args::Cli, failure::Failure, output};
use clap::CommandFactory;
use clap_complete::Shell;
use std::process::ExitCode;

/// Print the completions of a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold completions bash > /usr/share/bash-completion/completions/leasehold
  source <(leasehold completions zsh)")]
pub(crate) struct Args {
    /// Which shell
    shell: Shell,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "leasehold", &mut script);
    output::bytes(&script)?;
    Ok(ExitCode::SUCCESS)
}
