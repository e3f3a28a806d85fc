//! `leasehold watch`: each file has one job and then lies where its job ended, whatever happens to the watcher.

use crate::{
    fixture::{Ran, Scene, run},
    process::Background,
};
use leasehold_tests::eventually;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::Write,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

/// Long enough for a machine that runs many tests at the same time.
const LONG: Duration = Duration::from_secs(60);

/// Makes the folder `in` and the folder `out`, from which files are moved into it.
fn folders(scene: &Scene) -> PathBuf {
    let folder = scene.folder().join("in");
    fs::create_dir(&folder).expect("made");
    fs::create_dir(scene.folder().join("out")).expect("made");
    folder
}

/// Writes a file elsewhere and renames it into the folder, as a careful producer does.
fn drop_file(scene: &Scene, name: impl AsRef<OsStr>, text: &str) {
    let out = scene.folder().join("out").join(name.as_ref());
    fs::write(&out, text).expect("written");
    fs::rename(out, scene.folder().join("in").join(name.as_ref())).expect("renamed");
}

/// The same, with the time of its last write.
fn drop_old_file(scene: &Scene, name: &str, text: &str, time: SystemTime) {
    let out = scene.folder().join("out").join(name);
    fs::write(&out, text).expect("written");
    File::options().write(true).open(&out).and_then(|file| file.set_modified(time)).expect("set");
    fs::rename(out, scene.folder().join("in").join(name)).expect("renamed");
}

fn watch(scene: &Scene, more: &[&str]) -> Background {
    let mut args = vec!["watch", "in", "--queue", "q", "--kind", "k", "--settle-ms", "50"];
    args.extend(more);
    Background::start(scene, &args, &[])
}

/// A worker that notes each run in the file `runs`, and fails for names that begin with `bad`; and a reaper.
fn fleet(scene: &Scene) -> [Background; 2] {
    let script = "k=line=$(cat); printf '%s\\n' \"$line\" >> runs; case \"$line\" in *in/bad*) exit 1;; esac";
    let quick = [("LEASEHOLD_WORKER__BACKOFF_BASE_MS", "10"), ("LEASEHOLD_WORKER__LEASE_MS", "5000")];
    let worker = Background::start(scene, &["worker", "--queue", "q=1", "--exec", script], &quick);
    [worker, Background::start(scene, &["reaper"], &quick)]
}

/// The payloads of all runs.
fn runs(scene: &Scene) -> Vec<Value> {
    let noted = fs::read_to_string(scene.folder().join("runs")).unwrap_or_default();
    noted.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
}

fn names(folder: &Path) -> BTreeSet<OsString> {
    let Ok(entries) = fs::read_dir(folder) else { return BTreeSet::new() };
    entries
        .map(|entry| entry.expect("an entry").file_name())
        .filter(|name| name != "completed" && name != "failed")
        .collect()
}

fn set<T: AsRef<OsStr>>(names: &[T]) -> BTreeSet<OsString> {
    names.iter().map(|name| name.as_ref().to_owned()).collect()
}

async fn lie_in(folder: &Path, wanted: BTreeSet<OsString>) {
    eventually(&format!("files in {}", folder.display()), LONG, async || {
        let there = names(folder);
        if there == wanted { Ok(()) } else { Err(there) }
    })
    .await;
}

/// Waits until this many jobs exist.
async fn jobs(scene: &Scene, wanted: i64) {
    let mut sql = scene.sql().await;
    eventually("jobs exist", LONG, async || {
        let there: i64 =
            sqlx::query_scalar("SELECT count(*) FROM leasehold.jobs").fetch_one(&mut sql).await.expect("counted");
        if there == wanted { Ok(()) } else { Err(there) }
    })
    .await;
}

/// Stops a watcher. Returns its counters.
fn counts(watcher: Background) -> (Value, Ran) {
    let ran = watcher.stop();
    assert_eq!(ran.code, 0, "{ran:?}");
    (serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}")), ran)
}

#[tokio::test(flavor = "multi_thread")]
async fn files_become_jobs_and_lie_where_their_jobs_ended() {
    let scene = Scene::start().await;
    let folder = folders(&scene);
    let odd = OsStr::from_bytes(b"n\xff\n.txt");
    drop_file(&scene, "before the start.txt", "1");
    drop_file(&scene, "other.csv", "not wanted");
    drop_file(&scene, ".hidden.txt", "not wanted");
    fs::create_dir(folder.join("folder.txt")).expect("made");
    let watcher = watch(&scene, &["--pattern", "*.txt", "--max-attempts", "1", "--json"]);
    let _fleet = fleet(&scene);
    lie_in(&folder.join("completed"), set(&["before the start.txt"])).await;
    drop_file(&scene, "bad one.txt", "22");
    drop_file(&scene, odd, "333");
    lie_in(&folder.join("failed"), set(&["bad one.txt"])).await;
    lie_in(&folder.join("completed"), set(&[OsStr::new("before the start.txt"), odd])).await;
    lie_in(&folder, set(&["other.csv", ".hidden.txt", "folder.txt"])).await;

    let root = fs::canonicalize(&folder).expect("a path");
    let ran = runs(&scene);
    assert_eq!(ran.len(), 3, "{ran:?}");
    let of = |name: &str| ran.iter().find(|run| run["name"] == name).unwrap_or_else(|| panic!("{name}: {ran:?}"));
    let first = of("before the start.txt");
    let size = fs::metadata(folder.join("completed/before the start.txt")).expect("a file").len();
    assert_eq!(first["path"], root.join("before the start.txt").to_str().expect("text"));
    assert_eq!((&first["size"], first.get("path_base64")), (&size.into(), None));
    // `base64` of the exact path, for a name that is no text.
    let mut encode = Command::new("base64");
    encode.args(["-w", "0"]);
    let exact = run(encode, root.join(odd).as_os_str().as_bytes()).succeeded();
    assert_eq!(of("n\u{fffd}\n.txt")["path_base64"], exact);

    let (counted, _) = counts(watcher);
    let wanted = serde_json::json!({"seen": 3, "made": 3, "known": 0, "completed": 2, "failed": 1, "elsewhere": 0, "changed": 0, "vanished": 0});
    assert_eq!(counted, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_still_written_has_no_job() {
    let scene = Scene::start().await;
    let folder = folders(&scene);
    let args = ["watch", "in", "--queue", "q", "--kind", "k", "--settle-ms", "1500", "--json"];
    let watcher = Background::start(&scene, &args, &[]);
    let mut slow = File::create(folder.join("slow")).expect("made");
    drop_file(&scene, "quick", "all of it");
    // The writer continues until the other file, which came later, has a job. So the watcher has had the time to take the slow
    // one.
    let mut sql = scene.sql().await;
    let mut written = 0_u64;
    eventually("the quick file has a job", LONG, async || {
        slow.write_all(b"piece").expect("written");
        written += 5;
        let there: Vec<String> =
            sqlx::query_scalar("SELECT payload->>'name' FROM leasehold.jobs").fetch_all(&mut sql).await.expect("read");
        if there == ["quick"] { Ok(()) } else { Err(there) }
    })
    .await;
    drop(slow);
    jobs(&scene, 2).await;
    let size = "SELECT (payload->>'size')::bigint FROM leasehold.jobs WHERE payload->>'name' = 'slow'";
    let size: i64 = sqlx::query_scalar(size).fetch_one(&mut sql).await.expect("read");
    assert_eq!(size.unsigned_abs(), written);
    let (counted, _) = counts(watcher);
    assert_eq!((&counted["seen"], &counted["changed"]), (&2.into(), &0.into()), "{counted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_watcher_loses_nothing_and_makes_nothing_twice() {
    let scene = Scene::start().await;
    let folder = folders(&scene);
    let _fleet = fleet(&scene);
    let all: Vec<String> =
        (0..200).map(|nth| format!("{}file {nth}", if nth % 20 == 0 { "bad " } else { "" })).collect();
    let mut watcher = watch(&scene, &["--max-attempts", "1"]);
    for (nth, name) in all.iter().enumerate() {
        drop_file(&scene, name, name);
        if nth % 20 == 19 {
            // Killed at a different point each time: with files that settle, with jobs, and in the middle of moves.
            watcher.signal(Signal::SIGKILL);
            watcher.ended(LONG);
            watcher = watch(&scene, &["--max-attempts", "1"]);
            let at_least = nth / 2;
            eventually("files are moved", LONG, async || {
                let moved = names(&folder.join("completed")).len();
                if moved >= at_least { Ok(()) } else { Err(moved) }
            })
            .await;
        }
    }
    let (bad, good): (Vec<_>, Vec<_>) = all.iter().partition(|name| name.starts_with("bad"));
    lie_in(&folder.join("completed"), set(&good)).await;
    lie_in(&folder.join("failed"), set(&bad)).await;
    lie_in(&folder, BTreeSet::new()).await;
    let mut ran: Vec<String> =
        runs(&scene).iter().map(|run| run["name"].as_str().expect("a name").to_owned()).collect();
    ran.sort();
    let mut wanted = all.clone();
    wanted.sort();
    assert_eq!(ran, wanted);
    jobs(&scene, 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_watchers_make_each_job_once() {
    let scene = Scene::start().await;
    let folder = folders(&scene);
    let both = [watch(&scene, &["--json"]), watch(&scene, &["--json"])];
    let _fleet = fleet(&scene);
    let all: Vec<String> = (0..100).map(|nth| format!("file {nth}")).collect();
    for name in &all {
        drop_file(&scene, name, name);
    }
    lie_in(&folder.join("completed"), set(&all)).await;
    jobs(&scene, 100).await;
    assert_eq!(runs(&scene).len(), 100);
    let both = both.map(counts);
    let sum = |field: &str| both.iter().map(|(counted, _)| counted[field].as_u64().expect("a number")).sum::<u64>();
    assert_eq!((sum("made"), sum("completed"), sum("vanished")), (100, 100, 0), "{both:?}");
    let quiet = |ran: &Ran| !ran.stderr.contains("WARN") && !ran.stderr.contains("ERROR");
    assert!(both.iter().all(|(_, ran)| quiet(ran)), "{both:?}");
}

/// A file that vanishes, a file that is changed while its job waits, and a name that is in use where the file goes.
#[tokio::test(flavor = "multi_thread")]
async fn other_programs_may_use_the_folder_too() {
    let scene = Scene::start().await;
    let folder = folders(&scene);
    let watcher = watch(&scene, &["--json"]);
    for name in ["vanishes", "changes", "twice.txt"] {
        drop_file(&scene, name, "old");
    }
    jobs(&scene, 3).await;
    fs::remove_file(folder.join("vanishes")).expect("removed");
    drop_file(&scene, "changes", "newer");
    jobs(&scene, 4).await;
    fs::create_dir(folder.join("completed")).expect("made");
    fs::write(folder.join("completed/twice.txt"), "there before").expect("written");
    let _fleet = fleet(&scene);
    lie_in(&folder.join("completed"), set(&["changes", "twice.txt", "twice.1.txt"])).await;
    lie_in(&folder, BTreeSet::new()).await;
    let read = |name: &str| fs::read_to_string(folder.join("completed").join(name)).expect("a file");
    assert_eq!(
        (read("twice.txt"), read("twice.1.txt"), read("changes")),
        ("there before".into(), "old".into(), "newer".into())
    );
    let (counted, ran) = counts(watcher);
    let fields =
        ["seen", "made", "completed", "changed", "vanished"].map(|field| counted[field].as_u64().expect("a number"));
    assert_eq!(fields, [4, 4, 2, 1, 1], "{counted}");
    assert!(!ran.stderr.contains("WARN"), "{ran:?}");
}

/// Each problem is reported once, and its end is reported once.
#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_recovers_from_trouble_and_tells_it_once() {
    let scene = Scene::start_apart().await;
    let folder = folders(&scene);
    let watcher = watch(&scene, &["--max-attempts", "1"]);
    let reaper_and_worker = fleet(&scene);
    drop_file(&scene, "first", "1");
    lie_in(&folder.join("completed"), set(&["first"])).await;

    // The folder goes, and comes back as another folder.
    fs::rename(&folder, scene.folder().join("away")).expect("renamed");
    watcher.says("cannot be read").await;
    fs::create_dir(&folder).expect("made");
    watcher.says("the folder can be read again").await;
    drop_file(&scene, "second", "2");
    lie_in(&folder.join("completed"), set(&["second"])).await;

    // Files cannot be moved, as when the disk is full: a file has the name of the folder for failed files.
    fs::write(folder.join("failed"), "in the way").expect("written");
    drop_file(&scene, "bad", "3");
    watcher.says("finished files cannot be moved").await;
    fs::remove_file(folder.join("failed")).expect("removed");
    watcher.says("finished files can be moved again").await;
    lie_in(&folder.join("failed"), set(&["bad"])).await;

    // PostgreSQL stops and starts.
    scene.stores.database.server().stop_immediately();
    drop_file(&scene, "third", "4");
    watcher.says("the files wait: ").await;
    scene.stores.database.server().start_again().expect("starting PostgreSQL");
    watcher.says("PostgreSQL is available again").await;
    lie_in(&folder.join("completed"), set(&["second", "third"])).await;

    let ran = watcher.stop();
    assert_eq!(ran.code, 0, "{ran:?}");
    for once in [
        "cannot be read",
        "can be read again",
        "cannot be moved",
        "can be moved again",
        "the files wait",
        "PostgreSQL is available again",
    ] {
        assert_eq!(ran.stderr.matches(once).count(), 1, "{once}: {}", ran.stderr);
    }
    drop(reaper_and_worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_files_at_once_are_jobs_within_seconds() {
    let scene = Scene::start().await;
    let folder = folders(&scene);
    let watcher = watch(&scene, &["--json"]);
    watcher.says("the watcher has started").await;
    for nth in 0..10_000 {
        fs::write(folder.join(format!("file {nth}")), "").expect("written");
    }
    jobs(&scene, 10_000).await;
    // Finished by SQL: the test is not about running ten thousand jobs.
    let finish = "WITH gone AS (DELETE FROM leasehold.job RETURNING *)
                  INSERT INTO leasehold.history (id, run_at, created_at, started_at, finished_at, worker, epoch, attempt,
                      max_attempts, state, priority, crashes, max_crashes, queue, kind, payload)
                  SELECT id, run_at, created_at, now(), now(), gen_random_uuid(), 1, 1, max_attempts, 'succeeded', priority,
                      crashes, max_crashes, queue, kind, payload FROM gone";
    sqlx::query(finish).execute(&mut scene.sql().await).await.expect("finishing all jobs");
    eventually("all files are moved", LONG, async || {
        let moved = names(&folder.join("completed")).len();
        if moved == 10_000 { Ok(()) } else { Err(moved) }
    })
    .await;
    let (counted, _) = counts(watcher);
    assert_eq!((&counted["made"], &counted["completed"]), (&10_000.into(), &10_000.into()), "{counted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_not_there_is_refused() {
    let scene = Scene::start().await;
    scene.run(&["watch", "nowhere", "--queue", "q", "--kind", "k"]).refused(2, "the folder nowhere cannot be read");
    scene.run(&["watch", ".", "--queue", "q", "--kind", "k", "--settle-ms", "x"]).refused(2, "--settle-ms");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_the_place_of_a_folder_is_refused_at_the_start() {
    let scene = Scene::start().await;
    let folder = folders(&scene);
    for name in ["completed", "failed"] {
        fs::write(folder.join(name), "in the way").expect("written");
        let said = format!("in/{name} is not a folder");
        scene.run(&["watch", "in", "--queue", "q", "--kind", "k"]).refused(2, &said);
        fs::remove_file(folder.join(name)).expect("removed");
    }
}

/// Another file with the same name, size and time of the last write has a separate run, also if two watchers see it and also
/// after a restart.
#[tokio::test(flavor = "multi_thread")]
async fn another_file_with_the_same_size_and_time_has_its_own_run() {
    let scene = Scene::start().await;
    let folder = folders(&scene);
    let _fleet = fleet(&scene);
    let mut watchers = vec![watch(&scene, &["--json"]), watch(&scene, &["--json"])];
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let mut there: Vec<&str> = Vec::new();
    for (text, moved) in [("one", "a.txt"), ("two", "a.1.txt"), ("six", "a.2.txt")] {
        drop_old_file(&scene, "a.txt", text, time);
        there.push(moved);
        lie_in(&folder.join("completed"), set(&there)).await;
        assert_eq!(fs::read_to_string(folder.join("completed").join(moved)).expect("a file"), text);
        // The first restart is after the second file: then nothing is known of the ids but what the jobs say.
        let watcher = watchers.remove(0);
        watcher.signal(Signal::SIGKILL);
        watchers.push(watch(&scene, &["--json"]));
    }
    jobs(&scene, 3).await;
    assert_eq!(runs(&scene).len(), 3);
}

/// The watcher was killed between the end of the job and the move. The rights of the file were changed meanwhile, and the
/// clock of the database is behind.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_could_not_be_moved_is_only_moved() {
    let scene = Scene::start().await;
    let folder = folders(&scene);
    let watcher = watch(&scene, &[]);
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    drop_old_file(&scene, "a", "one", time);
    drop_old_file(&scene, "b", "one", time);
    jobs(&scene, 2).await;
    watcher.signal(Signal::SIGKILL);
    watcher.ended(LONG);
    let fleet = fleet(&scene);
    let mut sql = scene.sql().await;
    let ended = "SELECT count(*) FROM leasehold.jobs WHERE state = 'succeeded'";
    eventually("the jobs have ended", LONG, async || {
        let there: i64 = sqlx::query_scalar(ended).fetch_one(&mut sql).await.expect("counted");
        if there == 2 { Ok(()) } else { Err(there) }
    })
    .await;
    fs::set_permissions(folder.join("a"), fs::Permissions::from_mode(0o600)).expect("set");
    let behind =
        "UPDATE leasehold.history SET finished_at = finished_at - interval '1 day' WHERE payload->>'name' = 'b'";
    sqlx::query(behind).execute(&mut sql).await.expect("changed");
    let watcher = watch(&scene, &["--json"]);
    lie_in(&folder.join("completed"), set(&["a", "b"])).await;
    let (counted, _) = counts(watcher);
    assert_eq!((&counted["made"], &counted["known"], &counted["completed"]), (&0.into(), &2.into(), &2.into()));
    jobs(&scene, 2).await;
    assert_eq!(runs(&scene).len(), 2);
    drop(fleet);
}
