//! Connecting to the server: one pool for each process, and clear errors when no server can be reached.

use crate::{
    bounded::{Bounded, COMMIT, Form, Limits, begin, statement_timeout},
    encryption::Crypt,
    error::Error,
    fair_runs::FairRuns,
    limited_runs::LimitedRuns,
    pool::{CONNECTION_CHECKED_EVERY, Pool, PoolUsage},
    recent::{Recent, RecentByQueue},
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

/// The answer timeout, as a multiple of the connection timeout. By default the answer timeout is 10 s: longer than any
/// batch takes on a healthy server, and a third of the default lease, so that a renewal can be sent again in time.
const ANSWER_TIMEOUT_FACTOR: u32 = 2;

/// The answer timeout of statements that scan dead rows that PostgreSQL cannot remove yet. A billion such rows take
/// about four minutes.
const SCAN_TIMEOUT: Duration = Duration::from_secs(600);

/// The answer timeout of an operator's query, and of creating a partition. Both may take long.
const LONG_TIMEOUT: Duration = Duration::from_secs(3600);

/// The usual `lock_timeout`: longer than an ordinary transaction stays open.
pub const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// The pooler between this process and the server, if there is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooler {
    /// No pooler: one connection is always the same server connection.
    #[default]
    None,
    /// A pooler that assigns a server connection to each transaction, such as PgBouncer with `pool_mode = transaction`.
    /// Each statement is then unnamed, and runs in a separate transaction with its own settings.
    Transaction,
}

impl Pooler {
    /// The value in the settings.
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
    /// The pooler on the way to the server.
    pub pooler: Pooler,
    /// How many connections this process may hold.
    pub max_connections: u32,
    /// How long to wait for a connection.
    pub acquire_timeout: Duration,
    /// How long to wait for locks of other sessions.
    pub lock_timeout: Duration,
    /// Shown in `pg_stat_activity`.
    pub application_name: String,
}

/// PostgreSQL, as Leasehold uses it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    /// How long a call waits for rows that other sessions have locked.
    pub(crate) lock_timeout: Duration,
    /// For a connection that is in no pool.
    pub(crate) servers: Arc<Servers>,
    /// The server knows `transaction_timeout`.
    pub(crate) knows_transaction_timeout: bool,
    /// For transactions of several statements.
    pub(crate) transactions: PgPool,
    pub(crate) pooler: Pooler,
    /// For nearly all statements.
    pub(crate) bounded: Bounded,
    /// For statements that may scan many dead rows, which take long to scan.
    pub(crate) scans: Bounded,
    /// For statements that may take long, or whose best plan depends on their parameters.
    pub(crate) long_statements: Bounded,
    /// Whether claims found locked rows.
    pub(crate) locks_at_claims: Arc<Recent>,
    /// Whether settles found locked rows.
    pub(crate) locks_at_settles: Arc<Recent>,
    /// In which queues claims found jobs that `claim` skips.
    pub(crate) rare_jobs: Arc<RecentByQueue>,
    /// Whether completions found jobs with children.
    pub(crate) parents: Arc<Recent>,
    /// The limit keys of the runs that this process has claimed.
    pub(crate) limited_runs: Arc<LimitedRuns>,
    /// The runs that this process has claimed and that have fair keys.
    pub(crate) fair_runs: Arc<FairRuns>,
    /// The keys of this process, and which queues take encrypted payloads.
    pub(crate) crypt: Arc<Crypt>,
}

impl Store {
    /// How long a statement waits for the locks of other sessions: the setting `database.lock_timeout_ms`.
    #[must_use]
    pub const fn lock_timeout(&self) -> Duration {
        self.lock_timeout
    }

    /// Connects, and checks that the server answers and that it uses our planner settings. Does not check the schema.
    ///
    /// # Errors
    /// [`Error::Url`] when the URL is invalid. [`Error::Connect`] when no server answers within `acquire_timeout`, or
    /// when the server refuses. [`Error::Pooler`] when there is a pooler that the setting `pooler` does not mention.
    pub async fn connect(settings: &Settings) -> Result<Self, Error> {
        let servers = options(settings)?;
        let chosen = servers::choose(&servers, settings.acquire_timeout).await;
        let options = servers.get(chosen).ok_or_else(|| Error::Url("names no server".into()))?;
        let within = settings.acquire_timeout * ANSWER_TIMEOUT_FACTOR;
        let limit = statement_timeout(within);
        let pinned = |options: &PgConnectOptions| match settings.pooler {
            Pooler::None => options.clone().options(PINNED).options(limits(limit, settings.lock_timeout)),
            Pooler::Transaction => options.clone(),
        };
        let trial = tokio::time::timeout(settings.acquire_timeout, async {
            let mut connection = pinned(options).connect().await?;
            let behaviour = probe_behaviour(&mut connection, settings).await?;
            connection.close().await?;
            Ok(behaviour)
        });
        let answered = trial.await.unwrap_or_else(|_| {
            let text = format!("no answer within {} ms", settings.acquire_timeout.as_millis());
            Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, text)))
        });
        let limits_transactions = match answered {
            Ok(ServerBehaviour { settings_apply: true, limits_transactions }) => limits_transactions,
            Ok(_) => return Err(Error::pooler("connecting to PostgreSQL", "our options do not arrive")),
            Err(source) => return Err(Error::connect(address(options), source)),
        };
        let transactions = PgPoolOptions::new()
            .max_connections(settings.max_connections)
            .acquire_timeout(settings.acquire_timeout)
            .connect_lazy_with(options.clone());
        let transaction_limit = limits_transactions.then_some(("transaction_timeout", "0"));
        let (form, own): (_, &dyn Fn(&PgConnectOptions) -> PgConnectOptions) = match settings.pooler {
            Pooler::None => {
                (Form::Named, &|options| pinned(options).options([PLANNED_ONCE]).options(transaction_limit))
            }
            Pooler::Transaction => (Form::InTransaction, &pinned),
        };
        let servers = servers.into_iter().map(|options| Server { own: own(&options), transactions: options });
        let servers = Servers::new(servers.collect(), chosen, transactions.clone(), settings.acquire_timeout);
        let servers = Arc::new(servers);
        let pool = Pool::new(Arc::clone(&servers), limit, settings.max_connections, settings.acquire_timeout);
        let limits =
            |within| Limits { within, locks: settings.lock_timeout, knows_transaction_timeout: limits_transactions };
        let bounded = Bounded::new(pool.clone(), form, limits(within));
        let scans = Bounded::new(pool.clone(), form, limits(SCAN_TIMEOUT));
        let long_statements = Bounded::new(pool, Form::InTransaction, limits(LONG_TIMEOUT));
        let (locks_at_claims, locks_at_settles, rare_jobs, parents) = Default::default();
        let (limited_runs, fair_runs, crypt) = Default::default();
        Ok(Self {
            lock_timeout: settings.lock_timeout,
            servers,
            knows_transaction_timeout: limits_transactions,
            bounded,
            scans,
            long_statements,
            transactions,
            pooler: settings.pooler,
            locks_at_claims,
            locks_at_settles,
            rare_jobs,
            parents,
            limited_runs,
            fair_runs,
            crypt,
        })
    }

    /// A pool for a caller's own transactions, with as many connections again. Their statements use our planner
    /// settings (no sequential scans, no JIT), which do not suit a report over many rows. Behind a pooler they use the
    /// server's own planner settings; a statement there needs a transaction around it and `.persistent(false)`.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.transactions
    }

    /// Closes all connections. In-flight statements end first.
    pub async fn close(&self) {
        self.bounded.close();
        self.transactions.close().await;
    }

    /// How many statements the server rolled back because of a conflict: deadlocks (SQLSTATE 40P01) and serialization
    /// failures (40001). Each was sent again immediately, up to a few times.
    #[must_use]
    pub fn rollbacks(&self) -> u64 {
        self.bounded.rollbacks()
    }

    /// The current connections of this process, without the connections of [`Store::pool`].
    #[must_use]
    pub fn usage(&self) -> PoolUsage {
        self.bounded.usage()
    }

    /// The answer timeout.
    #[must_use]
    pub const fn answers_within(&self) -> Duration {
        self.bounded.within()
    }

    /// Succeeds when the server answers and takes writes.
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

    /// A server that takes no writes is as useless as no server. Another server may take writes now (after a failover
    /// the old primary is a standby), so the connections to this one are closed.
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

/// The planner settings of our statements. Without these settings the statements are correct, but their speed varies.
///
/// `force_custom_plan`: the best plan depends on the parameters. `enable_seqscan` off: the planner believes that a
/// table that has just grown is still small, and would scan it. `jit` off: the planner overestimates the cost of a line
/// with many kinds, and JIT compilation takes longer than our statements run.
const PLANNING: [(&str, &str); 3] =
    [("plan_cache_mode", "force_custom_plan"), ("enable_seqscan", "off"), ("jit", "off")];

/// Replaces `force_custom_plan` for named statements. They are written so that only one plan is possible, and the
/// planner finds this plan on an empty table too.
const PLANNED_ONCE: (&str, &str) = ("plan_cache_mode", "force_generic_plan");

/// Settings that a database or a role can change for all its sessions (`ALTER DATABASE … SET`). Our statements need
/// these values.
///
/// Under another isolation level, one of two concurrent statements would fail; under this level it finds no row to change.
/// A pooled connection may be idle for long. The other settings change the meaning of statements. The driver sets encoding,
/// time zone and date style.
///
/// Not in this list: `default_transaction_read_only`, because its owner wants no writes, and `synchronous_commit`, because
/// the server's administrator decides it.
const PINNED: [(&str, &str); 8] = [
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_deferrable", "off"),
    ("idle_session_timeout", "0"),
    ("search_path", "pg_catalog, public"),
    ("row_security", "on"),
    ("transform_null_equals", "off"),
    ("standard_conforming_strings", "on"),
    ("IntervalStyle", "postgres"),
];

/// No statement continues without a client. The server ends a statement that takes longer than its client waits, a
/// statement whose client has gone away, and a transaction whose client has stopped. It also ends a statement that waits
/// too long for a lock. A statement that waits for locked rows sets a shorter lock timeout itself, but it does so only when
/// the server has locked all tables of the statement.
fn limits(statement_timeout: Duration, lock_timeout: Duration) -> [(&'static str, String); 4] {
    let ms = |duration: Duration| duration.as_millis().to_string();
    [
        ("lock_timeout", ms(lock_timeout)),
        ("statement_timeout", ms(statement_timeout)),
        ("idle_in_transaction_session_timeout", ms(statement_timeout)),
        ("client_connection_check_interval", ms(CONNECTION_CHECKED_EVERY)),
    ]
}

/// The facts about the server that the first connection has read.
struct ServerBehaviour {
    /// Our settings apply where our statements run. Some poolers silently drop the options of a connection.
    settings_apply: bool,
    /// The server knows `transaction_timeout`.
    limits_transactions: bool,
}

async fn probe_behaviour(connection: &mut PgConnection, settings: &Settings) -> Result<ServerBehaviour, sqlx::Error> {
    let is_pooled = settings.pooler == Pooler::Transaction;
    if is_pooled {
        sqlx::raw_sql(AssertSqlSafe(begin(settings.acquire_timeout, settings.lock_timeout, false)))
            .execute(&mut *connection)
            .await?;
    }
    let row = sqlx::raw_sql(include_str!("../sql/planning.sql")).fetch_one(&mut *connection).await?;
    if is_pooled {
        sqlx::raw_sql(COMMIT).execute(&mut *connection).await?;
    }
    let limits_transactions = row.try_get("limits_transactions")?;
    let mut settings_apply = true;
    for (name, wanted) in PLANNING {
        settings_apply &= row.try_get::<&str, _>(name)? == wanted;
    }
    Ok(ServerBehaviour { settings_apply, limits_transactions })
}

/// Connect options for each server in the URL, in order.
fn options(settings: &Settings) -> Result<Vec<PgConnectOptions>, Error> {
    let url::Parsed { servers, remarks } = url::parse(settings.url.expose_secret())?;
    for (parameter, why, is_missed) in remarks {
        if is_missed {
            tracing::warn!("database.url: {parameter} is ignored: {why}");
        } else {
            tracing::info!("database.url: {parameter} is ignored: {why}");
        }
    }
    let ours = |options: PgConnectOptions| {
        let options = options.application_name(&settings.application_name).disable_statement_logging();
        match settings.pooler {
            Pooler::None => options.options(PLANNING),
            // A pooler refuses options that it cannot pass on. So we send only options that the pooler keeps for each
            // client. Floats are sent in binary, so `extra_float_digits` does not matter.
            Pooler::Transaction => options.extra_float_digits(None).statement_cache_capacity(0),
        }
    };
    Ok(servers.into_iter().map(ours).collect())
}

/// The address of a server, without the password.
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
            lock_timeout: LOCK_TIMEOUT,
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
