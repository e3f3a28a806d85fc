//! A private PgBouncer in front of a private PostgreSQL. Only for tests: `leasehold dev` needs no pooler.

use crate::{
    account::Account,
    error::Error,
    folder::Folder,
    keeper::{DeathSignal, tied},
    port,
    postgres::Postgres,
    process::Process,
    programs::Programs,
};
use nix::unistd::Pid;
use std::{fs, path::Path, time::Duration};

/// PgBouncer only reads its configuration, so its start is quick.
const START_WITHIN: Duration = Duration::from_secs(30);

/// How a private PgBouncer is run.
#[derive(Clone, Debug)]
pub struct PgBouncerOptions {
    /// `transaction`, `session` or `statement`: for how long a client keeps a server connection.
    pub pool_mode: &'static str,
    /// The number of server connections for each database. Further clients wait.
    pub pool_size: u32,
    /// More lines for the configuration file.
    pub settings: Vec<String>,
}

impl Default for PgBouncerOptions {
    fn default() -> Self {
        Self { pool_mode: "transaction", pool_size: 4, settings: Vec::new() }
    }
}

/// A running private PgBouncer. Killed when dropped.
#[derive(Debug)]
pub struct PgBouncer {
    port: u16,
    process: Process,
}

impl PgBouncer {
    /// Starts PgBouncer on a free port, for all databases of a server that requires no password. Blocks until PgBouncer
    /// accepts connections.
    pub fn start(
        programs: &Programs,
        folder: &Folder,
        server: &Postgres,
        options: &PgBouncerOptions,
    ) -> Result<Self, Error> {
        let account = Account::for_postgres()?;
        account.must_enter(programs, folder.path())?;
        let mut tries = 0;
        loop {
            let port = port::free()?;
            match start(programs, folder, &account, &configuration(server, options, port)) {
                Ok(process) => return Ok(Self { port, process }),
                Err(Error::Failed { log_tail, .. }) if tries < 5 && log_tail.contains("Address already in use") => {
                    tries += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// A URL of the server, changed so that it leads through this pooler.
    #[must_use]
    pub fn instead_of(&self, server: &Postgres, url: &str) -> String {
        url.replace(&format!("127.0.0.1:{}/", server.port()), &format!("127.0.0.1:{}/", self.port))
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// The last lines of the log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.process.log_tail()
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        self.process.kill_all();
    }
}

/// Every client connects as the superuser of the private server. PgBouncer immediately closes the connections of
/// clients that have disconnected, and soon closes idle server connections, so that tests leave no idle connections
/// behind.
fn configuration(server: &Postgres, options: &PgBouncerOptions, port: u16) -> String {
    let mut lines = vec![
        "[databases]".to_owned(),
        format!("* = host=127.0.0.1 port={} user={}", server.port(), server.database()),
        "[pgbouncer]".to_owned(),
        "listen_addr = 127.0.0.1".to_owned(),
        format!("listen_port = {port}"),
        "unix_socket_dir =".to_owned(),
        "auth_type = any".to_owned(),
        format!("pool_mode = {}", options.pool_mode),
        format!("default_pool_size = {}", options.pool_size),
        "max_client_conn = 2000".to_owned(),
        "server_idle_timeout = 5".to_owned(),
    ];
    lines.extend(options.settings.iter().cloned());
    lines.join("\n") + "\n"
}

fn start(programs: &Programs, folder: &Folder, account: &Account, configuration: &str) -> Result<Process, Error> {
    let file = folder.write_private("pgbouncer.ini", configuration)?;
    account.own(&file)?;
    let mut command = tied(programs.setpriv()?, &account.privileges(), DeathSignal::Kill, programs.pgbouncer()?);
    command.arg(file).env_clear().env("LC_ALL", "C").env("PATH", "/usr/local/bin:/usr/bin:/bin");
    command.current_dir(folder.path());
    let log = folder.path().join("pgbouncer.log");
    Process::start("PgBouncer", command, &log, START_WITHIN, |pid| says_ready(&log, pid))
}

/// Whether the log says that this very process is ready. Another process may hold the port.
fn says_ready(log: &Path, pid: Pid) -> bool {
    let said = format!("[{pid}] LOG process up");
    fs::read_to_string(log).is_ok_and(|text| text.contains(&said))
}
