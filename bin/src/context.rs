//! The context of a command: the settings, and connections made on demand.

use crate::{
    failure::Failure,
    globals::Globals,
    logging::{self, Log},
};
use leasehold::{Client, Config, ConfigError, Error, Sources, reaper_settings};
use leasehold_client::Pair;
use leasehold_handoff::Handoff;
use leasehold_reaper::Reaper;
use leasehold_store::{AuditNote, Store};
use leasehold_telemetry::traces::Traces;
use serde_json::Value;

/// The settings of this call.
pub(crate) struct Context {
    pub(crate) config: Config,
    /// Whether to print data as JSON.
    pub(crate) json: bool,
    /// The sources of the settings.
    pub(crate) sources: Sources,
    /// The export of spans, if the settings or the environment name a collector.
    pub(crate) traces: Option<Traces>,
}

impl Context {
    /// Reads the settings and starts the log. `service`: the name of this process in traces; `None` if the command makes no spans.
    pub(crate) fn load(globals: Globals, log: Log, service: Option<&str>) -> Result<Self, Failure> {
        Self::load_from(globals.sources(), globals.json, log, service)
    }

    /// The same, but ignores the file of a running `leasehold dev`: the caller uses other servers.
    pub(crate) fn load_apart(globals: Globals) -> Result<Self, Failure> {
        let mut sources = globals.sources();
        sources.dev_file = false;
        Self::load_from(sources, globals.json, Log::AsSet, None)
    }

    fn load_from(sources: Sources, json: bool, log: Log, service: Option<&str>) -> Result<Self, Failure> {
        let config = Config::load_from(&sources)?;
        let traces = match service {
            Some(service) => Traces::start(&config.trace_settings(), service),
            None => Ok(None),
        };
        let traces = traces.map_err(|error| Failure::usage(error.to_string()))?;
        logging::start(&config.log, log, traces.as_ref())?;
        Ok(Self { config, json, sources, traces })
    }

    /// Connects to PostgreSQL, with any schema or none.
    pub(crate) async fn database(&self) -> Result<Store, Failure> {
        let settings = self.config.store_settings("leasehold").ok_or_else(|| ConfigError::missing("database.url"))?;
        let keys = self.config.keys()?;
        let store = Store::connect(&settings).await.map_err(|error| self.store_failure(error))?;
        Ok(store.with_keys(keys))
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

    /// The same without job types: the public crate does not have the calls that only an operator needs.
    pub(crate) async fn operator(&self) -> Result<leasehold_client::Client, Failure> {
        leasehold_client::Client::connect(&self.config).await.map_err(|error| self.failure(&error))
    }

    /// Notes in the audit that the user of the database is about to make a change.
    pub(crate) async fn audit(&self, store: &Store, action: &str, target: &str, detail: Value) -> Result<(), Failure> {
        let note = AuditNote { actor: None, action, target, detail };
        store.note_audit(&note).await.map_err(|error| self.store_failure(error))
    }

    /// The same with the client of `operator`.
    pub(crate) async fn audit_operator(
        &self,
        client: &leasehold_client::Client,
        action: &str,
        target: &str,
        detail: Value,
    ) -> Result<(), Failure> {
        let pair = client.pair().ok_or_else(|| Failure::new("a queue in memory has no audit"))?;
        self.audit(&pair.store, action, target, detail).await
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

    /// The same for a command that sends only its arguments: if PostgreSQL refuses a value, the command was called wrongly.
    pub(crate) fn failure_of_arguments(&self, error: &Error) -> Failure {
        match error {
            Error::Store(source) if source.refused_value().is_some() => Failure::usage(error.explain(&self.config)),
            _ => self.failure(error),
        }
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
