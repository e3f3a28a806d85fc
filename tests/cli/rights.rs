//! Each role (owner, app, worker, reader) has exactly the rights that it needs; so has a role that may only call one
//! function.

use crate::{
    fixture::{Ran, Scene},
    process::Background,
};
use leasehold_tests::eventually;
use serde_json::json;
use sqlx::{AssertSqlSafe, PgConnection};
use std::time::Duration;

/// The URL of the scene's database for a role.
fn as_role(scene: &Scene, role: &str) -> String {
    let url = &scene.stores.database.url;
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}options=-c%20role%3D{role}")
}

fn run_as(scene: &Scene, role: &str, args: &[&str]) -> Ran {
    scene.run(&[args, &["--database-url", &as_role(scene, role)]].concat())
}

async fn sql(connection: &mut PgConnection, script: &str) -> Result<(), String> {
    let done = sqlx::raw_sql(AssertSqlSafe(script.to_owned())).execute(connection).await;
    done.map(drop).map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_has_what_it_needs_and_no_more() {
    let scene = Scene::start().await;
    let printed = scene.output(&["migrate", "roles"]);
    assert!(printed.starts_with("-- roles:") && printed.contains("GRANT USAGE ON SCHEMA leasehold"), "{printed}");
    for _ in 0..2 {
        assert_eq!(
            scene.json(&["migrate", "roles", "--apply"]),
            json!(["leasehold_owner", "leasehold_app", "leasehold_worker", "leasehold_api", "leasehold_reader"])
        );
    }
    let url = as_role(&scene, "leasehold_worker");
    let fleet = ["--database-url", &*url];
    let _reaper = Background::start(&scene, &[&["reaper"][..], &fleet].concat(), &[]);
    let worker = Background::start(
        &scene,
        &[
            &[
                "worker",
                "--queue",
                "q=2",
                "--exec",
                "good=echo done",
                "--exec",
                "bad=exit 65",
                "--exec",
                "again=exit 1",
            ][..],
            &fleet,
        ]
        .concat(),
        &[],
    );
    let app = |args: &[&str]| run_as(&scene, "leasehold_app", args).succeeded();
    let good = app(&["enqueue", "--kind", "good", "--queue", "q", "--unique-key", "u"]);
    let later =
        app(&["enqueue", "--kind", "good", "--queue", "q", "--delay", "1s", "--id", &uuid::Uuid::now_v7().to_string()]);
    let bad = app(&["enqueue", "--kind", "bad", "--queue", "q"]);
    let again = app(&["enqueue", "--kind", "again", "--queue", "q", "--max-attempts", "2"]);
    let waiting = app(&["enqueue", "--kind", "good", "--queue", "elsewhere"]);
    assert_eq!(app(&["job", "cancel", &waiting]), format!("{waiting}  cancelled"));
    assert!(app(&["job", "wait", "--timeout", "60s", &good, &later]).contains("succeeded"));
    let child = app(&["enqueue", "--kind", "good", "--queue", "q", "--depends-on", &good, &later]);
    assert!(app(&["job", "wait", "--timeout", "60s", &child]).contains("succeeded"));
    assert!(app(&["graph", "show", &child]).contains(&good));
    for dead in [&bad, &again] {
        assert_eq!(run_as(&scene, "leasehold_app", &["job", "wait", "--timeout", "60s", dead]).code, 1);
        assert_eq!(scene.json(&["job", "show", dead])["state"], "dead");
    }

    let reader = |args: &[&str]| run_as(&scene, "leasehold_reader", args);
    for args in [
        &["stats"][..],
        &["queue", "list"],
        &["job", "list"],
        &["job", "list", "--before", &good],
        &["job", "show", &bad],
        &["job", "explain", &good],
        &["graph", "show", &child],
        &["migrate", "status"],
        &["doctor"],
    ] {
        let ran = reader(args);
        assert_eq!(ran.code, 0, "{args:?}: {ran:?}");
    }
    for (role, args) in [
        ("leasehold_reader", &["enqueue", "--kind", "k"][..]),
        ("leasehold_reader", &["job", "cancel", &good]),
        ("leasehold_reader", &["queue", "pause", "q"]),
        ("leasehold_app", &["queue", "pause", "q"]),
        ("leasehold_app", &["job", "retry", &bad]),
        ("leasehold_app", &["queue", "purge", "q", "--yes"]),
    ] {
        let ran = run_as(&scene, role, args);
        assert!(ran.code == 1 && ran.stderr.contains("permission denied"), "{role} {args:?}: {ran:?}");
    }
    let operator = |args: &[&str]| run_as(&scene, "leasehold_worker", args).succeeded();
    operator(&["queue", "pause", "q"]);
    operator(&["queue", "resume", "q"]);
    assert_eq!(operator(&["job", "retry", &bad]), format!("{bad}  back in the line"));
    // A client names a webhook that it cannot read, and so does a schedule that a reaper fires.
    operator(&["webhook", "set", "crm", "--url", "https://example.com/hooks", "--queue", "none"]);
    assert!(run_as(&scene, "leasehold_app", &["webhook", "list"]).stderr.contains("permission denied"));
    let named = app(&["enqueue", "--kind", "good", "--queue", "q", "--webhook", "crm"]);
    assert!(app(&["job", "wait", "--timeout", "60s", &named]).contains("succeeded"));
    assert!(reader(&["job", "show", &named]).stdout.contains("webhook       crm"));
    operator(&["schedule", "set", "s", "--every", "1s", "--kind", "good", "--queue", "q", "--webhook", "crm"]);
    eventually("two deliveries", Duration::from_secs(60), async || {
        let deliveries = scene.json(&["job", "list", "--queue", "leasehold.webhooks", "--kind", "crm"]);
        if deliveries.as_array().is_some_and(|jobs| jobs.len() > 1) { Ok(()) } else { Err(deliveries) }
    })
    .await;
    operator(&["schedule", "remove", "s"]);
    operator(&["doctor", "--repair"]);
    let ran = worker.stop();
    assert!(ran.code == 0 && !ran.stderr.contains("permission denied"), "{ran:?}");

    // `Client::job` reads what a job names.
    let reads = "SET ROLE leasehold_app; SELECT FROM leasehold.job_webhook; RESET ROLE";
    sql(&mut scene.sql().await, reads).await.expect("a client reads it");

    // The owner owns what it migrates, and also the partitions that a reaper creates or drops.
    let mut admin = scene.sql().await;
    sql(&mut admin, "SET ROLE leasehold_worker; SELECT leasehold.make_partition('2030-01-01'); RESET ROLE")
        .await
        .expect("made");
    assert_eq!(run_as(&scene, "leasehold_owner", &["migrate"]).succeeded(), "the schema is up to date");
}

/// Only the owner makes tokens, only the server reads the hashes that prove them, and only the owner changes the
/// audit.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_secret_and_the_audit_only_grows() {
    let scene = Scene::start().await;
    scene.output(&["migrate", "roles", "--apply"]);
    // As a migration of the owner finds new tables, with the rights that they have by default.
    let mut admin = scene.sql().await;
    sql(
        &mut admin,
        "GRANT ALL ON leasehold.token, leasehold.audit TO leasehold_worker; GRANT SELECT ON leasehold.token TO leasehold_reader",
    )
    .await
    .expect("granted");
    scene.output(&["migrate", "roles", "--apply"]);
    // A server with the role of a worker serves requests only while there are no tokens.
    let api = Background::start(
        &scene,
        &["api", "--listen", "127.0.0.1:0", "--database-url", &as_role(&scene, "leasehold_worker")],
        &[("LEASEHOLD_LOG__FORMAT", "json")],
    );
    api.says("the HTTP interface is served").await;
    let create = ["token", "create", "--name", "n", "--scope", "read"];
    run_as(&scene, "leasehold_owner", &create).succeeded();
    for role in ["leasehold_worker", "leasehold_api", "leasehold_reader"] {
        assert!(run_as(&scene, role, &["token", "list"]).succeeded().contains(" read "), "{role}");
        let ran = run_as(&scene, role, &create);
        assert!(ran.code == 1 && ran.stderr.contains("permission denied"), "{role}: {ran:?}");
        run_as(&scene, role, &["audit", "list"]).succeeded();
    }
    run_as(&scene, "leasehold_worker", &["queue", "pause", "q"]).succeeded();
    run_as(&scene, "leasehold_app", &["enqueue", "--kind", "k", "--batch", "b"]).succeeded();
    run_as(&scene, "leasehold_app", &["batch", "cancel", "b"]).succeeded();
    let reads_hash = "SELECT hash FROM leasehold.token";
    let forged =
        "INSERT INTO leasehold.audit (actor, action, target, at) VALUES ('a', 'b', 'c', now() - interval '1 day')";
    for (role, script, is_allowed) in [
        ("leasehold_api", reads_hash, true),
        ("leasehold_worker", reads_hash, false),
        ("leasehold_reader", reads_hash, false),
        ("leasehold_app", "SELECT id FROM leasehold.token", false),
        ("leasehold_api", "UPDATE leasehold.token SET last_used_at = now()", true),
        ("leasehold_api", "UPDATE leasehold.token SET scopes = '{admin}'", false),
        ("leasehold_api", "UPDATE leasehold.token SET hash = hash", false),
        ("leasehold_worker", "UPDATE leasehold.token SET last_used_at = now()", false),
        ("leasehold_worker", "SELECT leasehold.trim_audit(100)", true),
        ("leasehold_app", "SELECT FROM leasehold.audit", false),
        ("leasehold_app", forged, false),
        ("leasehold_api", forged, false),
    ] {
        let done = sql(&mut admin, &format!("SET ROLE {role}; {script}")).await;
        sql(&mut admin, "RESET ROLE").await.expect("reset");
        match is_allowed {
            true => done.expect(script),
            false => assert!(done.expect_err(script).contains("permission denied"), "{role}: {script}"),
        }
    }
    for role in ["leasehold_app", "leasehold_worker", "leasehold_api", "leasehold_reader"] {
        for script in
            ["UPDATE leasehold.audit SET actor = 'x'", "DELETE FROM leasehold.audit", "TRUNCATE leasehold.audit"]
        {
            let done = sql(&mut admin, &format!("SET ROLE {role}; {script}")).await;
            sql(&mut admin, "RESET ROLE").await.expect("reset");
            assert!(done.expect_err(script).contains("permission denied"), "{role}: {script}");
        }
    }
    let rows = scene.json(&["audit", "list"]);
    let actions: Vec<&str> = rows.as_array().expect("rows").iter().filter_map(|row| row["action"].as_str()).collect();
    assert_eq!(actions, ["batch.cancel", "queue.pause", "token.create"], "{rows}");
    let ran = run_as(&scene, "leasehold_worker", &["api", "--listen", "127.0.0.1:0"]);
    assert!(ran.code == 1 && ran.stderr.contains("grant the user leasehold_api"), "{ran:?}");
}

/// The owner of the schema grants the rights of a new version, but may create no role.
#[tokio::test(flavor = "multi_thread")]
async fn the_owner_grants_new_rights_without_a_superuser() {
    let scene = Scene::start_apart().await;
    scene.output(&["migrate", "roles", "--apply"]);
    let mut admin = scene.sql().await;
    sql(&mut admin, "DROP OWNED BY leasehold_api; DROP ROLE leasehold_api").await.expect("as before the upgrade");
    let ran = run_as(&scene, "leasehold_owner", &["migrate", "roles", "--apply"]);
    assert!(ran.code == 0 && !ran.stdout.contains("leasehold_api"), "{ran:?}");
    assert!(ran.stderr.contains("CREATE ROLE leasehold_api"), "{ran:?}");
    sql(&mut admin, "CREATE ROLE leasehold_api").await.expect("created");
    for _ in 0..2 {
        let told = run_as(&scene, "leasehold_owner", &["migrate", "roles", "--apply"]).succeeded();
        assert!(told.contains("leasehold_api"), "{told}");
    }
    run_as(&scene, "leasehold_owner", &["token", "create", "--name", "n", "--scope", "admin"]).succeeded();
    let url = as_role(&scene, "leasehold_api");
    let api = ["api", "--listen", "127.0.0.1:0", "--database-url", &url];
    let server = Background::start(&scene, &api, &[("LEASEHOLD_LOG__FORMAT", "json")]);
    server.says("the HTTP interface is served").await;
    for args in [&["enqueue", "--kind", "k"][..], &["queue", "pause", "q"], &["queue", "purge", "default", "--yes"]] {
        run_as(&scene, "leasehold_api", args).succeeded();
    }
    let ran = server.stop();
    assert!(ran.code == 0 && !ran.stderr.contains("permission denied"), "{ran:?}");
}

/// USAGE on the schema and EXECUTE on one function are enough to call this function, and allow nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_function_needs_no_rights_on_tables() {
    let scene = Scene::start().await;
    let mut caller = scene.sql().await;
    let public = "SELECT count(*) FROM pg_proc p WHERE p.pronamespace = 'leasehold'::regnamespace
                  AND p.proname NOT IN ('first_id_at', 'is_off_clock', 'limits_and_shares_are_legal')
                  AND has_function_privilege('public', p.oid, 'EXECUTE')";
    assert_eq!(sqlx::query_scalar::<_, i64>(public).fetch_one(&mut caller).await.expect("a number"), 0);
    sql(
        &mut caller,
        "CREATE ROLE nobody_special; GRANT USAGE ON SCHEMA leasehold TO nobody_special; SET ROLE nobody_special",
    )
    .await
    .expect("a role");
    let enqueue = "SELECT leasehold.enqueue('k', '{}', unique_key => 'u')";
    for script in [enqueue, "SELECT leasehold.cancel(gen_random_uuid())", "SELECT FROM leasehold.jobs"] {
        assert!(sql(&mut caller, script).await.expect_err(script).contains("permission denied"), "{script}");
    }
    let grant = "RESET ROLE; GRANT EXECUTE ON FUNCTION
                 leasehold.enqueue(text, text, text, integer, timestamptz, integer, text, interval, uuid[], text, uuid,
                                    jsonb, timestamptz, jsonb, text, text, text, text, text),
                 leasehold.cancel(uuid) TO nobody_special; SET ROLE nobody_special";
    sql(&mut caller, grant).await.expect("a grant");
    let id: uuid::Uuid = sqlx::query_scalar(enqueue).fetch_one(&mut caller).await.expect("enqueued");
    let again: uuid::Uuid = sqlx::query_scalar(enqueue).fetch_one(&mut caller).await.expect("the same job");
    assert_eq!(id, again);
    // A function with the owner's rights must not use objects that its caller created with the same names.
    let trap = "CREATE TEMP TABLE job (id uuid); SET search_path = pg_temp, leasehold, public";
    sql(&mut caller, trap).await.expect("a table with the same name");
    let state: String =
        sqlx::query_scalar("SELECT leasehold.cancel($1)").bind(id).fetch_one(&mut caller).await.expect("cancelled");
    assert_eq!(state, "cancelled");
    assert!(sql(&mut caller, "SELECT FROM leasehold.job").await.is_err());
    sql(&mut caller, "RESET ROLE; DROP OWNED BY nobody_special; DROP ROLE nobody_special").await.expect("dropped");
}

/// The owner of the schema needs no rights on the database.
#[tokio::test(flavor = "multi_thread")]
async fn the_owner_of_the_schema_migrates_without_rights_on_the_database() {
    let scene = Scene::start().await;
    let mut admin = scene.sql().await;
    let prepare =
        "DROP SCHEMA leasehold CASCADE; CREATE ROLE schema_owner; CREATE SCHEMA leasehold AUTHORIZATION schema_owner";
    sql(&mut admin, prepare).await.expect("prepared");
    let told = run_as(&scene, "schema_owner", &["migrate"]).succeeded();
    assert!(told.starts_with("applied 0001"), "{told}");
    run_as(&scene, "schema_owner", &["enqueue", "--kind", "k"]).succeeded();
    sql(&mut admin, "DROP OWNED BY schema_owner CASCADE; DROP ROLE schema_owner").await.expect("dropped");
}

/// If Redis forbids INFO, doctor cannot read the eviction policy but still checks everything else.
#[tokio::test(flavor = "multi_thread")]
async fn doctor_works_with_a_redis_that_forbids_info() {
    let scene = Scene::start().await;
    let mut redis = scene.stores.redis.connect().await;
    let rules = ["SETUSER", "limited", "on", ">secret", "~*", "&*", "+@all", "-info"];
    redis::cmd("ACL").arg(&rules).query_async::<()>(&mut redis).await.expect("a user");
    let place = scene.stores.redis.url.rsplit_once("//").expect("a URL").1;
    let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
    let _reaper = Background::start(&scene, &["reaper"], &[]);
    let url = format!("redis://limited:secret@{place}");
    leasehold_tests::eventually("doctor finds nothing wrong", std::time::Duration::from_secs(30), || async {
        let ran = scene.run(&["doctor", "--redis-url", &url]);
        if ran.code == 0 && (ran.stdout.clone() + &ran.stderr).contains("Redis does not tell this user how it evicts") {
            Ok(())
        } else {
            Err(ran)
        }
    })
    .await;
}
