//! Where values come from, lowest first: the file that `leasehold dev` writes (only when no other source names a server),
//! `leasehold.toml`, the environment, flags. Later sources win; then all values are checked.

use super::{
    error::{ConfigError, impossible, unknown},
    layers::{Layer, from_environment, from_overrides, read_file},
    settings::{FILE, Setting},
    tree::Config,
};
use config::Environment;
use std::{ffi::OsString, path::PathBuf};

/// The file in which `leasehold dev` says where its servers are.
pub const DEV_FILE: &str = ".leasehold/leasehold.toml";

/// Where to search for settings.
///
/// ```
/// # use leasehold_client::{Config, Sources};
/// let mut sources = Sources::of_this_process();
/// sources.overrides.push(("worker.lease_ms".to_owned(), "10000".to_owned()));
/// # sources.folder = "/nowhere".into();
/// # sources.environment.clear();
/// assert_eq!(Config::load_from(&sources)?.worker.lease_ms, 10_000);
/// # Ok::<(), leasehold_client::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Sources {
    /// The folder for files without a path.
    pub folder: PathBuf,
    /// The file to read; it must exist. `None` reads [`FILE`] if it exists.
    pub file: Option<PathBuf>,
    /// The environment.
    pub environment: Vec<(OsString, OsString)>,
    /// Settings given as flags: key and value. These override all other sources.
    pub overrides: Vec<(String, String)>,
    /// Whether [`DEV_FILE`] is read when no server is named anywhere else.
    pub dev_file: bool,
}

impl Sources {
    /// The current folder and this process's environment; `LEASEHOLD_CONFIG` names the file.
    #[must_use]
    pub fn of_this_process() -> Self {
        Self {
            folder: PathBuf::from("."),
            file: std::env::var_os("LEASEHOLD_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from),
            environment: std::env::vars_os().collect(),
            overrides: Vec::new(),
            dev_file: true,
        }
    }
}

impl Config {
    /// The settings of this process: [`Sources::of_this_process`].
    ///
    /// ```no_run
    /// # use leasehold_client::Config;
    /// // leasehold.toml, then LEASEHOLD_DATABASE_URL, LEASEHOLD_REDIS_URL and the other variables.
    /// let config = Config::load()?;
    /// # Ok::<(), leasehold_client::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// See [`Config::load_from`].
    pub fn load() -> Result<Self, ConfigError> {
        Self::load_from(&Sources::of_this_process())
    }

    /// Reads, merges and checks settings.
    ///
    /// # Errors
    /// The first setting that does not exist or has an impossible value, or a file that cannot be read.
    pub fn load_from(sources: &Sources) -> Result<Self, ConfigError> {
        let mut layers = Vec::new();
        let default_file = sources.folder.join(FILE);
        if let Some(file) = &sources.file {
            layers.push(read_file(file)?);
        } else if default_file.exists() {
            layers.push(read_file(&default_file)?);
        }
        layers.push(from_environment(&sources.environment)?);
        layers.push(from_overrides(&sources.overrides)?);

        let names_a_server =
            layers.iter().any(|layer| layer.contains_key("database.url") || layer.contains_key("redis.url"));
        let dev_file = sources.folder.join(DEV_FILE);
        if sources.dev_file && !names_a_server && dev_file.exists() {
            layers.insert(0, read_file(&dev_file)?);
        }
        merge(layers)
    }
}

fn merge(layers: Vec<Layer>) -> Result<Config, ConfigError> {
    let mut merged = Layer::new();
    for layer in layers {
        merged.extend(layer);
    }
    for (key, given) in &merged {
        let setting =
            Setting::find(key).ok_or_else(|| unknown(key, key, &given.origin, |setting| setting.key.to_owned()))?;
        setting.check(&given.value).map_err(|problem| impossible(setting, &problem, &given.origin))?;
    }
    let values = merged.iter().map(|(key, given)| ((*key).to_owned(), given.value.clone())).collect();
    let config: Config = config::Config::builder()
        .add_source(Environment::default().separator(".").source(Some(values)))
        .build()
        .and_then(config::Config::try_deserialize)
        .map_err(|error| ConfigError::Impossible {
            key: "the settings".to_owned(),
            problem: format!("cannot be used: {error}"),
            origin: String::new(),
        })?;
    check_together(&config)?;
    Ok(config)
}

/// Checks combinations of values that are valid only alone.
fn check_together(config: &Config) -> Result<(), ConfigError> {
    let (base, cap) = (config.worker.backoff_base_ms, config.worker.backoff_cap_ms);
    if cap < base {
        return Err(ConfigError::Impossible {
            key: "worker.backoff_cap_ms".to_owned(),
            problem: format!("is {cap}; it must not be below worker.backoff_base_ms, which is {base}"),
            origin: String::new(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{SETTINGS, ValueKind, layers::Given};
    use secrecy::ExposeSecret;
    use std::path::Path;

    fn sources(folder: &Path, environment: &[(&str, &str)], overrides: &[(&str, &str)]) -> Sources {
        Sources {
            folder: folder.to_owned(),
            file: None,
            environment: environment.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            overrides: overrides.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            dev_file: true,
        }
    }

    fn problem(environment: &[(&str, &str)]) -> String {
        let error = Config::load_from(&sources(Path::new("/nonexistent"), environment, &[])).expect_err("impossible");
        error.to_string()
    }

    #[test]
    fn the_table_and_the_struct_have_the_same_defaults() {
        let written: Layer = SETTINGS
            .iter()
            .filter_map(|setting| {
                let value = setting.default?.to_owned();
                Some((setting.key, Given { value, origin: String::new() }))
            })
            .collect();
        let from_table = merge(vec![written]).expect("the defaults are possible");
        assert_eq!(format!("{from_table:?}"), format!("{:?}", Config::default()));
    }

    #[test]
    fn every_setting_can_be_set_by_its_variable_and_by_its_key() {
        for setting in SETTINGS {
            let value = match setting.kind {
                ValueKind::Number { max, .. } => max.to_string(),
                ValueKind::Ratio => "0.25".to_owned(),
                ValueKind::Choice(words) => words[1].to_owned(),
                ValueKind::Text | ValueKind::Secret | ValueKind::KeyPrefix => "some-text".to_owned(),
                ValueKind::Address => "127.0.0.1:9464".to_owned(),
                ValueKind::Keys => format!("k1:{}=", "A".repeat(43)),
            };
            let cap = ("worker.backoff_cap_ms", "2592000000");
            let by_key = sources(Path::new("/nonexistent"), &[], &[cap, (setting.key, &value)]);
            let by_variable = sources(Path::new("/nonexistent"), &[(&setting.variable(), &value)], &[cap]);
            let by_key = format!("{:?}", Config::load_from(&by_key).expect(setting.key));
            assert_eq!(by_key, format!("{:?}", Config::load_from(&by_variable).expect(setting.key)), "{}", setting.key);
            assert_ne!(by_key, format!("{:?}", Config::default()), "{} changes nothing", setting.key);
        }
    }

    #[test]
    fn later_sources_win_and_the_dev_file_only_fills_a_gap() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join(".leasehold")).expect("a folder");
        std::fs::write(folder.path().join(DEV_FILE), "database.url = 'postgres://dev'\nhead.max = 7").expect("written");
        std::fs::write(folder.path().join(FILE), "[worker]\nlease_ms = 1000\ngrace_ms = 1").expect("written");
        let config = Config::load_from(&sources(
            folder.path(),
            &[
                ("LEASEHOLD_WORKER__LEASE_MS", "2000"),
                ("LEASEHOLD_JOB_ID", "inherited"),
                ("LEASEHOLD_TOKEN", "of a client"),
            ],
            &[("worker.grace_ms", "3")],
        ))
        .expect("all known");
        assert_eq!((config.worker.lease_ms, config.worker.grace_ms, config.head.max), (2000, 3, 7));
        let named = sources(folder.path(), &[("LEASEHOLD_REDIS_URL", "redis://x")], &[]);
        let config = Config::load_from(&named).expect("all known");
        assert!(config.database.url.is_none() && config.head.max == 4096, "the dev file is of other servers");
    }

    #[test]
    fn what_is_wrong_is_named_in_one_line() {
        assert_eq!(
            problem(&[("LEASEHOLD_WORKER__LEASE_MS", "soon")]),
            "worker.lease_ms is \"soon\"; it must be a whole number of milliseconds from 500 to 86400000 \
             (set by LEASEHOLD_WORKER__LEASE_MS)"
        );
        assert_eq!(
            problem(&[("LEASEHOLD_WORKER__LEASE", "1")]),
            "LEASEHOLD_WORKER__LEASE is no setting (in the environment); is LEASEHOLD_WORKER__LEASE_MS meant?"
        );
        assert_eq!(
            problem(&[("LEASEHOLD_SOMETHING", "1")]),
            "LEASEHOLD_SOMETHING is no setting (in the environment); `leasehold config` lists all"
        );
        assert_eq!(
            problem(&[("LEASEHOLD_LOG__FORMAT", "xml")]),
            "log.format is \"xml\"; it must be one of plain, json (set by LEASEHOLD_LOG__FORMAT)"
        );
    }

    #[test]
    fn a_variable_can_name_a_file_with_the_value() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(folder.path().join("url"), "postgres://u:hunter2@h/d\r\n").expect("written");
        std::fs::write(folder.path().join("lease"), "2000\n").expect("written");
        std::fs::write(folder.path().join("empty"), "\n").expect("written");
        std::fs::write(folder.path().join("latin1"), b"caf\xe9").expect("written");
        let (url, lease, none) = (path("url"), path("lease"), path("none"));
        for variable in ["LEASEHOLD_DATABASE_URL_FILE", "LEASEHOLD_DATABASE__URL_FILE"] {
            let environment = [(variable, url.as_str()), ("LEASEHOLD_WORKER__LEASE_MS_FILE", lease.as_str())];
            let config = Config::load_from(&sources(folder.path(), &environment, &[])).expect("both are there");
            assert_eq!(config.worker.lease_ms, 2000);
            assert_eq!(config.database.url.expect("a URL").expose_secret(), "postgres://u:hunter2@h/d");
        }
        assert_eq!(
            problem(&[("LEASEHOLD_REDIS_URL_FILE", &none)]),
            format!(
                "redis.url cannot be read from the file {none}: No such file or directory (os error 2) (named by \
                 LEASEHOLD_REDIS_URL_FILE)"
            )
        );
        for (first, second) in [
            ("LEASEHOLD_DATABASE_URL", "LEASEHOLD_DATABASE_URL_FILE"),
            ("LEASEHOLD_DATABASE_URL_FILE", "LEASEHOLD_DATABASE__URL"),
        ] {
            let said = problem(&[(first, &url), (second, &url)]);
            assert!(
                said.contains("database.url is set twice") && said.contains(first) && said.contains(second),
                "{said}"
            );
        }
        assert!(
            problem(&[("LEASEHOLD_REDIS_URL_FILE", &path("empty"))]).starts_with("redis.url is empty (in the file ")
        );
        assert!(problem(&[("LEASEHOLD_REDIS_URL_FILE", &path("latin1"))]).starts_with("redis.url is not UTF-8"));
        assert!(problem(&[("LEASEHOLD_REDIS_URI_FILE", &url)]).contains("LEASEHOLD_REDIS_URI_FILE is no setting"));
        // An empty variable counts as not set, with or without `_FILE`.
        let environment =
            [("LEASEHOLD_REDIS_URL", ""), ("LEASEHOLD_REDIS_URL_FILE", &url), ("LEASEHOLD_API_URL_FILE", "")];
        let config = Config::load_from(&sources(folder.path(), &environment, &[])).expect("set once");
        assert!(config.redis.url.is_some() && config.api.url.is_none());
    }

    #[test]
    fn variables_of_kubernetes_are_passed_over() {
        let environment = [
            ("LEASEHOLD_PORT", "tcp://10.0.0.1:80"),
            ("LEASEHOLD_SERVICE_HOST", "10.0.0.1"),
            ("LEASEHOLD_WORKER_SERVICE_PORT_METRICS", "9464"),
            ("LEASEHOLD_API_PORT_80_TCP_ADDR", "10.0.0.1"),
            ("LEASEHOLD_HEAD__MAX", "7"),
        ];
        let config = Config::load_from(&sources(Path::new("/nonexistent"), &environment, &[])).expect("all known");
        assert_eq!(config.head.max, 7);
        assert!(problem(&[("LEASEHOLD_PORT", "5432")]).starts_with("LEASEHOLD_PORT is no setting"));
    }

    #[test]
    fn a_broken_file_is_named_without_being_quoted() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join(FILE), "database.url = 'postgres://u:hunter2@h/d\n").expect("written");
        let error = Config::load_from(&sources(folder.path(), &[], &[])).expect_err("broken").to_string();
        assert!(error.contains(FILE) && error.contains("line 1") && !error.contains("hunter2"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }

    #[test]
    fn keys_are_checked_and_never_shown() {
        let key = format!("{}=", "A".repeat(43));
        let with = |keys: &str, current: &str| {
            let all = [("LEASEHOLD_ENCRYPTION__KEYS", keys), ("LEASEHOLD_ENCRYPTION__CURRENT", current)];
            let given: Vec<_> = all.into_iter().filter(|(_, value)| !value.is_empty()).collect();
            Config::load_from(&sources(Path::new("/nonexistent"), &given, &[])).and_then(|config| {
                assert!(!format!("{config:?}").contains("AAAA"));
                config.keys()
            })
        };
        assert!(with("", "").expect("no keys").is_empty());
        let two = format!("old:{key} new:{key}");
        assert_eq!(with(&two, "").expect("two keys").current(), Some("old"));
        assert_eq!(with(&two, "new").expect("two keys").current(), Some("new"));
        for (keys, current, told) in [
            (key.as_str(), "", "encryption.keys has a bad key at place 1; a key is NAME:BASE64"),
            (&two, "other", "encryption.current is \"other\", and encryption.keys has no key of this name"),
            ("", "old", "encryption.current is set, and encryption.keys is not"),
        ] {
            let said = with(keys, current).expect_err(told).to_string();
            assert!(said.starts_with(told) && !said.contains("AAAA"), "{said}");
        }
    }

    #[test]
    fn secrets_stay_out_of_debug() {
        let config = Config::new("postgres://u:hunter2@h/d", "redis://:hunter2@h");
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
