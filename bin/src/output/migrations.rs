//! Migrations and functions.

use super::{human, table};
use leasehold_store::Schema;

/// The migrations and functions that were just applied.
pub(crate) fn applied(applied: &Schema) -> String {
    if applied.is_empty() {
        return "the schema is up to date".to_owned();
    }
    let migrations = applied.migrations.iter();
    let migrations = migrations.map(|migration| format!("applied {:04} {}\n", migration.version, migration.name));
    let functions = applied.functions.iter().map(|function| format!("applied function {}\n", function.function));
    migrations.chain(functions).collect()
}

/// Which migrations and functions are applied.
pub(crate) fn status(known: &Schema) -> String {
    let migrations = known.migrations.iter();
    let migrations = migrations.map(|one| (format!("{:04}", one.version), one.name.clone(), one.applied_at.as_ref()));
    let functions = known.functions.iter();
    let functions = functions.map(|one| ("function".to_owned(), one.function.clone(), one.applied_at.as_ref()));
    table(
        ["version", "name", "applied"],
        migrations.chain(functions).map(|(version, name, at)| {
            let applied = at.map_or_else(|| "no".to_owned(), |at| human::time(*at));
            [version, name, applied]
        }),
    )
}
