//! The arguments that every command takes.

use clap::Args;
use leasehold::Sources;
use std::path::PathBuf;

/// What every command takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Globals {
    /// The file of settings [default: leasehold.toml, if it is there]
    #[arg(long, global = true, value_name = "FILE", env = "LEASEHOLD_CONFIG", hide_env = true)]
    pub(crate) config: Option<PathBuf>,
    /// Where PostgreSQL is: postgres://user:password@host:port/database. Better in a file or in LEASEHOLD_DATABASE_URL:
    /// every user of this machine can read arguments
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// Where Redis is: redis://:password@host:port/0. Better in a file or in LEASEHOLD_REDIS_URL
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
    /// Where settings come from under these flags.
    pub(crate) fn sources(&self) -> Sources {
        let mut overrides = self.settings.clone();
        for (key, url) in [("database.url", &self.database_url), ("redis.url", &self.redis_url)] {
            overrides.extend(url.iter().map(|url| (key.to_owned(), url.clone())));
        }
        Sources {
            file: self.config.clone().filter(|path| !path.as_os_str().is_empty()),
            overrides,
            ..Sources::of_this_process()
        }
    }
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("must be KEY=VALUE, such as worker.lease_ms=5000")?;
    Ok((key.to_owned(), value.to_owned()))
}
