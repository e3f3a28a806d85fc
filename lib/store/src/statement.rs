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

pub(crate) use function;
pub(crate) use statement;
