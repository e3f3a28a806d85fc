//! Bad input: one clear line, the right exit code, and no change in either store.

use crate::fixture::Scene;
use leasehold_core::PAYLOAD_MAX_BYTES;

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_argument_is_named_and_changes_nothing() {
    let scene = Scene::start().await;
    let (long, nul_payload) = ("x".repeat(300), r#"{"a":1"#);
    let no_job = "0198c5a4-0000-7000-8000-000000000000";
    let cases: &[(&[&str], i32, &str)] = &[
        (&["enqueue", "--kind", ""], 2, "'--kind <KIND>'"),
        (&["enqueue", "--kind", "k", "--queue", ""], 2, "'--queue <QUEUE>'"),
        (&["enqueue", "--kind", "k", "--queue", "a b"], 2, "has ' ' at byte 1; allowed are letters"),
        (&["enqueue", "--kind", "k", "--queue", "a{b}"], 2, "has '{' at byte 1"),
        (&["enqueue", "--kind", &long], 2, "is 300 bytes long; at most 128 are allowed"),
        (&["enqueue", "--kind", "k", "--queue", &long], 2, "is 300 bytes long; at most 128 are allowed"),
        (&["enqueue", "--kind", "k", "--payload", nul_payload], 2, "the payload is no JSON: EOF while parsing"),
        (&["enqueue", "--kind", "k", "--payload", ""], 2, "the payload is no JSON"),
        (&["enqueue", "--kind", "k", "--payload", "@/no/such/file"], 2, "cannot read the payload from /no/such/file"),
        (&["enqueue", "--kind", "k", "--priority", "101"], 2, "must be a whole number from -100 to 100"),
        (&["enqueue", "--kind", "k", "--priority", "-101"], 2, "must be a whole number from -100 to 100"),
        (&["enqueue", "--kind", "k", "--priority", "high"], 2, "'--priority <PRIORITY>'"),
        (&["enqueue", "--kind", "k", "--max-attempts", "0"], 2, "must be a whole number from 1 to 10000"),
        (&["enqueue", "--kind", "k", "--at", "tomorrow"], 2, "\"tomorrow\" is no time; write 2030-01-31T08:00:00Z"),
        (&["enqueue", "--kind", "k", "--at", "1969-12-31T23:59:59Z"], 2, "is before 1970"),
        (&["enqueue", "--kind", "k", "--delay", "10"], 2, "is no duration"),
        (&["enqueue", "--kind", "k", "--delay", "-5s"], 2, "\"-5s\" must not be negative"),
        (&["enqueue", "--kind", "k", "--timeout", "-5s"], 2, "\"-5s\" must not be negative"),
        (&["job", "wait", "--timeout", "-5s", no_job], 2, "\"-5s\" must not be negative"),
        (&["stats", "--watch", "0s"], 2, "\"0s\" is too short; the shortest interval is 100ms"),
        (&["enqueue", "--kind", "k", "--timeout", "0s"], 2, "timeout is 0 ms; it must be from 1 ms"),
        (&["enqueue", "--kind", "k", "--timeout", "100days"], 2, "it must be from 1 ms to 24 days"),
        (&["enqueue", "--kind", "k", "--unique-key", ""], 2, "unique_key is empty"),
        (&["enqueue", "--kind", "k", "--id", "17"], 2, "'--id <ID>'"),
        (&["enqueue"], 2, "--kind <KIND>"),
        (&["enqueue", "--kid", "k"], 2, "unexpected argument '--kid' found; tip: a similar argument exists: '--kind'"),
        (&["job", "show", no_job], 1, "no job has the id 0198c5a4-0000-7000-8000-000000000000"),
        (&["job", "explain", no_job], 1, "no job has the id"),
        (&["job", "wait", no_job], 1, "no job has the id"),
        (&["job", "cancel", no_job], 1, "no job has the id"),
        (&["job", "retry", no_job], 1, "no job has the id"),
        (&["job", "show", "17"], 2, "'<ID>'"),
        (&["job", "explain", "xx"], 2, "\"xx\" is no id; an id is a UUID, such as 0198c5a4-"),
        (&["limit", "set", "k", "--running", "-1"], 2, "must be a whole number from 0 to 1000000"),
        (&["limit", "set", "k", "--rate", "soon"], 2, "rate 'soon' is no rate; write starts in a time, such as 10/s"),
        (&["limit", "set", "", "--running", "1"], 2, "key is 0 bytes long; it must be from 1 to 512"),
        (&["queue", "weight", "q", "", "2"], 2, "fair_key is 0 bytes long; it must be from 1 to 512"),
        (&["queue", "pause", "q", "--fair-key", ""], 2, "fair_key is 0"),
        (&["job", "list", "--state", "done"], 2, "\"done\" is no state; the states are blocked, scheduled, queued"),
        (&["queue", "pause", "a b"], 2, "has ' ' at byte 1"),
        (&["worker", "--queue", "q"], 2, "this worker would never take a job: give it --exec KIND=COMMAND"),
        (&["worker", "--exec", "k=true"], 2, "--queue <NAME[=SLOTS]>"),
        (&["worker", "--queue", "q=0", "--exec", "k=true"], 2, "the slots must be a number from 1 to 10000"),
        (&["worker", "--queue", "q", "--exec", "true"], 2, "must be KIND=COMMAND"),
        (&["worker", "--queue", "q", "--queue", "q=2", "--exec", "k=true"], 2, "--queue q is given twice"),
        (&["worker", "--queue", "q", "--exec", "k=true", "--exec", "k=false"], 2, "--exec k is given twice"),
        (&["dev", "--exec", "*=true", "--exec", "*=false"], 2, "--exec * is given twice"),
        (&["api", "--listen", "localhost:80"], 2, "must be an IP address and a port, such as 127.0.0.1:8080"),
        (&["worker", "--queue", "q", "--exec", "k=/no/such/program x"], 2, "/no/such/program"),
        (&["each", "--queue", "q"], 2, "<COMMAND>"),
        (&["each", "--queue", "q", "--from", "/no/such/file", "--", "cat"], 2, "cannot read /no/such/file"),
        (&["frobnicate"], 2, "unrecognized subcommand 'frobnicate'"),
    ];
    let before = scene.contents().await;
    for (args, code, message) in cases {
        scene.run(args).refused(*code, message);
    }
    assert_eq!(scene.contents().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_over_the_limit_is_refused_from_every_source() {
    let scene = Scene::start().await;
    let before = scene.contents().await;
    let fits = format!("\"{}\"", "x".repeat(PAYLOAD_MAX_BYTES - 2));
    let over = format!("\"{}\"", "x".repeat(PAYLOAD_MAX_BYTES - 1));
    let file = scene.folder().join("payload.json");
    for (text, far_over) in [(&over, false), (&over.repeat(3), true)] {
        std::fs::write(&file, text).expect("written");
        let message = if far_over { "longer than 1048576 bytes" } else { "at most 1048576 are allowed" };
        scene.run(&["enqueue", "--kind", "k", "--payload", "@payload.json"]).refused(2, message);
        scene.run_with_input(&["enqueue", "--kind", "k", "--payload", "-"], text.as_bytes()).refused(2, message);
    }
    let line = format!("{{\"kind\":\"k\",\"payload\":{over}}}\n");
    scene.run_with_input(&["enqueue", "--stdin"], line.as_bytes()).refused(2, "line 1: payload is 1048577 bytes long");
    assert_eq!(scene.contents().await, before);
    scene.run_with_input(&["enqueue", "--kind", "k", "--payload", "-"], fits.as_bytes()).succeeded();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_line_is_named_by_its_number_and_its_batch_is_not_sent() {
    let scene = Scene::start().await;
    let before = scene.contents().await;
    let good = r#"{"kind":"k"}"#;
    let cases: &[(&[u8], &str)] = &[
        (b"nonsense", "line 2: not a job: the line is no JSON: expected a JSON value at column 2"),
        (b"{\"kind\":\"k\0\"}", "line 2 has a NUL byte at byte 11"),
        (b"{\"kind\":\"\xff\"}", "line 2 is not UTF-8: the first bad byte is byte 10"),
        (b"{", "line 2: not a job: the line is no JSON: EOF"),
        (b"[1]", "line 2: not a job: a line must be a JSON object"),
        (b"17", "line 2: not a job: a line must be a JSON object"),
        (br#"{"kind":"a b"}"#, "line 2: not a job: kind has ' ' at byte 1"),
        (br#"{"kind":7}"#, "line 2: not a job: kind must be a string"),
        (br#"{"kind":"k","priority":"high"}"#, "line 2: not a job: priority must be a number from -100 to 100"),
        (br#"{"kind":"k","priority":40000}"#, "line 2: not a job: priority must be a number from -100 to 100"),
        (br#"{"kind":"k","max_attempts":"3"}"#, "line 2: not a job: max_attempts must be a number from 1 to 10000"),
        (br#"{"kind":"k","delay":10}"#, "line 2: not a job: delay must be a string"),
        (br#"{"kind":"k","delay":"-5s"}"#, "line 2: delay \"-5s\" must not be negative"),
        (br#"{"kind":"k","prio":1}"#, "line 2: not a job: unknown field `prio`"),
        (br#"{"kind":"k","priority":101}"#, "line 2: priority is 101; it must be from -100 to 100"),
        (br#"{"kind":"k","max_attempts":0}"#, "line 2: max_attempts is 0; it must be from 1 to 10000"),
        (br#"{"kind":"k","run_at":"1960-01-01T00:00:00Z"}"#, "line 2: run_at \"1960-01-01T00:00:00Z\" is before 1970"),
        (
            br#"{"kind":"k","delay":"10s","run_at":"2030-01-31T08:00:00Z"}"#,
            "line 2: delay and run_at cannot be given together",
        ),
        (br#"{"kind":"k","delay":"soon"}"#, "line 2: delay \"soon\" is no duration"),
        (br#"{"kind":"k","unique_key":"\u0000"}"#, "line 2: unique_key has a NUL byte"),
        (br#"{"payload":{}}"#, "line 2: kind is missing"),
    ];
    for (bad, message) in cases {
        let input = [good.as_bytes(), b"\n", bad, b"\n", good.as_bytes(), b"\n"].concat();
        let ran = scene.run_with_input(&["enqueue", "--stdin"], &input);
        ran.refused(2, message);
        ran.said("nothing was accepted");
    }
    assert_eq!(scene.contents().await, before);
}

/// PostgreSQL refuses lines that the program cannot judge.
#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_postgresql_refuses_has_its_number() {
    let scene = Scene::start().await;
    let nobody = "00000000-0000-7000-8000-000000000001";
    let orphan = format!(r#"{{"kind":"k","depends_on":["{nobody}"]}}"#);
    scene.output(&["enqueue", "--kind", "k", "--batch", "b"]);
    scene.output(&["batch", "seal", "b"]);
    let sealed = r#"{"kind":"k","batch":"b"}"#;
    let good = "{\"kind\":\"k\"}\n";
    for (bad, told) in [(orphan.as_str(), "and no job has this id"), (sealed, "the batch 'b' is sealed")] {
        let before = scene.contents().await.jobs;
        let input = format!("{good}\n{good}{bad}\n{good}");
        let ran = scene.run_with_input(&["enqueue", "--stdin"], input.as_bytes());
        ran.refused(1, "line 4: ");
        ran.said(told);
        ran.said("nothing was accepted");
        assert_eq!((ran.stdout.as_str(), scene.contents().await.jobs), ("", before));
        let input = format!("{}{bad}\n", good.repeat(507));
        let ran = scene.run_with_input(&["enqueue", "--stdin"], input.as_bytes());
        assert_eq!(ran.code, 1, "{}", ran.stderr);
        ran.said("line 508: ");
        ran.said("lines 1 to 500 were accepted, nothing after them: go on from line 501");
        assert_eq!(ran.stdout.lines().count(), 500);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn blank_lines_are_skipped_but_counted() {
    let scene = Scene::start().await;
    let input = "\n{\"kind\":\"k\"}\n\n \t\r\n{\"kind\":\"k\"}\r\n\n";
    assert_eq!(scene.run_with_input(&["enqueue", "--stdin"], input.as_bytes()).succeeded().lines().count(), 2);
    assert_eq!(scene.run_with_input(&["enqueue", "--stdin"], b"\n\n").succeeded(), "");
    // It is the number of the line in the input, so that a user who continues there skips no line.
    let ran = scene.run_with_input(&["enqueue", "--stdin"], format!("\n{input}nonsense\n").as_bytes());
    ran.refused(2, "line 8: not a job");
    let many = format!("{}\n\nnonsense\n", "{\"kind\":\"k\"}\n\n".repeat(500));
    let ran = scene.run_with_input(&["enqueue", "--stdin"], many.as_bytes());
    ran.said("line 1003: not a job");
    ran.said("lines 1 to 999 were accepted, nothing after them: go on from line 1000");
}

/// A long line is named and shown only in part.
#[tokio::test(flavor = "multi_thread")]
async fn no_error_contains_the_whole_of_a_long_input() {
    let scene = Scene::start().await;
    let before = scene.contents().await;
    let long = "é".repeat(100_000);
    let lines = [
        long.clone(),
        format!("{{\"kind\":\"k\",\"delay\":\"{long}\"}}"),
        format!("{{\"kind\":\"k\",\"run_at\":\"{long}\"}}"),
        format!("{{\"kind\":\"k\",\"{long}\":1}}"),
        format!("{{\"kind\":\"k\",\"priority\":\"{long}\"}}"),
        format!("{{\"kind\":\"{long}\"}}"),
        format!("{{\"kind\":\"k\",\"id\":\"{long}\"}}"),
    ];
    for line in &lines {
        let ran = scene.run_with_input(&["enqueue", "--stdin"], format!("{line}\n").as_bytes());
        ran.refused(2, "line 1: ");
        ran.said("nothing was accepted");
        assert!(ran.stderr.chars().count() < 1_000, "{}", ran.stderr);
    }
    // Arguments must be shorter than 128 KiB.
    let long = &long[..100_000];
    for args in [
        &["enqueue", "--kind", "k", "--delay", long][..],
        &["enqueue", "--kind", "k", "--at", long],
        &["enqueue", "--kind", "k", "--priority", long],
        &["enqueue", "--kind", long],
        &["enqueue", "--kind", "k", "--payload", long],
        &["enqueue", "--kind", "k", "--payload", &format!("@{long}")],
        &["job", "show", long],
        &["job", "list", "--state", long],
        &["queue", "pause", long],
        &["stats", "--set", long],
        &["stats", "--set", &format!("head.max={long}")],
        &["stats", "--database-url", long],
        &["worker", "--queue", "q", "--exec", &format!("k={long}")],
        &["each", "--queue", "q", "--from", long, "--", "cat"],
        &[long],
    ] {
        let ran = scene.run(args);
        ran.refused(2, "");
        assert!(ran.stderr.chars().count() < 1_000, "{}", ran.stderr);
    }
    assert_eq!(scene.contents().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_error_of_a_later_line_says_where_to_continue() {
    let scene = Scene::start().await;
    let input = format!("{}nonsense\n", "{\"kind\":\"k\"}\n".repeat(1_203));
    let ran = scene.run_with_input(&["enqueue", "--stdin"], input.as_bytes());
    assert_eq!((ran.code, ran.stdout.lines().count()), (2, 1_000), "{}", ran.stderr);
    ran.said("line 1204: not a job");
    ran.said("lines 1 to 1000 were accepted, nothing after them: go on from line 1001");
    assert_eq!(scene.json(&["queue", "list"])[0]["queued"], 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refuses_bad_lines_before_anything_is_enqueued() {
    let scene = Scene::start().await;
    let before = scene.contents().await;
    let each = ["each", "--queue", "q", "--", "cat"];
    let good = "line\n".repeat(700);
    for (bad, message) in [
        (&b"a\0b"[..], "line 701 has a NUL byte at byte 2"),
        (&b"ab\xc3("[..], "line 701 is not UTF-8: the first bad byte is byte 3"),
        (&vec![b'x'; 2 * PAYLOAD_MAX_BYTES], "line 701 is longer than"),
        (&vec![b'x'; PAYLOAD_MAX_BYTES], "line 701: payload is"),
    ] {
        scene.run_with_input(&each, &[good.as_bytes(), bad].concat()).refused(2, message);
    }
    assert_eq!(scene.contents().await, before);
}
