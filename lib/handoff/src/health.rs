//! Checks whether Redis can do what the protocol needs, and explains in plain words why not.
//!
//! A PING proves nothing: a replica, a full server, and a server that refuses a command all answer PING. So the check sends
//! each command of the protocol once, on separate keys.

use crate::{
    keys::Keys,
    scripts::{EXPIRED, Step, command},
};
use leasehold_core::QueueName;
use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind};
use std::borrow::Cow;

/// The keys of a check expire, in case their deletion fails.
const KEPT_FOR_MS: u32 = 10_000;

/// The commands that a server must accept, for one round trip. They are the commands of `lua/` and of this crate: a script may
/// send only commands that its user may send. Blocking commands do not block inside `MULTI`.
pub(crate) fn needs(keys: &Keys) -> Vec<Step> {
    let expired = EXPIRED.on([keys.of(&QueueName::default()).leases()]).arg(1);
    let outside =
        [command("CLIENT", "ID"), command("GET", keys.generation()), command("PUBLISH", (keys.health("channel"), ""))];
    let inside = [vec![redis::cmd("MULTI")], reads_and_writes(keys), vec![redis::cmd("EXEC")]].concat();
    outside.into_iter().map(Step::from).chain([expired.into()]).chain(inside.into_iter().map(Step::from)).collect()
}

fn reads_and_writes(keys: &Keys) -> Vec<Cmd> {
    let [string, list, other, sorted, hash, set] =
        ["string", "list", "other", "sorted", "hash", "set"].map(|name| keys.health(name));
    let (string, list, other, sorted, hash, set) = (&string, &list, &other, &sorted, &hash, &set);
    vec![
        redis::cmd("TIME"),
        command("SET", (string, 1, "PX", KEPT_FOR_MS)),
        command("GET", string),
        command("EXISTS", string),
        command("PEXPIRE", (string, KEPT_FOR_MS)),
        command("RPUSH", (list, "b")),
        command("LPUSH", (list, "a")),
        command("LLEN", list),
        command("LRANGE", (list, 0, -1)),
        command("BLMOVE", (list, other, "LEFT", "RIGHT", 1)),
        command("LREM", (other, 1, "a")),
        command("BLPOP", (list, 1)),
        command("LPOP", (list, 1)),
        command("RPOP", list),
        command("ZADD", (sorted, 1, "a")),
        command("ZSCORE", (sorted, "a")),
        command("ZMSCORE", (sorted, "a")),
        command("ZCARD", sorted),
        command("ZCOUNT", (sorted, "-inf", "+inf")),
        command("ZRANGE", (sorted, 0, -1)),
        command("ZRANGEBYSCORE", (sorted, "-inf", "+inf")),
        command("ZREMRANGEBYSCORE", (sorted, "-inf", 0)),
        command("ZREM", (sorted, "a")),
        command("HSET", (hash, "a", 1)),
        command("HMGET", (hash, "a")),
        command("HEXISTS", (hash, "a")),
        command("HDEL", (hash, "a")),
        command("SADD", (set, "a")),
        command("SMEMBERS", set),
        command("SREM", (set, "a")),
        command("DEL", vec![string, list, other, sorted, hash, set]),
    ]
}

/// Why the server is unfit and what to do: the words that follow "Redis" in a sentence. `None` for an error that is not about
/// the server as a whole.
pub(crate) fn why_unfit(error: &RedisError) -> Option<Cow<'static, str>> {
    let said = error.to_string();
    // In the error of a script, the code is not always the first word.
    let says = |code: &str| error.code() == Some(code) || said.contains(code);
    let why = match error.kind() {
        ErrorKind::AuthenticationFailed => "refuses the user or the password of redis.url",
        ErrorKind::Server(ServerErrorKind::NoPerm) => {
            let detail = error.detail().unwrap_or("NOPERM").to_owned();
            return Some(format!("does not let this user do what is needed: {detail}").into());
        }
        ErrorKind::Parse => "is another program: the server at this address does not speak the protocol of Redis",
        _ if says("WRONGPASS") => "refuses the user or the password of redis.url",
        _ if says("NOAUTH") => "asks for a password, and redis.url has none",
        _ if says("NOPERM") => "does not let this user do what is needed: add the command to its ACL",
        _ if says("READONLY") => "is a replica: it can be read only; redis.url must name the primary",
        _ if says("MASTERDOWN") => "is a replica without its primary; redis.url must name the primary",
        _ if says("NOREPLICAS") => "has too few replicas to take writes (min-replicas-to-write)",
        _ if says("OOM") => "is full: raise maxmemory, or find out which other data it holds",
        _ if says("MISCONF") => {
            "takes no writes, because it cannot save to its disk: see its log, or set stop-writes-on-bgsave-error to no"
        }
        _ if says("LOADING") => "is loading its data after a start: wait until it has ended",
        _ if says("BUSY ") => "is busy with a script of another program: end the script with SCRIPT KILL",
        _ if ["MOVED", "ASK ", "CLUSTERDOWN", "CROSSSLOT"].into_iter().any(says) => {
            "is one node of a cluster: redis.url must name a server that holds all keys"
        }
        _ if said.contains("max number of clients") => {
            "has no connection left: raise its maxclients, or lower redis.max_connections"
        }
        _ => return None,
    };
    Some(why.into())
}

/// The same reason as a clause that follows the text of the error. Empty for other errors.
pub(crate) fn advice(error: &RedisError) -> String {
    // This is about one key. The error does not say which one.
    if error.to_string().contains("WRONGTYPE") {
        return "; another program has written a key that begins with redis.key_prefix: delete this key, and a reaper fills it again \
                (`redis-cli --scan` lists the keys, TYPE says what one holds)"
            .to_owned();
    }
    why_unfit(error).map(|why| format!("; Redis {why}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(line: &str) -> RedisError {
        let value = redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).expect("an answer");
        value.extract_error().expect_err("an error")
    }

    #[test]
    fn each_reason_is_told_with_what_to_do() {
        for (said, why) in [
            ("READONLY You can't write against a read only replica.", "is a replica"),
            ("ERR Error running script (call to f_1): @user_script:1: -READONLY You can't write", "is a replica"),
            ("OOM command not allowed when used memory > 'maxmemory'.", "is full"),
            ("MISCONF Redis is configured to save RDB snapshots", "cannot save to its disk"),
            ("NOAUTH Authentication required.", "asks for a password"),
            ("WRONGPASS invalid username-password pair or user is disabled.", "refuses the user or the password"),
            ("NOPERM User default has no permissions to run the 'blmove' command", "run the 'blmove' command"),
            ("LOADING Redis is loading the dataset in memory", "is loading its data"),
            ("MASTERDOWN Link with MASTER is down", "replica without its primary"),
            ("MOVED 3999 127.0.0.1:6381", "one node of a cluster"),
            ("CLUSTERDOWN Hash slot not served", "one node of a cluster"),
            ("NOREPLICAS Not enough good replicas to write.", "min-replicas-to-write"),
            ("ERR max number of clients reached", "no connection left"),
        ] {
            let told = why_unfit(&error(said)).unwrap_or_else(|| panic!("nothing is told of: {said}"));
            assert!(told.contains(why), "{said}: {told}");
        }
        let of_one_key = error("WRONGTYPE Operation against a key");
        assert_eq!(why_unfit(&of_one_key), None);
        assert!(advice(&of_one_key).contains("redis.key_prefix"));
        assert_eq!(advice(&error("ERR no such key")), "");
    }
}
