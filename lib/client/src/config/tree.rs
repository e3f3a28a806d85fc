//! The settings as a program uses them.

use super::ConfigError;
use leasehold_core::Backoff;
use leasehold_encryption::{InvalidKeys, Keys};
use leasehold_handoff::KeyPrefix;
use leasehold_store::Pooler;
use leasehold_telemetry::{
    ShownQueues,
    traces::{OtlpProtocol, TraceSettings},
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// All settings. [`crate::SETTINGS`] describes each.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// PostgreSQL.
    pub database: DatabaseConfig,
    /// Redis.
    pub redis: RedisConfig,
    /// Workers.
    pub worker: WorkerConfig,
    /// The reaper.
    pub reaper: ReaperConfig,
    /// The head of the line.
    pub head: HeadConfig,
    /// Finished jobs.
    pub history: HistoryConfig,
    /// Logs.
    pub log: LogConfig,
    /// The HTTP API.
    pub api: ApiConfig,
    /// Webhooks.
    pub webhooks: WebhooksConfig,
    /// Metrics.
    pub metrics: MetricsConfig,
    /// Encryption of payloads and results.
    pub encryption: EncryptionConfig,
    /// Traces.
    pub telemetry: TelemetryConfig,
}

/// PostgreSQL.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[expect(missing_docs, reason = "described in SETTINGS")]
pub struct DatabaseConfig {
    pub url: Option<SecretString>,
    pub pooler: Pooler,
    pub max_connections: u32,
    pub acquire_timeout_ms: u64,
    pub lock_timeout_ms: u64,
}

/// Redis.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[expect(missing_docs, reason = "described in SETTINGS")]
pub struct RedisConfig {
    pub url: Option<SecretString>,
    pub ca_file: Option<PathBuf>,
    pub key_prefix: KeyPrefix,
    pub max_connections: u32,
    pub timeout_ms: u64,
}

/// Workers.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[expect(missing_docs, reason = "described in SETTINGS")]
pub struct WorkerConfig {
    pub lease_ms: u64,
    pub grace_ms: u64,
    pub kill_after_ms: u64,
    pub backoff_base_ms: u64,
    pub backoff_cap_ms: u64,
    pub listen: Option<SocketAddr>,
}

/// The reaper.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[expect(missing_docs, reason = "described in SETTINGS")]
pub struct ReaperConfig {
    pub listen: Option<SocketAddr>,
    pub tick_ms: u64,
    pub pod_deletion_cost: Option<String>,
}

/// The head of the line.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[expect(missing_docs, reason = "described in SETTINGS")]
pub struct HeadConfig {
    pub max: u32,
}

/// Finished jobs.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[expect(missing_docs, reason = "described in SETTINGS")]
pub struct HistoryConfig {
    pub keep_days: u32,
}

/// Logs.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[expect(missing_docs, reason = "described in SETTINGS")]
pub struct LogConfig {
    pub filter: String,
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For human readers.
    Plain,
    /// For log collectors.
    Json,
}

/// The HTTP API.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[expect(missing_docs, reason = "described in SETTINGS")]
pub struct ApiConfig {
    pub listen: SocketAddr,
    pub keda_listen: Option<SocketAddr>,
    pub url: Option<String>,
    pub rate_per_token: u32,
    pub tls_cert_file: Option<PathBuf>,
    pub tls_key_file: Option<PathBuf>,
}

/// Webhooks.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[expect(missing_docs, reason = "described in SETTINGS")]
pub struct WebhooksConfig {
    pub allow_networks: Option<String>,
    pub slots: u32,
    pub keep_days: u32,
}

impl Default for WebhooksConfig {
    fn default() -> Self {
        Self { allow_networks: None, slots: 256, keep_days: 7 }
    }
}

/// Metrics.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[expect(missing_docs, reason = "described in SETTINGS")]
pub struct MetricsConfig {
    pub queues: Option<String>,
    pub queues_max: usize,
}

/// Encryption of payloads and results.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct EncryptionConfig {
    /// The keys, as the setting has them.
    pub keys: Option<SecretString>,
    /// The name of the key that encrypts.
    pub current: Option<String>,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self { queues: None, queues_max: 200 }
    }
}

/// Traces.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[expect(missing_docs, reason = "described in SETTINGS")]
pub struct TelemetryConfig {
    pub otlp_endpoint: Option<String>,
    pub otlp_protocol: Option<String>,
    pub sample_ratio: f64,
    pub service_name: Option<String>,
    pub resource_attributes: Option<String>,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            otlp_protocol: None,
            sample_ratio: 1.0,
            service_name: None,
            resource_attributes: None,
        }
    }
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            keda_listen: None,
            url: None,
            rate_per_token: 0,
            tls_cert_file: None,
            tls_key_file: None,
        }
    }
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self { url: None, pooler: Pooler::None, max_connections: 10, acquire_timeout_ms: 5_000, lock_timeout_ms: 5_000 }
    }
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self { url: None, ca_file: None, key_prefix: KeyPrefix::default(), max_connections: 8, timeout_ms: 1_000 }
    }
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            lease_ms: 30_000,
            grace_ms: 25_000,
            kill_after_ms: 3_000,
            backoff_base_ms: 1_000,
            backoff_cap_ms: 3_600_000,
            listen: None,
        }
    }
}

impl Default for ReaperConfig {
    fn default() -> Self {
        Self { listen: None, tick_ms: 250, pod_deletion_cost: None }
    }
}

impl Default for HeadConfig {
    fn default() -> Self {
        Self { max: 4096 }
    }
}

impl Default for HistoryConfig {
    fn default() -> Self {
        Self { keep_days: 14 }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { filter: "warn,leasehold=info".to_owned(), format: LogFormat::Plain }
    }
}

impl Config {
    /// The defaults, with these two servers.
    ///
    /// ```
    /// # use leasehold_client::Config;
    /// let mut config = Config::new("postgres://app@localhost/app", "redis://localhost");
    /// config.worker.lease_ms = 60_000;
    /// assert_eq!(config.lease(), std::time::Duration::from_secs(60));
    /// ```
    #[must_use]
    pub fn new(database_url: &str, redis_url: &str) -> Self {
        Self {
            database: DatabaseConfig { url: Some(database_url.into()), ..DatabaseConfig::default() },
            redis: RedisConfig { url: Some(redis_url.into()), ..RedisConfig::default() },
            ..Self::default()
        }
    }

    /// How PostgreSQL is reached; `None` without `database.url`. `application_name` is shown in `pg_stat_activity`.
    #[doc(hidden)]
    #[must_use]
    pub fn store_settings(&self, application_name: &str) -> Option<leasehold_store::Settings> {
        Some(leasehold_store::Settings {
            url: self.database.url.clone()?,
            pooler: self.database.pooler,
            max_connections: self.database.max_connections,
            acquire_timeout: Duration::from_millis(self.database.acquire_timeout_ms),
            lock_timeout: Duration::from_millis(self.database.lock_timeout_ms),
            application_name: application_name.to_owned(),
        })
    }

    /// `encryption.keys` and `encryption.current`: the keys of this process. Without the settings there are none.
    ///
    /// # Errors
    /// The keys are malformed, or the current key is not in the list.
    #[doc(hidden)]
    pub fn keys(&self) -> Result<Keys, ConfigError> {
        let impossible = |key: &str, problem: String| ConfigError::Impossible {
            key: key.to_owned(),
            problem,
            origin: String::new(),
        };
        let current = self.encryption.current.as_deref();
        match &self.encryption.keys {
            Some(text) => Keys::read(text.expose_secret(), current).map_err(|error| match &error {
                InvalidKeys::Current(_) => impossible("encryption.current", error.to_string()),
                _ => impossible("encryption.keys", error.to_string()),
            }),
            None if current.is_some() => {
                Err(impossible("encryption.current", "is set, and encryption.keys is not".to_owned()))
            }
            None => Ok(Keys::default()),
        }
    }

    /// How Redis is reached; `None` without `redis.url`.
    #[doc(hidden)]
    #[must_use]
    pub fn handoff_settings(&self) -> Option<leasehold_handoff::Settings> {
        Some(leasehold_handoff::Settings {
            url: self.redis.url.clone()?,
            ca_file: self.redis.ca_file.clone(),
            key_prefix: self.redis.key_prefix.clone(),
            head_max: self.head.max,
            max_connections: self.redis.max_connections,
            timeout: Duration::from_millis(self.redis.timeout_ms),
        })
    }

    /// `worker.backoff_base_ms` and `worker.backoff_cap_ms`: the delays of retries, unless the kind has its own.
    #[must_use]
    pub const fn backoff(&self) -> Backoff {
        Backoff::exponential(
            Duration::from_millis(self.worker.backoff_base_ms),
            Duration::from_millis(self.worker.backoff_cap_ms),
        )
    }

    /// `worker.lease_ms` as a duration.
    #[must_use]
    pub const fn lease(&self) -> Duration {
        Duration::from_millis(self.worker.lease_ms)
    }

    /// `metrics.queues` and `metrics.queues_max`: which queues have separate series.
    #[doc(hidden)]
    #[must_use]
    pub fn shown_queues(&self) -> ShownQueues {
        let always = self.metrics.queues.as_deref().unwrap_or_default().split(',');
        let always = always.map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
        ShownQueues::new(always, self.metrics.queues_max)
    }

    /// Where spans are sent, and which spans.
    #[doc(hidden)]
    #[must_use]
    pub fn trace_settings(&self) -> TraceSettings {
        let of = &self.telemetry;
        TraceSettings {
            endpoint: of.otlp_endpoint.clone(),
            protocol: of.otlp_protocol.as_deref().map(|protocol| match protocol {
                "grpc" => OtlpProtocol::Grpc,
                _ => OtlpProtocol::HttpProtobuf,
            }),
            sample_ratio: of.sample_ratio,
            service_name: of.service_name.clone(),
            resource_attributes: of.resource_attributes.clone(),
        }
    }

    /// `history.keep_days` as a duration.
    #[must_use]
    pub const fn keep_finished(&self) -> Duration {
        Duration::from_secs(self.history.keep_days as u64 * 24 * 3600)
    }
}
