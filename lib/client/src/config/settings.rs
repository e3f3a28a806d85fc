//! The table of all settings: name, allowed values, default, and the reason of the default. The loader checks values with this
//! table, `leasehold config` prints the table, and a test compares the table with the struct and with the reference.

use leasehold_encryption::Keys;
use leasehold_handoff::KeyPrefix;
use std::{fmt, net::SocketAddr};

/// The file that is read when no other file is named.
pub const FILE: &str = "leasehold.toml";

/// One setting.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Setting {
    /// The path, such as `worker.lease_ms`.
    pub key: &'static str,
    /// The allowed values.
    pub kind: ValueKind,
    /// The default as a user would write it; `None` if there is none.
    pub default: Option<&'static str>,
    /// What the setting does.
    pub about: &'static str,
    /// The reason of the default.
    pub reason: &'static str,
}

/// The values that a setting allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ValueKind {
    /// A whole number within bounds, with its unit.
    Number {
        /// The least value.
        min: u64,
        /// The greatest value.
        max: u64,
        /// The unit.
        unit: &'static str,
    },
    /// A part, from 0 to 1.
    Ratio,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Any text.
    Text,
    /// A prefix of keys in Redis.
    KeyPrefix,
    /// An address and a port to listen on.
    Address,
    /// A text that is never shown or logged, because it may contain a password.
    Secret,
    /// Keys that encrypt: never shown or logged.
    Keys,
}

impl fmt::Display for ValueKind {
    /// What a user may write.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Number { min, max, unit } => return write!(f, "{unit}, {min} to {max}"),
            Self::Choice(words) => return f.write_str(&words.join(" or ")),
            Self::Ratio => "0 to 1",
            Self::Text => "text",
            Self::KeyPrefix => "1 to 64 of A-Z a-z 0-9 _ . - :",
            Self::Address => "address and port",
            Self::Keys => "keys, never shown",
            Self::Secret => "URL, never shown",
        })
    }
}

impl Setting {
    /// The environment variable of the setting.
    #[must_use]
    pub fn variable(&self) -> String {
        match self.key {
            "database.url" | "redis.url" | "api.url" => {
                format!("LEASEHOLD_{}", self.key.replace('.', "_").to_uppercase())
            }
            key => format!("LEASEHOLD_{}", key.replace('.', "__").to_uppercase()),
        }
    }

    /// The setting with this name.
    #[must_use]
    pub fn find(key: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.key == key)
    }

    /// Says what is wrong with a value, as the end of a sentence that begins with the setting's name.
    pub(super) fn check(&self, value: &str) -> Result<(), String> {
        match self.kind {
            ValueKind::Number { min, max, unit } => match value.parse::<u64>() {
                Ok(number) if (min..=max).contains(&number) => Ok(()),
                _ => Err(format!("is {value:?}; it must be a whole number of {unit} from {min} to {max}")),
            },
            ValueKind::Ratio => match value.parse::<f64>() {
                Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(()),
                _ => Err(format!("is {value:?}; it must be a number from 0 to 1")),
            },
            ValueKind::Choice(words) if !words.contains(&value) => {
                Err(format!("is {value:?}; it must be one of {}", words.join(", ")))
            }
            ValueKind::Text | ValueKind::Secret if value.is_empty() => Err("is empty".to_owned()),
            ValueKind::Address if value.parse::<SocketAddr>().is_err() => {
                Err(format!("is {value:?}; it must be an address and a port, such as 127.0.0.1:9464"))
            }
            ValueKind::Keys => Keys::read(value, None).map(|_| ()).map_err(|invalid| invalid.to_string()),
            ValueKind::KeyPrefix => {
                value.parse::<KeyPrefix>().map(|_| ()).map_err(|invalid| format!("is {value:?}; it {invalid}"))
            }
            ValueKind::Address | ValueKind::Choice(_) | ValueKind::Text | ValueKind::Secret => Ok(()),
        }
    }
}

const DAY_MS: u64 = 24 * 3600 * 1000;

const fn number(min: u64, max: u64, unit: &'static str) -> ValueKind {
    ValueKind::Number { min, max, unit }
}

/// All settings, in the order of the reference.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: "database.url",
        kind: ValueKind::Secret,
        default: None,
        about: "Where PostgreSQL is: postgres://user:password@host:port/database.",
        reason: "There is no safe default: a wrong URL would put jobs into another database.",
    },
    Setting {
        key: "database.pooler",
        kind: ValueKind::Choice(&["none", "transaction"]),
        default: Some("none"),
        about: "What stands between Leasehold and PostgreSQL: nothing, or a pooler such as PgBouncer with pool_mode = \
                transaction.",
        reason: "Without a pooler a statement is one round trip; through one it needs a transaction, which is four.",
    },
    Setting {
        key: "database.max_connections",
        kind: number(1, 10_000, "connections"),
        default: Some("10"),
        about: "Connections to PostgreSQL that one process may hold.",
        reason: "A worker sends batches, so a few connections carry thousands of jobs a second; ten processes stay \
                 below PostgreSQL's own default of 100.",
    },
    Setting {
        key: "database.acquire_timeout_ms",
        kind: number(1, DAY_MS, "milliseconds"),
        default: Some("5000"),
        about: "How long a statement waits for a connection before it fails. For its answer it waits twice as long.",
        reason: "Longer than a restart of a pooler, shorter than a person wants to wait.",
    },
    Setting {
        key: "database.lock_timeout_ms",
        kind: number(1, DAY_MS, "milliseconds"),
        default: Some("5000"),
        about: "How long a call waits for a row, an id or a unique key that another session's open transaction has \
                locked.",
        reason: "Longer than most transactions, shorter than a person wants to wait.",
    },
    Setting {
        key: "redis.url",
        kind: ValueKind::Secret,
        default: None,
        about: "Where Redis is: redis://:password@host:port/0, or rediss:// for TLS.",
        reason: "There is no safe default, as for database.url.",
    },
    Setting {
        key: "redis.ca_file",
        kind: ValueKind::Text,
        default: None,
        about: "A file with the certificates (PEM) of the authorities that a Redis with rediss:// must have its certificate from.",
        reason: "Without the file, the authorities that this machine trusts are meant.",
    },
    Setting {
        key: "redis.key_prefix",
        kind: ValueKind::KeyPrefix,
        default: Some("leasehold"),
        about: "What every key and channel in Redis begins with. Fleets with different prefixes can share one Redis \
                server. All processes of one fleet need the same prefix.",
        reason: "One fleet on one Redis is the usual case, and the name says whose keys they are.",
    },
    Setting {
        key: "redis.max_connections",
        kind: number(1, 10_000, "connections"),
        default: Some("8"),
        about: "Connections to Redis that one process may hold for commands. A worker has one more for each \
                queue, which blocks; with more than 32 queues, one more for every 256 queues.",
        reason: "Commands are short and sent in batches.",
    },
    Setting {
        key: "redis.timeout_ms",
        kind: number(10, 60_000, "milliseconds"),
        default: Some("1000"),
        about: "How long one command to Redis may take before Redis counts as unavailable.",
        reason: "A healthy Redis answers within a millisecond or two; the fleet continues without Redis, so waiting longer \
                 gains nothing.",
    },
    Setting {
        key: "worker.lease_ms",
        kind: number(500, DAY_MS, "milliseconds"),
        default: Some("30000"),
        about: "How long a claim is valid unless the worker renews it. After this time the job of a lost worker runs \
                again.",
        reason: "Longer than the pauses of healthy machines. A worker renews its leases three times in this time.",
    },
    Setting {
        key: "worker.grace_ms",
        kind: number(0, DAY_MS, "milliseconds"),
        default: Some("25000"),
        about: "How long a stopping worker lets handlers finish before it releases their jobs.",
        reason: "Below the 30 s that Kubernetes gives a pod, so that the worker can still release the remaining jobs.",
    },
    Setting {
        key: "worker.kill_after_ms",
        kind: number(1, DAY_MS, "milliseconds"),
        default: Some("3000"),
        about: "How long a command has between TERM and KILL when its job is cancelled or times out, or when the \
                lease is lost.",
        reason: "Enough time to clean up. Together with worker.grace_ms (25 s) it is below the 30 s that Kubernetes \
                 gives.",
    },
    Setting {
        key: "worker.backoff_base_ms",
        kind: number(1, DAY_MS, "milliseconds"),
        default: Some("1000"),
        about: "The delay after the first failure of a job. It doubles after each further failure.",
        reason: "Long enough for a short outage to end.",
    },
    Setting {
        key: "worker.backoff_cap_ms",
        kind: number(1, 30 * DAY_MS, "milliseconds"),
        default: Some("3600000"),
        about: "The longest delay between two attempts.",
        reason: "After an outage ends, no job waits longer than an hour for its next attempt.",
    },
    Setting {
        key: "worker.listen",
        kind: ValueKind::Address,
        default: None,
        about: "Where a worker serves /healthz, /readyz and /metrics; port 0 means any free port. If not set, the \
                worker does not listen.",
        reason: "Several workers on one machine cannot have the same port.",
    },
    Setting {
        key: "reaper.listen",
        kind: ValueKind::Address,
        default: None,
        about: "Where a reaper serves /healthz, /readyz and /metrics. If not set, the reaper does not listen.",
        reason: "As for worker.listen.",
    },
    Setting {
        key: "reaper.tick_ms",
        kind: number(10, 60_000, "milliseconds"),
        default: Some("250"),
        about: "How long the reaper waits between two rounds. A scheduled job, or a job enqueued by SQL, can be late \
                by about this time.",
        reason: "A person does not notice such a delay, and an idle round costs a few index reads.",
    },
    Setting {
        key: "reaper.pod_deletion_cost",
        kind: ValueKind::Text,
        default: None,
        about: "The pods whose deletion cost a reaper writes, as a label selector of Kubernetes: those of the workers. Kubernetes then \
                deletes idle workers first. Of several reapers, one does it. The reapers need a token of the API server.",
        reason: "Who may write the cost of a pod may change the pod, so you decide it.",
    },
    Setting {
        key: "head.max",
        kind: number(1, 1_000_000, "hints"),
        default: Some("4096"),
        about: "Ids of waiting jobs that Redis holds for one queue; the rest of the line waits in PostgreSQL.",
        reason: "More than a large fleet takes between two fills, and about half a megabyte of Redis.",
    },
    Setting {
        key: "history.keep_days",
        kind: number(1, 36_500, "days"),
        default: Some("14"),
        about: "How long finished jobs are kept.",
        reason: "Two weeks: long enough to investigate a failure after a holiday.",
    },
    Setting {
        key: "log.filter",
        kind: ValueKind::Text,
        default: Some("warn,leasehold=info"),
        about: "Which events are logged to standard error, as a filter of the tracing crate: `info`, \
                `leasehold_worker=debug,warn` …",
        reason: "The operator of a fleet wants to read these events. Races that the protocol expects are counted, not \
                 logged.",
    },
    Setting {
        key: "log.format",
        kind: ValueKind::Choice(&["plain", "json"]),
        default: Some("plain"),
        about: "The format of log lines: plain for people, json for log collectors.",
        reason: "Most first readers are people.",
    },
    Setting {
        key: "encryption.keys",
        kind: ValueKind::Keys,
        default: None,
        about: "The keys that encrypt and decrypt payloads and results, as NAME:BASE64 with commas, spaces or line ends between \
                them: the base64 of 32 random bytes each (`openssl rand -base64 32`). A name has up to 32 letters, digits, - and _.",
        reason: "A key must be yours alone, and must be kept: without it, what it has encrypted cannot be read again.",
    },
    Setting {
        key: "encryption.current",
        kind: ValueKind::Text,
        default: None,
        about: "The name of the key that encrypts. All other keys only decrypt. If not set, the first key of encryption.keys encrypts.",
        reason: "With one key there is nothing to choose.",
    },
    Setting {
        key: "metrics.queues",
        kind: ValueKind::Text,
        default: None,
        about: "Queues that always have series of their own in /metrics, as names with commas between them: the queues of \
                alerts and of autoscalers.",
        reason: "With up to metrics.queues_max queues every queue has series, so nothing need be named.",
    },
    Setting {
        key: "metrics.queues_max",
        kind: number(0, 10_000, "queues"),
        default: Some("200"),
        about: "How many queues that are not in metrics.queues have series of their own in /metrics: the busiest. All others \
                together are the queue `_other`.",
        reason: "A reaper then has about two thousand series for queues, which every Prometheus can take.",
    },
    Setting {
        key: "api.listen",
        kind: ValueKind::Address,
        default: Some("127.0.0.1:8080"),
        about: "Where `leasehold api` listens; port 0 means any free port. Without tokens, only loopback addresses are allowed.",
        reason: "Without tokens every client may do everything, so other machines must not reach the server.",
    },
    Setting {
        key: "api.tls_cert_file",
        kind: ValueKind::Text,
        default: None,
        about: "The certificate chain (PEM) of `leasehold api`, the own certificate first. With api.tls_key_file, the server speaks \
                TLS only. Changed files are read again within seconds.",
        reason: "Only the operator has a certificate.",
    },
    Setting {
        key: "api.tls_key_file",
        kind: ValueKind::Text,
        default: None,
        about: "The private key (PEM) of the certificate.",
        reason: "As for api.tls_cert_file.",
    },
    Setting {
        key: "api.rate_per_token",
        kind: number(0, 1_000_000, "requests per second"),
        default: Some("0"),
        about: "How many requests of one token a server accepts in a second, and at one moment; 0 means any number.",
        reason: "A fleet of workers may share one token, and only the operator knows how large the fleet is.",
    },
    Setting {
        key: "api.keda_listen",
        kind: ValueKind::Address,
        default: None,
        about: "Where `leasehold api` serves the external scaler for KEDA (gRPC); port 0 means any free port. If not set, \
                it does not. Any address is allowed: whoever reaches the port can read the demand of queues, and \
                nothing else.",
        reason: "Only a fleet that KEDA scales needs it.",
    },
    Setting {
        key: "api.url",
        kind: ValueKind::Text,
        default: None,
        about: "Reserved. No command of this version reads this setting.",
        reason: "There is no safe default.",
    },
    Setting {
        key: "webhooks.allow_networks",
        kind: ValueKind::Text,
        default: None,
        about: "Networks that webhooks may reach although they are not public, such as 10.1.0.0/16,fd00::/8. Without this \
                setting, webhooks go to public addresses only.",
        reason: "Whoever may make webhooks must not reach the inside of your network through them.",
    },
    Setting {
        key: "webhooks.slots",
        kind: number(1, 10_000, "messages"),
        default: Some("256"),
        about: "Messages that one `leasehold api` sends at the same time. Of these, at most 4 go to one endpoint, over the \
                whole fleet (`leasehold limit show 'leasehold.webhook:*'`).",
        reason: "Sixty endpoints can stall, for 15 s each time, before the next one has to wait. A message takes little memory.",
    },
    Setting {
        key: "webhooks.keep_days",
        kind: number(1, 36_500, "days"),
        default: Some("7"),
        about: "How long the log of deliveries is kept.",
        reason: "Longer than the five days after which an endpoint that only fails is disabled.",
    },
    Setting {
        key: "telemetry.otlp_endpoint",
        kind: ValueKind::Text,
        default: None,
        about: "Where spans of OpenTelemetry are sent: http://host:4318, or http://host:4317 for gRPC. Without this setting, \
                OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or OTEL_EXPORTER_OTLP_ENDPOINT; without these, no spans are made.",
        reason: "Only a fleet with a collector needs spans. Without spans, a job pays nothing for them.",
    },
    Setting {
        key: "telemetry.otlp_protocol",
        kind: ValueKind::Choice(&["grpc", "http/protobuf"]),
        default: None,
        about: "How spans are sent. Without this setting, OTEL_EXPORTER_OTLP_TRACES_PROTOCOL or OTEL_EXPORTER_OTLP_PROTOCOL; without \
                these, grpc for port 4317, else http/protobuf.",
        reason: "The port says it.",
    },
    Setting {
        key: "telemetry.sample_ratio",
        kind: ValueKind::Ratio,
        default: Some("1"),
        about: "Which part of the traces that begin here is sent, from 0 to 1. A request or a job that belongs to a trace of its caller is \
                sent if the caller's span is.",
        reason: "Nobody misses a trace at first. A busy fleet needs less: a job in a trace costs PostgreSQL a row more.",
    },
    Setting {
        key: "telemetry.service_name",
        kind: ValueKind::Text,
        default: None,
        about: "The name of this process in traces. Without this setting, OTEL_SERVICE_NAME, or service.name of the resource, or \
                leasehold-worker, leasehold-api, leasehold.",
        reason: "The command says what the process is.",
    },
    Setting {
        key: "telemetry.resource_attributes",
        kind: ValueKind::Text,
        default: None,
        about: "What traces say about this process, as key=value with commas between them. These win over OTEL_RESOURCE_ATTRIBUTES.",
        reason: "Only the operator knows the region or the environment.",
    },
];
