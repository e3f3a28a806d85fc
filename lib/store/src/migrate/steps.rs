//! A migration as steps.
//!
//! A migration is one transaction, unless its first line is `-- no-transaction`. Then it is a list of steps. Each step
//! commits alone, and is repeated if it was interrupted. So it must be safe to run a step twice. A line `-- step`
//! begins a step. After a comma, the line may say more:
//!
//! - `for partitions without INDEX`: once for each partition of history that has no part of this index; `$PARTITION`
//!   stands for the name of the partition.
//! - `if invalid INDEX`: only if the build of this index has begun and has not finished.
//! - `with function NAME`: the step needs this function, so it begins with the text of the function's file.
//!
//! A statement with CONCURRENTLY runs outside a transaction. A new schema has no users that could be blocked. So there
//! everything is one transaction, and the keywords that avoid locks (CONCURRENTLY, NOT VALID) are removed.

use super::functions;

const HEADER: &str = "-- no-transaction";
const STEP: &str = "-- step";

/// A part of a migration that commits alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) partitions_without: Option<String>,
    pub(super) if_invalid: Option<String>,
    pub(super) sql: String,
}

impl Step {
    pub(super) fn is_concurrent(&self) -> bool {
        self.sql.contains(" CONCURRENTLY")
    }

    /// The same step for one partition.
    pub(super) fn of_partition(&self, partition: &str) -> Self {
        let with_name = |text: &str| text.replace("$PARTITION", partition);
        Self {
            partitions_without: None,
            if_invalid: self.if_invalid.as_deref().map(with_name),
            sql: with_name(&self.sql),
        }
    }

    fn of_line(line: &str) -> Option<Self> {
        let mut said = line.strip_prefix(STEP)?.split(',').map(str::trim);
        let is_alone = said.next() == Some("");
        let mut step = Self::default();
        for part in said {
            if let Some(index) = part.strip_prefix("for partitions without ") {
                step.partitions_without = Some(index.to_owned());
            } else if let Some(index) = part.strip_prefix("if invalid ") {
                step.if_invalid = Some(index.to_owned());
            } else if let Some(name) = part.strip_prefix("with function ") {
                functions::text(name)?.clone_into(&mut step.sql);
            } else {
                return None;
            }
        }
        is_alone.then_some(step)
    }
}

/// The steps of a migration; `None` if it is one transaction.
pub(super) fn steps(sql: &str) -> Option<Vec<Step>> {
    if !sql.starts_with(HEADER) {
        return None;
    }
    let mut steps: Vec<Step> = Vec::new();
    for line in sql.lines() {
        match (Step::of_line(line), steps.last_mut()) {
            (Some(step), _) => steps.push(step),
            (None, Some(step)) => {
                step.sql.push_str(line);
                step.sql.push('\n');
            }
            (None, None) => {}
        }
    }
    Some(steps)
}

/// The text of the migration for a schema without users.
pub(super) fn plain(sql: &str) -> String {
    let Some(steps) = steps(sql) else { return sql.trim_end().to_owned() };
    let needed = steps.into_iter().filter(|step| step.partitions_without.is_none() && step.if_invalid.is_none());
    let parts: Vec<String> = needed
        .map(|step| step.sql.replace(" CONCURRENTLY", "").replace("ON ONLY ", "ON ").trim_end().to_owned())
        .collect();
    parts.join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::migrations;

    #[test]
    fn a_migration_is_cut_into_its_steps() {
        let sql = "-- no-transaction\n-- Why.\n\n-- step\nA;\n\n-- step, if invalid i\nDROP INDEX CONCURRENTLY i;\n-- step\n\
                   CREATE INDEX CONCURRENTLY i ON ONLY t;\n-- step, for partitions without i, if invalid $PARTITION_i\nC $PARTITION;\n";
        let cut = steps(sql).expect("steps");
        assert_eq!(cut.len(), 4);
        assert_eq!((cut[0].sql.as_str(), cut[0].is_concurrent()), ("A;\n\n", false));
        assert_eq!(cut[1].if_invalid.as_deref(), Some("i"));
        assert!(cut[2].is_concurrent());
        let of = cut[3].of_partition("p");
        assert_eq!((of.if_invalid.as_deref(), of.sql.as_str()), (Some("p_i"), "C p;\n"));
        assert_eq!(plain(sql), "A;\n\nCREATE INDEX i ON t;");
        assert_eq!((steps("A;\n"), plain("A;\n")), (None, "A;".to_owned()));
    }

    #[test]
    fn a_step_that_needs_a_function_makes_it_first() {
        let cut = steps("-- no-transaction\n-- step, with function new_id\nA;\n").expect("steps");
        let [step] = cut.as_slice() else { panic!("{cut:?}") };
        assert!(step.sql.contains("CREATE OR REPLACE FUNCTION leasehold.new_id"), "{}", step.sql);
        assert!(step.sql.ends_with("$$;\nA;\n"), "{}", step.sql);
    }

    /// The earlier migrations were made when no database had jobs yet.
    const FIRST_TO_KEEP_THE_RULES: i64 = 6;

    /// Statements that would block all writers while PostgreSQL reads a whole table.
    #[test]
    fn no_new_migration_holds_up_writers() {
        for migration in migrations().iter().filter(|migration| migration.version >= FIRST_TO_KEEP_THE_RULES) {
            let sql = migration.sql.as_str();
            let made_here = |table: &str| {
                ["", "IF NOT EXISTS "].iter().any(|guard| sql.contains(&format!("CREATE TABLE {guard}{table}")))
            };
            for statement in sql.split(';').map(|part| {
                let code: Vec<&str> = part.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
                code.join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
            }) {
                let table =
                    statement.split(" ON ").nth(1).and_then(|rest| rest.split([' ', '(']).next()).unwrap_or_default();
                let is_index = statement.starts_with("CREATE INDEX") || statement.starts_with("CREATE UNIQUE INDEX");
                let waits = statement.contains(" CONCURRENTLY") || statement.contains(" ON ONLY ") || made_here(table);
                assert!(!is_index || waits, "{}: make this index CONCURRENTLY: {statement}", migration.version);
                let is_check = statement.starts_with("ALTER TABLE") && statement.contains(" ADD CONSTRAINT ");
                let table = statement.split(' ').nth(2).unwrap_or_default();
                let waits = statement.contains(" NOT VALID") || statement.contains(" USING INDEX ") || made_here(table);
                assert!(
                    !is_check || waits,
                    "{}: add this NOT VALID, validate it later: {statement}",
                    migration.version
                );
            }
        }
    }
    /// The first migration after functions got separate files.
    const FIRST_WITHOUT_FUNCTIONS: i64 = 13;

    /// A function that a migration made would be in no file, and its changes would have no hash.
    #[test]
    fn no_new_migration_makes_a_function() {
        let new = |migration: &&sqlx::migrate::Migration| migration.version >= FIRST_WITHOUT_FUNCTIONS;
        for migration in migrations().iter().filter(new) {
            let code = migration.sql.as_str().lines().filter(|line| !line.trim_start().starts_with("--"));
            let words: Vec<String> = code.flat_map(str::split_whitespace).map(str::to_uppercase).collect();
            // A migration may grant rights on a function, drop it, and name it in a trigger.
            let uses = ["ON", "DROP", "EXECUTE"];
            let makes = |what: &str| words.windows(2).any(|two| !uses.contains(&two[0].as_str()) && two[1] == what);
            for what in ["FUNCTION", "PROCEDURE", "AGGREGATE", "ROUTINE"] {
                assert!(!makes(what), "{}: {what}: put it into lib/store/functions", migration.version);
            }
        }
    }
}
