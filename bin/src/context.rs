//! What a command works with: the settings, and connections made on demand.

use crate::{
    failure::Failure,
    globals::Globals,
    logging::{self, Log},
};
use leasehold::{Client, Config, ConfigError, Error, Sources, reaper_settings};
use leasehold_client::Pair;
use leasehold_handoff::Handoff;
use leasehold_reaper::Reaper;
use leasehold_store::Store;

/// The settings of this call.
pub(crate) struct Context {
    pub(crate) config: Config,
    /// Whether data is printed as JSON.
    pub(crate) json: bool,
    /// Where the settings came from.
    pub(crate) sources: Sources,
}

impl Context {
    /// Reads the settings and starts the log.
    pub(crate) fn load(globals: Globals, log: Log) -> Result<Self, Failure> {
        Self::load_from(globals.sources(), globals.json, log)
    }

    /// The same without the file of a running `leasehold dev`: the caller wants other servers.
    pub(crate) fn load_apart(globals: Globals) -> Result<Self, Failure> {
        Self::load_from(Sources { dev_file: false, ..globals.sources() }, globals.json, Log::AsSet)
    }

    fn load_from(sources: Sources, json: bool, log: Log) -> Result<Self, Failure> {
        let config = Config::load_from(&sources)?;
        logging::start(&config.log, log)?;
        Ok(Self { config, json, sources })
    }

    /// PostgreSQL, whatever its schema.
    pub(crate) async fn database(&self) -> Result<Store, Failure> {
        let settings = self.config.store_settings("leasehold").ok_or_else(|| ConfigError::missing("database.url"))?;
        let store = Store::connect(&settings).await.map_err(|error| self.store_failure(error))?;
        Ok(store.with_lock_timeout(self.config.lock_timeout()))
    }

    /// PostgreSQL with the schema of this program.
    pub(crate) async fn store(&self) -> Result<Store, Failure> {
        let store = self.database().await?;
        store.check_schema().await.map_err(|error| self.store_failure(error))?;
        Ok(store)
    }

    /// Redis.
    pub(crate) async fn handoff(&self) -> Result<Handoff, Failure> {
        let settings = self.config.handoff_settings().ok_or_else(|| ConfigError::missing("redis.url"))?;
        Handoff::connect(&settings).await.map_err(|error| self.handoff_failure(&error))
    }

    /// Both stores. While Redis is unavailable, the pair connects to Redis later.
    pub(crate) async fn pair(&self, application_name: &str) -> Result<Pair, Failure> {
        let pair = Pair::connect(&self.config, application_name).await.map_err(|error| self.failure(&error))?;
        // A process that begins without the URL would never use Redis.
        pair.handoff()?;
        Ok(pair)
    }

    /// A client of both stores.
    pub(crate) async fn client(&self) -> Result<Client, Failure> {
        Client::connect(&self.config).await.map_err(|error| self.failure(&error))
    }

    /// A reaper of these stores.
    pub(crate) fn reaper(&self, pair: &Pair) -> Result<Reaper, Failure> {
        Ok(Reaper::new(pair.store.clone(), pair.handoff()?.clone(), reaper_settings(&self.config)))
    }

    /// An error of the library, as one line with what to do.
    pub(crate) fn failure(&self, error: &Error) -> Failure {
        let message = error.explain(&self.config);
        if error.is_usage() { Failure::usage(message) } else { Failure::new(message) }
    }

    /// An error of PostgreSQL, as one line with what to do.
    pub(crate) fn store_failure(&self, error: leasehold_store::Error) -> Failure {
        match error {
            leasehold_store::Error::Invalid(_) | leasehold_store::Error::Url(_) => Failure::usage(error.to_string()),
            _ => Failure::new(self.config.explain_store(&error)),
        }
    }

    /// An error of Redis, as one line with what to do.
    pub(crate) fn handoff_failure(&self, error: &leasehold_handoff::Error) -> Failure {
        match error {
            leasehold_handoff::Error::Url(_) => Failure::usage(error.to_string()),
            _ => Failure::new(self.config.explain_handoff(error)),
        }
    }
}
