//! Why a job is where it is.

use crate::explain::Explanation;

pub(crate) fn as_text(explained: &Explanation) -> String {
    let mut out = format!("{} is {}\n", explained.id, explained.state);
    for reason in &explained.reasons {
        out.push_str(&format!("  - {}\n", reason.text));
    }
    out
}
