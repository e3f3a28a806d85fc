//! Reaching the server: one pool a process, and clear words when there is none to be reached.

use crate::{
    bounded::{Bounded, COMMIT, Form, begin, statement_timeout},
    error::Error,
    locks::Locks,
    pool::{CONNECTION_CHECKED_EVERY, Pool},
    servers::{self, Server, Servers},
    url,
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, PgConnection, PgPool, Row,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::{io, sync::Arc, time::Duration};

/// How long an answer may take, in times that a connection may: by default 10 s, longer than any batch on a server that
/// is well, and a third of the default lease, so that a renewal can be sent again in time.
const ANSWERS_AFTER: u32 = 2;

/// The same for what walks over all that is dead and has to be kept. A billion such rows take some four minutes.
const ANSWERS_UNHURRIED_AFTER: Duration = Duration::from_secs(600);

/// The same for a person's question, or for the making of a partition, that may take long.
const ANSWERS_AT_LENGTH_AFTER: Duration = Duration::from_secs(3600);

/// How long what others have locked is waited for when nothing else is said: longer than an ordinary transaction is open.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// What stands between this process and the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooler {
    /// Nothing: a connection is one of the server's, and stays it.
    #[default]
    None,
    /// A pooler that gives a connection of the server to whoever has a transaction, such as PgBouncer with
    /// `pool_mode = transaction`. Each statement is a transaction then, with its settings, and has no name.
    Transaction,
}

impl Pooler {
    /// As it is written in settings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Transaction => "transaction",
        }
    }
}

/// How to reach the database.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `postgres://…`
    pub url: SecretString,
    /// What is on the way there.
    pub pooler: Pooler,
    /// Connections this process may hold.
    pub max_connections: u32,
    /// How long to wait for one.
    pub acquire_timeout: Duration,
    /// Shown in `pg_stat_activity`.
    pub application_name: String,
}

/// PostgreSQL, as Leasehold uses it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    /// How long what others have locked is waited for.
    pub(crate) lock_timeout: Duration,
    /// For transactions of several statements.
    pub(crate) transactions: PgPool,
    pub(crate) pooler: Pooler,
    /// For nearly all statements.
    pub(crate) bounded: Bounded,
    /// For those of them that may take long where PostgreSQL has to keep what is dead.
    pub(crate) unhurried: Bounded,
    /// For those that may take long, or whose best plan depends on what is asked.
    pub(crate) patient: Bounded,
    /// Locks that claims have met.
    pub(crate) locks_at_claims: Arc<Locks>,
    /// Locks that settles have met.
    pub(crate) locks_at_settles: Arc<Locks>,
}

impl Store {
    /// Connects and checks that the server answers, and plans as it is asked to. Does not look at the schema.
    ///
    /// # Errors
    /// [`Error::Url`] when the URL cannot be understood, [`Error::Connect`] when no server answers within
    /// `acquire_timeout`, or it refuses; [`Error::Pooler`] when there is a pooler that `pooler` does not tell of.
    pub async fn connect(settings: &Settings) -> Result<Self, Error> {
        let servers = options(settings)?;
        let chosen = servers::choose(&servers, settings.acquire_timeout).await;
        let options = servers.get(chosen).ok_or_else(|| Error::Url("names no server".into()))?;
        let within = settings.acquire_timeout * ANSWERS_AFTER;
        let limit = statement_timeout(within);
        let pinned = |options: &PgConnectOptions| match settings.pooler {
            Pooler::None => options.clone().options(PINNED).options(limits(limit)),
            Pooler::Transaction => options.clone(),
        };
        let trial = tokio::time::timeout(settings.acquire_timeout, async {
            let mut connection = pinned(options).connect().await?;
            let manners = manners(&mut connection, settings).await?;
            connection.close().await?;
            Ok(manners)
        });
        let answered = trial.await.unwrap_or_else(|_| {
            let text = format!("no answer within {} ms", settings.acquire_timeout.as_millis());
            Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, text)))
        });
        let limits_transactions = match answered {
            Ok(Manners { plans_as_asked: true, limits_transactions }) => limits_transactions,
            Ok(_) => return Err(Error::pooler("connecting to PostgreSQL", "our options do not arrive")),
            Err(source) => return Err(Error::connect(address(options), source)),
        };
        let transactions = PgPoolOptions::new()
            .max_connections(settings.max_connections)
            .acquire_timeout(settings.acquire_timeout)
            .connect_lazy_with(options.clone());
        let of_transactions = limits_transactions.then_some(("transaction_timeout", "0"));
        let (form, own): (_, &dyn Fn(&PgConnectOptions) -> PgConnectOptions) = match settings.pooler {
            Pooler::None => (Form::Named, &|options| pinned(options).options([PLANNED_ONCE]).options(of_transactions)),
            Pooler::Transaction => (Form::InTransaction, &pinned),
        };
        let servers = servers.into_iter().map(|options| Server { own: own(&options), transactions: options });
        let servers = Servers::new(servers.collect(), chosen, transactions.clone(), settings.acquire_timeout);
        let pool = Pool::new(servers, limit, settings.max_connections, settings.acquire_timeout);
        let bounded = Bounded::new(pool.clone(), form, within, limits_transactions);
        let unhurried = Bounded::new(pool.clone(), form, ANSWERS_UNHURRIED_AFTER, limits_transactions);
        let patient = Bounded::new(pool, Form::InTransaction, ANSWERS_AT_LENGTH_AFTER, limits_transactions);
        let (locks_at_claims, locks_at_settles) = Default::default();
        Ok(Self {
            lock_timeout: LOCK_TIMEOUT,
            bounded,
            unhurried,
            patient,
            transactions,
            pooler: settings.pooler,
            locks_at_claims,
            locks_at_settles,
        })
    }

    /// A pool for a caller's own transactions, with as many connections again. They plan as our statements need it (no
    /// walking of whole tables, no compiling), which is not what a report over many rows wants. Behind a pooler they plan
    /// as the server does by itself, and a statement needs a transaction around it and `.persistent(false)`.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.transactions
    }

    /// Closes all connections. Statements that are under way end first.
    pub async fn close(&self) {
        self.bounded.close();
        self.transactions.close().await;
    }

    /// How many statements the server has rolled back for others' sake: deadlocks, and changes that met (SQLSTATE 40P01 and
    /// 40001). Each was sent again at once, a few times.
    #[must_use]
    pub fn rollbacks(&self) -> u64 {
        self.bounded.rollbacks()
    }

    /// How long an answer of the server is waited for.
    #[must_use]
    pub const fn answers_within(&self) -> Duration {
        self.bounded.within()
    }

    /// Answers when the server does, and takes writes.
    ///
    /// # Errors
    /// [`Error::Sql`] when it does not answer, [`Error::ReadOnly`] when it takes no writes.
    pub async fn ping(&self) -> Result<(), Error> {
        const DOING: &str = "asking whether PostgreSQL answers";
        let answer: Result<(bool, bool), _> =
            sqlx::query_as(include_str!("../sql/ping.sql")).fetch_one(&self.bounded).await;
        let (is_standby, is_read_only) = answer.map_err(Error::sql(DOING))?;
        self.refuse_read_only(DOING, is_standby, is_read_only)
    }

    /// A server that takes no writes is as good as none. Another one may take them by now (after a failover the old primary
    /// is a standby), so the connections to this one are not kept.
    pub(crate) fn refuse_read_only(
        &self,
        doing: &'static str,
        is_standby: bool,
        is_read_only: bool,
    ) -> Result<(), Error> {
        if is_standby || is_read_only {
            self.bounded.forget_connections();
            return Err(Error::ReadOnly { doing, is_standby });
        }
        Ok(())
    }
}

/// How our statements are planned. They are correct without, but not as steady.
///
/// Custom plans, since the best one depends on what is asked. No walking of tables where an index will do, since the planner
/// takes a table that has just grown for a small one. No compiling, since it guesses high for a line of many kinds, and
/// compiling costs more than our statements run.
const PLANNING: [(&str, &str); 3] =
    [("plan_cache_mode", "force_custom_plan"), ("enable_seqscan", "off"), ("jit", "off")];

/// Instead of custom plans, for statements that are sent with a name. These are written so that there is but one way for
/// them, which is found on an empty table too.
const PLANNED_ONCE: (&str, &str) = ("plan_cache_mode", "force_generic_plan");

/// What a database or a role can set for all its sessions (`ALTER DATABASE … SET`), and our statements do not mean to have.
///
/// Under another isolation they fail where two meet, instead of one finding nothing to do. A lock timeout is for each
/// statement to set. A connection of the pool may lie idle. The others change what a statement says. Encoding, time zone and
/// the style of dates are set by the driver.
///
/// Not here: `default_transaction_read_only`, which is somebody's wish that nothing be written, and `synchronous_commit`,
/// which is the server's.
const PINNED: [(&str, &str); 9] = [
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_deferrable", "off"),
    ("lock_timeout", "0"),
    ("idle_session_timeout", "0"),
    ("search_path", "pg_catalog, public"),
    ("row_security", "on"),
    ("transform_null_equals", "off"),
    ("standard_conforming_strings", "on"),
    ("IntervalStyle", "postgres"),
];

/// No statement goes on for nobody: the server ends one that takes longer than its client waits, one whose client has gone
/// away, and a transaction in which its client has stopped.
fn limits(statement_timeout: Duration) -> [(&'static str, String); 3] {
    let ms = |duration: Duration| duration.as_millis().to_string();
    [
        ("statement_timeout", ms(statement_timeout)),
        ("idle_in_transaction_session_timeout", ms(statement_timeout)),
        ("client_connection_check_interval", ms(CONNECTION_CHECKED_EVERY)),
    ]
}

/// What a first connection was seen to do.
struct Manners {
    /// Our settings hold where our statements run: there are poolers that drop the options of a connection and say nothing.
    plans_as_asked: bool,
    /// The server knows `transaction_timeout`.
    limits_transactions: bool,
}

async fn manners(connection: &mut PgConnection, settings: &Settings) -> Result<Manners, sqlx::Error> {
    let is_pooled = settings.pooler == Pooler::Transaction;
    if is_pooled {
        sqlx::raw_sql(AssertSqlSafe(begin(settings.acquire_timeout, false))).execute(&mut *connection).await?;
    }
    let row = sqlx::raw_sql(include_str!("../sql/planning.sql")).fetch_one(&mut *connection).await?;
    if is_pooled {
        sqlx::raw_sql(COMMIT).execute(&mut *connection).await?;
    }
    let limits_transactions = row.try_get("limits_transactions")?;
    let mut plans_as_asked = true;
    for (name, wanted) in PLANNING {
        plans_as_asked &= row.try_get::<&str, _>(name)? == wanted;
    }
    Ok(Manners { plans_as_asked, limits_transactions })
}

/// How the servers are reached that the URL names, in order.
fn options(settings: &Settings) -> Result<Vec<PgConnectOptions>, Error> {
    let url::Parsed { servers, remarks } = url::parse(settings.url.expose_secret())?;
    for (parameter, why, is_missed) in remarks {
        if is_missed {
            tracing::warn!("database.url: {parameter} is passed over: {why}");
        } else {
            tracing::info!("database.url: {parameter} is passed over: {why}");
        }
    }
    let ours = |options: PgConnectOptions| {
        let options = options.application_name(&settings.application_name).disable_statement_logging();
        match settings.pooler {
            Pooler::None => options.options(PLANNING),
            // A pooler refuses what it cannot hand on: nothing is sent but what it keeps for each client. Floats are sent as
            // they are, so the digits of their text do not matter.
            Pooler::Transaction => options.extra_float_digits(None).statement_cache_capacity(0),
        }
    };
    Ok(servers.into_iter().map(ours).collect())
}

/// Where a connection goes, without the password.
fn address(options: &PgConnectOptions) -> String {
    let server = match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None if options.get_host().contains(':') => format!("[{}]:{}", options.get_host(), options.get_port()),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    };
    let user = options.get_username();
    format!("{server}, database {}, user {user}", options.get_database().unwrap_or(user))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        let settings = Settings {
            url: url.into(),
            pooler: Pooler::None,
            max_connections: 1,
            acquire_timeout: Duration::from_secs(1),
            application_name: "test".into(),
        };
        options(&settings).expect_err("a bad URL").to_string()
    }

    #[test]
    fn a_bad_url_is_told_without_its_password() {
        for url in
            ["mysql://u:hunter2@h/d", "hunter2", "", "postgres://u:hunter2@h:port/d", "postgres://u@h/d?pass=hunter2"]
        {
            let told = refused(url);
            assert!(told.starts_with("database.url: ") && !told.contains("hunter2") && !told.contains('\n'), "{told}");
        }
    }
}
