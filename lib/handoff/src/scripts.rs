//! The only place that loads `lua/`. Every call to Redis is a batch of steps, which this file sends.

use redis::{Cmd, ErrorKind, RedisError, RedisResult, ServerErrorKind, ToRedisArgs, Value, aio::MultiplexedConnection};
use std::sync::LazyLock;

/// A script of `lua/`.
pub(crate) struct Script {
    source: &'static str,
    sha1: LazyLock<String>,
}

macro_rules! scripts {
    ($($(#[$doc:meta])* $name:ident = $file:literal;)*) => {
        $($(#[$doc])* pub(crate) static $name: Script = Script {
            source: include_str!(concat!("../../../lua/", $file)),
            sha1: LazyLock::new(|| {
                redis::Script::new(include_str!(concat!("../../../lua/", $file))).get_hash().to_owned()
            }),
        };)*
    };
}

scripts! {
    ACK = "ack.lua";
    ADOPT = "adopt.lua";
    ASIDE = "aside.lua";
    EXPIRED = "expired.lua";
    EXTEND = "extend.lua";
    FILL = "fill.lua";
    LOOK = "look.lua";
    PUSH = "push.lua";
    RENEW = "renew.lua";
    SWEEP = "sweep.lua";
    TAKE = "take.lua";
}

/// One call of a script.
pub(crate) struct Call {
    script: &'static Script,
    keys: Vec<String>,
    args: Vec<Vec<u8>>,
}

impl Script {
    /// A call with these keys. Arguments follow.
    pub(crate) fn on(&'static self, keys: impl IntoIterator<Item = String>) -> Call {
        Call { script: self, keys: keys.into_iter().collect(), args: Vec::new() }
    }
}

impl Call {
    /// Adds one argument, or several.
    #[must_use]
    pub(crate) fn arg(mut self, argument: impl ToRedisArgs) -> Self {
        argument.write_redis_args(&mut self.args);
        self
    }

    /// Adds one argument for each of these values.
    #[must_use]
    pub(crate) fn args(mut self, arguments: impl IntoIterator<Item = impl ToString>) -> Self {
        self.args.extend(arguments.into_iter().map(|argument| argument.to_string().into_bytes()));
        self
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = redis::cmd(name);
        command.arg(script).arg(self.keys.len()).arg(&self.keys).arg(&self.args);
        command
    }

    fn by_sha1(&self) -> Cmd {
        self.command("EVALSHA", &self.script.sha1)
    }

    /// Sends the source of the script. Afterwards the server knows the script.
    fn by_source(&self) -> Cmd {
        self.command("EVAL", self.script.source)
    }
}

/// One command of a batch.
pub(crate) enum Step {
    /// A script.
    Script(Call),
    /// A plain command.
    Plain(Cmd),
}

impl From<Call> for Step {
    fn from(call: Call) -> Self {
        Self::Script(call)
    }
}

impl From<Cmd> for Step {
    fn from(command: Cmd) -> Self {
        Self::Plain(command)
    }
}

/// A command with its arguments.
pub(crate) fn command(name: &str, arguments: impl ToRedisArgs) -> Cmd {
    let mut command = redis::cmd(name);
    command.arg(arguments);
    command
}

/// Sends the steps in one round trip, and returns the answer of each step.
///
/// A server that has lost its scripts executes the plain commands and answers NOSCRIPT to the scripts. Exactly these
/// scripts are sent again, with their source.
pub(crate) async fn send(connection: &mut MultiplexedConnection, steps: &[Step]) -> RedisResult<Vec<Value>> {
    let commands = steps.iter().map(|step| match step {
        Step::Script(call) => call.by_sha1(),
        Step::Plain(command) => command.clone(),
    });
    let mut answers = exchange(connection, commands).await?;

    let refused: Vec<(usize, &Call)> = steps
        .iter()
        .enumerate()
        .filter_map(|(at, step)| match step {
            Step::Script(call) if answers[at].as_ref().is_err_and(is_unknown_script) => Some((at, call)),
            _ => None,
        })
        .collect();
    if !refused.is_empty() {
        let again = exchange(connection, refused.iter().map(|(_, call)| call.by_source())).await?;
        for ((at, _), answer) in refused.into_iter().zip(again) {
            answers[at] = answer;
        }
    }
    answers.into_iter().collect()
}

async fn exchange(
    connection: &mut MultiplexedConnection,
    commands: impl Iterator<Item = Cmd>,
) -> RedisResult<Vec<RedisResult<Value>>> {
    let mut pipeline = redis::pipe();
    pipeline.ignore_errors();
    for command in commands {
        pipeline.add_command(command);
    }
    pipeline.query_async(connection).await
}

fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}
