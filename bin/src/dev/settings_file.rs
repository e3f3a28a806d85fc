//! The settings file of a running `dev`: it names the servers for the other commands.

use crate::failure::Failure;
use leasehold::Config;
use leasehold_servers::Folder;
use secrecy::ExposeSecret;
use std::{fs, path::PathBuf};

/// The name of the file, in the folder of the data.
pub(super) const NAME: &str = "leasehold.toml";

/// The file. Dropping this value removes the file.
pub(super) struct SettingsFile(PathBuf);

impl SettingsFile {
    /// Writes the file. Only its owner may read it: the URLs hold passwords.
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

    /// Removes the file that an earlier `dev` has left.
    pub(super) fn forget(folder: &Folder) {
        drop(Self(folder.path().join(NAME)));
    }
}

impl Drop for SettingsFile {
    fn drop(&mut self) {
        // An error means that the file is already gone.
        let _ = fs::remove_file(&self.0);
    }
}

/// A basic string of TOML. For these characters it is also a string of JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
