//! The file in which a running `dev` says where its servers are, for the other commands.

use crate::failure::Failure;
use leasehold::Config;
use leasehold_servers::Folder;
use secrecy::ExposeSecret;
use std::{fs, path::PathBuf};

/// Its name, in the folder of the data.
pub(super) const NAME: &str = "leasehold.toml";

/// The file, there as long as this is.
pub(super) struct SettingsFile(PathBuf);

impl SettingsFile {
    /// Writes it, for the eyes of its owner only: the URLs hold passwords.
    pub(super) fn write(folder: &Folder, config: &Config) -> Result<Self, Failure> {
        let url = |url: &Option<secrecy::SecretString>| quoted(url.as_ref().map_or("", |url| url.expose_secret()));
        let text = format!(
            "# Where the servers of the running `leasehold dev` are. Removed when it stops.\n\
             [database]\nurl = {}\npooler = \"{}\"\n\n[redis]\nurl = {}\n",
            url(&config.database.url),
            config.database.pooler.as_str(),
            url(&config.redis.url),
        );
        folder.write_private(NAME, &text).map(Self).map_err(super::servers::failure)
    }

    /// Removes what an earlier run has left.
    pub(super) fn forget(folder: &Folder) {
        drop(Self(folder.path().join(NAME)));
    }
}

impl Drop for SettingsFile {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = fs::remove_file(&self.0);
    }
}

/// A basic string of TOML, which for these characters is one of JSON too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
