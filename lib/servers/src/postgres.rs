//! A private PostgreSQL: made at the first start, kept for the next.

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

/// The superuser of the server, and the database made with it.
const NAME: &str = "leasehold";
/// Recovery after a crash reads what was written since the last checkpoint, on a slow disk for a while.
const START_WITHIN: Duration = Duration::from_secs(90);
/// A fast shutdown writes a checkpoint.
const STOP_WITHIN: Duration = Duration::from_secs(20);
/// PostgreSQL itself kills children that have not gone 5 s after an immediate shutdown.
const IMMEDIATE_WITHIN: Duration = Duration::from_secs(8);

/// How a private PostgreSQL is run.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// Whether a commit is on the disk when it is answered. Without it, only the loss of the machine's power
    /// loses data, not the death of the server: right for tests.
    pub fsync: bool,
    /// Connections it takes.
    pub max_connections: u32,
    /// Whether a password is needed; without one, every local user of the machine may connect. Decided at the
    /// first start in a folder.
    pub password: bool,
    /// Further settings, `name=value`.
    pub settings: Vec<String>,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self { fsync: true, max_connections: 200, password: true, settings: Vec::new() }
    }
}

/// A running private PostgreSQL. Stopped at once when dropped; nothing that was committed is lost by that.
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
    /// Starts the server of this folder on a free port; makes it first if it is new. Blocks until it takes
    /// connections.
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

    /// Starts it again on the same port, after a stop or a kill.
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
        *process = setup.start_patiently(self.port)?;
        Ok(())
    }

    /// The URL of a database on this server, password included.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        let password = self.password.as_ref().map(|password| format!(":{password}")).unwrap_or_default();
        format!("postgres://{NAME}{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// The database that every server here has from the start.
    #[must_use]
    pub fn database(&self) -> &'static str {
        NAME
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The id of its first process.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.process().pid()
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn exited(&self) -> Option<String> {
        self.process().exited()
    }

    /// The last lines of its log since it was started.
    #[must_use]
    pub fn last_words(&self) -> String {
        self.process().last_words()
    }

    /// Ends all connections and stops cleanly. Blocks until it is gone; killed if it takes longer than 20 s.
    pub fn stop(&self) {
        self.process().stop(Signal::SIGINT, STOP_WITHIN);
    }

    /// Stops without a checkpoint: the next start recovers. Blocks until it is gone.
    pub fn stop_immediately(&self) {
        self.process().stop(Signal::SIGQUIT, IMMEDIATE_WITHIN);
    }

    /// Kills it and all its children, as a loss of power would.
    pub fn kill(&self) {
        self.process().kill_all();
    }

    /// Stops it and its children in their tracks: connections stay open and nothing answers.
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

/// The programs that made this folder, or the newest ones for a new one: a major version reads only its own files.
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

/// From `postgres (PostgreSQL) 15.18 (Debian …)`.
fn major_version(bin: &Path) -> Result<String, Error> {
    let output = Command::new(bin.join("postgres"))
        .arg("--version")
        .output()
        .map_err(|source| Error::Run { doing: "asking postgres for its version".into(), source })?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.split_whitespace().find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
    Ok(version.unwrap_or("?").chars().take_while(char::is_ascii_digit).collect())
}

/// What the making and the starting of a server both need.
struct Setup<'a> {
    programs: &'a Programs,
    account: &'a Account,
    folder: &'a Folder,
    options: &'a PostgresOptions,
    data: &'a Path,
    bin: &'a Path,
}

impl Setup<'_> {
    /// Makes the data folder aside and moves it into place when it is whole, so that one that was
    /// interrupted (a full disk, a kill) never stands in the way of the next try.
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
        Err(Error::Failed { doing, why, last_words: last_lines(&words) })
    }

    /// A port that was free a moment ago may be taken by the time the server asks for it.
    fn start_anywhere(&self) -> Result<(u16, Process), Error> {
        let mut tries = 0;
        loop {
            let port = port::free()?;
            match self.start_patiently(port) {
                Ok(process) => return Ok((port, process)),
                Err(Error::Failed { last_words, .. }) if tries < 5 && last_words.contains("Address already in use") => {
                    tries += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Children of a server that was killed may be there for a moment longer than it, holding its memory.
    fn start_patiently(&self, port: u16) -> Result<Process, Error> {
        self.clear_way()?;
        let mut tries = 0;
        loop {
            match self.start_once(port) {
                Err(Error::Failed { last_words, .. })
                    if tries < 20 && last_words.contains("pre-existing shared memory block") =>
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
        // No socket in the file system: it would lie where others can reach it, or have too long a path.
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

    /// A server of this folder that its parent left behind is ending (it was told to): waits for it, and then
    /// ends it. A `postmaster.pid` of none is removed: its number may be another process's by now, as it
    /// always is in a container that was started again, and PostgreSQL would refuse to start.
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

    /// A program of PostgreSQL, run as the right user, tied to our life, with nothing of our environment: a
    /// `PGDATA` or `PGPORT` of the caller means another server.
    fn command(&self, program: &str) -> Result<Command, Error> {
        let privileges = self.account.privileges();
        let mut command = tied(self.programs.setpriv()?, &privileges, DeathSignal::Quit, &self.bin.join(program));
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("LC_ALL", "C").env("TZ", "UTC");
        command.current_dir(self.folder.path());
        Ok(command)
    }
}

/// The eighth line of its pid file is the server's own word for taking connections.
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
        // A program that has given up reads no more; its own words say why.
        let _ = stdin.write_all(input.as_bytes());
    }
    child.wait_with_output()
}
