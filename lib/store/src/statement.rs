//! Statements that share a part with other statements. `build.rs` assembles them.

/// The text of a statement in `sql/`, with its parts inserted.
macro_rules! statement {
    ($name:literal) => {
        include_str!(concat!(env!("OUT_DIR"), "/sql/", $name, ".sql"))
    };
}

/// The text of a function in `functions/`, with its parts inserted.
macro_rules! function {
    ($name:literal) => {
        ($name, include_str!(concat!(env!("OUT_DIR"), "/functions/", $name, ".sql")))
    };
}

/// Reads a row into a struct: each field from the column of its name. The derive macro of `sqlx` would compile the whole driver a second
/// time, for the build.
#[doc(hidden)]
#[macro_export]
macro_rules! from_row {
    ($name:ident { $($field:ident),+ $(,)? }) => {
        impl sqlx::FromRow<'_, sqlx::postgres::PgRow> for $name {
            fn from_row(row: &sqlx::postgres::PgRow) -> Result<Self, sqlx::Error> {
                Ok(Self { $($field: sqlx::Row::try_get(row, stringify!($field))?),+ })
            }
        }
    };
}

pub(crate) use function;
pub(crate) use statement;
