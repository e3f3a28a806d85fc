//! Asks the shell about a command before the first job needs it: can the shell read the command, and does its first word name a
//! program?

use crate::exec::{environment::PassedEnv, output::end_of};
use std::process::Stdio;

/// The word that must name a program. `None` if only a shell can tell: the word is quoted, expanded or grouped.
pub(crate) fn first_word(command: &str) -> Option<&str> {
    let is_assignment = |word: &str| {
        word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        })
    };
    let mut words = command.split_whitespace();
    let word = loop {
        let word = words.next()?;
        if word.contains(['\'', '"', '\\', '$', '`', '(', ')', '{', '}', '<', '>', '#', '*', '?', '[', '~', '!'])
            && word != "["
        {
            return None;
        }
        if !is_assignment(word) {
            break word;
        }
    };
    let end = word.find([';', '|', '&']).unwrap_or(word.len());
    Some(&word[..end]).filter(|word| !word.is_empty())
}

/// Asks the shell a question. Returns what the shell printed if the answer is no.
pub(crate) fn ask_shell(arguments: &[&str]) -> Result<(), String> {
    let mut shell = std::process::Command::new("sh");
    for name in PassedEnv::None.withheld() {
        shell.env_remove(name);
    }
    let answer = shell
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("sh could not be started: {error}"))?;
    if answer.status.success() { Ok(()) } else { Err(end_of(&answer.stderr)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::command::Exec;
    use std::time::Duration;

    #[test]
    fn the_first_word_is_found_where_it_can_be() {
        for (command, word) in [
            ("cat", Some("cat")),
            ("  wc -l  ", Some("wc")),
            ("LANG=C sort|uniq", Some("sort")),
            ("a=1 b=2 prog; other", Some("prog")),
            ("[ -f x ]", Some("[")),
            ("/usr/bin/env true", Some("/usr/bin/env")),
            ("\"my prog\" x", None),
            ("$PROG x", None),
            ("(cd /; ls)", None),
            ("A=1", None),
        ] {
            assert_eq!(first_word(command), word, "{command}");
        }
    }

    #[test]
    fn a_command_that_cannot_run_is_refused_at_once() {
        let check = |command| Exec::shell(command, Duration::ZERO);
        for good in
            ["cat", "true", "exit 3", "if true; then echo x; fi", "X=1 sh -c 'exit 1'", "[ 1 = 1 ]", ": nothing"]
        {
            assert!(check(good).is_ok(), "{good}: {:?}", check(good));
        }
        for (bad, why) in [
            ("", "empty"),
            ("  ", "empty"),
            ("no-such-program-at-all --flag", "`no-such-program-at-all`"),
            ("/no/such/program", "`/no/such/program`"),
            ("if true; then", "cannot read"),
            ("echo 'x", "cannot read"),
            ("a\0b", "NUL"),
        ] {
            let error = check(bad).expect_err(bad).to_string();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }
}
