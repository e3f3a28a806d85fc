//! One source of settings as a layer: a file, the environment, or flags. Each value remembers where it was written.

use super::{
    error::{ConfigError, impossible, unknown},
    services::is_of_a_service,
    settings::{SETTINGS, Setting},
};
use config::{File, FileFormat, Source, Value};
use std::{collections::BTreeMap, ffi::OsString, path::Path};

/// Variables that are not settings: the path of the file, variables for commands run by `--exec`, a variable that the program
/// sets for itself, and variables that HTTP clients read (`URL`, `TOKEN`).
const NOT_SETTINGS: [&str; 10] =
    ["CONFIG", "JOB_ID", "RUN", "EPOCH", "ATTEMPT", "KIND", "QUEUE", "_ARGUMENTS", "URL", "TOKEN"];
/// The suffix of a variable that names a file with the value of a setting, as container platforms provide secrets.
const FILE_SUFFIX: &str = "_FILE";

/// One value and where it was written, as the end of a sentence.
pub(super) struct Given {
    pub(super) value: String,
    pub(super) origin: String,
}

pub(super) type Layer = BTreeMap<&'static str, Given>;

pub(super) fn read_file(path: &Path) -> Result<Layer, ConfigError> {
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

pub(super) fn from_environment(environment: &[(OsString, OsString)]) -> Result<Layer, ConfigError> {
    let mut layer = Layer::new();
    // The variable that has set each setting, and whether it names a file.
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

pub(super) fn from_overrides(overrides: &[(String, String)]) -> Result<Layer, ConfigError> {
    let mut layer = Layer::new();
    for (key, value) in overrides {
        let setting = Setting::find(key).ok_or_else(|| unknown(key, key, "", |setting| setting.key.to_owned()))?;
        layer.insert(setting.key, Given { value: value.clone(), origin: String::new() });
    }
    Ok(layer)
}

/// Tables become paths; each value must then belong to an existing setting.
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
