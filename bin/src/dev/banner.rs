//! The messages of `dev` to the person who started it, on standard error.

use super::{args::Args, servers::Servers, settings_file};
use crate::context::Context;
use leasehold::DEV_FILE;
use leasehold_servers::Folder;
use secrecy::{ExposeSecret, SecretString};
use std::{
    env,
    fmt::Write as _,
    io::{self, Write as _},
    net::SocketAddr,
    path::Path,
};

/// Prints what runs and where, and the next commands to type.
pub(super) fn print(
    args: &Args,
    http: SocketAddr,
    context: &Context,
    folder: &Folder,
    servers: &Servers,
) -> io::Result<()> {
    let config = &context.config;
    let whose = |private: bool| if private { "" } else { "   (given, not started here)" };
    let queues = if args.queues.is_empty() { "default".to_owned() } else { args.queues.join(", ") };
    let kinds: Vec<&str> = args.exec.iter().filter_map(|exec| exec.split('=').next()).collect();
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        // Writing to a String does not fail.
        let _ = writeln!(text, "  {name:<11} {value}");
    };
    line("PostgreSQL", &(masked(&config.database.url) + whose(servers.postgres.is_some())));
    line("Redis", &(masked(&config.redis.url) + whose(servers.redis.is_some())));
    line("HTTP", &format!("http://{http}   (described at /docs)"));
    line("data, logs", &format!("{}   (kept when this stops)", folder.path().display()));
    let workers = if args.workers == 1 { "1 worker".to_owned() } else { format!("{} workers", args.workers) };
    line("processes", &format!("1 reaper, 1 HTTP server, {workers} for: {queues}"));
    line("they run", &[&["the jobs of `leasehold each`"], &kinds[..]].concat().join(", "));
    let leasehold = call(folder);
    writeln!(
        io::stderr(),
        "\nleasehold dev is up\n\n{text}\n\
         Next, in another terminal:\n  \
         ls /usr/bin | {leasehold} each --queue {} -- echo got {{}}\n  \
         {leasehold} stats --watch\n  \
         {leasehold} doctor\n\n\
         Ctrl-C stops all of it.\n",
        queues.split(['=', ',']).next().unwrap_or("default"),
    )
}

/// One line.
pub(super) fn say(text: &str) -> io::Result<()> {
    writeln!(io::stderr(), "{text}")
}

/// The command that calls this program so that it finds these servers from the same folder.
fn call(folder: &Folder) -> String {
    let program = env::args().next().unwrap_or_else(|| "leasehold".to_owned());
    let file = folder.path().join(settings_file::NAME);
    let found_by_itself = std::path::absolute(Path::new(DEV_FILE)).is_ok_and(|found| found == file);
    if found_by_itself { program } else { format!("{program} --config {}", file.display()) }
}

/// The URL without its password.
fn masked(url: &Option<SecretString>) -> String {
    let url = url.as_ref().map_or("", |url| url.expose_secret());
    let Some((scheme, rest)) = url.split_once("://") else { return "?".to_owned() };
    // The query is left out as a whole: it may hold a password.
    let rest = rest.split('?').next().unwrap_or_default();
    let Some((login, place)) = rest.rsplit_once('@') else { return format!("{scheme}://{rest}") };
    match login.split_once(':') {
        Some((user, _)) => format!("{scheme}://{user}:***@{place}"),
        None => format!("{scheme}://{login}@{place}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_banner_shows_no_password() {
        for (url, shown) in [
            ("postgres://ann:se@cret@db:5433/jobs?sslpassword=x", "postgres://ann:***@db:5433/jobs"),
            ("postgres://ann@db/jobs", "postgres://ann@db/jobs"),
            ("redis://:secret@127.0.0.1:6379/0", "redis://:***@127.0.0.1:6379/0"),
            ("redis://127.0.0.1/", "redis://127.0.0.1/"),
        ] {
            assert_eq!(masked(&Some(url.into())), shown);
        }
    }
}
