//! Writes results into a document. The text between `<!-- bench:NAME -->` and `<!-- /bench:NAME -->` is generated from
//! the results of this name; people write all other text.

use crate::{
    growth::{BY_ID, SKIP_LOCKED},
    history, http, pinned, plots, ranking,
    results::{Results, Spread},
    soak,
    table::{COSTS, costs, median, megabytes, number, percent, spread, table},
};
use anyhow::{Context as _, Result, bail};
use std::{fs, path::Path};

/// Every question whose answer a document can contain.
const NAMES: [&str; 11] =
    ["idle", "short", "growth", "claimers", "limits", "backlog", "history", "pinned", "exec", "http", "soak"];
/// The question that another program answers.
const PEERS: &str = "peers";

/// Updates the document, and draws plots if a folder is given.
pub(crate) fn write(results: &Path, document: &Path, plots: Option<&Path>) -> Result<()> {
    let mut text = fs::read_to_string(document).with_context(|| format!("reading {}", document.display()))?;
    for name in NAMES {
        if let Some(found) = Results::load(results, name)? {
            let mut content = section(&found);
            if let Some(folder) = plots {
                content += &pictures(&found, folder, document)?;
            }
            text = replaced(&text, name, &content)?;
        }
    }
    if let Ok(tables) = fs::read_to_string(results.join("peers.md")) {
        let json =
            fs::read_to_string(results.join("peers.json")).context("reading peers.json, which belongs to peers.md")?;
        text = replaced(&text, PEERS, &format!("{}\n{}", ranking::of(&json)?, tables.trim_end()))?;
    }
    fs::write(document, text).with_context(|| format!("writing {}", document.display()))
}

/// Draws the plots of these results. Returns their links, relative to the document's folder.
fn pictures(results: &Results, folder: &Path, document: &Path) -> Result<String> {
    let from = document.parent().unwrap_or(Path::new(""));
    let near = folder.strip_prefix(from).unwrap_or(folder);
    let drawn = plots::draw(results, folder)?;
    Ok(drawn.iter().map(|(title, file)| format!("\n![{title}]({})\n", near.join(file).display())).collect())
}

/// The text with new content between the marks of this name.
fn replaced(text: &str, name: &str, content: &str) -> Result<String> {
    let (begin, end) = (format!("<!-- bench:{name} -->\n"), format!("<!-- /bench:{name} -->"));
    let Some((before, rest)) = text.split_once(&begin) else { bail!("the document has no mark bench:{name}") };
    let Some((_, after)) = rest.split_once(&end) else { bail!("the document has no end of bench:{name}") };
    Ok(format!("{before}{begin}\n{}\n\n{end}{after}", content.trim()))
}

/// The section of a document for these results.
pub(crate) fn section(results: &Results) -> String {
    let table = match results.name.as_str() {
        "short" => short(results),
        "growth" => ways(results, "processes", "drain_per_s", "costs/postgres_cpu_us_per_job"),
        "claimers" => ways(results, "claimers", "jobs_per_s", "postgres_cpu_us_per_job"),
        "limits" => limits(results),
        "backlog" => backlog(results),
        "history" => history(results),
        "pinned" => pinned(results),
        "exec" => exec(results),
        "idle" => idle(results),
        "http" => over_http(results),
        "soak" => soaked(results),
        _ => String::new(),
    };
    format!("{}\n\n{table}", measured_on(results))
}

fn measured_on(results: &Results) -> String {
    let machine = &results.machine;
    let disturbed = results.runs.iter().filter(|run| run.disturbed).count();
    let disturbed = match disturbed {
        0 => String::new(),
        _ => format!(
            " **During {disturbed} of {} runs other processes used the machine: these figures are too low.**",
            results.runs.len()
        ),
    };
    let debug = if machine.profile == "release" { "" } else { " **A debug build: only ratios mean something.**" };
    format!(
        "`{}`, {}: Leasehold {} on {} × {}, {:.0} GB, {}; PostgreSQL {}, Redis {}; 8 KiB are on the disk after {:.2} ms. \
         Median [least–most].{disturbed}{debug}",
        results.command,
        machine.measured_on,
        machine.leasehold,
        machine.cpus,
        machine.cpu,
        machine.memory_gb,
        machine.system,
        machine.postgres,
        machine.redis,
        machine.sync_ms,
    )
}

fn short(results: &Results) -> String {
    let throughput =
        [("drain", "drain_per_s"), ("flow", "flow_per_s"), ("fleet", "drain_per_s")].map(|(mode, figure)| {
            let (ours, floor) = (results.spread("leasehold", mode, figure), results.spread("floor", "floor", figure));
            let enqueued = results.spread("leasehold", mode, "enqueue_per_s");
            let mut row = vec![mode.to_owned(), spread(ours), spread(floor), percent(ours, floor), spread(enqueued)];
            row.extend(costs(results, "leasehold", mode));
            row.push(megabytes(results.spread("leasehold", mode, "costs/worker_memory_peak_bytes")));
            row
        });
    let mut floor = vec!["floor".to_owned()];
    floor.extend(["–", "–", "–"].map(str::to_owned));
    floor.push(spread(results.spread("floor", "floor", "enqueue_per_s")));
    floor.extend(costs(results, "floor", "floor"));
    floor.push("–".to_owned());
    let mut rows = throughput.to_vec();
    rows.push(floor);
    let mut headings = vec!["mode", "jobs/s", "floor/s", "of the floor", "enqueued/s"];
    headings.extend(COSTS);
    headings.push("MB a worker");
    let latency = ["p50_ms", "p95_ms", "p99_ms", "settled_p50_ms"].map(|figure| {
        let (ours, floor) = (results.spread("leasehold", "latency", figure), results.spread("floor", "floor", figure));
        let ratio = ours
            .zip(floor)
            .map_or_else(|| "–".to_owned(), |(ours, floor)| format!("{:.2} ×", ours.median / floor.median));
        let title = if figure == "settled_p50_ms" { "p50 until settled" } else { figure.trim_end_matches("_ms") };
        vec![title.to_owned(), spread(ours), spread(floor), ratio]
    });
    format!(
        "{}\n{}",
        table(&headings, &rows),
        table(&["latency", "Leasehold, ms", "floor, ms", "of the floor"], &latency)
    )
}

/// Both ways to find jobs, by number of claimers or processes.
fn ways(results: &Results, those: &str, rate: &str, cost: &str) -> String {
    let row = |number: &str| {
        let figures = [BY_ID, SKIP_LOCKED].into_iter().flat_map(|way| [(way, rate), (way, cost)]);
        let figures = figures.map(|(way, figure)| spread(results.spread(way, number, figure)));
        std::iter::once(number.to_owned()).chain(figures).collect()
    };
    let rows: Vec<Vec<String>> = results.settings().into_iter().map(row).collect();
    let cost = "PostgreSQL CPU µs/job";
    table(&[those, "by id, jobs/s", cost, "SKIP LOCKED, jobs/s", cost], &rows)
}

fn limits(results: &Results) -> String {
    let row = |run: &str| {
        let figures = ["limited_per_s", "plain_per_s"].map(|figure| spread(results.spread("leasehold", run, figure)));
        std::iter::once(run.to_owned()).chain(figures).collect()
    };
    let rows: Vec<Vec<String>> = results.settings().into_iter().map(row).collect();
    table(&["run", "jobs with limit keys/s", "plain jobs/s"], &rows)
}

fn backlog(results: &Results) -> String {
    let rows: Vec<Vec<String>> = results
        .settings()
        .into_iter()
        .map(|jobs| {
            let figure = |name: &str| results.spread("leasehold", jobs, name);
            let (first, last) = (figure("first_tenth_per_s"), figure("last_tenth_per_s"));
            let jobs = jobs.parse().map_or_else(|_| jobs.to_owned(), number);
            vec![
                jobs,
                spread(figure("enqueue_per_s")),
                spread(figure("drain_per_s")),
                spread(first),
                spread(last),
                percent(last, first),
                megabytes(figure("costs/redis_memory/before_bytes")),
                megabytes(figure("costs/redis_memory/peak_bytes")),
            ]
        })
        .collect();
    let headings = [
        "jobs in the line",
        "enqueued/s",
        "drained/s",
        "first tenth/s",
        "last tenth/s",
        "last of first",
        "Redis before, MB",
        "Redis at most, MB",
    ];
    table(&headings, &rows)
}

fn history(results: &Results) -> String {
    let rows = [
        ("enqueued/s", "leasehold", "enqueue_per_s"),
        ("drained/s", "leasehold", "drain_per_s"),
        ("stats, ms", "looks", "stats_ms"),
        ("a page of `job list`, ms", "looks", "list_ms"),
        ("`job list` as a program, ms", "looks", "job_list_program_ms"),
    ]
    .map(|(title, subject, figure)| {
        let (before, after) =
            (results.spread(subject, history::EMPTY, figure), results.spread(subject, history::FULL, figure));
        vec![title.to_owned(), spread(before), spread(after), percent(after, before)]
    });
    table(&["figure", "without history", "with it", "with of without"], &rows)
}

fn pinned(results: &Results) -> String {
    let (free, pinned) = (
        results.spread("leasehold", pinned::FREE, "flow_per_s"),
        results.spread("leasehold", pinned::PINNED, "flow_per_s"),
    );
    let mut rows = vec![vec!["all the time".to_owned(), spread(free), spread(pinned), percent(pinned, free)]];
    for tenth in 0..10 {
        let figure = format!("tenths_per_s/{tenth}");
        let of = |setting| results.spread("leasehold", setting, &figure);
        let (free, pinned) = (of(pinned::FREE), of(pinned::PINNED));
        rows.push(vec![format!("tenth {}", tenth + 1), spread(free), spread(pinned), percent(pinned, free)]);
    }
    table(&["jobs/s in", "without an open snapshot", "with one", "with of without"], &rows)
}

fn soaked(results: &Results) -> String {
    type AsText = fn(Option<Spread>) -> String;
    let (as_is, in_mb): (AsText, AsText) = (spread, megabytes);
    let row = |(title, figure, text): (&str, &str, AsText)| {
        let cells =
            [soak::FIRST, soak::BETWEEN, soak::LAST].map(|setting| text(results.spread("leasehold", setting, figure)));
        std::iter::once(title.to_owned()).chain(cells).collect::<Vec<_>>()
    };
    let rows = [
        ("finished jobs/s", "jobs_per_s", as_is),
        ("due until begun, p50 ms", "start_p50_ms", as_is),
        ("due until begun, p99 ms", "start_p99_ms", as_is),
        ("reaper, MB", "reaper_bytes", in_mb),
        ("api, MB", "api_bytes", in_mb),
        ("worker with Rust handlers, MB", "rust_worker_bytes", in_mb),
        ("worker with commands, MB", "command_worker_bytes", in_mb),
        ("reaper, descriptors", "reaper_descriptors", as_is),
        ("api, descriptors", "api_descriptors", as_is),
        ("worker with Rust handlers, descriptors", "rust_worker_descriptors", as_is),
        ("worker with commands, descriptors", "command_worker_descriptors", as_is),
        ("connections to PostgreSQL", "connections", as_is),
        ("dead rows of `job`", "dead_rows", as_is),
        ("vacuums of `job` since the start", "vacuums", as_is),
        ("`job` with its indexes, MB", "job_bytes", in_mb),
        ("rows of `history`", "history_rows", as_is),
        ("`history` with its indexes, MB", "history_bytes", in_mb),
        ("all other tables, MB", "other_bytes", in_mb),
        ("Redis, MB", "redis_bytes", in_mb),
    ]
    .map(row);
    table(&["median of the minutes", soak::FIRST, soak::BETWEEN, soak::LAST], &rows)
}

fn exec(results: &Results) -> String {
    let of = |subject| results.spread(subject, "lines", "lines_per_s");
    let xargs = of("xargs");
    let rows = ["xargs", "leasehold each"]
        .map(|subject| vec![format!("`{subject}`"), spread(of(subject)), percent(of(subject), xargs)]);
    let parallel = results.runs.first().and_then(|run| run.figure("parallel"));
    let at_once = parallel.map_or_else(String::new, |parallel| format!("{parallel:.0} commands at once.\n\n"));
    format!("{at_once}{}", table(&["", "lines/s", "of xargs"], &rows))
}

fn over_http(results: &Results) -> String {
    let rates = [http::ENQUEUE, http::WORK].map(|setting| {
        let figure = |name: &str| spread(results.spread("HTTP", setting, name));
        let figures = ["jobs_per_s", "server_cpu_us_per_job", "postgres_cpu_us_per_job"].map(figure);
        std::iter::once(setting.to_owned()).chain(figures).collect()
    });
    let rates = table(&["in batches", "jobs/s", "server CPU µs/job", "PostgreSQL CPU µs/job"], &rates);
    let latencies =
        [("HTTP", http::CLAIM), ("HTTP", http::HAND_OVER), (http::RUST, http::HAND_OVER)].map(|(subject, setting)| {
            let figure = |name: &str| spread(results.spread(subject, setting, name));
            let title = if subject == http::RUST { "the same in Rust, until the handler starts" } else { setting };
            std::iter::once(title.to_owned()).chain(["p50_ms", "p95_ms", "p99_ms"].map(figure)).collect()
        });
    let latencies = table(&["latency, ms", "p50", "p95", "p99"], &latencies);
    let of_crowd = |name: &str| median(results.spread("HTTP", http::CROWD, name));
    let megabytes_of_crowd = |name: &str| megabytes(results.spread("HTTP", http::CROWD, name));
    let crowd = [
        ("clients that wait for jobs", of_crowd("waiting")),
        ("clients that enqueue a job each second", of_crowd("enqueuing")),
        ("seconds", of_crowd("seconds")),
        ("jobs", of_crowd("jobs")),
        ("errors", of_crowd("errors")),
        ("jobs that were lost", of_crowd("lost")),
        ("enqueue, p50 ms", of_crowd("enqueue/p50_ms")),
        ("enqueue, p99 ms", of_crowd("enqueue/p99_ms")),
        ("enqueue until a claim has the job, p50 ms", of_crowd("hand_over/p50_ms")),
        ("enqueue until a claim has the job, p99 ms", of_crowd("hand_over/p99_ms")),
        ("memory of the server before, MB", megabytes_of_crowd("memory_before_bytes")),
        ("memory of the server at most, MB", megabytes_of_crowd("memory_peak_bytes")),
        ("the server, % of a core", of_crowd("server_cpu_percent")),
        ("its connections to PostgreSQL, at most", of_crowd("postgres_connections")),
    ]
    .map(|(title, figure)| vec![title.to_owned(), figure]);
    format!("{rates}\n{latencies}\n{}", table(&["many clients", ""], &crowd))
}

fn idle(results: &Results) -> String {
    let rows: Vec<Vec<String>> = results
        .settings()
        .into_iter()
        .map(|workers| {
            let figure = |name: &str| results.spread("leasehold", workers, name);
            vec![
                workers.to_owned(),
                median(figure("seconds")),
                median(figure("percent_of_a_core")),
                megabytes(figure("memory_bytes")),
                median(figure("connections_with_statements")),
            ]
        })
        .collect();
    let headings =
        ["idle workers", "seconds", "% of a core, together", "MB a worker, at most", "connections with a statement"];
    table(&headings, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{machine::Machine, results::Run};
    use serde_json::json;

    fn machine() -> Machine {
        let word = || "x".to_owned();
        Machine {
            cpus: 2,
            cpu: word(),
            memory_gb: 8.0,
            system: word(),
            postgres: word(),
            redis: word(),
            leasehold: word(),
            profile: "release".to_owned(),
            sync_ms: 0.5,
            measured_on: word(),
        }
    }

    #[test]
    fn only_the_section_is_replaced() {
        let text = "a\n<!-- bench:exec -->\nold\n<!-- /bench:exec -->\nb";
        let new = replaced(text, "exec", "new\n").expect("the marks are there");
        assert_eq!(new, "a\n<!-- bench:exec -->\n\nnew\n\n<!-- /bench:exec -->\nb");
        assert_eq!(replaced(&new, "exec", "new").expect("still there"), new);
        assert!(replaced(text, "short", "new").is_err());
    }

    #[test]
    fn every_question_has_a_table() {
        for name in NAMES {
            let results =
                Results { name: name.to_owned(), command: String::new(), machine: machine(), runs: Vec::new() };
            assert!(section(&results).contains("| ---"), "{name} has no table");
        }
    }

    #[test]
    fn figures_come_from_their_runs() {
        let run = |subject: &str, setting: &str, line| Run::of(subject, setting, line, 0.0, false);
        let floor = json!({ "drain_per_s": 200_000.0, "flow_per_s": 100_000.0, "p50_ms": 1.0 });
        let drain = json!({ "drain_per_s": 50_000.0, "costs": { "wal_bytes_per_job": 1000.0 } });
        let runs = vec![run("floor", "floor", floor), run("leasehold", "drain", drain)];
        let results = Results { name: "short".to_owned(), command: String::new(), machine: machine(), runs };
        let text = section(&results);
        let drain = text.lines().find(|line| line.starts_with("| drain")).expect("a row for drain");
        let cells: Vec<&str> = drain.split('|').map(str::trim).collect();
        assert_eq!((cells[2], cells[3], cells[4], cells[7]), ("50,000", "200,000", "25 %", "1,000"));
        assert_eq!(median(results.spread("floor", "floor", "p50_ms")), "1.00");
    }
}
