//! Each claiming statement takes exactly the jobs that `look` calls claimable, except the jobs that its header leaves to another
//! statement. A job that has crashed a worker once may also be claimed while only few such jobs run.

use crate::{
    fixture::{Fixture, kind, name, new_job},
    plans::statement,
};
use leasehold_core::{Claimability, JobId, NewJob, Unique, WorkerId};
use leasehold_ports::Kinds;
use sqlx::{AssertSqlSafe, Row};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use uuid::Uuid;

/// The statements, their parameters, and the jobs that they leave to other statements.
const STATEMENTS: [(&str, &str, &[&str]); 4] = [
    ("claim", "$worker, $ids, '{k}', 1000, 'default'", &["crashed", "unique", "retry", "child"]),
    ("claim_any", "$worker, $ids, '{k}', 1000, 'default'", &["crashed", "unique"]),
    ("claim_careful", "$worker, $ids, '{k}', 1000, 100, 'default'", &[]),
    ("claim_line", "$worker, 'default', '{k}', 100, 1000, true", &[]),
];

/// One job of each sort, by the name of the sort.
async fn jobs(fixture: &Fixture) -> BTreeMap<&'static str, JobId> {
    let parent = fixture.running(WorkerId::new()).await;
    let with = |set: fn(&mut NewJob)| new_job().with(set);
    let jobs = [
        ("plain", new_job()),
        ("retry", with(|job| job.retry = Some(Default::default()))),
        (
            "unique",
            with(|job| job.unique = Some(Unique::keep_last())).with(|job| job.unique_key = Some("u".to_owned())),
        ),
        ("expires", with(|job| job.expires_in = Some(Duration::from_secs(600)))),
        ("expired", with(|job| job.expires_in = Some(Duration::from_secs(600)))),
        ("scheduled", with(|job| job.delay = Some(Duration::from_secs(600)))),
        ("foreign", with(|job| job.kind = kind("other"))),
        ("elsewhere", with(|job| job.queue = name("q2"))),
        ("crashed", new_job()),
        ("blocked", new_job()),
        ("child", new_job()),
        ("limited", with(|job| job.limit_keys = vec!["l".to_owned()])),
        ("fair", with(|job| job.fair_key = Some("f".to_owned()))),
    ];
    for (_, job) in &jobs {
        fixture.enqueue(std::slice::from_ref(job)).await.expect("enqueue");
    }
    let ids: BTreeMap<_, _> = jobs.iter().map(|(sort, job)| (*sort, job.id)).chain([("running", parent.id)]).collect();
    fixture.set_crashes(ids["crashed"], 1).await;
    fixture.block(ids["blocked"]).await;
    let set = |what: &str, sort: &str| format!("UPDATE leasehold.job SET {what} WHERE id = '{}'", ids[sort]);
    fixture.sql(&set("expires_at = now() - interval '1 s'", "expired")).await;
    fixture.sql(&set("unmet = 0", "child")).await;
    ids
}

#[tokio::test]
async fn every_claim_takes_the_jobs_that_look_calls_claimable() {
    let fixture = Fixture::start().await;
    let ids = jobs(&fixture).await;
    let all: Vec<JobId> = ids.values().copied().collect();
    let list = all.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let mut connection = fixture.connection().await;
    for (pause, resume) in [
        ("SELECT", "SELECT"),
        (
            "INSERT INTO leasehold.queue (name, paused_at) VALUES ('default', now())
             ON CONFLICT (name) DO UPDATE SET paused_at = now()",
            "UPDATE leasehold.queue SET paused_at = NULL",
        ),
        (
            "INSERT INTO leasehold.pause (queue, what, name) VALUES ('default', 'kind', 'k')",
            "DELETE FROM leasehold.pause",
        ),
    ] {
        fixture.sql(pause).await;
        let looked = fixture.look(&all, &Kinds::Only(vec![kind("k")])).await.expect("look");
        let claimable: BTreeSet<JobId> = looked
            .into_iter()
            .filter(|job| matches!(job.claimability, Claimability::Claimable | Claimability::Crashed))
            .filter(|job| job.queue == name("default"))
            .map(|job| job.id)
            .collect();
        assert_eq!(claimable.is_empty(), pause != "SELECT", "{pause}: {claimable:?}");
        for (statement_name, parameters, left) in STATEMENTS {
            let parameters = parameters
                .replace("$worker", "'00000000-0000-7000-8000-000000000000'")
                .replace("$ids", &format!("'{{{list}}}'"));
            let script = format!(
                "PREPARE s AS {}; BEGIN; EXECUTE s({parameters}); ROLLBACK; DEALLOCATE s",
                statement(statement_name)
            );
            let rows = sqlx::raw_sql(AssertSqlSafe(script)).fetch_all(&mut connection).await.expect(statement_name);
            let claimed: BTreeSet<JobId> = rows.iter().map(|row| JobId(row.get::<Uuid, _>("id"))).collect();
            let left: BTreeSet<JobId> = left.iter().map(|sort| ids[sort]).collect();
            let expected: BTreeSet<JobId> = claimable.difference(&left).copied().collect();
            let sorts = |of: &BTreeSet<JobId>| -> Vec<&str> {
                ids.iter().filter(|(_, id)| of.contains(*id)).map(|(sort, _)| *sort).collect()
            };
            assert_eq!(sorts(&claimed), sorts(&expected), "{statement_name}, {pause}");
        }
        fixture.sql(resume).await;
    }
}
