//! The reference of settings.

use leasehold::{SETTINGS, Setting, ValueKind};
use serde_json::{Value, json};

fn takes(setting: &Setting) -> String {
    match setting.kind {
        ValueKind::Number { min, max, unit } => format!("{unit}, {min} to {max}"),
        ValueKind::Choice(words) => words.join(" or "),
        ValueKind::Text => "text".to_owned(),
        ValueKind::Secret => "URL, never shown".to_owned(),
    }
}

/// For people.
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
            takes(setting),
            setting.about,
            setting.reason,
            setting.variable()
        ));
    }
    out
}

/// For programs.
pub(crate) fn as_json() -> Value {
    let settings = SETTINGS.iter().map(|setting| {
        json!({ "key": setting.key, "variable": setting.variable(), "takes": takes(setting), "default": setting.default,
                "about": setting.about, "reason": setting.reason })
    });
    settings.collect()
}
