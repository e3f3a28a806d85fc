//! A private PostgreSQL. Its data folder is created at the first start and kept for later starts.

use crate::{
    account::Account,
    error::Error,
    folder::Folder,
    keeper::{self, DeathSignal, tied},
    port,
    process::{Process, disk_full, last_lines},
    programs::Programs,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs::{self, DirBuilder},
    io::Write,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// The name of the superuser and of the first database.
const NAME: &str = "leasehold";
/// Crash recovery reads the write-ahead log since the last checkpoint, which takes long on a slow disk.
const START_WITHIN: Duration = Duration::from_secs(90);
/// A fast shutdown writes a checkpoint.
const STOP_WITHIN: Duration = Duration::from_secs(20);
/// After an immediate shutdown PostgreSQL itself kills children that have not ended within 5 s.
const IMMEDIATE_WITHIN: Duration = Duration::from_secs(8);

/// Options of a private PostgreSQL.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// Whether a commit is on disk before it is answered. Without fsync, a power failure loses data, but the death of
    /// the server does not. That is right for tests.
    pub fsync: bool,
    /// The maximum number of connections.
    pub max_connections: u32,
    /// Whether a password is required. Without a password, every local user of the machine may connect. Decided at the
    /// first start in a folder.
    pub password: bool,
    /// More settings, as `name=value`.
    pub settings: Vec<String>,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self { fsync: true, max_connections: 200, password: true, settings: Vec::new() }
    }
}

/// A running private PostgreSQL. A drop stops it immediately, which loses no committed data.
#[derive(Debug)]
pub struct Postgres {
    programs: Programs,
    account: Account,
    folder: Folder,
    options: PostgresOptions,
    password: Option<String>,
    data: PathBuf,
    bin: PathBuf,
    port: u16,
    process: Mutex<Process>,
}

impl Postgres {
    /// Starts the server of this folder on a free port, after creating it if the folder is new. Blocks until the server
    /// accepts connections.
    pub fn start(programs: &Programs, folder: &Folder, options: PostgresOptions) -> Result<Self, Error> {
        let account = Account::for_postgres()?;
        account.must_enter(programs, folder.path())?;
        let data = folder.path().join("postgres");
        let password = if options.password { Some(folder.secret("postgres.password", &account)?) } else { None };
        let bin = matching(programs, &data)?;
        let setup = Setup { programs, account: &account, folder, options: &options, data: &data, bin: &bin };
        if !data.join("PG_VERSION").exists() {
            setup.make()?;
        }
        let (port, process) = setup.start_anywhere()?;
        let process = Mutex::new(process);
        Ok(Self {
            programs: programs.clone(),
            account,
            folder: folder.clone(),
            options,
            password,
            data,
            bin,
            port,
            process,
        })
    }

    /// Starts the server again on the same port, after a stop or a kill.
    pub fn start_again(&self) -> Result<(), Error> {
        let mut process = self.process();
        if process.exited().is_none() {
            return Ok(());
        }
        let setup = Setup {
            programs: &self.programs,
            account: &self.account,
            folder: &self.folder,
            options: &self.options,
            data: &self.data,
            bin: &self.bin,
        };
        *process = setup.start_with_retries(self.port)?;
        Ok(())
    }

    /// The URL of a database on this server, with the password.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        let password = self.password.as_ref().map(|password| format!(":{password}")).unwrap_or_default();
        format!("postgres://{NAME}{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// The database that every private server has from the start.
    #[must_use]
    pub fn database(&self) -> &'static str {
        NAME
    }

    /// The port that the server listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The id of the postmaster process.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.process().pid()
    }

    /// How the server ended, if it has ended.
    #[must_use]
    pub fn exited(&self) -> Option<String> {
        self.process().exited()
    }

    /// The last lines of the log since the start.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.process().log_tail()
    }

    /// Ends all connections and stops the server cleanly. Blocks until it has ended; kills it after 20 s.
    pub fn stop(&self) {
        self.process().stop(Signal::SIGINT, STOP_WITHIN);
    }

    /// Stops without a checkpoint: the next start does crash recovery. Blocks until the server has ended.
    pub fn stop_immediately(&self) {
        self.process().stop(Signal::SIGQUIT, IMMEDIATE_WITHIN);
    }

    /// Kills the server and all its children, like a power failure.
    pub fn kill(&self) {
        self.process().kill_all();
    }

    /// Freezes the server and its children: connections stay open and nothing answers.
    pub fn freeze(&self) {
        self.process().freeze();
    }

    /// Ends a freeze.
    pub fn thaw(&self) {
        self.process().thaw();
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.exited().is_none() {
            self.stop_immediately();
        }
    }
}

/// The programs of the version that created this folder, or the newest ones for a new folder. A major version reads
/// only its own files.
fn matching(programs: &Programs, data: &Path) -> Result<PathBuf, Error> {
    let Ok(made_by) = fs::read_to_string(data.join("PG_VERSION")) else { return Ok(programs.postgres()?[0].clone()) };
    let mut found = Vec::new();
    for bin in programs.postgres()? {
        let version = major_version(bin)?;
        if version == made_by.trim() {
            return Ok(bin.clone());
        }
        found.push(version);
    }
    Err(Error::OtherVersion { path: data.to_owned(), made_by: made_by.trim().to_owned(), found: found.join(", ") })
}

/// Parses `postgres (PostgreSQL) 15.18 (Debian …)`.
fn major_version(bin: &Path) -> Result<String, Error> {
    let output = Command::new(bin.join("postgres"))
        .arg("--version")
        .output()
        .map_err(|source| Error::Run { doing: "reading the version of postgres".into(), source })?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.split_whitespace().find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
    Ok(version.unwrap_or("?").chars().take_while(char::is_ascii_digit).collect())
}

/// What creating and starting a server have in common.
struct Setup<'a> {
    programs: &'a Programs,
    account: &'a Account,
    folder: &'a Folder,
    options: &'a PostgresOptions,
    data: &'a Path,
    bin: &'a Path,
}

impl Setup<'_> {
    /// Creates the data folder under a temporary name and renames it when it is complete. So an attempt that was
    /// interrupted (full disk, kill) never blocks the next attempt.
    fn make(&self) -> Result<(), Error> {
        let fresh = self.folder.path().join("postgres.new");
        if fresh.exists() {
            fs::remove_dir_all(&fresh).map_err(Error::file("removing", &fresh))?;
        }
        DirBuilder::new().mode(0o700).create(&fresh).map_err(Error::file("making the folder", &fresh))?;
        self.account.own(&fresh)?;

        let mut initdb = self.command("initdb")?;
        initdb.arg("-D").arg(&fresh).args(["-U", NAME, "-E", "UTF8", "--no-locale"]);
        if self.options.password {
            initdb.args(["-A", "scram-sha-256"]).arg("--pwfile").arg(self.folder.path().join("postgres.password"));
        } else {
            initdb.args(["-A", "trust"]);
        }
        if !self.options.fsync {
            initdb.arg("--no-sync");
        }
        self.finish(initdb, "", "making a database in", &fresh)?;

        // Single-user mode needs no client program and no port.
        let mut single = self.command("postgres")?;
        single.arg("--single").arg("-D").arg(&fresh).arg("postgres");
        self.finish(single, &format!("CREATE DATABASE {NAME};\n"), "making the database leasehold in", &fresh)?;
        fs::rename(&fresh, self.data).map_err(Error::file("renaming", &fresh))
    }

    fn finish(&self, command: Command, input: &str, doing: &str, folder: &Path) -> Result<(), Error> {
        let doing = format!("{doing} {}", folder.display());
        let output = run(command, input).map_err(|source| Error::Run { doing: doing.clone(), source })?;
        if output.status.success() {
            return Ok(());
        }
        let mut why = output.status.to_string();
        if disk_full(self.folder.path()) {
            why.push_str("; the disk is full");
        }
        let words = [String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)].concat();
        Err(Error::Failed { doing, why, log_tail: last_lines(&words) })
    }

    /// Tries several ports: another process may take a free port before the server binds it.
    fn start_anywhere(&self) -> Result<(u16, Process), Error> {
        let mut tries = 0;
        loop {
            let port = port::free()?;
            match self.start_with_retries(port) {
                Ok(process) => return Ok((port, process)),
                Err(Error::Failed { log_tail, .. }) if tries < 5 && log_tail.contains("Address already in use") => {
                    tries += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Retries while children of a killed server still hold its shared memory for a moment.
    fn start_with_retries(&self, port: u16) -> Result<Process, Error> {
        self.clear_way()?;
        let mut tries = 0;
        loop {
            match self.start_once(port) {
                Err(Error::Failed { log_tail, .. })
                    if tries < 20 && log_tail.contains("pre-existing shared memory block") =>
                {
                    tries += 1;
                    thread::sleep(Duration::from_millis(200));
                }
                result => return result,
            }
        }
    }

    fn start_once(&self, port: u16) -> Result<Process, Error> {
        let mut command = self.command("postgres")?;
        command.arg("-D").arg(self.data);
        let port = port.to_string();
        let connections = self.options.max_connections.to_string();
        let own = [("listen_addresses", "127.0.0.1"), ("port", &port), ("max_connections", &connections)];
        // No Unix socket: other users could reach it, or its path could be too long.
        let fixed = [("unix_socket_directories", ""), ("cluster_name", NAME), ("logging_collector", "off")];
        for (name, value) in own.into_iter().chain(fixed) {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        if !self.options.fsync {
            command.args(["-c", "fsync=off", "-c", "full_page_writes=off"]);
        }
        for setting in &self.options.settings {
            command.arg("-c").arg(setting);
        }
        let pid_file = self.data.join("postmaster.pid");
        let ready = |pid| says_ready(&pid_file, pid);
        Process::start("PostgreSQL", command, &self.folder.path().join("postgres.log"), START_WITHIN, ready)
    }

    /// An old server of this folder whose parent has died is about to end (it got its signal): wait for its end, then
    /// kill it. Remove a stale `postmaster.pid`: another process may have its process id by now, as is usual in a
    /// restarted container, and PostgreSQL would refuse to start.
    fn clear_way(&self) -> Result<(), Error> {
        let pid_file = self.data.join("postmaster.pid");
        let Ok(content) = fs::read_to_string(&pid_file) else { return Ok(()) };
        if let Some(pid) = content.lines().next().and_then(|line| line.trim().parse().ok()) {
            for (within, then) in [(15, Signal::SIGQUIT), (8, Signal::SIGKILL), (5, Signal::SIGKILL)] {
                let deadline = Instant::now() + Duration::from_secs(within);
                while runs_here(pid, self.data) && Instant::now() < deadline {
                    thread::sleep(Duration::from_millis(20));
                }
                if runs_here(pid, self.data) {
                    let _ = kill(Pid::from_raw(pid), then);
                }
            }
        }
        match fs::remove_file(&pid_file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::file("removing", pid_file)(error)),
            _ => Ok(()),
        }
    }

    /// A program of PostgreSQL, run as the right user, tied to this process, without our environment: the caller's
    /// `PGDATA` or `PGPORT` means another server.
    fn command(&self, program: &str) -> Result<Command, Error> {
        let privileges = self.account.privileges();
        let mut command = tied(self.programs.setpriv()?, &privileges, DeathSignal::Quit, &self.bin.join(program));
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("LC_ALL", "C").env("TZ", "UTC");
        command.current_dir(self.folder.path());
        Ok(command)
    }
}

/// Whether the eighth line of the pid file says that the server accepts connections.
fn says_ready(pid_file: &Path, pid: Pid) -> bool {
    let Ok(content) = fs::read_to_string(pid_file) else { return false };
    let mut lines = content.lines().map(str::trim);
    lines.next() == Some(&pid.to_string()) && lines.nth(6) == Some("ready")
}

/// Whether process `pid` is a PostgreSQL with this data folder.
fn runs_here(pid: i32, data: &Path) -> bool {
    let Ok(command_line) = fs::read(format!("/proc/{pid}/cmdline")) else { return false };
    command_line.split(|byte| *byte == 0).any(|argument| argument == data.as_os_str().as_encoded_bytes())
}

fn run(mut command: Command, input: &str) -> std::io::Result<Output> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = keeper::spawn(command)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that has failed reads no input; its log says why.
        let _ = stdin.write_all(input.as_bytes());
    }
    child.wait_with_output()
}
