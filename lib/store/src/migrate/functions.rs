//! The SQL functions of the schema. Each function has a file in `functions/`, and is created again when the hash of its file
//! changes.
//!
//! The number in `functions/revision.txt` rises whenever a function changes. Each row of `leasehold.function` has this
//! number, so a program knows whether the functions of a database are older or newer. Functions of a higher revision are
//! accepted, because they still serve callers of earlier versions. A change that breaks earlier callers needs a migration.

use crate::{
    error::{Error, code_of},
    row::time,
    statement::function,
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use sha2::{Digest, Sha256};
use sqlx::Row;
use std::{collections::HashMap, fmt::Write};

/// The text of a function's file.
pub(super) fn text(name: &str) -> Option<&'static str> {
    FILES.iter().find_map(|(file, text)| (*file == name).then_some(*text))
}

/// The files, compiled in. Each file comes after the functions that it calls.
const FILES: [(&str, &str); 74] = [
    function!("new_id"),
    function!("with_trail"),
    function!("is_deeper_than"),
    function!("is_off_clock"),
    function!("limits_and_shares_are_legal"),
    function!("first_id_at"),
    function!("time_of_id"),
    function!("line_at"),
    function!("is_fair"),
    function!("fair_lock"),
    function!("park_again"),
    function!("apply_fair_weights"),
    function!("order_lanes"),
    function!("admit_fair"),
    function!("follow_fair"),
    function!("admit_fair_next"),
    function!("pause_fair_key"),
    function!("set_fair_weight"),
    function!("trim_fair"),
    function!("limit_of"),
    function!("key_room"),
    function!("key_lock"),
    function!("queue_load"),
    function!("apply_limits"),
    function!("first_full_key"),
    function!("claim_limited"),
    function!("claim_http"),
    function!("admit"),
    function!("admit_next"),
    function!("admit_tokens"),
    function!("set_limit"),
    function!("remove_limit"),
    function!("trim_limits"),
    function!("hold_parents"),
    function!("held_parents"),
    function!("meet_edges"),
    function!("parents_ended"),
    function!("duration_ms"),
    function!("retry_terms"),
    function!("unique_key_of"),
    function!("unique_terms"),
    function!("name_webhook"),
    function!("replace_waiting"),
    function!("read_job"),
    function!("join_batch"),
    function!("enqueue_nodes"),
    function!("enqueue_spec"),
    function!("enqueue_checked"),
    function!("enqueue_unless_held"),
    function!("enqueue"),
    function!("enqueue_jobs"),
    function!("enqueue_many"),
    function!("enqueue_graph"),
    function!("follow"),
    function!("webhook_ended"),
    function!("set_webhook_trigger"),
    function!("refuse_plain_payload"),
    function!("refuse_plain_results"),
    function!("set_queue_encrypted"),
    function!("fire_schedules"),
    function!("seal_batch"),
    function!("end_batches"),
    function!("forget_batches"),
    function!("cancel_batch"),
    function!("cancel"),
    function!("place_batch"),
    function!("set_priority"),
    function!("make_partition"),
    function!("drop_partition"),
    function!("trim_audit"),
    function!("note_counts"),
    function!("fold_counts"),
    function!("reaper_work"),
    function!("roll_up_minutes"),
];

/// The first line is the revision of all files together, the second line their digest.
const REVISION: &str = include_str!("../../functions/revision.txt");

/// A function of the schema, and whether the database has the text of this program.
#[derive(Clone, Debug, Serialize)]
pub struct Function {
    /// The name. All overloads have one entry.
    pub function: String,
    /// When the text of this program was applied.
    pub applied_at: Option<DateTime<Utc>>,
}

/// The functions of a database that were created from files.
#[derive(Default)]
pub(super) struct AppliedFunctions {
    revision: i32,
    /// The hash of each file, and when it was applied.
    by_name: HashMap<String, (Vec<u8>, DateTime<Utc>)>,
}

impl AppliedFunctions {
    /// Reads the applied functions. A schema from before this table has none. The statement is unnamed, because the
    /// connection may lead through a pooler.
    pub(super) async fn read(executor: impl sqlx::PgExecutor<'_>) -> Result<Self, sqlx::Error> {
        let query = sqlx::query(include_str!("../../sql/functions.sql")).persistent(false);
        let rows = match query.fetch_all(executor).await {
            Ok(rows) => rows,
            // undefined_table, invalid_schema_name
            Err(error) if matches!(code_of(&error).as_deref(), Some("42P01" | "3F000")) => Vec::new(),
            Err(error) => return Err(error),
        };
        let mut applied = Self::default();
        for row in rows {
            applied.revision = applied.revision.max(row.try_get("revision")?);
            applied.by_name.insert(row.try_get("name")?, (row.try_get("hash")?, time(&row, "applied_at")?));
        }
        Ok(applied)
    }

    /// Fails if a newer program has created the functions: this program must not replace them.
    pub(super) fn refuse_newer(&self) -> Result<(), Error> {
        let known = revision();
        if self.revision > known { Err(Error::FunctionsNewer { found: self.revision, known }) } else { Ok(()) }
    }

    /// Fails unless the functions belong to this program or to a newer program.
    pub(super) fn check(&self) -> Result<(), Error> {
        let differing = self.differing();
        let is_current = differing.is_empty() && self.without_file().is_empty();
        if is_current || self.revision > revision() {
            return Ok(());
        }
        let names = differing.iter().map(|(name, _)| *name).chain(self.without_file());
        Err(Error::FunctionsOlder { names: names.collect::<Vec<_>>().join(", ") })
    }

    /// Each function of this program.
    pub(super) fn listed(&self) -> Vec<Function> {
        let is_newer = self.revision > revision();
        let applied_at = |name, text| {
            let (hash, at) = self.by_name.get(name)?;
            (is_newer || *hash == hash_of(text)).then_some(*at)
        };
        FILES
            .iter()
            .map(|(name, text)| Function { function: (*name).to_owned(), applied_at: applied_at(*name, text) })
            .collect()
    }

    /// The SQL that updates the functions; `None` if they are up to date.
    pub(super) fn script(&self) -> Option<String> {
        let differing = self.differing();
        let is_current = differing.is_empty() && self.without_file().is_empty() && self.revision == revision();
        (!is_current).then(|| script(&differing))
    }

    fn differing(&self) -> Vec<(&'static str, &'static str)> {
        let differs =
            |(name, text): &(&str, &str)| self.by_name.get(*name).is_none_or(|(hash, _)| *hash != hash_of(text));
        FILES.into_iter().filter(differs).collect()
    }

    fn without_file(&self) -> Vec<&str> {
        let has_none = |name: &&str| FILES.iter().all(|(known, _)| known != name);
        self.by_name.keys().map(String::as_str).filter(has_none).collect()
    }
}

/// The SQL that creates all functions.
pub(super) fn all() -> String {
    script(&FILES)
}

fn script(files: &[(&str, &str)]) -> String {
    let revision = revision().to_string();
    let parts = files.iter().map(|(name, text)| {
        include_str!("../../sql/function_apply.sql")
            .replace("$NAME", name)
            .replace("$HASH", &hex(&hash_of(text)))
            .replace("$REVISION", &revision)
            .replace("$TEXT", text)
    });
    let names: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
    let end =
        include_str!("../../sql/function_end.sql").replace("$REVISION", &revision).replace("$NAMES", &names.join(","));
    parts.collect::<String>() + &end
}

fn revision() -> i32 {
    REVISION.lines().next().and_then(|line| line.trim().parse().ok()).unwrap_or_default()
}

fn hash_of(text: &str) -> Vec<u8> {
    Sha256::digest(text).to_vec()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, path::Path};

    #[test]
    fn every_file_is_known_and_says_what_it_is() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("functions");
        let entries = fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").file_name());
        let files = entries.filter_map(|name| name.to_str()?.strip_suffix(".sql").map(str::to_owned));
        let mut files: Vec<String> = files.collect();
        files.sort();
        let mut known = FILES.map(|(name, _)| name);
        known.sort_unstable();
        assert_eq!(files, known);
        for (name, text) in FILES {
            let (header, code): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with("-- "));
            assert!(
                header[0].starts_with(&format!("-- {name}: ")),
                "{name}: the first line says what the function does"
            );
            for word in ["Guard:", "Rights:"] {
                assert!(
                    header.iter().any(|line| line.starts_with(&format!("-- {word} "))),
                    "{name}: {word} is missing"
                );
            }
            let made = code.iter().filter(|line| line.starts_with("CREATE "));
            let ours = format!("CREATE OR REPLACE FUNCTION leasehold.{name}(");
            assert!(made.clone().count() > 0 && made.clone().all(|line| line.starts_with(&ours)), "{name}: {made:?}");
            assert!(!text.contains("$file$") && !text.contains("$apply$") && text.ends_with("$$;\n"), "{name}");
        }
    }

    /// A function with SECURITY DEFINER must not find objects of a caller before the objects of PostgreSQL.
    #[test]
    fn functions_with_the_rights_of_the_owner_have_a_fixed_search_path() {
        for (name, text) in FILES {
            let parts =
                text.split("CREATE OR REPLACE FUNCTION").skip(1).filter(|part| part.contains("SECURITY DEFINER"));
            for part in parts {
                assert!(part.contains("SET search_path = pg_catalog, pg_temp"), "{name}");
            }
        }
    }

    #[test]
    fn a_changed_function_has_a_new_revision() {
        let mut digest = Sha256::new();
        for (name, text) in FILES {
            digest.update(format!("{name}\n{text}\n"));
        }
        let digest = hex(&digest.finalize());
        let next = revision() + 1;
        assert_eq!(
            REVISION.lines().nth(1),
            Some(digest.as_str()),
            "a function has changed; write this into lib/store/functions/revision.txt (the number as it is if it was raised \
             since the last release):\n{next}\n{digest}\n"
        );
    }

    #[test]
    fn newer_functions_are_accepted_and_not_overwritten() {
        let current = || AppliedFunctions {
            revision: revision(),
            by_name: FILES
                .iter()
                .map(|(name, text)| ((*name).to_owned(), (hash_of(text), DateTime::UNIX_EPOCH)))
                .collect(),
        };
        assert!(current().check().is_ok() && current().refuse_newer().is_ok() && current().script().is_none());
        let mut other = current();
        other.by_name.insert("enqueue".to_owned(), (vec![1], DateTime::UNIX_EPOCH));
        assert!(matches!(other.check(), Err(Error::FunctionsOlder { names }) if names == "enqueue"));
        let script = other.script().expect("a function to create again");
        assert!(
            script.contains("CREATE OR REPLACE FUNCTION leasehold.enqueue(") && !script.contains("leasehold.cancel(")
        );
        other.revision += 1;
        assert!(other.check().is_ok());
        assert!(matches!(other.refuse_newer(), Err(Error::FunctionsNewer { .. })));
        let mut left_over = current();
        left_over.by_name.insert("gone".to_owned(), (vec![1], DateTime::UNIX_EPOCH));
        assert!(matches!(left_over.check(), Err(Error::FunctionsOlder { names }) if names == "gone"));
        assert!(left_over.script().is_some());
    }
}
