//! Decides which variables of the worker are hidden from its commands: the settings of the worker, because they contain
//! passwords. Otherwise every client that may enqueue a command, and every program that a command starts, could read
//! the passwords.

use std::{env, ffi::OsString};

/// The prefix of Leasehold's variables.
const OURS: &str = "LEASEHOLD_";
/// The prefix of variables that a process of Leasehold sets for itself. A command never needs them.
const PRIVATE: &str = "LEASEHOLD__";

/// Which variables that begin with `LEASEHOLD_` are passed to commands. All other variables are always passed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PassedEnv {
    /// No variable: a command cannot connect to the stores with the settings of the worker.
    #[default]
    None,
    /// Only the variables with these names.
    Only(Vec<String>),
    /// All of them: a command can call `leasehold` with the settings of the worker.
    All,
}

impl PassedEnv {
    /// The variables of this process that are hidden from commands.
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
