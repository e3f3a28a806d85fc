//! Where values come from, lowest first: the file that `leasehold dev` writes (only when nobody else names
//! a server), `leasehold.toml`, the environment, flags.

use super::{
    services::is_of_a_service,
    settings::{SETTINGS, Setting},
    tree::Config,
};
use config::{Environment, File, FileFormat, Source, Value};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
};

/// The file that is read when no other is named.
pub const FILE: &str = "leasehold.toml";
/// The file in which `leasehold dev` says where its servers are.
pub const DEV_FILE: &str = ".leasehold/leasehold.toml";

/// Variables of other meaning: the file itself, what commands run by `--exec` inherit, and what the program tells itself.
const NOT_SETTINGS: [&str; 8] = ["CONFIG", "JOB_ID", "RUN", "EPOCH", "ATTEMPT", "KIND", "QUEUE", "_ARGUMENTS"];
/// The end of a variable that names a file with the value of a setting, as containers are given secrets.
const FILE_SUFFIX: &str = "_FILE";

/// Why the settings cannot be used. One line that names the setting; never shows a secret.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file that was named cannot be read.
    #[error("cannot read the settings in {path}: {reason}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// There is no setting of this name.
    #[error("{name} is no setting{origin}{hint}")]
    Unknown {
        /// As it was written.
        name: String,
        /// Where it was written, as the end of a sentence.
        origin: String,
        /// The setting that may have been meant, or where to look.
        hint: String,
    },
    /// A value that the setting cannot have.
    #[error("{key} {problem}{origin}")]
    Impossible {
        /// The setting.
        key: String,
        /// What is wrong with it.
        problem: String,
        /// Where it was set, as the end of a sentence.
        origin: String,
    },
    /// A setting that has no default is needed.
    #[error("{key} is not set; set {variable}, or `{key}` in {FILE}, or start `leasehold dev`")]
    Missing {
        /// The setting.
        key: &'static str,
        /// The environment variable that sets it.
        variable: String,
    },
}

impl ConfigError {
    /// That this setting is needed and has no value.
    #[must_use]
    pub fn missing(key: &'static str) -> Self {
        let variable = Setting::find(key).map(Setting::variable).unwrap_or_default();
        Self::Missing { key, variable }
    }
}

/// Where to look for settings.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The folder in which files without a path are looked for.
    pub folder: PathBuf,
    /// The file to read; it must exist. `None` reads [`FILE`] if it is there.
    pub file: Option<PathBuf>,
    /// The environment.
    pub environment: Vec<(OsString, OsString)>,
    /// Settings given as flags: key and value. These win.
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
    /// # Errors
    /// As [`Config::load_from`].
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

/// One value and where it was written, as the end of a sentence.
struct Given {
    value: String,
    origin: String,
}

type Layer = BTreeMap<&'static str, Given>;

fn read_file(path: &Path) -> Result<Layer, ConfigError> {
    let unreadable = |reason: String| ConfigError::Read { path: path.to_owned(), reason };
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    let tree = File::from_str(&text, FileFormat::Toml).collect().map_err(|error| {
        // The lines in between quote the file, which may hold a password.
        let message = error.to_string();
        let mut lines = message.lines();
        let (first, last) = (lines.next().unwrap_or_default(), lines.next_back().unwrap_or_default());
        unreadable(format!("{first} {last}").trim().to_owned())
    })?;
    let origin = format!(" (in {})", path.display());
    let mut layer = Layer::new();
    for (key, value) in tree {
        flatten(&key, value, &origin, &mut layer)?;
    }
    Ok(layer)
}

fn from_environment(environment: &[(OsString, OsString)]) -> Result<Layer, ConfigError> {
    let mut layer = Layer::new();
    // Which variable has set which setting, and whether by a file.
    let mut by = BTreeMap::<&str, (String, bool)>::new();
    for (name, value) in environment {
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix("LEASEHOLD_")) else { continue };
        if NOT_SETTINGS.contains(&rest) {
            continue;
        }
        let name = format!("LEASEHOLD_{rest}");
        let in_file = rest.strip_suffix(FILE_SUFFIX).and_then(set_by);
        let Some(setting) = set_by(rest).or(in_file) else {
            if is_of_a_service(&name, value) {
                continue;
            }
            return Err(unknown(&name, &key_of(rest), " (in the environment)", Setting::variable));
        };
        // `LEASEHOLD_X= leasehold …` is how shells and compose files say "not set".
        if value.is_empty() {
            continue;
        }
        let given = if in_file.is_some() {
            value_in_file(setting, &name, Path::new(value))?
        } else {
            let origin = format!(" (set by {name})");
            let value = value.to_str().ok_or_else(|| impossible(setting, "is not UTF-8", &origin))?;
            Given { value: value.to_owned(), origin }
        };
        if let Some(other) = by.insert(setting.key, (name.clone(), in_file.is_some()))
            && other.1 != in_file.is_some()
        {
            let (first, second) = if other.0 < name { (&other.0, &name) } else { (&name, &other.0) };
            return Err(impossible(setting, &format!("is set twice, by {first} and by {second}; unset one"), ""));
        }
        layer.insert(setting.key, given);
    }
    Ok(layer)
}

/// The setting that a variable sets, by its name without `LEASEHOLD_`.
fn set_by(rest: &str) -> Option<&'static Setting> {
    let name = format!("LEASEHOLD_{rest}");
    let key = key_of(rest);
    SETTINGS.iter().find(|setting| setting.variable() == name || setting.key == key)
}

fn key_of(rest: &str) -> String {
    rest.to_lowercase().replace("__", ".")
}

/// The value of a setting in a file that a variable names. The line break at its end is not part of it.
fn value_in_file(setting: &Setting, variable: &str, path: &Path) -> Result<Given, ConfigError> {
    let shown = path.display();
    let bytes = std::fs::read(path).map_err(|error| {
        impossible(
            setting,
            &format!("cannot be read from the file {shown}: {error}"),
            &format!(" (named by {variable})"),
        )
    })?;
    let origin = format!(" (in the file {shown}, named by {variable})");
    let text = String::from_utf8(bytes).map_err(|_| impossible(setting, "is not UTF-8", &origin))?;
    Ok(Given { value: text.trim_end_matches(['\n', '\r']).to_owned(), origin })
}

fn from_overrides(overrides: &[(String, String)]) -> Result<Layer, ConfigError> {
    let mut layer = Layer::new();
    for (key, value) in overrides {
        let setting = Setting::find(key).ok_or_else(|| unknown(key, key, "", |setting| setting.key.to_owned()))?;
        layer.insert(setting.key, Given { value: value.clone(), origin: String::new() });
    }
    Ok(layer)
}

/// Tables become paths; what is left must be a value of a setting that exists.
fn flatten(key: &str, value: Value, origin: &str, layer: &mut Layer) -> Result<(), ConfigError> {
    let value = match value.kind {
        config::ValueKind::Table(table) => {
            let known =
                SETTINGS.iter().any(|setting| setting.key.strip_prefix(key).is_some_and(|rest| rest.starts_with('.')));
            if !known {
                return Err(unknown(key, key, origin, |setting| setting.key.to_owned()));
            }
            for (name, value) in table {
                flatten(&format!("{key}.{name}"), value, origin, layer)?;
            }
            return Ok(());
        }
        _ => value,
    };
    let setting = Setting::find(key).ok_or_else(|| unknown(key, key, origin, |setting| setting.key.to_owned()))?;
    let value = value.into_string().map_err(|_| impossible(setting, "must be a single value", origin))?;
    layer.insert(setting.key, Given { value, origin: origin.to_owned() });
    Ok(())
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

/// Values that are possible alone and not together.
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

fn impossible(setting: &Setting, problem: &str, origin: &str) -> ConfigError {
    ConfigError::Impossible { key: setting.key.to_owned(), problem: problem.to_owned(), origin: origin.to_owned() }
}

fn unknown(name: &str, key: &str, origin: &str, shown: impl Fn(&Setting) -> String) -> ConfigError {
    let near =
        SETTINGS.iter().map(|setting| (distance(key, setting.key), setting)).min_by_key(|(distance, _)| *distance);
    let hint = match near {
        Some((distance, setting)) if distance <= 4 => format!("; is {} meant?", shown(setting)),
        _ => "; `leasehold config` lists all".to_owned(),
    };
    ConfigError::Unknown { name: name.to_owned(), origin: origin.to_owned(), hint }
}

/// How many characters to add, drop or change to get from one text to the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (nth, left) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = nth + 1;
        for (at, right) in to.iter().enumerate() {
            let kept = diagonal + usize::from(left != *right);
            diagonal = row[at + 1];
            row[at + 1] = kept.min(row[at] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ValueKind;
    use secrecy::ExposeSecret;

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
                ValueKind::Choice(words) => words[1].to_owned(),
                ValueKind::Text | ValueKind::Secret | ValueKind::KeyPrefix => "some-text".to_owned(),
                ValueKind::Address => "127.0.0.1:9464".to_owned(),
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
            &[("LEASEHOLD_WORKER__LEASE_MS", "2000"), ("LEASEHOLD_JOB_ID", "inherited")],
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
        // Empty is not set, whichever of the two it is.
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
    fn secrets_stay_out_of_debug() {
        let config = Config::new("postgres://u:hunter2@h/d", "redis://:hunter2@h");
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
