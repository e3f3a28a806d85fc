//! The client of Redis: connects, checks that the server can hold the head, and sends commands.

use crate::{
    error::Error,
    health::{needs, why_unfit},
    keys::{KeyPrefix, Keys},
    pool::{Manager, no_answer_within},
    scripts::{Step, send},
};
use deadpool::managed::{Pool, PoolError};
use redis::{
    Client, Cmd, ConnectionAddr, ConnectionInfo, FromRedisValue, RedisError, TlsCertificates, Value,
    aio::MultiplexedConnection,
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
};
use secrecy::{ExposeSecret, SecretString};
use std::{collections::HashMap, fmt, fs, iter, path::PathBuf, str::FromStr, sync::Arc, time::Duration};

/// The oldest server that has `BLMOVE`, `ZMSCORE` and `LPOP` with a count.
const OLDEST_VERSION: (u32, u32) = (6, 2);
/// A server that has not answered for about 20 s is dead. A blocking connection has no other way to notice this.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_PROBES: u32 = 2;
/// How long sent data may stay unacknowledged by TCP.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(20);

/// The settings of Redis.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `redis://…` or `rediss://…`
    pub url: SecretString,
    /// The certificate authorities for the server's certificate, as PEM; `None`: the authorities that this machine trusts.
    pub ca_file: Option<PathBuf>,
    /// The prefix of every key.
    pub key_prefix: KeyPrefix,
    /// The most hints in the head of one queue.
    pub head_max: u32,
    /// The most connections of this process for commands. Blocking connections are extra.
    pub max_connections: u32,
    /// The timeout for a connection and an answer together.
    pub timeout: Duration,
}

/// The client of Redis. Cheap to clone.
#[derive(Clone)]
pub struct Handoff {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    /// Makes connections outside of the pool.
    pub(crate) client: Client,
    pub(crate) pool: Pool<Manager>,
    keys: Keys,
    pub(crate) head_max: u32,
    pub(crate) timeout: Duration,
}

impl fmt::Debug for Handoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handoff").field("address", &self.address()).finish_non_exhaustive()
    }
}

impl Handoff {
    /// Connects, and checks that the server answers and is fit: its version, its role, its `maxmemory-policy`, and the
    /// rights of this user.
    ///
    /// # Errors
    /// A retry does not help against [`Error::Url`] and [`Error::Unfit`]; it may help against the other errors.
    pub async fn connect(settings: &Settings) -> Result<Self, Error> {
        let handoff = Self::connect_lazily(settings)?;
        handoff.check().await?;
        Ok(handoff)
    }

    /// Checks that the server answers and is fit, as [`Handoff::connect`] does. The check sends each command that the work
    /// needs, also writes, because a server that refuses them may still answer a PING.
    ///
    /// # Errors
    /// [`Error::Unfit`] if the server answers and cannot be used; others if the server does not answer.
    pub async fn check(&self) -> Result<(), Error> {
        let time = self.inner.timeout;
        tokio::time::timeout(time, self.check_without_limit()).await.unwrap_or_else(|_| {
            Err(Error::Pool {
                doing: "connecting to Redis",
                reason: format!("{}: {}", self.address(), no_answer_within(time)),
            })
        })
    }

    /// Connects at the first use, and checks nothing: for callers that can start while Redis is unavailable.
    ///
    /// # Errors
    /// [`Error::Url`].
    pub fn connect_lazily(settings: &Settings) -> Result<Self, Error> {
        let client = client(settings)?;
        let manager = Manager::new(&client).map_err(|error| Error::Url(error.to_string()))?;
        let pool = Pool::builder(manager)
            .max_size(settings.max_connections.max(1) as usize)
            .build()
            .map_err(|error| Error::Pool { doing: "setting up the connections to Redis", reason: error.to_string() })?;
        let keys = Keys::new(settings.key_prefix.clone());
        let inner = Inner { client, pool, keys, head_max: settings.head_max, timeout: settings.timeout };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The keys of this fleet.
    pub(crate) fn keys(&self) -> &Keys {
        &self.inner.keys
    }

    /// The prefix of the keys of this fleet.
    #[must_use]
    pub fn key_prefix(&self) -> String {
        self.inner.keys.prefix().to_string()
    }

    /// Host and port, or path: never a secret.
    pub(crate) fn address(&self) -> String {
        self.inner.client.get_connection_info().addr().to_string()
    }

    async fn check_without_limit(&self) -> Result<(), Error> {
        let mut connection = self.inner.pool.get().await.map_err(|error| {
            let deadpool::managed::PoolError::Backend(error) = error else {
                return Error::Pool { doing: "connecting to Redis", reason: error.to_string() };
            };
            self.refusal(&error).unwrap_or_else(|| Error::Pool {
                doing: "connecting to Redis",
                reason: format!("{}: {error}", self.address()),
            })
        })?;
        connection.spoilt = true;
        let checked = self.check_server(&mut connection.redis).await;
        connection.spoilt = checked.is_err();
        checked.map_err(|error| match error {
            Check::Unfit(why) => Error::Unfit(format!("Redis at {} {why}", self.address())),
            Check::Failed(source) => {
                self.refusal(&source).unwrap_or(Error::Redis { doing: "asking Redis for its version and role", source })
            }
        })
    }

    /// The error for a server that refuses this user or one of the commands.
    fn refusal(&self, error: &RedisError) -> Option<Error> {
        why_unfit(error).map(|why| Error::Unfit(format!("Redis at {} {why}", self.address())))
    }

    async fn check_server(&self, connection: &mut MultiplexedConnection) -> Result<(), Check> {
        let hello = match redis::cmd("HELLO").query_async::<HashMap<String, Value>>(connection).await {
            Ok(hello) => hello,
            Err(error) if error.to_string().contains("unknown command") => return Err(too_old("older than 6")),
            Err(error) => return Err(error.into()),
        };
        let text = |field: &str| hello.get(field).and_then(|value| String::from_redis_value_ref(value).ok());
        let version = text("version").unwrap_or_default();
        if parse_version(&version).is_none_or(|version| version < OLDEST_VERSION) {
            return Err(too_old(&version));
        }
        if text("role").is_some_and(|role| role != "master") {
            return Err(Check::Unfit("is a replica: it can be read only; redis.url must name the primary".to_owned()));
        }

        // Some providers and access lists hide the policy. Then it cannot be checked.
        if let Ok(memory) = redis::cmd("INFO").arg("memory").query_async::<String>(connection).await {
            let field = |name: &str| memory.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            let policy = field("maxmemory_policy:").unwrap_or("noeviction");
            if policy != "noeviction" && field("maxmemory:").is_some_and(|bytes| bytes != "0") {
                return Err(Check::Unfit(format!(
                    "evicts keys when memory is short (maxmemory-policy {policy}); \
                     set it to noeviction, or hints and leases vanish"
                )));
            }
        }

        send(connection, &needs(self.keys())).await?;
        Ok(())
    }
}

impl Handoff {
    /// Sends all steps in one round trip and reads the answers as `T`: a tuple or a list with one item for each step. The
    /// timeout of the settings covers the connection and the answers together.
    pub(crate) async fn run<T: FromRedisValue>(&self, doing: &'static str, steps: Vec<Step>) -> Result<T, Error> {
        let mut connected = false;
        let work = async {
            let mut connection = self.inner.pool.get().await.map_err(|error| match error {
                PoolError::Backend(source) => Error::Redis { doing, source },
                other => Error::Pool { doing, reason: other.to_string() },
            })?;
            connected = true;
            connection.spoilt = true;
            let answers = send(&mut connection.redis, &steps).await.map_err(|source| Error::Redis { doing, source })?;
            connection.spoilt = false;
            Ok(answers)
        };
        let time = self.inner.timeout;
        match tokio::time::timeout(time, work).await {
            Ok(answers) => redis::from_redis_value(Value::Array(answers?))
                .map_err(|error| Error::Redis { doing, source: error.into() }),
            Err(_) if connected => Err(Error::Redis { doing, source: no_answer_within(time) }),
            Err(_) => Err(Error::Pool { doing, reason: format!("no connection within {time:?}") }),
        }
    }

    /// Like `run`, but in a transaction: no other client's command comes in between. All keys must belong to one queue, or
    /// to no queue.
    pub(crate) async fn run_atomically<T: FromRedisValue>(
        &self,
        doing: &'static str,
        commands: Vec<Cmd>,
    ) -> Result<T, Error> {
        let steps = iter::once(redis::cmd("MULTI")).chain(commands).chain([redis::cmd("EXEC")]);
        let mut answers: Vec<Value> = self.run(doing, steps.map(Step::from).collect()).await?;
        redis::from_redis_value(answers.pop().unwrap_or(Value::Nil))
            .map_err(|error| Error::Redis { doing, source: error.into() })
    }
}

enum Check {
    Unfit(String),
    Failed(RedisError),
}

impl From<RedisError> for Check {
    fn from(error: RedisError) -> Self {
        Self::Failed(error)
    }
}

fn too_old(version: &str) -> Check {
    let (major, minor) = OLDEST_VERSION;
    Check::Unfit(format!("is version {version}; {major}.{minor} or newer is needed"))
}

fn parse_version(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// The client of the driver, which does not connect yet.
fn client(settings: &Settings) -> Result<Client, Error> {
    let info = connection_info(&settings.url)?;
    let opened = match &settings.ca_file {
        None => Client::open(info),
        Some(_) if !is_tls(&info) => {
            return Err(Error::Url("does not begin with rediss://, but redis.ca_file is set".to_owned()));
        }
        Some(file) => {
            let root_cert = fs::read(file).map_err(|error| {
                Error::Url(format!(
                    "needs the file of redis.ca_file, {}, which cannot be read: {error}",
                    file.display()
                ))
            })?;
            Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert: Some(root_cert) })
        }
    };
    opened.map_err(|error| Error::Url(error.to_string()))
}

fn is_tls(info: &ConnectionInfo) -> bool {
    matches!(info.addr(), ConnectionAddr::TcpTls { .. })
}

fn connection_info(url: &SecretString) -> Result<ConnectionInfo, Error> {
    let url = url.expose_secret();
    if url.is_empty() {
        return Err(Error::Url("is empty; it looks like redis://host:6379".to_owned()));
    }
    if !["redis://", "rediss://", "valkey://", "valkeys://", "redis+unix://", "unix://"]
        .iter()
        .any(|scheme| url.starts_with(scheme))
    {
        return Err(Error::Url("does not begin with redis:// or rediss://".to_owned()));
    }
    // The error of the parser may repeat a part of the URL, and so a secret.
    let info = ConnectionInfo::from_str(url)
        .map_err(|_| Error::Url("is no valid URL; it looks like redis://user:password@host:6379/0".to_owned()))?;
    let keepalive =
        TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL).with_retries(KEEPALIVE_PROBES);
    let tcp = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
    #[cfg(target_os = "linux")]
    let tcp = tcp.set_user_timeout(UNACKNOWLEDGED_MAX);
    Ok(info.set_tcp_settings(tcp))
}
