//! Which variables of the worker's environment its commands do not get: its settings, since there are passwords among
//! them. Whoever may enqueue a command could read them otherwise, and so could every program that a command starts.

use std::{env, ffi::OsString};

/// The variables of Leasehold.
const OURS: &str = "LEASEHOLD_";
/// What a process of Leasehold tells itself. Never of use to a command.
const PRIVATE: &str = "LEASEHOLD__";

/// Which of the variables that begin with `LEASEHOLD_` are passed on to commands. All others are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PassedEnv {
    /// None: commands cannot reach the stores with what the worker knows.
    #[default]
    None,
    /// These.
    Only(Vec<String>),
    /// All: commands can call `leasehold` with the settings of their worker.
    All,
}

impl PassedEnv {
    /// The variables of this process that are kept from commands.
    pub(crate) fn withheld(&self) -> Vec<OsString> {
        env::vars_os().map(|(name, _)| name).filter(|name| self.withholds(&name.to_string_lossy())).collect()
    }

    fn withholds(&self, name: &str) -> bool {
        name.starts_with(OURS)
            && match self {
                Self::None => true,
                Self::Only(passed) => !passed.iter().any(|passed| passed == name),
                Self::All => name.starts_with(PRIVATE),
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_kept_from_commands_unless_asked_for() {
        let url = "LEASEHOLD_DATABASE_URL";
        let only = PassedEnv::Only(vec![url.to_owned()]);
        for name in [url, "LEASEHOLD_REDIS_URL_FILE", "LEASEHOLD_database__url", "LEASEHOLD__X"] {
            assert!(PassedEnv::None.withholds(name), "{name}");
            assert_eq!(only.withholds(name), name != url, "{name}");
            assert_eq!(PassedEnv::All.withholds(name), name == "LEASEHOLD__X", "{name}");
        }
        for name in ["PATH", "PGPASSWORD", "MY_LEASEHOLD_URL", "leasehold_database_url"] {
            assert!(!PassedEnv::None.withholds(name), "{name}");
        }
    }
}
