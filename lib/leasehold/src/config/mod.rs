//! Settings: what there is ([`SETTINGS`]), where values come from ([`Sources`]), and what comes out ([`Config`]).

mod load;
mod services;
mod settings;
mod tree;

pub use load::{ConfigError, DEV_FILE, FILE, Sources};
pub use settings::{SETTINGS, Setting, ValueKind};
pub use tree::{
    ApiConfig, Config, DatabaseConfig, HeadConfig, HistoryConfig, LogConfig, LogFormat, ReaperConfig, RedisConfig,
    WorkerConfig,
};
