//! Settings: all that exist ([`SETTINGS`]), where values come from ([`Sources`]), and the result ([`Config`]).

mod error;
mod layers;
mod load;
mod services;
mod settings;
mod tree;

pub use error::ConfigError;
pub use load::{DEV_FILE, Sources};
pub use settings::{FILE, SETTINGS, Setting, ValueKind};
pub use tree::{
    ApiConfig, Config, DatabaseConfig, EncryptionConfig, HeadConfig, HistoryConfig, LogConfig, LogFormat,
    MetricsConfig, ReaperConfig, RedisConfig, TelemetryConfig, WebhooksConfig, WorkerConfig,
};
