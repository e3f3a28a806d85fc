//! The words for text that is not JSON.

/// What is wrong with a text that is not JSON, and where, for the person who wrote the text.
///
/// ```
/// use leasehold_core::json_problem;
///
/// let error = serde_json::from_str::<serde_json::Value>("[1, nothing]").expect_err("not JSON");
/// assert_eq!(json_problem(&error), "expected a JSON value at line 1 column 6");
/// ```
#[must_use]
pub fn json_problem(error: &serde_json::Error) -> String {
    // The parser has read the first letter of `true`, `false` or `null`, and another letter followed.
    error.to_string().replace("expected ident", "expected a JSON value")
}
