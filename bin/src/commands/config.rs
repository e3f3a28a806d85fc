//! `leasehold config`.

use crate::{
    context::Context,
    failure::Failure,
    output::{self, settings},
};
use std::process::ExitCode;

/// List every setting: what it does, its default, why, and how to set it
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  # every setting, with its unit, default and reason
  leasehold config
  # checks the settings too: exit 2 if one is wrong
  leasehold config --set head.max=100")]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args, context: &Context) -> Result<ExitCode, Failure> {
    if context.json {
        output::json(&settings::as_json())?;
    } else {
        output::text(&settings::as_text())?;
    }
    Ok(ExitCode::SUCCESS)
}
