//! Tests of rules for every command and every flag: numbers name their range, the help can be read on a narrow terminal, and a
//! flag has the same text everywhere.

use crate::cli::{Cli, parse};
use clap::{CommandFactory, error::ErrorKind};
use std::{collections::BTreeMap, ffi::OsString};

/// Each flag with a value: the words of its command, its name, and whether it takes a number.
fn flags(command: &clap::Command, path: &[String], found: &mut Vec<(Vec<String>, String, bool)>) {
    const NUMBERS: [&str; 9] = ["u8", "u16", "u32", "u64", "usize", "i16", "i32", "i64", "f64"];
    for arg in command.get_arguments().filter(|arg| arg.get_action().takes_values() && !arg.is_positional()) {
        let kind = format!("{:?}", arg.get_value_parser().type_id());
        let flag = arg.get_long().map(|long| format!("--{long}")).expect("a long name");
        let words: Vec<&str> = kind.split(|c: char| !c.is_alphanumeric()).collect();
        // A tuple, such as a queue and its slots, is no number.
        let is_number = !kind.contains(',') && NUMBERS.iter().any(|number| words.contains(number));
        found.push((path.to_vec(), flag, is_number));
    }
    for below in command.get_subcommands() {
        flags(below, &[path, &[below.get_name().to_owned()]].concat(), found);
    }
}

#[test]
fn each_number_out_of_range_is_refused_with_its_flag_and_its_range() {
    let mut all = Vec::new();
    flags(&Cli::command(), &["leasehold".to_owned()], &mut all);
    let numbers = all.iter().filter(|(.., is_number)| *is_number).count();
    assert!(numbers >= 20, "{numbers} of {} flags take a number", all.len());
    for (path, flag, is_number) in all {
        for value in ["-1000000000", "-1.5", "99999999999999999999"] {
            let given: Vec<OsString> =
                path.iter().map(String::as_str).chain([&*flag, value]).map(OsString::from).collect();
            let error = parse(given).err();
            let kind = error.as_ref().map(clap::Error::kind);
            let said = error.map(|error| error.to_string()).unwrap_or_default();
            assert_ne!(kind, Some(ErrorKind::UnknownArgument), "{path:?} {flag} {value}: {said}");
            let names_both =
                said.contains(&format!("'{flag} ")) && said.contains(" number from ") && said.contains(" to ");
            let is_refused = kind == Some(ErrorKind::ValueValidation) && names_both;
            assert!(is_refused || !is_number, "{path:?} {flag} {value}: {said}");
        }
    }
}

/// A command, its path, and the commands below it.
fn commands(command: &clap::Command, path: &str, found: &mut Vec<(String, clap::Command)>) {
    found.push((path.to_owned(), command.clone()));
    for below in command.get_subcommands() {
        commands(below, &format!("{path} {}", below.get_name()), found);
    }
}

fn all_commands() -> Vec<(String, clap::Command)> {
    let mut found = Vec::new();
    commands(&Cli::command(), "leasehold", &mut found);
    found
}

/// The number of columns of a narrow terminal.
const NARROW: usize = 80;

#[test]
fn examples_fit_on_a_narrow_terminal_and_paragraphs_are_wrapped_by_the_terminal() {
    let mut wrong = Vec::new();
    for (path, command) in all_commands() {
        let Some(text) = command.get_after_help() else { continue };
        let text = text.to_string();
        let lines: Vec<&str> = text.lines().collect();
        for line in lines.iter().filter(|line| line.starts_with(' ') && line.chars().count() > NARROW) {
            wrong.push(format!("{path}: longer than {NARROW} columns: {line}"));
        }
        for pair in lines.windows(2) {
            let is_text = |line: &str| !line.is_empty() && !line.starts_with(' ') && !line.ends_with(':');
            if is_text(pair[0]) && is_text(pair[1]) {
                wrong.push(format!("{path}: a paragraph must be one line: {}", pair[0]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Flags that do not mean the same in all commands, and how many texts they have.
const SEVERAL_MEANINGS: [(&str, usize); 15] = [
    ("batch", 3),
    ("expires-in", 3),
    ("fair-key", 3),
    ("kind", 5),
    ("limit", 6),
    ("listen", 4),
    ("overlap", 2),
    ("queue", 7),
    ("rate", 2),
    ("retry", 2),
    ("since", 4),
    ("state", 4),
    ("timeout", 2),
    ("unique-key", 2),
    ("yes", 2),
];

#[test]
fn a_flag_has_the_same_text_everywhere() {
    let mut texts: BTreeMap<String, BTreeMap<String, Vec<String>>> = BTreeMap::new();
    for (path, command) in all_commands() {
        for arg in command.get_arguments().filter(|arg| !arg.is_global_set()) {
            let Some(long) = arg.get_long() else { continue };
            let text = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
            texts.entry(long.to_owned()).or_default().entry(text).or_default().push(path.clone());
        }
    }
    let wanted = |flag: &str| SEVERAL_MEANINGS.iter().find(|(name, _)| *name == flag).map_or(1, |(_, count)| *count);
    let differing = texts.iter().filter(|(flag, texts)| texts.len() != wanted(flag));
    let differing: Vec<String> = differing.map(|(flag, texts)| format!("--{flag}: {texts:#?}")).collect();
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}
