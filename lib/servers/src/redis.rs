//! A private Redis. By default it does not persist data, because Redis here only holds data that can be rebuilt.

use crate::{
    account::Account,
    error::Error,
    folder::Folder,
    keeper::{DeathSignal, tied},
    port,
    process::Process,
    programs::Programs,
};
use nix::{sys::signal::Signal, unistd::Pid};
use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Reading an append-only file takes a while; otherwise a start takes milliseconds.
const START_WITHIN: Duration = Duration::from_secs(30);
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// Options of a private Redis.
#[derive(Clone, Debug)]
pub struct RedisOptions {
    /// Whether Redis writes its data to an append-only file and reads the file at the next start.
    pub keep: bool,
    /// Whether a password is required. Without a password, every local user of the machine may connect.
    pub password: bool,
    /// More lines for the configuration file.
    pub settings: Vec<String>,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self { keep: false, password: true, settings: Vec::new() }
    }
}

/// A running private Redis. A drop kills it.
#[derive(Debug)]
pub struct Redis {
    programs: Programs,
    folder: Folder,
    options: RedisOptions,
    password: Option<String>,
    port: u16,
    process: Mutex<Process>,
}

impl Redis {
    /// Starts the server of this folder on a free port. Blocks until the server answers.
    pub fn start(programs: &Programs, folder: &Folder, options: RedisOptions) -> Result<Self, Error> {
        let password = if options.password { Some(folder.secret("redis.password", &Account::Ours)?) } else { None };
        let mut tries = 0;
        let (port, process) = loop {
            let port = port::free()?;
            match start(programs, folder, &options, password.as_deref(), port) {
                Ok(process) => break (port, process),
                Err(Error::Failed { log_tail, .. }) if tries < 5 && log_tail.contains("Address already in use") => {
                    tries += 1;
                }
                Err(error) => return Err(error),
            }
        };
        let process = Mutex::new(process);
        Ok(Self { programs: programs.clone(), folder: folder.clone(), options, password, port, process })
    }

    /// Starts the server again on the same port, after a stop or a kill.
    pub fn start_again(&self) -> Result<(), Error> {
        let mut process = self.process();
        if process.exited().is_some() {
            *process = start(&self.programs, &self.folder, &self.options, self.password.as_deref(), self.port)?;
        }
        Ok(())
    }

    /// The URL of the server, with the password.
    #[must_use]
    pub fn url(&self) -> String {
        let password = self.password.as_ref().map(|password| format!(":{password}@")).unwrap_or_default();
        format!("redis://{password}127.0.0.1:{}/", self.port)
    }

    /// The port that the server listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id.
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

    /// Stops the server cleanly. Blocks until it has ended; kills it after 10 s.
    pub fn stop(&self) {
        self.process().stop(Signal::SIGTERM, STOP_WITHIN);
    }

    /// Kills the server.
    pub fn kill(&self) {
        self.process().kill_all();
    }

    /// Freezes the server: connections stay open and nothing answers.
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

impl Drop for Redis {
    fn drop(&mut self) {
        if self.exited().is_none() {
            self.kill();
        }
    }
}

fn start(
    programs: &Programs,
    folder: &Folder,
    options: &RedisOptions,
    password: Option<&str>,
    port: u16,
) -> Result<Process, Error> {
    let data = folder.path().join("redis");
    fs::create_dir_all(&data).map_err(Error::file("making the folder", &data))?;
    let mut settings = vec![
        "bind 127.0.0.1".to_owned(),
        format!("port {port}"),
        "daemonize no".to_owned(),
        "save \"\"".to_owned(),
        format!("appendonly {}", if options.keep { "yes" } else { "no" }),
        "maxmemory-policy noeviction".to_owned(),
    ];
    settings.extend(password.map(|password| format!("requirepass {password}")));
    settings.extend(options.settings.iter().cloned());
    // In a file, because every user can see the arguments of a process.
    let file = folder.write_private("redis.conf", &(settings.join("\n") + "\n"))?;

    let mut command = tied(programs.setpriv()?, &[], DeathSignal::Kill, programs.redis()?);
    command.arg(file).env_clear().env("LC_ALL", "C").env("PATH", "/usr/local/bin:/usr/bin:/bin").current_dir(&data);
    let ready = |pid| answers(port, password, pid).unwrap_or(false);
    Process::start("Redis", command, &folder.path().join("redis.log"), START_WITHIN, ready)
}

/// Whether the server at this port is process `pid` and is ready. Another server may hold the port.
fn answers(port: u16, password: Option<&str>, pid: Pid) -> std::io::Result<bool> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_millis(200))?;
    stream.set_read_timeout(Some(Duration::from_millis(200)))?;
    let login = password.map(|password| format!("AUTH {password}\r\n")).unwrap_or_default();
    stream.write_all(format!("{login}PING\r\nINFO server\r\nQUIT\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.contains("+PONG") && answer.contains(&format!("process_id:{pid}\r\n")))
}
