//! The arguments that every command takes.

use clap::Args;
use leasehold::Sources;
use std::path::PathBuf;

/// The arguments of every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Globals {
    /// The settings file [default: leasehold.toml, if it exists]
    #[arg(long, global = true, value_name = "FILE", env = "LEASEHOLD_CONFIG", hide_env = true)]
    pub(crate) config: Option<PathBuf>,
    /// The URL of PostgreSQL: postgres://user:password@host:port/database. A file or LEASEHOLD_DATABASE_URL is safer:
    /// every user of this machine can read arguments
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// The URL of Redis: redis://:password@host:port/0. A file or LEASEHOLD_REDIS_URL is safer
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) redis_url: Option<String>,
    /// Any other setting, such as worker.lease_ms=5000 (repeatable)
    #[arg(long = "set", global = true, value_name = "KEY=VALUE", value_parser = key_and_value)]
    pub(crate) settings: Vec<(String, String)>,
    /// Print data as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

impl Globals {
    /// The sources of the settings, and the settings of these flags.
    pub(crate) fn sources(&self) -> Sources {
        let mut overrides = self.settings.clone();
        for (key, url) in [("database.url", &self.database_url), ("redis.url", &self.redis_url)] {
            overrides.extend(url.iter().map(|url| (key.to_owned(), url.clone())));
        }
        let mut sources = Sources::of_this_process();
        sources.file = self.config.clone().filter(|path| !path.as_os_str().is_empty());
        sources.overrides = overrides;
        sources
    }
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("must be KEY=VALUE, such as worker.lease_ms=5000")?;
    Ok((key.to_owned(), value.to_owned()))
}
