//! The field `webhook` of a job: the webhook that the job names gets the end of the job, once, whatever the filter of the webhook
//! is.

use crate::{
    fixture::{Fixture, json, kind, name, new_job, retry},
    schedules::{ago, due, fire, fired, hourly},
    webhooks::webhook,
};
use leasehold_core::{
    Fence, JobId, NewJob, NewSchedule, ParentFailure, Settle, Settled, State, Success, Unique, WorkerId,
};
use leasehold_store::{NewWebhook, ScheduleChange, WebhookChange};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::time::Duration;

/// A webhook whose filter no job fits.
fn elsewhere(id: &str) -> NewWebhook {
    NewWebhook { queue: "elsewhere".into(), ..webhook(id) }
}

/// A job that names the webhook `named`.
fn naming() -> NewJob {
    NewJob { webhook: Some("named".into()), ..new_job() }
}

impl Fixture {
    async fn with_named() -> Self {
        let fixture = Self::start().await;
        fixture.has_webhook(&elsewhere("named")).await;
        fixture
    }

    /// A run of a job that names the webhook.
    async fn naming_run(&self) -> Fence {
        let job = naming();
        self.enqueue(std::slice::from_ref(&job)).await.expect("enqueue");
        self.claim_one(WorkerId::new(), job.id).await.fence
    }

    /// The webhook and the event of each delivery about this job, in order.
    async fn heard(&self, id: JobId) -> Vec<(String, String)> {
        let query = "SELECT j.kind::text, j.payload ->> 'type' FROM leasehold.jobs j
                     WHERE j.queue = 'leasehold.webhooks' AND j.payload -> 'data' ->> 'id' = $1::text ORDER BY 1, 2";
        let rows = sqlx::query_as(query).bind(id.to_string()).fetch_all(self.pool()).await;
        rows.expect("deliveries")
    }

    async fn named_heard(&self, id: JobId, events: &[&str]) {
        let wanted: Vec<_> = events.iter().map(|event| ("named".to_owned(), format!("job.{event}"))).collect();
        assert_eq!(self.heard(id).await, wanted);
    }

    async fn completes(&self, fence: Fence) {
        assert_eq!(self.settle_one(fence, Settle::Complete(None)).await, Settled::Done);
    }

    async fn webhook_of(&self, id: JobId) -> Option<String> {
        self.record(id).await.webhook
    }

    async fn named_rows(&self) -> i64 {
        self.number("SELECT count(*) FROM leasehold.job_webhook").await
    }
}

#[tokio::test]
async fn the_named_webhook_is_told_once_and_the_others_as_their_filters_say() {
    let fixture = Fixture::with_named().await;
    fixture.has_webhook(&webhook("fits")).await;
    fixture.has_webhook(&elsewhere("other")).await;
    fixture.has_webhook(&NewWebhook { states: vec![State::Dead], ..elsewhere("of-deaths") }).await;
    let both = fixture.naming_run().await;
    fixture.completes(both).await;
    let told = |ids: &[&str]| -> Vec<(String, String)> {
        ids.iter().map(|id| ((*id).to_owned(), "job.succeeded".to_owned())).collect()
    };
    assert_eq!(fixture.heard(both.id).await, told(&["fits", "named"]));
    assert_eq!(fixture.webhook_of(both.id).await.as_deref(), Some("named"), "the job shows what it names");

    // The filter fits, and the job names the webhook too: one message.
    let same = NewJob { webhook: Some("fits".into()), ..new_job() };
    // A value in `retry` says nothing about webhooks, and the states that a webhook asks for count.
    let retried = NewJob { retry: Some(Default::default()), ..new_job() };
    let only_deaths = NewJob { webhook: Some("of-deaths".into()), ..new_job() };
    for (job, wanted) in [(same, told(&["fits"])), (retried, told(&["fits"])), (only_deaths, told(&["fits"]))] {
        fixture.enqueue(std::slice::from_ref(&job)).await.expect("enqueue");
        let fence = fixture.claim_one(WorkerId::new(), job.id).await.fence;
        fixture.completes(fence).await;
        assert_eq!(fixture.heard(job.id).await, wanted);
    }
    fixture.keeps_the_invariants().await;
}

#[tokio::test]
async fn every_end_of_a_job_that_names_a_webhook_makes_one_delivery() {
    let fixture = Fixture::with_named().await;
    let enqueued = async |job: NewJob| {
        fixture.enqueue(std::slice::from_ref(&job)).await.expect("enqueue");
        job.id
    };
    let buried = fixture.naming_run().await;
    fixture.settle_one(buried, Settle::Bury { error: "it cannot".into() }).await;
    fixture.named_heard(buried.id, &["dead"]).await;

    let stopped = fixture.naming_run().await;
    fixture.cancel(&[stopped.id]).await.expect("cancel");
    fixture.named_heard(stopped.id, &[]).await;
    fixture.settle_one(stopped, Settle::Cancel).await;
    fixture.named_heard(stopped.id, &["cancelled"]).await;

    let by_sql = enqueued(naming()).await;
    fixture.sql(format!("SELECT leasehold.cancel('{by_sql}')")).await;
    fixture.named_heard(by_sql, &["cancelled"]).await;

    let crashed = fixture.naming_run().await;
    fixture.set_max_attempts(crashed.id, 1).await;
    fixture.end_lease(crashed.id).await;
    assert_eq!(fixture.expire(10, None).await.expect("expire")[0].state, State::Dead);
    fixture.named_heard(crashed.id, &["dead"]).await;

    let late = enqueued(NewJob { expires_in: Some(Duration::from_secs(60)), ..naming() }).await;
    fixture.make_overdue().await;
    fixture.lapse(10).await.expect("lapse");
    fixture.named_heard(late, &["cancelled"]).await;

    let parent = fixture.queued().await;
    let child = NewJob { depends_on: vec![parent], on_parent_failure: ParentFailure::Cancel, ..naming() };
    let child = enqueued(child).await;
    fixture.cancel(&[parent]).await.expect("cancel");
    fixture.named_heard(child, &["cancelled"]).await;
    fixture.named_heard(parent, &[]).await;

    let (queued, scheduled) =
        (enqueued(naming()).await, enqueued(NewJob { delay: Some(Duration::from_secs(60)), ..naming() }).await);
    assert_eq!(fixture.purge(&name("default"), 10).await.expect("purge").len(), 2);
    fixture.named_heard(queued, &["cancelled"]).await;
    fixture.named_heard(scheduled, &["cancelled"]).await;

    // The job that follows from a success names its own webhook.
    let (first, next) = (fixture.queued().await, naming());
    let first = fixture.claim_one(WorkerId::new(), first).await.fence;
    let success = Success { result: None, then: vec![next.clone()] };
    assert_eq!(fixture.settle_one(first, Settle::CompleteThen(Box::new(success))).await, Settled::Done);
    let fence = fixture.claim_one(WorkerId::new(), next.id).await.fence;
    fixture.completes(fence).await;
    fixture.named_heard(next.id, &["succeeded"]).await;
    fixture.named_heard(first.id, &[]).await;
    fixture.keeps_the_invariants().await;
}

#[tokio::test]
async fn a_refused_settle_makes_no_delivery_and_a_retry_and_a_revive_keep_the_webhook() {
    let fixture = Fixture::with_named().await;
    let run = fixture.naming_run().await;
    let stale = Fence { epoch: run.epoch + 1, ..run };
    assert_eq!(fixture.settle_one(stale, Settle::Complete(None)).await, Settled::LeaseLost);
    let other = Fence { worker: WorkerId::new(), ..run };
    assert_eq!(fixture.settle_one(other, Settle::Bury { error: "no".into() }).await, Settled::LeaseLost);
    fixture.named_heard(run.id, &[]).await;

    assert_eq!(fixture.settle_one(run, retry()).await, Settled::Done);
    fixture.promote(10, None).await.expect("promote");
    let again = fixture.claim_one(WorkerId::new(), run.id).await.fence;
    assert_eq!(fixture.settle_one(run, Settle::Complete(None)).await, Settled::LeaseLost, "the first run is over");
    fixture.named_heard(run.id, &[]).await;
    assert_eq!(fixture.settle_one(again, Settle::Bury { error: "no".into() }).await, Settled::Done);
    assert_eq!(fixture.settle_one(again, Settle::Bury { error: "no".into() }).await, Settled::Already);
    fixture.named_heard(run.id, &["dead"]).await;

    assert_eq!(fixture.revive(&[run.id]).await.expect("revive").len(), 1);
    assert_eq!(fixture.webhook_of(run.id).await.as_deref(), Some("named"));
    let last = fixture.claim_one(WorkerId::new(), run.id).await.fence;
    fixture.completes(last).await;
    fixture.named_heard(run.id, &["dead", "succeeded"]).await;
}

#[tokio::test]
async fn an_unknown_webhook_is_named_and_nothing_is_written() {
    let fixture = Fixture::with_named().await;
    let told = "webhook is 'nobody', and there is no webhook of this id";
    let nobody = NewJob { webhook: Some("nobody".into()), ..new_job() };
    let error = fixture.enqueue(&[new_job(), naming(), nobody.clone()]).await.expect_err("an unknown webhook");
    assert!(error.to_string().contains(told), "{error}");
    let bad = NewJob { webhook: Some("a b".into()), ..new_job() };
    let error = fixture.enqueue(&[new_job(), bad]).await.expect_err("no name");
    assert!(error.to_string().contains("webhook has ' ' at byte 1"), "{error}");
    let mut connection = fixture.connection().await;
    for statement in [
        "SELECT leasehold.enqueue('k', '{}', webhook => 'nobody')",
        "SELECT leasehold.enqueue('k', '{}'::jsonb, webhook => 'nobody')",
        r#"SELECT leasehold.enqueue_many('[{"kind": "a"}, {"kind": "b", "webhook": "nobody"}]')"#,
        r#"SELECT leasehold.enqueue_graph('{"jobs": [{"name": "a", "kind": "a"}, {"name": "b", "kind": "b", "after": ["a"], "webhook": "nobody"}]}')"#,
    ] {
        let error = connection.execute(statement).await.expect_err(statement);
        assert!(error.to_string().contains(told), "{statement}: {error}");
    }
    assert_eq!((fixture.live_jobs().await, fixture.named_rows().await), (0, 0));

    // A success whose next job is refused is none, as with every other word.
    let run = fixture.running(WorkerId::new()).await;
    let success = Success { result: None, then: vec![new_job(), nobody] };
    fixture.settle_one(run, Settle::CompleteThen(Box::new(success))).await;
    let record = fixture.record(run.id).await;
    assert!(record.last_error.as_deref().is_some_and(|error| error.contains(told)), "{record:?}");
    assert_eq!((record.state, fixture.live_jobs().await), (State::Dead, 0));
}

#[tokio::test]
async fn sql_takes_the_word_in_each_function() {
    let fixture = Fixture::with_named().await;
    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let words = format!("webhook => 'named', traceparent => '{TRACE}'");
    for statement in [
        format!("SELECT leasehold.enqueue('k', '{{}}', {words})"),
        format!("SELECT leasehold.enqueue('k', '{{}}'::json, {words})"),
        format!("SELECT leasehold.enqueue('k', '{{}}'::jsonb, {words})"),
        format!(
            r#"SELECT id FROM leasehold.enqueue_many('[{{"kind": "k", "webhook": "named", "traceparent": "{TRACE}"}}]')"#
        ),
        format!(
            r#"SELECT id FROM leasehold.enqueue_graph('{{"jobs": [{{"kind": "k", "webhook": "named", "traceparent": "{TRACE}"}}]}}')"#
        ),
    ] {
        let id: uuid::Uuid =
            sqlx::query_scalar(AssertSqlSafe(statement.clone())).fetch_one(fixture.pool()).await.expect(&statement);
        let claimed = fixture.claim_one(WorkerId::new(), JobId(id)).await;
        assert_eq!(claimed.traceparent.as_deref(), Some(TRACE), "{statement}");
        fixture.completes(claimed.fence).await;
        fixture.named_heard(JobId(id), &["succeeded"]).await;
    }
    let bad = "SELECT leasehold.enqueue('k', '{}', traceparent => '00-x')";
    let error = fixture.connection().await.execute(bad).await.expect_err("no trace");
    assert!(error.to_string().contains("traceparent '00-x' is not of the form"), "{error}");
}

/// The end of a job never fails because of a webhook that is gone.
#[tokio::test]
async fn a_webhook_that_is_disabled_or_removed_before_the_end_is_not_told() {
    let fixture = Fixture::with_named().await;
    fixture.has_webhook(&elsewhere("stays")).await;
    let enabled = |enabled| WebhookChange { enabled: Some(enabled), ..WebhookChange::default() };
    let while_disabled = fixture.naming_run().await;
    fixture.change_webhook(&kind("named"), &enabled(false)).await.expect("a change");
    // A webhook that is disabled exists: it may be enabled before the end.
    let enabled_again = fixture.naming_run().await;
    fixture.completes(while_disabled).await;
    fixture.change_webhook(&kind("named"), &enabled(true)).await.expect("a change");
    fixture.completes(enabled_again).await;
    fixture.named_heard(while_disabled.id, &[]).await;
    fixture.named_heard(enabled_again.id, &["succeeded"]).await;

    let (while_removed, made_again) = (fixture.naming_run().await, fixture.naming_run().await);
    assert!(fixture.remove_webhook(&kind("named")).await.expect("removed"));
    fixture.completes(while_removed).await;
    fixture.has_webhook(&elsewhere("named")).await;
    fixture.completes(made_again).await;
    fixture.named_heard(while_removed.id, &[]).await;
    fixture.named_heard(made_again.id, &["succeeded"]).await;
}

/// A caller that does not know whether its job was accepted sends it again, also after the webhook was removed.
#[tokio::test]
async fn a_job_that_is_sent_again_has_its_answer_and_keeps_its_webhook() {
    let fixture = Fixture::with_named().await;
    fixture.has_webhook(&elsewhere("other")).await;
    let job = NewJob { id_may_exist: true, ..naming() };
    let send = async |job: &NewJob| fixture.enqueue(std::slice::from_ref(job)).await.expect("enqueue").remove(0);
    assert!(send(&job).await.inserted);
    let changed = NewJob { webhook: Some("other".into()), ..job.clone() };
    assert!(!send(&changed).await.inserted);
    fixture.remove_webhook(&kind("named")).await.expect("removed");
    assert_eq!((send(&job).await.id, send(&job).await.inserted), (job.id, false));
    let fence = fixture.claim_one(WorkerId::new(), job.id).await.fence;
    fixture.completes(fence).await;
    assert!(!send(&job).await.inserted && !send(&changed).await.inserted, "it is finished");
    assert_eq!(fixture.webhook_of(job.id).await.as_deref(), Some("named"));
}

#[tokio::test]
async fn a_job_that_replaces_another_one_names_its_own_webhook() {
    let fixture = Fixture::with_named().await;
    fixture.has_webhook(&elsewhere("other")).await;
    let unique = Unique::while_queued().replace();
    let keyed = |webhook: Option<&str>| NewJob {
        unique_key: Some("key".into()),
        unique: Some(unique.clone()),
        webhook: webhook.map(Into::into),
        payload: json("2"),
        ..new_job()
    };
    let send = async |job: NewJob| fixture.enqueue(&[job]).await.expect("enqueue").remove(0);
    let id = send(keyed(None)).await.id;
    for webhook in [Some("named"), Some("other"), None, Some("named")] {
        let answer = send(keyed(webhook)).await;
        assert_eq!((answer.id, answer.replaced), (id, true));
        assert_eq!(fixture.webhook_of(id).await.as_deref(), webhook);
        assert_eq!(fixture.named_rows().await, i64::from(webhook.is_some()));
    }
    let error = fixture.enqueue(&[keyed(Some("nobody"))]).await.expect_err("an unknown webhook");
    assert!(error.to_string().contains("webhook is 'nobody'"), "{error}");
    assert_eq!(fixture.webhook_of(id).await.as_deref(), Some("named"), "nothing has changed");
    let fence = fixture.claim_one(WorkerId::new(), id).await.fence;
    fixture.completes(fence).await;
    fixture.named_heard(id, &["succeeded"]).await;
}

#[tokio::test]
async fn the_jobs_of_a_schedule_name_its_webhook_as_long_as_it_exists() {
    let fixture = Fixture::with_named().await;
    let naming = |name: &str| NewSchedule { job: naming(), ..hourly(name) };
    let unknown = NewJob { webhook: Some("nobody".into()), ..new_job() };
    let unknown = NewSchedule { job: unknown, ..hourly("bad") };
    let set = ScheduleChange::Set { schedule: &unknown, next_at: ago(1) };
    let error = fixture.change_schedule(&unknown.name, set).await.expect_err("an unknown webhook");
    assert_eq!(error.to_string(), "webhook is 'nobody', and there is no webhook of this id");
    assert!(fixture.schedules(None).await.expect("schedules").is_empty());

    // In one statement, a schedule with the word and one without.
    fixture.set_schedule(&naming("a"), ago(2)).await;
    fixture.set_schedule(&hourly("b"), ago(1)).await;
    let set = fixture.schedules(None).await.expect("schedules");
    assert_eq!((set[0].webhook.as_deref(), set[0].job().webhook.as_deref()), (Some("named"), Some("named")));
    let fires: Vec<_> = due(&fixture).await.iter().map(fire).collect();
    let mut webhooks = Vec::new();
    for outcome in fixture.fire_schedules(&fires).await.expect("firing") {
        webhooks.push(fixture.webhook_of(fired(outcome)[0].id).await);
    }
    assert_eq!(webhooks, [Some("named".to_owned()), None]);

    // The webhook is gone, and the schedule continues.
    fixture.set_schedule(&naming("c"), ago(1)).await;
    fixture.remove_webhook(&kind("named")).await.expect("removed");
    let fires: Vec<_> = due(&fixture).await.iter().map(fire).collect();
    let outcome = fixture.fire_schedules(&fires).await.expect("firing").remove(0);
    assert_eq!(fixture.webhook_of(fired(outcome)[0].id).await, None);
    assert!(fixture.violations().await.expect("violations").is_empty());
}

/// A job can be revived while it is in history, and then it ends once more.
#[tokio::test]
async fn what_a_job_names_is_forgotten_when_the_job_has_left_history() {
    let fixture = Fixture::with_named().await;
    let (live, ended, gone) = (naming(), fixture.naming_run().await, fixture.naming_run().await);
    fixture.enqueue(std::slice::from_ref(&live)).await.expect("enqueue");
    fixture.completes(ended).await;
    fixture.completes(gone).await;
    fixture.sql(format!("DELETE FROM leasehold.history WHERE id = '{}'", gone.id)).await;
    let keep = Duration::from_secs(7 * 86_400);
    fixture.retain(keep).await.expect("retain");
    assert_eq!(fixture.named_rows().await, 3, "nothing is old");
    fixture.sql("UPDATE leasehold.job_webhook SET created_at = created_at - interval '8 days'").await;
    fixture.retain(keep).await.expect("retain");
    assert_eq!(fixture.named_rows().await, 2);
    for id in [live.id, ended.id] {
        assert_eq!(fixture.webhook_of(id).await.as_deref(), Some("named"));
    }
}

/// How often this session has read the table: as a whole, and by an index.
async fn reads(connection: &mut PgConnection) -> (i64, i64) {
    let query =
        "SELECT seq_scan, idx_scan FROM pg_stat_xact_user_tables WHERE relid = 'leasehold.job_webhook'::regclass";
    sqlx::query_as(query).fetch_one(connection).await.expect("reads")
}

/// The end of a plain job reads nothing of the table, and the end of another job reads one row.
#[tokio::test]
async fn only_a_job_that_may_name_a_webhook_looks_for_it() {
    let fixture = Fixture::with_named().await;
    fixture
        .sql(
            "INSERT INTO leasehold.job_webhook (job, webhook) SELECT gen_random_uuid(), 'named' FROM generate_series(1, 20000);
             ANALYZE leasehold.job_webhook",
        )
        .await;
    let mut connection = fixture.connection().await;
    for (job, wanted) in [(new_job(), (0, 0)), (naming(), (0, 1))] {
        fixture.enqueue(std::slice::from_ref(&job)).await.expect("enqueue");
        let mut transaction = connection.begin().await.expect("begin");
        let before = reads(&mut transaction).await;
        let cancel = format!("SELECT leasehold.cancel('{}')", job.id);
        transaction.execute(AssertSqlSafe(cancel)).await.expect("cancel");
        let after = reads(&mut transaction).await;
        transaction.commit().await.expect("commit");
        assert_eq!((after.0 - before.0, after.1 - before.1), wanted, "whole and by the index");
    }
    assert_eq!(fixture.number("SELECT count(*) FROM leasehold.job WHERE retry IS NOT NULL").await, 0);
}
