//! Passwords of the stores stay with the process that got them.

use crate::{
    fixture::{Ran, Scene, program_in, run},
    process::Background,
};
use leasehold_tests::eventually;
use serde_json::Value;
use std::{fs, process::Command, time::Duration};

/// The password of both stores. The PostgreSQL of the tests accepts any password.
const SECRET: &str = "hunter2-in-no-place";

/// Both stores with passwords, and their URLs.
async fn scene_with_passwords() -> (Scene, String, String) {
    let scene = Scene::start().await;
    let mut redis = scene.stores.redis.connect().await;
    redis::cmd("CONFIG")
        .arg(&["SET", "requirepass", SECRET])
        .query_async::<()>(&mut redis)
        .await
        .expect("setting a password");
    let database = with_password(&scene.stores.database.url, "");
    let redis = with_password(&scene.stores.redis.url, ":");
    (scene, database, redis)
}

/// The URL with this password, which replaces any other.
fn with_password(url: &str, no_user: &str) -> String {
    let (scheme, rest) = url.split_once("://").expect("a URL");
    match rest.split_once('@') {
        Some((login, place)) => {
            format!("{scheme}://{}:{SECRET}@{place}", login.split(':').next().unwrap_or_default())
        }
        None => format!("{scheme}://{no_user}{SECRET}@{rest}"),
    }
}

fn program(scene: &Scene, args: &[&str], database: &str, redis: &str) -> Command {
    let mut command = program_in(scene.folder());
    command.args(args).env("LEASEHOLD_DATABASE_URL", database).env("LEASEHOLD_REDIS_URL", redis);
    command
}

fn result(ran: Ran) -> String {
    let end: Value = serde_json::from_str(&ran.succeeded()).expect("JSON");
    end["result"].as_str().unwrap_or_default().to_owned()
}

/// The environment of a command, and what is logged about the command, contain no secrets unless the user asks for
/// them.
#[tokio::test(flavor = "multi_thread")]
async fn commands_get_no_secrets_unless_the_user_asks_for_them() {
    let (scene, database, redis) = scene_with_passwords().await;
    fs::write(scene.folder().join("url"), &redis).expect("written");
    // The command's environment, as itself and as its child process see it, and the arguments of its parent.
    let look = "k=env; tr '\\0' '\\n' < /proc/self/environ; tr '\\0' ' ' < /proc/$PPID/cmdline; env >&2";
    for (pass, seen) in [
        (&[][..], &[][..]),
        (&["--pass-env"][..], &["LEASEHOLD_DATABASE_URL=", "LEASEHOLD_REDIS_URL_FILE=", "LEASEHOLD_LOG__FILTER="][..]),
        (&["--pass-env", "LEASEHOLD_DATABASE_URL"][..], &["LEASEHOLD_DATABASE_URL="][..]),
        (
            &["--pass-env=LEASEHOLD_LOG__FILTER,LEASEHOLD_REDIS_URL_FILE"][..],
            &["LEASEHOLD_REDIS_URL_FILE=", "LEASEHOLD_LOG__FILTER="][..],
        ),
    ] {
        let args = [&["worker", "--queue", "q", "--exec", look, "--exec", "fails=env >&2; exit 1"][..], pass].concat();
        let mut command = program_in(scene.folder());
        command.args(args).env("LEASEHOLD_DATABASE_URL", &database).env("LEASEHOLD_REDIS_URL_FILE", "url");
        command.env("LEASEHOLD_LOG__FILTER", "info").env("MY_OWN_PASSWORD", "is my own affair");
        let worker = Background::spawn(command);
        let call = |args: &[&str]| run(program(&scene, args, &database, &redis), b"");
        let id = call(&["enqueue", "--kind", "k", "--queue", "q"]).succeeded();
        let told = result(call(&["job", "wait", "--timeout", "30s", "--json", &id]));
        for name in ["LEASEHOLD_DATABASE_URL=", "LEASEHOLD_REDIS_URL_FILE=", "LEASEHOLD_LOG__FILTER="] {
            assert_eq!(told.contains(name), seen.contains(&name), "{pass:?} {name}: {told}");
        }
        for name in ["MY_OWN_PASSWORD=is my own affair", "LEASEHOLD_KIND=k", "LEASEHOLD_RUN=1."] {
            assert!(told.contains(name), "{name}: {told}");
        }
        let failing = call(&["enqueue", "--kind", "fails", "--queue", "q", "--max-attempts", "1"]).succeeded();
        call(&["job", "wait", "--timeout", "30s", &failing]);
        let error = call(&["job", "show", "--json", &failing]).succeeded();
        let asked = seen.contains(&"LEASEHOLD_DATABASE_URL=");
        assert_eq!((told.contains(SECRET), error.contains(SECRET)), (asked, asked), "{pass:?}: {told} {error}");
        let ran = worker.stop();
        assert!(ran.code == 0 && !ran.stderr.contains(SECRET), "{ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn local_slots_of_each_hide_secrets_too() {
    let (scene, database, redis) = scene_with_passwords().await;
    for (pass, asked) in [(None, false), (Some("--pass-env"), true)] {
        let mut args = vec!["each", "--queue", "q", "--jobs", "1"];
        args.extend(pass);
        args.extend(["--", "env"]);
        let told = run(program(&scene, &args, &database, &redis), b"x=y\n").succeeded();
        assert_eq!((told.contains("LEASEHOLD_KIND=command"), told.contains(SECRET)), (true, asked), "{told}");
    }
}

/// `ps` shows the arguments of every process to every user.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_among_the_arguments_is_blanked() {
    let (scene, database, redis) = scene_with_passwords().await;
    let set = format!("redis.url={redis}");
    for stores in
        [vec!["--database-url", &database, "--redis-url", &redis], vec!["--set", &set, "--database-url", &database]]
    {
        let mut command = program_in(scene.folder());
        command.args(["worker", "--queue", "q"]).args(&stores).args(["--exec", "k=env; echo done"]);
        let worker = Background::spawn(command);
        let shown = || fs::read(format!("/proc/{}/cmdline", worker.id())).unwrap_or_default();
        worker.says("the worker has started").await;
        let shown = String::from_utf8_lossy(&shown()).replace('\0', " ");
        assert!(shown.contains("worker --queue q") && shown.contains(":***@") && !shown.contains(SECRET), "{shown}");
        let name = fs::read_to_string(format!("/proc/{}/comm", worker.id())).expect("the name of the process");
        assert_eq!(name.trim(), "leasehold", "the name of the process must stay");

        let args = [&["enqueue", "--kind", "k", "--queue", "q"][..], &stores].concat();
        let mut command = program_in(scene.folder());
        command.args(args);
        let id = run(command, b"").succeeded();
        let wait = ["job", "wait", "--timeout", "30s", "--json", &id];
        let told = result(run(program(&scene, &wait, &database, &redis), b""));
        assert!(told.contains("done") && !told.contains(SECRET), "{told}");
        let ran = worker.stop();
        assert!(ran.code == 0 && !ran.stderr.contains(SECRET), "{ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn urls_are_read_from_files() {
    let (scene, database, redis) = scene_with_passwords().await;
    fs::write(scene.folder().join("database"), format!("{database}\n")).expect("written");
    fs::write(scene.folder().join("redis"), format!("{redis}\n")).expect("written");
    let call = |variables: &[(&str, &str)]| {
        let mut command = program_in(scene.folder());
        command.args(["stats"]).envs(variables.iter().copied());
        run(command, b"")
    };
    let files = [("LEASEHOLD_DATABASE_URL_FILE", "database"), ("LEASEHOLD_REDIS_URL_FILE", "redis")];
    call(&files).succeeded();
    call(&[files[0], ("LEASEHOLD_REDIS_URL_FILE", "none")])
        .refused(2, "redis.url cannot be read from the file none: No such file");
    let twice = call(&[files[0], files[1], ("LEASEHOLD_DATABASE_URL", &database)]);
    twice.refused(2, "database.url is set twice, by LEASEHOLD_DATABASE_URL and by LEASEHOLD_DATABASE_URL_FILE");
    assert!(!twice.stderr.contains(SECRET), "{twice:?}");
}

/// Kubernetes names environment variables after Services, and a Service may have the name `leasehold`.
#[tokio::test(flavor = "multi_thread")]
async fn variables_of_services_are_not_settings() {
    let scene = Scene::start().await;
    let mut command = scene.command(&["stats"]);
    command.env("LEASEHOLD_PORT", "tcp://10.0.0.1:80").env("LEASEHOLD_SERVICE_HOST", "10.0.0.1");
    command.env("LEASEHOLD_WORKER_PORT_80_TCP_ADDR", "10.0.0.1").env("LEASEHOLD_API_SERVICE_PORT_HTTP", "80");
    run(command, b"").succeeded();
}

/// Errors name the server but never the password.
#[tokio::test(flavor = "multi_thread")]
async fn errors_show_no_password() {
    let scene = Scene::start().await;
    let (good, redis) = (&scene.stores.database.url, &scene.stores.redis.url);
    for (database, redis) in [
        (format!("postgres://ann:{SECRET}@127.0.0.1:1/jobs"), redis.clone()),
        (format!("postgres://ann:{SECRET}@127.0.0.1:x/jobs"), redis.clone()),
        (format!("postgres:/ann:{SECRET}@127.0.0.1/jobs"), redis.clone()),
        (SECRET.to_owned(), redis.clone()),
        (with_password(good, "").replace("/leasehold", "/none"), redis.clone()),
        (good.clone(), format!("redis://:{SECRET}@127.0.0.1:1/")),
        (good.clone(), format!("redis://:{SECRET}@127.0.0.1:x/")),
        (good.clone(), with_password(redis, ":")),
        (good.clone(), format!("redis:/{SECRET}")),
    ] {
        for args in [&["stats"][..], &["enqueue", "--kind", "k"], &["reaper", "--once"], &["doctor"]] {
            let ran = run(program(&scene, args, &database, &redis), b"");
            assert!(!ran.stderr.contains(SECRET) && !ran.stdout.contains(SECRET), "{ran:?}");
            let flags = [args, &["--database-url", &database, "--redis-url", &redis]].concat();
            let mut command = program_in(scene.folder());
            command.args(flags);
            let ran = run(command, b"");
            assert!(!ran.stderr.contains(SECRET) && !ran.stdout.contains(SECRET), "{ran:?}");
        }
    }
    // Not even while a process runs that cannot reach its stores.
    let away = format!("postgres://ann:{SECRET}@127.0.0.1:1/jobs");
    let mut command = program_in(scene.folder());
    command.args(["each", "--queue", "q", "--database-url", &away, "--redis-url", redis, "--", "cat"]);
    let each = Background::spawn(command);
    eventually("the process has ended or has blanked its arguments", Duration::from_secs(20), || async {
        let shown = fs::read(format!("/proc/{}/cmdline", each.id())).unwrap_or_default();
        let shown = String::from_utf8_lossy(&shown).into_owned();
        if shown.contains(SECRET) { Err(shown) } else { Ok(()) }
    })
    .await;
}
