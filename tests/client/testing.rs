//! The queue in memory for unit tests: code under test sees the same as with the real stores.

use leasehold::{
    Client, Config, Error, Job, JobError, JobId, ParentFailure, Retry, Run, State, Unique, Worker, WorkerBuilder,
    testing::Queue,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

/// Does what its payload says; enqueues another job if the state of the worker has a client.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Order {
    Double(i64),
    Fail,
    FailUntil(i32),
    Snooze,
    Panic,
    Hang,
    FollowedBy(i64),
    /// The sum of the results of all parents.
    Sum,
    CancelMyself,
}

impl Job for Order {
    const KIND: &'static str = "test/order";
    const QUEUE: &'static str = "orders";
    const MAX_ATTEMPTS: i32 = 3;
    type Output = i64;

    async fn run(self, run: &Run) -> Result<i64, JobError> {
        match self {
            Self::Double(number) => Ok(number * 2),
            Self::Fail => Err(JobError::failed("as told")),
            Self::FailUntil(attempt) if run.job().attempt < attempt => Err(JobError::failed("not yet")),
            Self::FailUntil(attempt) => Ok(i64::from(attempt)),
            Self::Snooze if run.fence().epoch == 1 => Err(JobError::snooze(HOUR)),
            Self::Snooze => Ok(i64::from(run.job().attempt)),
            Self::Panic => panic!("as told, loudly"),
            Self::Hang => std::future::pending().await,
            Self::FollowedBy(number) => {
                run.state::<Client>()?.enqueue(Self::Double(number)).priority(-1).send().await?;
                Ok(0)
            }
            Self::Sum => {
                let results = run.parents().await?.into_iter().filter_map(|parent| parent.result);
                Ok(results.filter_map(|result| serde_json::from_str::<i64>(result.get()).ok()).sum())
            }
            Self::CancelMyself => {
                run.state::<Client>()?.cancel(&[run.fence().id]).await?;
                Err(JobError::failed(format!("{:?}", run.cancelled().await)))
            }
        }
    }
}

fn worker(client: &Client) -> WorkerBuilder {
    Worker::builder(&Config::default()).state(client.clone()).register::<Order>().queue("orders", 1)
}

#[tokio::test]
async fn jobs_are_asserted_drained_and_waited_for() {
    let queue = Queue::new();
    let client = queue.client();
    let id = client.enqueue(Order::Double(4)).send().await.expect("accepted");
    client.enqueue(Order::FollowedBy(21)).delay(HOUR).send().await.expect("accepted");
    assert_eq!(queue.assert_enqueued::<Order>(|job| *job == Order::Double(4)), id);
    queue.assert_not_enqueued::<Order>(|job| *job == Order::Double(5));
    assert_eq!(queue.enqueued::<Order>(), [Order::Double(4), Order::FollowedBy(21)]);
    assert!(matches!(client.wait(id, Duration::ZERO).await, Err(Error::TimedOut(_))));

    assert_eq!(queue.drain(worker(&client)).await.expect("drained").succeeded, 1);
    assert_eq!(client.wait(id, Duration::ZERO).await.expect("succeeded"), 8);
    queue.advance(HOUR - Duration::from_millis(1));
    assert_eq!(queue.drain(worker(&client)).await.expect("drained").claimed, 0, "the hour is not over");
    queue.advance(Duration::from_millis(1));
    let tally = queue.drain(worker(&client)).await.expect("drained");
    assert_eq!((tally.claimed, tally.succeeded), (2, 2), "the job and the one that it enqueued");
    let results: Vec<_> =
        queue.jobs().iter().map(|job| job.result.clone().expect("a result").get().to_owned()).collect();
    assert_eq!(results, ["8", "0", "42"]);
    assert!(queue.enqueued::<Order>().is_empty());
}

#[tokio::test]
#[should_panic(
    expected = "no job of kind test/order matches; the queue has 1 jobs:\n  test/order in orders, queued: \"Fail\""
)]
async fn an_assertion_that_fails_shows_the_jobs() {
    let queue = Queue::new();
    queue.client().enqueue(Order::Fail).send().await.expect("accepted");
    queue.assert_enqueued::<Order>(|job| *job == Order::Panic);
}

/// A wait that began before its job ran ends with the job.
#[tokio::test(start_paused = true)]
async fn a_wait_ends_when_the_job_is_drained() {
    let queue = Queue::new();
    let client = queue.client();
    let id = client.enqueue(Order::Double(3)).send().await.expect("accepted");
    let waiting = client.clone();
    let wait = tokio::spawn(async move { waiting.wait(id, HOUR).await });
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!wait.is_finished());
    assert_eq!(queue.drain(worker(&client)).await.expect("drained").succeeded, 1);
    assert_eq!(wait.await.expect("no panic").expect("succeeded"), 6);
}

/// Failures, delays and attempts, all in virtual time.
#[tokio::test]
async fn runs_end_as_they_do_in_a_real_worker() {
    let queue = Queue::starting_at("2030-01-01T00:00:00Z".parse().expect("a time"));
    let client = queue.client();
    let send = async |job: Order| client.enqueue(job).send().await.expect("accepted");
    let (fail, until, snooze, panic) =
        (send(Order::Fail).await, send(Order::FailUntil(3)).await, send(Order::Snooze).await, send(Order::Panic).await);
    let mut runs = Vec::new();
    for _ in 0..4 {
        let tally = queue.drain(worker(&client)).await.expect("drained");
        runs.push((tally.claimed, tally.retried, tally.snoozed, tally.succeeded, tally.buried));
        queue.advance(HOUR);
    }
    assert_eq!(runs, [(4, 3, 1, 0, 0), (4, 3, 0, 1, 0), (3, 0, 0, 1, 2), (0, 0, 0, 0, 0)]);
    assert_eq!(client.wait(until, Duration::ZERO).await.expect("succeeded at last"), 3);
    assert_eq!(client.wait(snooze, Duration::ZERO).await.expect("succeeded"), 1, "a snooze spends no attempt");
    for (id, wanted) in [(fail, "as told"), (panic, "the handler panicked: as told, loudly")] {
        match client.wait(id, Duration::ZERO).await {
            Err(Error::Dead { error, .. }) => assert_eq!(error, wanted),
            other => panic!("{other:?}"),
        }
    }
    let job = client.job(fail).await.expect("asked").expect("there");
    assert_eq!((job.state, job.attempt, job.trail.len()), (State::Dead, 3, 2));
    assert_eq!(job.created_at.to_rfc3339(), "2030-01-01T00:00:00+00:00");
    assert_eq!(client.revive(&[fail.get()]).await.expect("revived").len(), 1);
    assert_eq!(queue.drain(worker(&client)).await.expect("drained").retried, 1, "it has all its attempts again");
}

#[tokio::test(start_paused = true)]
async fn a_timeout_and_a_cancel_reach_the_handler() {
    let queue = Queue::new();
    let client = queue.client();
    let hangs = client.enqueue(Order::Hang).timeout(HOUR).max_attempts(1).send().await.expect("accepted");
    let cancels = client.enqueue(Order::CancelMyself).send().await.expect("accepted");
    let tally = queue.drain(worker(&client)).await.expect("drained");
    assert_eq!((tally.buried, tally.cancelled), (1, 1), "{tally:?}");
    assert!(
        matches!(client.wait(hangs, HOUR).await, Err(Error::Dead { error, .. }) if error == "timed out after 3600s")
    );
    assert!(matches!(client.wait(cancels, HOUR).await, Err(Error::Cancelled(_))));
    assert!(matches!(client.wait_finished(leasehold::JobId::new(), HOUR).await, Err(Error::NoSuchJob(_))));
}

#[tokio::test]
async fn keys_pauses_priorities_and_bad_jobs_are_as_in_the_stores() {
    let queue = Queue::new();
    let client = queue.client();
    let first = client.enqueue(Order::Double(1)).unique_key("k").send().await.expect("accepted");
    assert_eq!(client.enqueue(Order::Double(2)).unique_key("k").send().await.expect("answered"), first);
    assert_eq!(client.enqueue(Order::Double(3)).id(first.get()).send().await.expect("answered"), first);
    assert!(matches!(client.enqueue(Order::Fail).priority(101).send().await, Err(Error::Invalid(_))));
    let urgent = client.enqueue(Order::Double(4)).priority(5).send().await.expect("accepted");
    let text = client.explain(first).await.expect("asked").expect("there").to_string();
    assert!(text.contains("1 job stands before it in the line"), "{text}");

    let orders = "orders".parse().expect("a name");
    assert!(client.pause(&orders).await.expect("paused"));
    assert_eq!(queue.drain(worker(&client)).await.expect("drained").claimed, 0);
    assert!(client.resume(&orders).await.expect("resumed"));
    assert_eq!(queue.drain(worker(&client)).await.expect("drained").succeeded, 2);
    assert_eq!(client.wait(urgent, Duration::ZERO).await.expect("succeeded"), 8);

    let (old, low) = (Order::Double(5), client.enqueue(Order::Double(6)).priority(-1).send().await.expect("accepted"));
    let old = client.enqueue(old).send().await.expect("accepted");
    let before = async |id: JobId| client.explain(id).await.expect("asked").expect("there").to_string();
    assert!(before(low.get()).await.contains("1 job stands before"), "{}", before(low.get()).await);
    assert_eq!(client.set_priority_step(&orders, Duration::ZERO).await.expect("set"), 1);
    assert!(before(old.get()).await.contains("1 job stands before"), "the older job comes first now");
    assert_eq!(client.purge(&orders).await.expect("purged").len(), 2);

    client.enqueue(Order::Fail).unique_key("k").send().await.expect("a finished job holds no key");
    assert_eq!(client.purge(&orders).await.expect("purged").len(), 1);
    assert!(queue.enqueued::<Order>().is_empty());
    let other = Worker::builder(&Config::default()).queue("orders", 1);
    assert!(matches!(queue.drain(other).await, Err(Error::Worker(_))), "a worker without a handler");
}

/// Fails; its kind says how it is tried again, when it expires, and what makes its key.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Call {
    number: u32,
    text: String,
}

impl Job for Call {
    const KIND: &'static str = "test/call";
    const MAX_ATTEMPTS: i32 = 100;
    const RETRY: Option<Retry> = Some(Retry::linear(Duration::from_secs(600)).for_time(HOUR));
    const EXPIRES_IN: Option<Duration> = Some(Duration::from_secs(24 * 3600));
    type Output = ();

    fn unique(&self) -> Option<Unique> {
        Some(Unique::while_queued().fields(["number"]).replace())
    }

    async fn run(self, _: &Run) -> Result<(), JobError> {
        Err(JobError::failed("no answer"))
    }
}

fn call(number: u32, text: &str) -> Call {
    Call { number, text: text.to_owned() }
}

#[tokio::test]
async fn a_kind_says_how_its_jobs_are_tried_again_and_for_how_long() {
    let queue = Queue::new();
    let client = queue.client();
    let id = client.enqueue(call(1, "a")).send().await.expect("accepted");
    let worker = || Worker::builder(&Config::default()).register::<Call>().queue("default", 1);
    // After 10, 20 and 30 minutes. The fourth attempt begins after an hour, and the fifth one would begin too late.
    for minutes in [10, 20, 30] {
        assert_eq!(queue.drain(worker()).await.expect("drained").retried, 1);
        queue.advance(Duration::from_secs(minutes * 60 - 1));
        assert_eq!(queue.drain(worker()).await.expect("drained").claimed, 0);
        queue.advance(Duration::from_millis(999));
        assert_eq!(queue.drain(worker()).await.expect("drained").claimed, 0);
        queue.advance(Duration::from_millis(1));
    }
    // Due in the moment in which the time is over.
    let job = client.job(id).await.expect("read").expect("the job");
    assert_eq!((job.state, job.attempt), (State::Dead, 3));
    let errors: Vec<_> = job.trail.iter().map(|entry| (entry.verb.as_str(), entry.note.as_deref())).collect();
    assert_eq!(errors[..3], [("retry", Some("no answer")); 3], "the error of each attempt is kept");
    assert!(job.last_error.is_some_and(|error| error.starts_with("its time for retries is over")));
}

#[tokio::test]
async fn a_job_overrides_its_kind_and_expires() {
    let queue = Queue::new();
    let client = queue.client();
    let soon = Duration::from_secs(60);
    let retry = Retry::fixed(Duration::from_secs(1));
    let id = client.enqueue(call(1, "a")).expires_in(soon).retry(retry).delay(soon / 2).send().await.expect("accepted");
    let job = client.job(id).await.expect("read").expect("the job");
    assert_eq!((job.retry, job.expires_at), (Some(retry), Some(queue.now() + soon)));
    let again = client.enqueue(call(1, "b")).delay(soon / 2).send().await.expect("accepted");
    assert_eq!(again, id, "the same number");
    assert_eq!(queue.enqueued::<Call>(), [call(1, "b")], "the waiting job is replaced");
    client.enqueue(call(2, "c")).unique(Unique::keep_last().payload()).send().await.expect("accepted");
    queue.advance(Duration::from_secs(25 * 3600));
    assert!(queue.enqueued::<Call>().is_empty());
    assert_eq!(queue.jobs().iter().map(|job| job.state).collect::<Vec<_>>(), [State::Cancelled; 2]);
}

#[tokio::test]
async fn a_child_waits_for_its_parents_and_gets_their_results() {
    let queue = Queue::new();
    let client = queue.client();
    let (one, two) = (
        client.enqueue(Order::Double(4)).send().await.expect("accepted"),
        client.enqueue(Order::Double(5)).delay(HOUR).send().await.expect("accepted"),
    );
    let sum = client.enqueue(Order::Sum).depends_on([one, two]).send().await.expect("accepted");
    assert_eq!(queue.drain(worker(&client)).await.expect("drained").succeeded, 1);
    assert_eq!(client.job(sum).await.expect("read").map(|job| job.state), Some(State::Blocked));
    queue.advance(HOUR);
    assert_eq!(queue.drain(worker(&client)).await.expect("drained").succeeded, 2);
    assert_eq!(client.wait(sum, Duration::ZERO).await.expect("succeeded"), 18);

    let fails = client.enqueue(Order::Fail).max_attempts(1).send().await.expect("accepted");
    let cancelled = client.enqueue(Order::Sum).depends_on([fails]).send().await.expect("accepted");
    let runs = client.enqueue(Order::Sum).depends_on([fails]).on_parent_failure(ParentFailure::Run);
    let runs = runs.send().await.expect("accepted");
    queue.drain(worker(&client)).await.expect("drained");
    assert!(matches!(client.wait(cancelled, Duration::ZERO).await, Err(Error::Cancelled(_))));
    assert_eq!(client.wait(runs, Duration::ZERO).await.expect("succeeded"), 0);
    let nobody = client.enqueue(Order::Sum).depends_on([JobId::new()]).send().await;
    assert!(nobody.expect_err("no such parent").to_string().contains("and no job has this id"));
}
