//! Passwords in arguments. Every user of a machine can read the arguments of every process (`ps`). So a process with a
//! password in its arguments immediately replaces itself with the same program without the password, under the same
//! process id. The password is passed on in the environment, which only the same user can read.
//!
//! For a moment the password is visible. A file or the environment is a better place (`LEASEHOLD_DATABASE_URL_FILE`).

use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    os::unix::process::CommandExt,
    process::{self, Command},
};

/// Carries the original values of the blanked arguments. Other processes that inherit this variable ignore it, because
/// it contains the id of the process that it is for.
const VARIABLE: &str = "LEASEHOLD__ARGUMENTS";
/// Flags whose value is a URL.
const URLS: [&str; 2] = ["--database-url", "--redis-url"];
/// The flag whose value may be `KEY=URL`, and the keys with a URL.
const SET: &str = "--set";
const KEYS: [&str; 2] = ["database.url=", "redis.url="];

/// The blanked arguments, and the process that they are for.
#[derive(Debug, Deserialize, Serialize)]
struct Blanked {
    process: u32,
    /// The original arguments, by position.
    arguments: BTreeMap<usize, String>,
}

/// The original arguments of this process. Does not return if an argument contains a password: the same program then
/// starts again without the password in its arguments.
pub(crate) fn given() -> Vec<OsString> {
    let arguments: Vec<OsString> = env::args_os().collect();
    if let Some(blanked) = blanked_before() {
        return restored(arguments, blanked);
    }
    let (shown, hidden) = blank(&arguments);
    if !hidden.is_empty() {
        start_again(&shown, hidden);
    }
    arguments
}

fn blanked_before() -> Option<Blanked> {
    let blanked: Blanked = serde_json::from_str(&env::var(VARIABLE).ok()?).ok()?;
    (blanked.process == process::id()).then_some(blanked)
}

fn restored(mut arguments: Vec<OsString>, blanked: Blanked) -> Vec<OsString> {
    for (place, value) in blanked.arguments {
        if let Some(argument) = arguments.get_mut(place) {
            *argument = value.into();
        }
    }
    arguments
}

/// Returns only if the system refuses. Then the password stays visible, but the command still runs.
fn start_again(shown: &[OsString], arguments: BTreeMap<usize, String>) {
    let blanked = Blanked { process: process::id(), arguments };
    let (Ok(program), Ok(blanked)) = (env::current_exe(), serde_json::to_string(&blanked)) else { return };
    let mut command = Command::new(program);
    if let Some((name, rest)) = shown.split_first() {
        command.arg0(name).args(rest);
    }
    let _ = command.env(VARIABLE, blanked).exec();
}

/// The arguments without passwords, and, by position, the originals of the arguments that had a password.
fn blank(arguments: &[OsString]) -> (Vec<OsString>, BTreeMap<usize, String>) {
    let (mut shown, mut hidden) = (arguments.to_vec(), BTreeMap::new());
    let mut flag = None;
    for (place, argument) in arguments.iter().enumerate().skip(1) {
        let Some(argument) = argument.to_str() else {
            flag = None;
            continue;
        };
        // The rest is a command for other processes.
        if argument == "--" {
            break;
        }
        let blanked = match flag.take() {
            Some(flag) => blanked_value(flag, argument),
            None => {
                let mut flags = URLS.into_iter().chain([SET]);
                match argument.split_once('=') {
                    Some((name, value)) => flags
                        .find(|flag| *flag == name)
                        .and_then(|flag| Some(format!("{flag}={}", blanked_value(flag, value)?))),
                    None => {
                        flag = flags.find(|flag| *flag == argument);
                        None
                    }
                }
            }
        };
        if let Some(blanked) = blanked {
            shown[place] = blanked.into();
            hidden.insert(place, argument.to_owned());
        }
    }
    (shown, hidden)
}

fn blanked_value(flag: &str, value: &str) -> Option<String> {
    if flag != SET {
        return blanked_url(value);
    }
    let key = KEYS.into_iter().find(|key| value.starts_with(key))?;
    Some(format!("{key}{}", blanked_url(&value[key.len()..])?))
}

/// The URL without its password; `None` if it has none.
fn blanked_url(url: &str) -> Option<String> {
    let in_words = |text: &str| text.to_ascii_lowercase().contains("password");
    let Some((scheme, rest)) = url.split_once("://") else {
        return in_words(url).then(|| "***".to_owned());
    };
    let (place, query) = rest.split_once('?').map_or((rest, None), |(place, query)| (place, Some(query)));
    let login = place.rsplit_once('@').and_then(|(login, place)| Some((login.split_once(':')?.0, place)));
    let secret_query = query.is_some_and(in_words);
    if login.is_none() && !secret_query {
        // The password may contain an unescaped `?`. Hide everything before the last `@`.
        return query.filter(|query| query.contains('@')).map(|_| format!("{scheme}://***"));
    }
    let place = login.map_or_else(|| place.to_owned(), |(user, place)| format!("{user}:***@{place}"));
    let query = match query {
        Some(_) if secret_query => "?***".to_owned(),
        Some(query) => format!("?{query}"),
        None => String::new(),
    };
    Some(format!("{scheme}://{place}{query}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(arguments: &[&str]) -> (Vec<String>, Vec<usize>) {
        let arguments: Vec<OsString> = arguments.iter().map(Into::into).collect();
        let (shown, hidden) = blank(&arguments);
        let places: Vec<usize> = hidden.keys().copied().collect();
        let blanked = Blanked { process: 1, arguments: hidden };
        assert_eq!(restored(shown.clone(), blanked), arguments, "nothing is lost");
        (shown.into_iter().map(|argument| argument.into_string().expect("text")).collect(), places)
    }

    #[test]
    fn every_way_to_give_a_url_is_blanked() {
        let (secret, open) =
            ("postgres://ann:hunter2@db/jobs?sslmode=require", "postgres://ann:***@db/jobs?sslmode=require");
        for (given, left, places) in [
            (vec!["l", "--database-url", secret, "stats"], vec!["l", "--database-url", open, "stats"], vec![2]),
            (
                vec!["l", "stats", "--database-url=postgres://ann:a=b@db", "--redis-url", "redis://:x@h"],
                vec!["l", "stats", "--database-url=postgres://ann:***@db", "--redis-url", "redis://:***@h"],
                vec![2, 4],
            ),
            (
                vec!["l", "--set", "redis.url=redis://:x@h", "--set=database.url=postgres://a:b@c/d"],
                vec!["l", "--set", "redis.url=redis://:***@h", "--set=database.url=postgres://a:***@c/d"],
                vec![2, 3],
            ),
        ] {
            assert_eq!(shown(&given), (left.iter().map(|word| (*word).to_owned()).collect(), places));
        }
    }

    #[test]
    fn what_has_no_password_is_left_alone() {
        for arguments in [
            vec!["l", "--database-url", "postgres://ann@db/jobs", "--redis-url=redis://h:6379/0"],
            vec!["l", "--set", "worker.lease_ms=5000", "--set"],
            vec!["l", "each", "--", "psql", "--database-url", "postgres://ann:hunter2@db/jobs"],
            vec!["l", "--database-url"],
        ] {
            let (left, places) = shown(&arguments);
            assert!(left == arguments && places.is_empty(), "{left:?}");
        }
    }

    #[test]
    fn no_part_of_a_password_is_left() {
        for url in [
            "postgres://ann:hun:ter2@db/jobs",
            "postgres://ann:se@hunter2@db/jobs",
            "postgres://ann:se?hunter2@db/jobs",
            "postgres://db/jobs?user=ann&password=hunter2",
            "postgres://ann@db/jobs?sslPassword=hunter2",
            "host=db password=hunter2",
        ] {
            let left = blanked_url(url).expect("it has one");
            assert!(!left.contains("ter2"), "{left}");
        }
    }
}
