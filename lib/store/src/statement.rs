//! Statements that share a part with others: `build.rs` puts them together.

/// The text of a statement of `sql/`, with its parts.
macro_rules! statement {
    ($name:literal) => {
        include_str!(concat!(env!("OUT_DIR"), "/sql/", $name, ".sql"))
    };
}

/// The text of a function of `functions/`, with its parts.
macro_rules! function {
    ($name:literal) => {
        ($name, include_str!(concat!(env!("OUT_DIR"), "/functions/", $name, ".sql")))
    };
}

pub(crate) use function;
pub(crate) use statement;
