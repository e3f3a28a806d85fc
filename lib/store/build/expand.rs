// Assembles a statement from the parts that it shares with other statements. Compiled into build.rs, and into the tests
// of the statements' plans.

use std::{fs, path::Path};

const INCLUDE: &str = "-- include ";
/// In the header of a part: the names that the part takes, each with its default value.
const TAKES: &str = "-- Takes:";

/// The text with each line `-- include PART: NAME = VALUE; …` replaced by the file PART.sql in the folder of parts, in
/// which `$NAME` is replaced by the value. Lines directly after it that begin with `--` belong to the include. Parts
/// may contain parts.
pub(crate) fn expand(text: &str, parts: &Path) -> Result<String, String> {
    let mut expanded = String::with_capacity(text.len());
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let indent = &line[..line.len() - line.trim_start().len()];
        let Some(include) = line.trim_start().strip_prefix(INCLUDE) else {
            expanded += line;
            expanded.push('\n');
            continue;
        };
        let mut include = include.to_owned();
        while let Some(more) = lines.next_if(|next| next.trim_start().starts_with("--")) {
            include += more.trim_start().trim_start_matches('-');
        }
        let (name, given) = include.split_once(':').unwrap_or((&include, ""));
        let path = parts.join(name.trim()).with_extension("sql");
        let part = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let part = filled_in(&part, given).map_err(|error| format!("{}: {error}", path.display()))?;
        for line in expand(&part, parts)?.lines() {
            expanded += indent;
            expanded += line;
            expanded.push('\n');
        }
    }
    Ok(expanded)
}

/// A part without its header, with values in place of the names.
fn filled_in(part: &str, given: &str) -> Result<String, String> {
    let takes = part.lines().find_map(|line| line.strip_prefix(TAKES)).unwrap_or_default();
    let mut given: Vec<(&str, &str)> = pairs(given);
    let code: Vec<&str> = part.lines().skip_while(|line| line.starts_with("--")).collect();
    let mut code = code.join("\n");
    for (name, otherwise) in pairs(takes) {
        let said = given.iter().position(|(other, _)| *other == name).map(|place| given.remove(place).1);
        let value = said.unwrap_or(otherwise);
        if value.is_empty() {
            return Err(format!("{name} is not given"));
        }
        code = code.replace(&format!("${name}"), value);
    }
    match given.first() {
        Some((name, _)) => Err(format!("takes no {name}")),
        None => Ok(code),
    }
}

fn pairs(text: &str) -> Vec<(&str, &str)> {
    let parts = text.split(';').map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| part.split_once(" = ").map_or((part, ""), |(name, value)| (name.trim(), value.trim()))).collect()
}
