//! The reference of settings.

use leasehold::{SETTINGS, Setting};
use serde::Serialize;

/// As text.
pub(crate) fn as_text() -> String {
    let mut out = String::from(
        "Settings, lowest first: leasehold.toml (or --config FILE, or LEASEHOLD_CONFIG), the environment, flags\n\
         (--set KEY=VALUE). Without any URL, the servers that `leasehold dev` started in this folder are used.\n",
    );
    for setting in SETTINGS {
        let default = setting.default.map_or_else(|| "none".to_owned(), |default| format!("default {default}"));
        out.push_str(&format!(
            "\n{}  ({}; {default})\n    {}\n    Why: {}\n    {}\n",
            setting.key,
            setting.kind,
            setting.about,
            setting.reason,
            setting.variable()
        ));
    }
    out
}

/// One setting, as JSON.
#[derive(Serialize)]
pub(crate) struct Described {
    key: &'static str,
    variable: String,
    takes: String,
    default: Option<&'static str>,
    about: &'static str,
    reason: &'static str,
}

/// As JSON.
pub(crate) fn as_json() -> Vec<Described> {
    let describe = |setting: &Setting| Described {
        key: setting.key,
        variable: setting.variable(),
        takes: setting.kind.to_string(),
        default: setting.default,
        about: setting.about,
        reason: setting.reason,
    };
    SETTINGS.iter().map(describe).collect()
}
