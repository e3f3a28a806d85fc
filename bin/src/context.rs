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
    /// Whether to print data as JSON.
    pub(crate) json: bool,
    /// The sources of the settings.
    pub(crate) sources: Sources,
}

impl Context {
    /// Reads the settings and starts the log.
    pub(crate) fn load(globals: Globals, log: Log) -> Result<Self, Failure> {
        Self::load_from(globals.sources(), globals.json, log)
    }

    /// The same, but ignores the file of a running `leasehold dev`: the caller uses other servers.
    pub(crate) fn load_apart(globals: Globals) -> Result<Self, Failure> {
        Self::load_from(Sources { dev_file: false, ..globals.sources() }, globals.json, Log::AsSet)
    }

    fn load_from(sources: Sources, json: bool, log: Log) -> Result<Self, Failure> {
        let config = Config::load_from(&sources)?;
        logging::start(&config.log, log)?;
        Ok(Self { config, json, sources })
    }

    /// Connects to PostgreSQL, with whatever schema it has.
    pub(crate) async fn database(&self) -> Result<Store, Failure> {
        let settings = self.config.store_settings("leasehold").ok_or_else(|| ConfigError::missing("database.url"))?;
        let store = Store::connect(&settings).await.map_err(|error| self.store_failure(error))?;
        Ok(store.with_lock_timeout(self.config.lock_timeout()))
    }

    /// Connects to PostgreSQL and checks that it has the schema of this program.
    pub(crate) async fn store(&self) -> Result<Store, Failure> {
        let store = self.database().await?;
        store.check_schema().await.map_err(|error| self.store_failure(error))?;
        Ok(store)
    }

    /// Connects to Redis.
    pub(crate) async fn handoff(&self) -> Result<Handoff, Failure> {
        let settings = self.config.handoff_settings().ok_or_else(|| ConfigError::missing("redis.url"))?;
        Handoff::connect(&settings).await.map_err(|error| self.handoff_failure(&error))
    }

    /// Both stores. If Redis is unavailable, the pair connects to Redis later.
    pub(crate) async fn pair(&self, application_name: &str) -> Result<Pair, Failure> {
        let pair = Pair::connect(&self.config, application_name).await.map_err(|error| self.failure(&error))?;
        // A process that starts without redis.url would never use Redis.
        pair.handoff()?;
        Ok(pair)
    }

    /// Both stores. Fails if one of them is unavailable.
    pub(crate) async fn connected_pair(&self) -> Result<Pair, Failure> {
        let (store, handoff) = (self.store().await?, self.handoff().await?);
        Ok(Pair { name: Pair::MAIN.to_owned(), store, handoff: Some(handoff) })
    }

    /// A client of both stores.
    pub(crate) async fn client(&self) -> Result<Client, Failure> {
        Client::connect(&self.config).await.map_err(|error| self.failure(&error))
    }

    /// A reaper of these stores.
    pub(crate) fn reaper(&self, pair: &Pair) -> Result<Reaper, Failure> {
        Ok(Reaper::new(pair.store.clone(), pair.handoff()?.clone(), reaper_settings(&self.config)))
    }

    /// Turns an error of the library into one line that says what to do.
    pub(crate) fn failure(&self, error: &Error) -> Failure {
        let message = error.explain(&self.config);
        if error.is_usage() { Failure::usage(message) } else { Failure::new(message) }
    }

    /// Turns an error of PostgreSQL into one line that says what to do.
    pub(crate) fn store_failure(&self, error: leasehold_store::Error) -> Failure {
        match error {
            leasehold_store::Error::Invalid(_) | leasehold_store::Error::Url(_) => Failure::usage(error.to_string()),
            _ => Failure::new(self.config.explain_store(&error)),
        }
    }

    /// Turns an error of Redis into one line that says what to do.
    pub(crate) fn handoff_failure(&self, error: &leasehold_handoff::Error) -> Failure {
        match error {
            leasehold_handoff::Error::Url(_) => Failure::usage(error.to_string()),
            _ => Failure::new(self.config.explain_handoff(error)),
        }
    }
}
