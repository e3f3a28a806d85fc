//! Runs the program in a separate folder and environment.

use leasehold_tests::{Key, Stores, all_keys, leasehold_program, private_folder};
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// Both stores, and the working folder of the program.
pub(crate) struct Scene {
    pub(crate) stores: Stores,
    folder: TempDir,
}

/// The result of a run of the program.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The content of both stores.
#[derive(Debug, PartialEq)]
pub(crate) struct Contents {
    pub(crate) jobs: String,
    queues: String,
    keys: BTreeMap<String, Key>,
}

impl Scene {
    pub(crate) async fn start() -> Self {
        Self { stores: Stores::start().await, folder: private_folder() }
    }

    /// The same on a PostgreSQL that the test may stop.
    pub(crate) async fn start_apart() -> Self {
        Self { stores: Stores::start_apart().await, folder: private_folder() }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The program, ready to run on these stores. It gets nothing of the test's environment.
    pub(crate) fn command(&self, args: &[impl AsRef<OsStr>]) -> Command {
        let mut command = program_in(self.folder());
        command.args(args);
        command.env("LEASEHOLD_DATABASE_URL", &self.stores.database.url);
        command.env("LEASEHOLD_REDIS_URL", &self.stores.redis.url);
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        run(self.command(args), b"")
    }

    pub(crate) fn run_with_input(&self, args: &[&str], input: &[u8]) -> Ran {
        run(self.command(args), input)
    }

    /// The standard output of a run that must succeed, without the final newline.
    pub(crate) fn output(&self, args: &[&str]) -> String {
        self.run(args).succeeded()
    }

    /// The standard output as JSON.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let mut with_json = args.to_vec();
        with_json.push("--json");
        let text = self.output(&with_json);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{args:?} did not print JSON: {error}: {text}"))
    }

    pub(crate) async fn sql(&self) -> PgConnection {
        self.stores.database.connect().await
    }

    /// The content of both stores.
    pub(crate) async fn contents(&self) -> Contents {
        let mut postgres = self.sql().await;
        let jobs = "SELECT coalesce(json_agg(j ORDER BY j.id), '[]')::text FROM leasehold.jobs j";
        let jobs: String = sqlx::query_scalar(jobs).fetch_one(&mut postgres).await.expect("reading all jobs");
        let queues = "SELECT coalesce(json_agg(q ORDER BY q.name), '[]')::text FROM leasehold.queue q";
        let queues: String = sqlx::query_scalar(queues).fetch_one(&mut postgres).await.expect("reading all queues");
        postgres.close().await.expect("closing");
        let mut keys = all_keys(&mut self.stores.redis.connect().await).await;
        // Each process that connects first writes this key.
        keys.remove("leasehold:generation");
        Contents { jobs, queues, keys }
    }
}

/// The program in a folder, with only `PATH` in its environment.
pub(crate) fn program_in(folder: &Path) -> Command {
    let mut command = Command::new(leasehold_program());
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).current_dir(folder);
    command
}

/// Passes the command with its arguments to a shell script, which must run it with `exec "$@"`.
pub(crate) fn under_shell(command: &Command, script: &str) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", script, "sh"]).arg(command.get_program()).args(command.get_args()).env_clear();
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(folder) = command.get_current_dir() {
        shell.current_dir(folder);
    }
    shell
}

/// Runs a command until it ends.
pub(crate) fn run(mut command: Command, input: &[u8]) -> Ran {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("starting the program");
    let mut stdin = child.stdin.take().expect("the standard input");
    let input = input.to_vec();
    let writing = std::thread::spawn(move || {
        // A program that refuses its input early closes the pipe.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().expect("waiting for the program");
    writing.join().expect("writing the input");
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).expect("the output is text"),
        stderr: String::from_utf8(output.stderr).expect("standard error is text"),
    }
}

impl Ran {
    /// The standard output of a successful run, without the final newline.
    #[track_caller]
    pub(crate) fn succeeded(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.stdout.trim_end_matches('\n').to_owned()
    }

    /// Checks the exit code, that standard error is one line that contains this message, and that standard output is
    /// empty.
    #[track_caller]
    pub(crate) fn refused(&self, code: i32, message: &str) {
        assert_eq!((self.code, self.stdout.as_str()), (code, ""), "{self:?}");
        self.said(message);
    }

    /// Checks that standard error is one line that contains this message.
    #[track_caller]
    pub(crate) fn said(&self, message: &str) {
        assert!(self.stderr.starts_with("error: ") && self.stderr.contains(message), "{self:?}\nwanted: {message}");
        assert_eq!(self.stderr.trim_end().lines().count(), 1, "more than one line: {self:?}");
    }
}
