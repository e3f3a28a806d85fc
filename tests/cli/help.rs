//! Help for every command.

use crate::fixture::{program_in, run};
use leasehold_tests::private_folder;

/// The commands in a help text.
pub(crate) fn commands(help: &str) -> Vec<String> {
    let list = help.split("Commands:\n").nth(1).unwrap_or_default();
    let lines = list.lines().take_while(|line| !line.trim().is_empty());
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn every_command_has_help_with_examples() {
    let folder = private_folder();
    let help = |path: &[String]| {
        let mut command = program_in(folder.path());
        command.args(path).arg("--help");
        run(command, b"").succeeded()
    };
    let top = commands(&help(&[]));
    for name in [
        "migrate",
        "worker",
        "reaper",
        "enqueue",
        "each",
        "job",
        "queue",
        "schedule",
        "stats",
        "top",
        "doctor",
        "completions",
    ] {
        assert!(top.iter().any(|command| command == name), "{name} is not in {top:?}");
    }
    for name in top {
        let text = help(std::slice::from_ref(&name));
        let below = commands(&text);
        let examples = text.contains("Examples:");
        assert!(examples || !below.is_empty(), "leasehold {name} --help has no examples");
        for action in below {
            let text = help(&[name.clone(), action.clone()]);
            assert!(text.contains("Usage: leasehold"), "leasehold {name} {action} --help: {text}");
        }
    }
}

#[test]
fn without_a_command_help_is_shown_and_the_exit_code_is_that_of_a_mistake() {
    let folder = private_folder();
    let ran = run(program_in(folder.path()), b"");
    assert!(ran.code == 2 && ran.stderr.contains("Usage: leasehold"), "{ran:?}");
}

#[test]
fn completions_exist_for_every_shell() {
    let folder = private_folder();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let mut command = program_in(folder.path());
        command.args(["completions", shell]);
        assert!(run(command, b"").succeeded().contains("enqueue"), "{shell}");
    }
}
