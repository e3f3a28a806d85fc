//! Explains an error of a server, and the remedy, in one line without secrets.

use crate::Config;
use secrecy::ExposeSecret;
use std::io::ErrorKind;

/// A server as its URL names it, without the password.
struct ServerAddress {
    address: String,
    user: Option<String>,
    database: Option<String>,
}

impl ServerAddress {
    fn of(url: &str) -> Self {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) =
            rest.split_once('/').map_or((rest, None), |(authority, path)| (authority, Some(path)));
        let (user, address) = match authority.rsplit_once('@') {
            Some((user, address)) => (user.split(':').next().filter(|user| !user.is_empty()), address),
            None => (None, authority),
        };
        let host = query.split('&').find_map(|pair| pair.strip_prefix("host="));
        let address = if address.is_empty() { host.unwrap_or("localhost") } else { address };
        Self {
            address: address.to_owned(),
            user: user.map(str::to_owned),
            database: database.filter(|name| !name.is_empty()).map(str::to_owned),
        }
    }
}

impl Config {
    /// The problem of PostgreSQL, and the remedy.
    #[must_use]
    pub fn explain_store(&self, error: &leasehold_store::Error) -> String {
        let (doing, source) = match error {
            leasehold_store::Error::Sql { doing, source } => (*doing, source),
            leasehold_store::Error::Connect { source, .. } => ("connecting to PostgreSQL", source),
            other => return one_line(&other.to_string()),
        };
        let server = ServerAddress::of(self.database.url.as_ref().map_or("", |url| url.expose_secret()));
        let address = &server.address;
        let user = server.user.map(|user| format!(" of user {user}")).unwrap_or_default();
        let database = server.database.unwrap_or_default();
        match source {
            sqlx::Error::Database(said) => match said.code().as_deref() {
                Some("28P01") => format!(
                    "PostgreSQL at {address} refuses the password{user}; correct database.url (LEASEHOLD_DATABASE_URL)"
                ),
                Some("28000") => format!(
                    "PostgreSQL at {address} refuses the login{user}: {}; correct database.url (LEASEHOLD_DATABASE_URL) \
                     or pg_hba.conf",
                    one_line(said.message())
                ),
                Some("3D000") => format!(
                    "PostgreSQL at {address} has no database {database}; create it (`createdb {database}`) or correct \
                     database.url"
                ),
                Some("53300") => format!(
                    "PostgreSQL at {address} has no connection left; raise its max_connections, lower \
                     database.max_connections, or put a pooler before it"
                ),
                Some("57P03") => format!("PostgreSQL at {address} is starting up or shutting down; try again shortly"),
                Some("25006") => format!(
                    "PostgreSQL at {address} takes no writes: is it a standby (then database.url must name the primary), or \
                     is default_transaction_read_only on?"
                ),
                Some("53100") => {
                    format!("the disk of PostgreSQL at {address} is full; free some space, then try again")
                }
                Some("42501") => format!(
                    "PostgreSQL at {address} does not let this user do that: {}; grant it the schema leasehold",
                    one_line(said.message())
                ),
                Some("42P01" | "42883" | "3F000") => {
                    format!(
                        "the schema leasehold is not as it should be ({}); run `leasehold migrate`",
                        one_line(said.message())
                    )
                }
                _ => format!("{doing}: {}", one_line(said.message())),
            },
            sqlx::Error::Io(problem) => {
                nobody_there("PostgreSQL", address, "database.url", &problem.kind(), &problem.to_string())
            }
            sqlx::Error::PoolTimedOut => format!(
                "{doing}: PostgreSQL at {address} gave no connection within {} ms; is it running, and has it connections left?",
                self.database.acquire_timeout_ms
            ),
            other => format!("{doing}: {}", one_line(&other.to_string())),
        }
    }

    /// The problem of Redis, and the remedy.
    #[must_use]
    pub fn explain_handoff(&self, error: &leasehold_handoff::Error) -> String {
        let server = ServerAddress::of(self.redis.url.as_ref().map_or("", |url| url.expose_secret()));
        let address = &server.address;
        match error {
            leasehold_handoff::Error::Redis { doing, source } => {
                let said = one_line(&source.to_string());
                if let Some(refused) = refused_database(&server, &said) {
                    refused
                } else if source.is_io_error() || source.is_timeout() {
                    no_redis(address, &said)
                } else {
                    format!("{doing}: {said}")
                }
            }
            leasehold_handoff::Error::Pool { reason, .. } => {
                let said = one_line(reason);
                refused_database(&server, &said).unwrap_or_else(|| no_redis(address, &said))
            }
            other => one_line(&other.to_string()),
        }
    }
}

/// Redis gives no answer. A Redis that has reached its limit of clients closes each new connection, mostly before its message can be
/// read.
fn no_redis(address: &str, said: &str) -> String {
    let lower = said.to_ascii_lowercase();
    let closed = ["broken pipe", "connection reset", "unexpected end of file", "max number of clients"];
    if closed.iter().any(|sign| lower.contains(sign)) {
        return format!(
            "no Redis answers at {address}: the server there closes new connections at once ({said}). If it is Redis, has it reached \
             its maxclients? `redis-cli info clients` shows how many it has"
        );
    }
    format!("no Redis answers at {address} ({said}); is it running, and is redis.url (LEASEHOLD_REDIS_URL) right?")
}

/// Redis has answered: it has fewer databases than the URL wants. `None` for any other error.
fn refused_database(server: &ServerAddress, said: &str) -> Option<String> {
    let ServerAddress { address, database, .. } = server;
    let database = database.as_deref().unwrap_or("0");
    said.contains("DB index is out of range").then(|| {
        format!(
            "Redis at {address} refuses database {database}; correct the number at the end of redis.url \
             (LEASEHOLD_REDIS_URL), or raise databases in redis.conf"
        )
    })
}

fn nobody_there(server: &str, address: &str, key: &str, kind: &ErrorKind, said: &str) -> String {
    let said = match kind {
        ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        ErrorKind::TimedOut => "no answer".to_owned(),
        _ => one_line(said),
    };
    format!("no {server} answers at {address} ({said}); is it running, and is {key} right?")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The error line of a Redis that has reached its maxclients is lost, because Redis closes the connection immediately.
    #[test]
    fn a_redis_that_closes_new_connections_is_told_from_one_that_is_not_there() {
        for said in [
            "10.0.0.7:6379: broken pipe",
            "Connection reset by peer (os error 104)",
            "ERR max number of clients reached",
        ] {
            assert!(no_redis("10.0.0.7:6379", said).contains("has it reached its maxclients?"), "{said}");
        }
        assert!(no_redis("10.0.0.7:6379", "Connection refused").starts_with("no Redis answers at 10.0.0.7:6379"));
    }

    #[test]
    fn a_place_has_no_password() {
        for (url, address, user, database) in [
            ("postgres://ann:p@ss@db.example:5433/jobs?sslmode=require", "db.example:5433", Some("ann"), Some("jobs")),
            ("postgres:///jobs?host=/run/pg", "/run/pg", None, Some("jobs")),
            ("redis://:secret@127.0.0.1:6379/0", "127.0.0.1:6379", None, Some("0")),
            ("", "localhost", None, None),
        ] {
            let server = ServerAddress::of(url);
            assert_eq!(
                (&*server.address, server.user.as_deref(), server.database.as_deref()),
                (address, user, database)
            );
        }
    }
}
