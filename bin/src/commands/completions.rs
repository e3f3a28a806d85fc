//! `leasehold completions`.

use crate::{failure::Failure, output};
use clap_complete::Shell;
use std::process::ExitCode;

/// Print the completion script of a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold completions bash > /usr/share/bash-completion/completions/leasehold
  source <(leasehold completions zsh)")]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(args: &Args, mut program: clap::Command) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, "leasehold", &mut script);
    output::bytes(&script)?;
    Ok(ExitCode::SUCCESS)
}
