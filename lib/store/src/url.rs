//! The URL of the database. Each parameter that libpq documents is honoured, or ignored with a log line.
//!
//! The driver reads URLs too, but it knows few parameters, and it logs an unknown parameter with its value, which may
//! be secret. So the driver gets only the parameters that it knows. A parameter that libpq does not document is a
//! mistake and is refused by name.

use crate::error::Error;
use sqlx::postgres::PgConnectOptions;
use std::str::FromStr;

/// How a parameter is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Handling {
    /// The driver honours the parameter.
    Driver,
    /// The code here honours the parameter.
    Here,
    /// The parameter is ignored because it changes nothing for us. The reason ends a sentence that begins with the
    /// parameter's name.
    Ignored(&'static str),
    /// The parameter is ignored, but the user may rely on it: logged as a warning.
    IgnoredWithWarning(&'static str),
}
use Handling::{Driver, Here, Ignored, IgnoredWithWarning};

const KEEPALIVE: &str = "each answer has a time limit here instead";
const TLS: &str = "the TLS of this program decides that itself";
const NOT_HERE: &str = "this program cannot do that";

/// Every parameter that libpq documents, and the driver's own parameters.
const PARAMETERS: [(&str, Handling); 70] = [
    ("host", Here),
    ("hostaddr", Here),
    ("port", Here),
    ("dbname", Driver),
    ("user", Driver),
    ("password", Driver),
    ("options", Driver),
    ("sslmode", Driver),
    ("ssl-mode", Driver),
    ("sslrootcert", Here),
    ("ssl-root-cert", Driver),
    ("ssl-ca", Driver),
    ("sslcert", Driver),
    ("ssl-cert", Driver),
    ("sslkey", Driver),
    ("ssl-key", Driver),
    ("statement-cache-capacity", Driver),
    ("ssl", Here),
    ("requiressl", Here),
    ("target_session_attrs", Here),
    ("service", Here),
    ("servicefile", IgnoredWithWarning("services are not read")),
    ("application_name", Ignored("connections are named for what they are used for")),
    ("fallback_application_name", Ignored("connections are named for what they are used for")),
    ("client_encoding", Ignored("connections are always in UTF8")),
    ("connect_timeout", Ignored("database.acquire_timeout_ms says how long to wait")),
    ("load_balance_hosts", Ignored("hosts are tried in order")),
    ("keepalives", Ignored(KEEPALIVE)),
    ("keepalives_idle", Ignored(KEEPALIVE)),
    ("keepalives_interval", Ignored(KEEPALIVE)),
    ("keepalives_count", Ignored(KEEPALIVE)),
    ("tcp_user_timeout", Ignored(KEEPALIVE)),
    ("gssencmode", Here),
    ("gsslib", Ignored("there is no GSSAPI here")),
    ("gssdelegation", Ignored("there is no GSSAPI here")),
    ("krbsrvname", Ignored("there is no GSSAPI here")),
    ("channel_binding", Here),
    ("sslnegotiation", Ignored("TLS is always asked for in the ordinary way")),
    ("sslcompression", Ignored(TLS)),
    ("sslsni", Ignored("the name of the server is always sent")),
    ("sslcertmode", Ignored("a certificate is sent when there is one")),
    ("ssl_min_protocol_version", Ignored("TLS 1.2 is the least that is spoken")),
    ("ssl_max_protocol_version", Ignored(TLS)),
    ("sslkeylogfile", Ignored(NOT_HERE)),
    ("sslcrl", IgnoredWithWarning("revoked certificates are not looked for")),
    ("sslcrldir", IgnoredWithWarning("revoked certificates are not looked for")),
    ("sslpassword", IgnoredWithWarning("the key of a certificate must not be encrypted")),
    ("requirepeer", IgnoredWithWarning("who runs the server is not looked at")),
    ("require_auth", IgnoredWithWarning("any way to log in that the server asks for is taken")),
    ("passfile", IgnoredWithWarning("the variable PGPASSFILE names the file")),
    ("replication", Here),
    ("min_protocol_version", Ignored("protocol 3.0 is spoken")),
    ("max_protocol_version", Ignored("protocol 3.0 is spoken")),
    ("scram_client_key", IgnoredWithWarning(NOT_HERE)),
    ("scram_server_key", IgnoredWithWarning(NOT_HERE)),
    ("oauth_issuer", IgnoredWithWarning(NOT_HERE)),
    ("oauth_client_id", IgnoredWithWarning(NOT_HERE)),
    ("oauth_client_secret", IgnoredWithWarning(NOT_HERE)),
    ("oauth_scope", IgnoredWithWarning(NOT_HERE)),
    ("authtype", Ignored("libpq passes over it too")),
    ("tty", Ignored("libpq passes over it too")),
    // Parameters of hosted PostgreSQL and of other clients.
    ("pgbouncer", Ignored("database.pooler says whether there is one")),
    ("connection_limit", Ignored("database.max_connections says that")),
    ("pool_timeout", Ignored("database.acquire_timeout_ms says how long to wait")),
    ("pool_max_conns", Ignored("database.max_connections says that")),
    ("schema", Ignored("the schema is always leasehold")),
    ("sslidentity", IgnoredWithWarning(NOT_HERE)),
    ("sslaccept", IgnoredWithWarning("sslmode says what is accepted")),
    ("socket_timeout", Ignored(KEEPALIVE)),
    ("statement_cache_size", Ignored("the statements are ours")),
];

/// The contents of a URL.
#[derive(Debug)]
pub(crate) struct Parsed {
    /// The servers, in order; at least one.
    pub(crate) servers: Vec<PgConnectOptions>,
    /// The ignored parameters: the name, why, and whether the user may rely on the parameter.
    pub(crate) remarks: Vec<(&'static str, &'static str, bool)>,
}

/// Parses a URL. Errors name the problem, but never a value.
pub(crate) fn parse(url: &str) -> Result<Parsed, Error> {
    let wrong = |text: &str| Error::Url(text.to_owned());
    let (scheme, rest) = url
        .split_once("://")
        .filter(|(scheme, _)| matches!(*scheme, "postgres" | "postgresql"))
        .ok_or_else(|| wrong("is no URL of PostgreSQL; it must look like postgres://user@host:port/database"))?;
    let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = place.split_once('/').unwrap_or((place, ""));
    let (user, hosts) = authority.rsplit_once('@').map_or(("", authority), |(user, hosts)| (user, hosts));
    let mut hosts: Vec<(String, String)> = hosts.split(',').map(host_and_port).collect();
    let (mut kept, mut remarks) = (Vec::new(), Vec::new());
    let (mut names, mut ports): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if key.starts_with("options[") || key.starts_with("options%5B") {
            kept.push(pair.to_owned());
            continue;
        }
        let Some(&(name, handling)) = PARAMETERS.iter().find(|(name, _)| *name == key) else {
            return Err(Error::Url(format!("has an unknown parameter, {key:?}")));
        };
        match (name, handling) {
            (_, Driver) => kept.push(pair.to_owned()),
            (_, Ignored(why)) => remarks.push((name, why, false)),
            (_, IgnoredWithWarning(why)) => remarks.push((name, why, true)),
            // `hostaddr` replaces the host and saves its name lookup.
            ("hostaddr", _) => names = value.split(',').collect(),
            ("host", _) if names.is_empty() => names = value.split(',').collect(),
            ("port", _) => ports = value.split(',').collect(),
            ("requiressl", _) if value == "1" => kept.push("sslmode=require".to_owned()),
            ("ssl", _) if value == "true" => kept.push("sslmode=require".to_owned()),
            ("sslrootcert", _) if value == "system" => kept.push("sslmode=verify-full".to_owned()),
            ("sslrootcert", _) => kept.push(pair.to_owned()),
            ("gssencmode" | "channel_binding", _) if value == "require" => {
                remarks.push((name, "this program has no such encryption, but it has TLS: see sslmode", true));
            }
            ("target_session_attrs", _) if matches!(value, "read-only" | "standby") => {
                return Err(wrong("has target_session_attrs for a server that takes no writes"));
            }
            ("replication", _) if !matches!(value, "false" | "off" | "no" | "0") => {
                return Err(wrong("has replication, which is no connection for statements"));
            }
            ("service", _) if hosts.iter().all(|(host, _)| host.is_empty()) && names.is_empty() => {
                return Err(wrong("has a service and no host: services are not read; write the host and the database"));
            }
            ("service", _) => remarks.push((name, "services are not read", true)),
            _ => {}
        }
    }
    if names.iter().any(|name| !name.is_empty()) {
        hosts = names.iter().map(|name| ((*name).to_owned(), String::new())).collect();
    }
    if let [port] = ports[..] {
        hosts.iter_mut().for_each(|host| host.1 = port.to_owned());
    } else if !ports.is_empty() {
        if ports.len() != hosts.len() {
            return Err(Error::Url(format!("has {} hosts and {} ports", hosts.len(), ports.len())));
        }
        hosts.iter_mut().zip(&ports).for_each(|(host, port)| host.1 = (*port).to_owned());
    }
    let query = kept.join("&");
    let servers = hosts.iter().map(|(host, port)| {
        // Without a host, the driver uses its default host. But it does not allow an empty host after a user, so user
        // and password become parameters.
        let (user_name, password) = user.split_once(':').unwrap_or((user, ""));
        let beside = if host.is_empty() { [("user", user_name), ("password", password)] } else { [("", ""); 2] };
        let said = [("host", host.as_str()), ("port", port)].into_iter().chain(beside);
        let said: String = said
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("&{name}={}", value.replace('+', "%2B")))
            .collect();
        let authority = match (host.is_empty(), user.is_empty()) {
            (true, _) => String::new(),
            (false, true) => "localhost".to_owned(),
            (false, false) => format!("{user}@localhost"),
        };
        let options = PgConnectOptions::from_str(&format!("{scheme}://{authority}/{path}?{query}{said}"));
        options.map_err(|error| match error {
            sqlx::Error::Configuration(cause) => Error::Url(format!("cannot be understood: {cause}")),
            other => Error::Url(format!("cannot be understood: {other}")),
        })
    });
    Ok(Parsed { servers: servers.collect::<Result<_, _>>()?, remarks })
}

/// Parses `host:port` or `[::1]:5432`, with or without the port.
fn host_and_port(text: &str) -> (String, String) {
    if let Some((address, rest)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        return (address.to_owned(), rest.trim_start_matches(':').to_owned());
    }
    let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
    (host.to_owned(), port.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::postgres::PgSslMode;

    /// libpq's default.
    const SSL_DEFAULT: PgSslMode = PgSslMode::Prefer;

    fn servers(url: &str) -> Vec<(String, u16)> {
        let parsed = parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
        parsed.servers.iter().map(|server| (server.get_host().to_owned(), server.get_port())).collect()
    }

    #[test]
    fn hosts_are_read_in_every_form() {
        let one = |host: &str, port| vec![(host.to_owned(), port)];
        for (url, wanted) in [
            ("postgres://u@h/d", one("h", 5432)),
            ("postgresql://u@h:1/d", one("h", 1)),
            ("postgres://u:p%40@[::1]:5433/db", one("::1", 5433)),
            ("postgres://[2001:db8::1]/db", one("2001:db8::1", 5432)),
            ("postgres://u@/d?host=x&port=7", one("x", 7)),
            ("postgres://u@h/d?hostaddr=10.0.0.1&host=h", one("10.0.0.1", 5432)),
            ("postgres://u@a:1,b:2/d", vec![("a".into(), 1), ("b".into(), 2)]),
            ("postgres://u@a,b/d?port=9", vec![("a".into(), 9), ("b".into(), 9)]),
            ("postgres://u@[::1]:1,b/d?target_session_attrs=read-write", vec![("::1".into(), 1), ("b".into(), 5432)]),
            ("postgres:///d?host=a,b&port=1,2", vec![("a".into(), 1), ("b".into(), 2)]),
        ] {
            assert_eq!(servers(url), wanted, "{url}");
        }
        let socket = parse("postgres://u@%2Fvar%2Frun/d").expect("a socket").servers.remove(0);
        assert_eq!(socket.get_socket().map(|path| path.display().to_string()), Some("/var/run".to_owned()));
        let user = &parse("postgres://ann:s3@h/jobs").expect("a URL").servers[0];
        assert_eq!((user.get_username(), user.get_database()), ("ann", Some("jobs")));
        let user = &parse("postgres://a%40nn:s3@/jobs").expect("a URL").servers[0];
        assert_eq!((user.get_username(), user.get_database()), ("a@nn", Some("jobs")));
    }

    #[test]
    fn parameters_are_honoured_or_ignored_by_name() {
        let all: Vec<&str> = PARAMETERS.iter().map(|(name, _)| *name).collect();
        let mut once = all.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), all.len());
        for (name, handling) in PARAMETERS {
            let value = match name {
                "sslmode" | "ssl-mode" => "require",
                "port" | "statement-cache-capacity" => "7",
                "hostaddr" => "10.0.0.1",
                "replication" => "false",
                "target_session_attrs" => "read-write",
                "channel_binding" | "gssencmode" => "prefer",
                _ => "hunter2",
            };
            let parsed = parse(&format!("postgres://u@h/d?{name}={value}")).unwrap_or_else(|error| panic!("{error}"));
            let remarked = matches!(handling, Ignored(_) | IgnoredWithWarning(_)) || name == "service";
            assert_eq!(parsed.remarks.len(), usize::from(remarked), "{name}");
            assert!(!format!("{:?}", parsed.remarks).contains("hunter2"));
        }
        let hosted = "postgresql://u:p@ep-x.aws.neon.tech/neondb?sslmode=require&channel_binding=require";
        let parsed = parse(hosted).expect("hosted");
        assert!(matches!(parsed.servers[0].get_ssl_mode(), PgSslMode::Require));
        assert_eq!(
            parsed.remarks.iter().map(|remark| (remark.0, remark.2)).collect::<Vec<_>>(),
            [("channel_binding", true)]
        );
        for (url, is) in [
            ("postgres://h/d?requiressl=1", PgSslMode::Require),
            ("postgres://h/d?requiressl=0", SSL_DEFAULT),
            ("postgres://h/d?ssl=true", PgSslMode::Require),
            ("postgres://h/d?sslrootcert=system", PgSslMode::VerifyFull),
            ("postgres://h/d?sslmode=allow", PgSslMode::Allow),
            ("postgres://h/d?sslmode=verify-ca", PgSslMode::VerifyCa),
        ] {
            let mode = parse(url).expect(url).servers[0].get_ssl_mode();
            assert_eq!(format!("{mode:?}"), format!("{is:?}"), "{url}");
        }
    }

    #[test]
    fn mistakes_are_refused_by_name() {
        for (url, told) in [
            ("postgres://h/d?conect_timeout=hunter2", "an unknown parameter, \"conect_timeout\""),
            ("postgres://h/d?target_session_attrs=standby", "target_session_attrs"),
            ("postgres://h/d?replication=database", "replication"),
            ("postgres:///?service=hunter2", "a service and no host"),
            ("postgres://a,b/d?port=1,2,3", "2 hosts and 3 ports"),
            ("postgres://h:hunter2/d", "cannot be understood"),
            ("postgres://h/d?sslmode=never", "cannot be understood"),
            ("mysql://h/d", "is no URL of PostgreSQL"),
        ] {
            let error = parse(url).expect_err(url).to_string();
            assert!(error.contains(told) && !error.contains("hunter2"), "{url}: {error}");
        }
    }

    #[test]
    fn the_reference_has_every_parameter() {
        let reference = include_str!("../../../docs/reference.md");
        for (name, _) in PARAMETERS {
            assert!(reference.contains(&format!("`{name}`")), "docs/reference.md says nothing of `{name}`");
        }
    }
}
