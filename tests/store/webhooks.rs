//! Webhooks: each end of a job makes its deliveries, once, in the transaction of the end; nothing else makes one. Without a webhook,
//! there is not even a trigger.

use crate::fixture::{Fixture, concurrently, json, kind, name, new_job, retry};
use leasehold_core::{FinishedRun, JobId, JobRecord, NewJob, ParentFailure, Settle, Settled, State, Success, WorkerId};
use leasehold_store::{JobFilter, NewWebhook, WebhookChange, WebhookMade, WebhookTrigger, WebhooksWanted};
use serde_json::{Value, json as value};
use sqlx::{AssertSqlSafe, Connection};
use std::{collections::BTreeMap, time::Duration};

const QUEUE: &str = "leasehold.webhooks";

/// A webhook that is told of every end.
pub(crate) fn webhook(id: &str) -> NewWebhook {
    NewWebhook {
        id: kind(id),
        url: "https://example.com/hooks".into(),
        queue: "*".into(),
        kinds: Vec::new(),
        states: vec![State::Succeeded, State::Dead, State::Cancelled],
        secret: "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".into(),
    }
}

impl Fixture {
    /// A webhook that is told of every end.
    pub(crate) async fn with_webhook(id: &str) -> Self {
        let fixture = Self::start().await;
        fixture.has_webhook(&webhook(id)).await;
        fixture
    }

    pub(crate) async fn has_webhook(&self, new: &NewWebhook) {
        assert_eq!(self.new_webhook(new).await.expect("a webhook"), WebhookMade::Made);
        assert_eq!(self.set_webhook_trigger().await.expect("the trigger"), WebhookTrigger::On);
    }

    async fn has_trigger(&self) -> bool {
        self.number("SELECT count(*) FROM pg_trigger WHERE tgname = 'webhook_ended'").await == 1
    }

    pub(crate) async fn deliveries(&self) -> Vec<JobRecord> {
        let filter = JobFilter { queue: Some(name(QUEUE)), limit: 1000, ..JobFilter::default() };
        self.jobs(&filter).await.expect("jobs")
    }

    /// The events of each job, from the payloads of the deliveries.
    async fn told(&self) -> BTreeMap<String, Vec<String>> {
        let mut told = BTreeMap::<String, Vec<String>>::new();
        for delivery in self.deliveries().await {
            let body: Value = serde_json::from_str(delivery.payload.get()).expect("JSON");
            let (id, event) = (body["data"]["id"].as_str(), body["type"].as_str());
            told.entry(id.expect("an id").to_owned()).or_default().push(event.expect("a type").to_owned());
        }
        told
    }

    pub(crate) async fn was_told(&self, id: JobId, event: &str) {
        assert_eq!(self.told().await.get(&id.to_string()), Some(&vec![event.to_owned()]), "{id} {event}");
    }

    /// Each end in history has one delivery, and there are no others.
    async fn each_end_has_one_delivery(&self) {
        let differing = self
            .number(
                "SELECT count(*) FROM (
                     SELECT h.id::text, 'job.' || h.state FROM leasehold.history h WHERE h.queue <> 'leasehold.webhooks'
                 ) ended(id, event)
                 FULL JOIN (
                     SELECT j.payload -> 'data' ->> 'id', j.payload ->> 'type', count(*) FROM leasehold.jobs j
                     WHERE j.queue = 'leasehold.webhooks' GROUP BY 1, 2
                 ) made(id, event, count) USING (id, event)
                 WHERE made.count IS DISTINCT FROM 1 OR ended.id IS NULL",
            )
            .await;
        assert_eq!(differing, 0, "{:#?}", self.told().await);
    }
}

#[tokio::test]
async fn without_a_webhook_there_is_no_trigger() {
    let fixture = Fixture::start().await;
    assert!(!fixture.has_trigger().await);
    assert_eq!(fixture.set_webhook_trigger().await.expect("the trigger"), WebhookTrigger::Off);
    let wanted = |any, must_set| WebhooksWanted { any, must_set };
    assert_eq!(fixture.webhooks_wanted().await.expect("wanted"), wanted(false, false));

    assert_eq!(fixture.new_webhook(&webhook("a")).await.expect("a webhook"), WebhookMade::Made);
    assert_eq!(fixture.webhooks_wanted().await.expect("wanted"), wanted(true, true));
    assert!(!fixture.webhooks(Some("a")).await.expect("webhooks")[0].active);
    assert_eq!(fixture.set_webhook_trigger().await.expect("the trigger"), WebhookTrigger::On);
    assert_eq!(fixture.set_webhook_trigger().await.expect("again"), WebhookTrigger::On);
    assert!(fixture.has_trigger().await);
    assert!(fixture.webhooks(Some("a")).await.expect("webhooks")[0].active);

    // The last enabled webhook takes the trigger with it.
    let disabled = WebhookChange { enabled: Some(false), ..WebhookChange::default() };
    assert!(fixture.change_webhook(&kind("a"), &disabled).await.expect("a change"));
    assert_eq!(fixture.webhooks_wanted().await.expect("wanted"), wanted(true, true));
    assert_eq!(fixture.set_webhook_trigger().await.expect("the trigger"), WebhookTrigger::Off);
    let ended = fixture.running(WorkerId::new()).await;
    assert_eq!(fixture.settle_one(ended, Settle::Complete(None)).await, Settled::Done);
    assert_eq!(fixture.deliveries().await.len(), 0);
    assert!(fixture.remove_webhook(&kind("a")).await.expect("removed"));
    assert!(!fixture.remove_webhook(&kind("a")).await.expect("again"));
    assert_eq!(fixture.number("SELECT count(*) FROM leasehold.webhook_secret").await, 0);
    assert!(!fixture.has_trigger().await);
}

#[tokio::test]
async fn every_end_of_a_job_makes_one_delivery() {
    let fixture = Fixture::with_webhook("a").await;
    let worker = WorkerId::new();
    let run = async || fixture.running(worker).await;

    let done = run().await;
    assert_eq!(fixture.settle_one(done, Settle::Complete(Some(json(r#"{"n":[1]}"#)))).await, Settled::Done);
    fixture.was_told(done.id, "job.succeeded").await;

    let then = run().await;
    let success = Success { result: None, then: vec![new_job()] };
    assert_eq!(fixture.settle_one(then, Settle::CompleteThen(Box::new(success))).await, Settled::Done);
    fixture.was_told(then.id, "job.succeeded").await;

    let buried = run().await;
    assert_eq!(fixture.settle_one(buried, Settle::Bury { error: "it cannot".into() }).await, Settled::Done);
    fixture.was_told(buried.id, "job.dead").await;

    let stopped = run().await;
    fixture.cancel(&[stopped.id]).await.expect("cancel");
    assert!(!fixture.told().await.contains_key(&stopped.id.to_string()), "it runs");
    assert_eq!(fixture.settle_one(stopped, Settle::Cancel).await, Settled::Done);
    fixture.was_told(stopped.id, "job.cancelled").await;

    let waiting = fixture.queued().await;
    fixture.cancel(&[waiting]).await.expect("cancel");
    fixture.cancel(&[waiting]).await.expect("cancel");
    fixture.was_told(waiting, "job.cancelled").await;

    let by_sql = fixture.queued().await;
    fixture.sql(format!("SELECT leasehold.cancel('{by_sql}')")).await;
    fixture.was_told(by_sql, "job.cancelled").await;

    let crashed = run().await;
    fixture.set_max_attempts(crashed.id, 1).await;
    fixture.end_lease(crashed.id).await;
    assert_eq!(fixture.expire(10, None).await.expect("expire")[0].state, State::Dead);
    fixture.was_told(crashed.id, "job.dead").await;

    let late = NewJob { expires_in: Some(Duration::from_secs(60)), ..new_job() };
    fixture.enqueue(std::slice::from_ref(&late)).await.expect("enqueue");
    fixture.make_overdue().await;
    fixture.lapse(10).await.expect("lapse");
    fixture.was_told(late.id, "job.cancelled").await;

    // A parent ends, and its child ends with it.
    let parent = fixture.queued().await;
    let child = NewJob { depends_on: vec![parent], on_parent_failure: ParentFailure::Cancel, ..new_job() };
    fixture.enqueue(std::slice::from_ref(&child)).await.expect("enqueue");
    fixture.cancel(&[parent]).await.expect("cancel");
    fixture.was_told(parent, "job.cancelled").await;
    fixture.was_told(child.id, "job.cancelled").await;
    fixture.each_end_has_one_delivery().await;
    fixture.keeps_the_invariants().await;
}

#[tokio::test]
async fn what_is_no_end_makes_no_delivery() {
    let fixture = Fixture::with_webhook("a").await;
    let worker = WorkerId::new();
    for settle in [retry(), Settle::Release, Settle::Snooze { delay: Duration::ZERO, reason: None }] {
        let run = fixture.running(worker).await;
        assert_eq!(fixture.settle_one(run, settle).await, Settled::Done);
    }
    let crashed = fixture.running(worker).await;
    fixture.end_lease(crashed.id).await;
    fixture.expire(10, None).await.expect("expire");
    assert_eq!(fixture.deliveries().await.len(), 0);

    // A revived job has one more end. The revive is none.
    let run = fixture.running(worker).await;
    assert_eq!(fixture.settle_one(run, Settle::Bury { error: "no".into() }).await, Settled::Done);
    assert_eq!(fixture.revive(&[run.id]).await.expect("revive").len(), 1);
    assert_eq!(fixture.deliveries().await.len(), 1);
    let again = fixture.claim_one(worker, run.id).await.fence;
    assert_eq!(fixture.settle_one(again, Settle::Complete(None)).await, Settled::Done);
    let mut events = fixture.told().await.remove(&run.id.to_string()).expect("both ends");
    events.sort();
    assert_eq!(events, ["job.dead", "job.succeeded"]);

    // A row that is deleted, and one that moves into its partition, have not ended again.
    fixture
        .sql(
            "ALTER TABLE leasehold.history DISABLE TRIGGER webhook_ended;
              INSERT INTO leasehold.history SELECT (jsonb_populate_record(h, jsonb_build_object(
                  'id', gen_random_uuid(), 'finished_at', timestamptz '2031-01-01 12:00Z'))).* FROM leasehold.history h;
              ALTER TABLE leasehold.history ENABLE TRIGGER webhook_ended;
              SELECT leasehold.make_partition('2031-01-01'); DELETE FROM leasehold.history",
        )
        .await;
    assert_eq!(fixture.deliveries().await.len(), 2);
    // The end of a delivery makes no delivery.
    let deliveries: Vec<JobId> = fixture.deliveries().await.iter().map(|delivery| delivery.id).collect();
    fixture.cancel(&deliveries).await.expect("cancel");
    assert_eq!(fixture.deliveries().await.len(), 2);
}

#[tokio::test]
async fn the_body_says_what_has_ended() {
    let fixture = Fixture::with_webhook("a").await;
    let job = NewJob {
        batch: Some("b".into()),
        unique_key: Some("u".into()),
        ..NewJob::new(kind("mail"), json(r#"{"secret":"payload"}"#))
    };
    fixture.enqueue(std::slice::from_ref(&job)).await.expect("enqueue");
    let fence = fixture.claim_one(WorkerId::new(), job.id).await.fence;
    assert_eq!(fixture.settle_one(fence, Settle::Complete(Some(json("1e400")))).await, Settled::Done);
    let delivery = fixture.deliveries().await.remove(0);
    assert_eq!((delivery.kind.as_str(), delivery.max_attempts), ("a", 8));
    assert_eq!(delivery.limit_keys, Some(vec!["leasehold.webhook:a".to_owned()]));
    let text = delivery.payload.get();
    assert!(text.contains("1e400"), "numbers stay as they came: {text}");
    assert!(!text.contains("secret"), "the payload of a job is not sent: {text}");
    let body: Value = serde_json::from_str(&text.replace("1e400", "1")).expect("JSON");
    let ended = fixture.record(job.id).await;
    let at = |time: chrono::DateTime<chrono::Utc>| time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    assert_eq!(body["type"], "job.succeeded");
    assert_eq!(body["timestamp"], at(ended.finished_at.expect("an end")));
    assert_eq!(
        body["data"],
        value!({
            "id": job.id, "queue": "default", "kind": "mail", "state": "succeeded", "attempt": 1, "max_attempts": 5, "batch": "b",
            "unique_key": "u", "created_at": at(ended.created_at), "started_at": at(ended.started_at.expect("a start")),
            "finished_at": at(ended.finished_at.expect("an end")), "result": 1, "result_left_out": false, "error": null
        })
    );
}

/// An end that cannot make its delivery would be undone, again and again.
#[tokio::test]
async fn no_job_is_too_large_or_too_deep_to_end() {
    let fixture = Fixture::with_webhook("a").await;
    let deep = |levels: usize| json(&format!("{}{}", "[".repeat(levels), "]".repeat(levels)));
    let long = |bytes: usize| json(&format!("\"{}\"", "x".repeat(bytes - 2)));
    for (result, is_kept) in [
        (long(32_768), true),
        (long(32_769), false),
        (long(1024 * 1024), false),
        (deep(98), true),
        (deep(99), false),
        (deep(100), false),
    ] {
        let run = fixture.running(WorkerId::new()).await;
        assert_eq!(fixture.settle_one(run, Settle::Complete(Some(result))).await, Settled::Done);
        let delivery = fixture.deliveries().await.remove(0);
        let body: Value = serde_json::from_str(delivery.payload.get()).expect("JSON");
        assert_eq!((body["data"]["result"].is_null(), &body["data"]["result_left_out"]), (!is_kept, &value!(!is_kept)));
        assert_eq!(body["data"]["id"], value!(run.id));
    }
    let run = fixture.running(WorkerId::new()).await;
    let error = format!("begin {} end", "\u{1}é".repeat(3_000));
    assert_eq!(fixture.settle_one(run, Settle::Bury { error }).await, Settled::Done);
    let delivery = fixture.deliveries().await.remove(0);
    assert!(delivery.payload.get().len() < 65_536 && delivery.payload.get().contains(" end"));
    // A name of the greatest length.
    let longest = kind(&"w".repeat(128));
    fixture.has_webhook(&NewWebhook { id: longest.clone(), ..webhook("b") }).await;
    let run = fixture.running(WorkerId::new()).await;
    assert_eq!(fixture.settle_one(run, Settle::Complete(None)).await, Settled::Done);
    assert!(fixture.deliveries().await.iter().any(|delivery| delivery.kind == longest.as_str()));
}

#[tokio::test]
async fn a_webhook_is_told_only_of_what_it_asks_for() {
    let fixture = Fixture::start().await;
    let states = |states: &[State]| states.to_vec();
    for new in [
        NewWebhook { queue: "default".into(), ..webhook("exact") },
        NewWebhook { queue: "def*".into(), ..webhook("pattern") },
        NewWebhook { queue: "default*".into(), ..webhook("whole") },
        NewWebhook { queue: "d".into(), ..webhook("prefix-without-star") },
        NewWebhook { queue: "other".into(), ..webhook("other-queue") },
        NewWebhook { kinds: vec![kind("x"), kind("k")], ..webhook("kinds") },
        NewWebhook { kinds: vec![kind("x")], ..webhook("other-kind") },
        NewWebhook { states: states(&[State::Dead]), ..webhook("dead") },
        NewWebhook { states: states(&[State::Succeeded, State::Cancelled]), ..webhook("not-dead") },
        webhook("disabled"),
    ] {
        fixture.has_webhook(&new).await;
    }
    let disabled = WebhookChange { enabled: Some(false), ..WebhookChange::default() };
    fixture.change_webhook(&kind("disabled"), &disabled).await.expect("a change");
    let run = fixture.running(WorkerId::new()).await;
    assert_eq!(fixture.settle_one(run, Settle::Complete(None)).await, Settled::Done);
    let mut told: Vec<String> = fixture.deliveries().await.into_iter().map(|delivery| delivery.kind).collect();
    told.sort();
    assert_eq!(told, ["exact", "kinds", "not-dead", "pattern", "whole"]);
}

#[tokio::test]
async fn an_end_that_is_rolled_back_makes_no_delivery() {
    let fixture = Fixture::with_webhook("a").await;
    let (kept, undone) = (fixture.queued().await, fixture.queued().await);
    let mut caller = fixture.connection().await;
    let mut transaction = caller.begin().await.expect("begin");
    for id in [kept, undone] {
        let cancel = format!("SAVEPOINT s; SELECT leasehold.cancel('{id}')");
        sqlx::raw_sql(AssertSqlSafe(cancel)).execute(&mut *transaction).await.expect("cancel");
    }
    assert_eq!(fixture.deliveries().await.len(), 0, "nothing is committed");
    sqlx::raw_sql("ROLLBACK TO s").execute(&mut *transaction).await.expect("rollback");
    transaction.commit().await.expect("commit");
    fixture.was_told(kept, "job.cancelled").await;
    assert_eq!(fixture.deliveries().await.len(), 1);
}

/// Of two that end the same job, one wins, and only the winner makes a delivery.
#[tokio::test]
async fn of_two_ends_only_the_winner_makes_a_delivery() {
    let fixture = Fixture::with_webhook("a").await;
    for round in 0..60 {
        let worker = WorkerId::new();
        let run = fixture.running(worker).await;
        let complete = [FinishedRun { fence: run, settle: Settle::Complete(None) }];
        let bury = [FinishedRun { fence: run, settle: Settle::Bury { error: "no".into() } }];
        let settle = async |end: &[FinishedRun]| {
            // A run whose row is locked by the other end is settled again later: not here.
            let _ = fixture.settle(worker, end).await;
        };
        match round % 3 {
            0 => {
                fixture.end_lease(run.id).await;
                fixture.set_max_attempts(run.id, 1).await;
                let expire = async { fixture.expire(10, None).await.expect("expire") };
                tokio::join!(settle(&complete), expire);
            }
            1 => {
                let cancel = async { fixture.cancel(&[run.id]).await.expect("cancel") };
                tokio::join!(settle(&complete), cancel, settle(&complete));
            }
            _ => {
                tokio::join!(settle(&complete), settle(&bury), settle(&complete));
            }
        }
    }
    let queued: Vec<JobId> = {
        let mut ids = Vec::new();
        for _ in 0..40 {
            ids.push(fixture.queued().await);
        }
        ids
    };
    for answer in concurrently((0..6).map(|_| fixture.cancel(&queued))).await {
        answer.expect("cancel");
    }
    fixture.each_end_has_one_delivery().await;
    assert!(fixture.deliveries().await.len() > 60);
}

/// To create a trigger needs a lock on history, which an open transaction can hold for hours.
#[tokio::test]
async fn an_open_transaction_delays_the_trigger_and_holds_up_nobody() {
    let fixture = Fixture::start().await;
    assert_eq!(fixture.new_webhook(&webhook("a")).await.expect("a webhook"), WebhookMade::Made);
    let held = fixture.queued().await;
    let mut open = fixture.connection().await;
    sqlx::raw_sql(AssertSqlSafe(format!("BEGIN; SELECT leasehold.cancel('{held}')")))
        .execute(&mut open)
        .await
        .expect("open");
    let mut runs = Vec::new();
    for _ in 0..20 {
        runs.push(fixture.running(WorkerId::new()).await);
    }
    let settles = async {
        for run in runs {
            assert_eq!(fixture.settle_one(run, Settle::Complete(None)).await, Settled::Done);
        }
    };
    let sets = async {
        for _ in 0..5 {
            assert_eq!(fixture.set_webhook_trigger().await.expect("the trigger"), WebhookTrigger::Busy);
        }
    };
    tokio::join!(settles, sets);
    assert!(!fixture.has_trigger().await);
    assert_eq!(fixture.deliveries().await.len(), 0);
    sqlx::raw_sql("COMMIT").execute(&mut open).await.expect("commit");
    assert_eq!(fixture.set_webhook_trigger().await.expect("the trigger"), WebhookTrigger::On);
    let run = fixture.running(WorkerId::new()).await;
    assert_eq!(fixture.settle_one(run, Settle::Complete(None)).await, Settled::Done);
    assert_eq!(fixture.deliveries().await.len(), 1);
    // The same in the other direction: no session waits until a trigger that is not needed is dropped.
    fixture.remove_webhook(&kind("a")).await.expect("removed");
    let held = fixture.queued().await;
    sqlx::raw_sql(AssertSqlSafe(format!("BEGIN; SELECT leasehold.cancel('{held}')")))
        .execute(&mut open)
        .await
        .expect("open");
    assert_eq!(fixture.set_webhook_trigger().await.expect("the trigger"), WebhookTrigger::Busy);
    let run = fixture.running(WorkerId::new()).await;
    assert_eq!(fixture.settle_one(run, Settle::Complete(None)).await, Settled::Done);
    sqlx::raw_sql("ROLLBACK").execute(&mut open).await.expect("rollback");
    assert_eq!(fixture.set_webhook_trigger().await.expect("the trigger"), WebhookTrigger::Off);
    assert_eq!(fixture.deliveries().await.len(), 1);
}

/// Webhooks come and go while jobs end: a webhook whose trigger was answered to be on misses no end.
#[tokio::test]
async fn a_trigger_that_is_on_stays_on_for_those_who_rely_on_it() {
    let fixture = Fixture::start().await;
    let comes_and_goes = async |id: &str, rounds: usize| {
        for _ in 0..rounds {
            assert_eq!(fixture.new_webhook(&webhook(id)).await.expect("a webhook"), WebhookMade::Made);
            while fixture.set_webhook_trigger().await.expect("the trigger") != WebhookTrigger::On {
                tokio::task::yield_now().await;
            }
            let run = fixture.running(WorkerId::new()).await;
            assert_eq!(fixture.settle_one(run, Settle::Complete(None)).await, Settled::Done);
            let own = format!("kind = '{id}' AND payload -> 'data' ->> 'id' = '{}'", run.id);
            assert_eq!(fixture.number(format!("SELECT count(*) FROM leasehold.job WHERE {own}")).await, 1);
            fixture.remove_webhook(&kind(id)).await.expect("removed");
            fixture.set_webhook_trigger().await.expect("the trigger");
        }
    };
    tokio::join!(comes_and_goes("a", 15), comes_and_goes("b", 15), comes_and_goes("c", 15));
    while fixture.set_webhook_trigger().await.expect("the trigger") != WebhookTrigger::Off {}
    assert!(!fixture.has_trigger().await);
}
