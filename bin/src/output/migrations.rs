//! Migrations.

use super::{human, table};
use leasehold_store::Migration;

/// What was applied just now.
pub(crate) fn applied(applied: &[Migration]) -> String {
    if applied.is_empty() {
        return "the schema is up to date".to_owned();
    }
    let lines = applied.iter().map(|migration| format!("applied {:04} {}\n", migration.version, migration.name));
    lines.collect()
}

/// What is applied and what is not.
pub(crate) fn status(known: &[Migration]) -> String {
    table(
        ["version", "name", "applied"],
        known.iter().map(|migration| {
            let applied = migration.applied_at.map_or_else(|| "no".to_owned(), human::time);
            [format!("{:04}", migration.version), migration.name.clone(), applied]
        }),
    )
}
