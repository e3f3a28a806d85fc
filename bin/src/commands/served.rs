//! The arguments of `worker`, `each` and `dev` that say what a worker serves: queues with slots, commands by kind,
//! and the variables that commands get.

use crate::{failure::Failure, times};
use leasehold::{Kind, QueueName, Retry};
use leasehold_worker::PassedEnv;
use std::fmt;

/// Which variables commands get.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct PassEnv {
    /// Also pass these LEASEHOLD_… variables of this process to commands, or all of them if no name is given. By
    /// default commands get none of these variables, because some hold passwords (repeatable)
    #[arg(long = "pass-env", value_name = "NAME", num_args = 0..=1, value_delimiter = ',', default_missing_value = ALL)]
    names: Vec<String>,
}

/// Stands for all names.
const ALL: &str = "*";

impl PassEnv {
    /// The value in the type of `lib/worker`.
    pub(crate) fn passed(&self) -> PassedEnv {
        match &self.names {
            names if names.is_empty() => PassedEnv::None,
            names if names.iter().any(|name| name == ALL) => PassedEnv::All,
            names => PassedEnv::Only(names.clone()),
        }
    }

    /// The value as an argument of another process.
    pub(crate) fn as_argument(&self) -> Option<String> {
        (!self.names.is_empty()).then(|| format!("--pass-env={}", self.names.join(",")))
    }
}

/// Refuses a name that a flag gives twice: one of the two values would not count.
pub(crate) fn each_once<T: PartialEq + fmt::Display>(
    flag: &str,
    names: impl IntoIterator<Item = T>,
) -> Result<(), Failure> {
    let mut seen = Vec::new();
    for name in names {
        if seen.contains(&name) {
            return Err(Failure::usage(format!("{flag} {name} is given twice")));
        }
        seen.push(name);
    }
    Ok(())
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Served {
    Kind(Kind),
    Any,
}

impl fmt::Display for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind(kind) => kind.fmt(f),
            Self::Any => f.write_str("*"),
        }
    }
}

pub(crate) fn queue_and_slots(text: &str) -> Result<(QueueName, Option<u32>), String> {
    let (name, slots) = text.split_once('=').map_or((text, None), |(name, slots)| (name, Some(slots)));
    let name = name.parse().map_err(|error| format!("the name {error}"))?;
    let slots = match slots.map(str::parse) {
        None => None,
        Some(Ok(slots @ 1..=10_000)) => Some(slots),
        Some(_) => return Err("the slots must be a number from 1 to 10000".to_owned()),
    };
    Ok((name, slots))
}

/// Reads the delays between the attempts of a kind: `mail=linear`, `mail=linear:10s` or `*=exponential:1s:1h`.
pub(crate) fn kind_and_retry(text: &str) -> Result<(Served, Retry), String> {
    let (kind, delays) =
        text.split_once('=').ok_or("must be KIND=STRATEGY[:BASE[:CAP]], such as mail=linear:10s:1h")?;
    let mut parts = delays.split(':');
    let strategy = parts.next().unwrap_or_default().parse()?;
    let mut time = || parts.next().map(times::duration).transpose();
    let (base, cap) = (time()?, time()?);
    let retry = Retry::default().with(|retry| (retry.strategy, retry.base, retry.cap) = (Some(strategy), base, cap));
    match (retry.base, retry.cap) {
        (Some(base), Some(cap)) if base > cap => Err("the longest delay is shorter than the first one".to_owned()),
        _ if parts.next().is_some() => Err("has more than a strategy and two times".to_owned()),
        _ => Ok((kind_or_any(kind)?, retry)),
    }
}

pub(crate) fn kind_and_command(text: &str) -> Result<(Served, String), String> {
    let (kind, command) = text.split_once('=').ok_or("must be KIND=COMMAND, such as 'mail=./send-mail'")?;
    Ok((kind_or_any(kind)?, command.to_owned()))
}

fn kind_or_any(kind: &str) -> Result<Served, String> {
    Ok(match kind {
        "*" => Served::Any,
        kind => Served::Kind(kind.parse().map_err(|error| format!("the kind {error}"))?),
    })
}
