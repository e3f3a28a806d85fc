//! Formats for people: times relative to now, and tables of aligned columns without borders, which `awk` can read too.
//! `lib/client` has the other formats, because its texts use them too.

use chrono::{DateTime, Local, Utc};
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, TableStyle};
pub(crate) use leasehold_client::text::{count, duration, grouped};

/// A time in the local zone, with its distance from now.
pub(crate) fn time(time: DateTime<Utc>) -> String {
    format!("{} ({})", time.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S %:z"), from_now(time))
}

/// The distance of a time from now: `4m ago`, `in 2h 5m`.
pub(crate) fn from_now(time: DateTime<Utc>) -> String {
    let seconds = (time - Utc::now()).as_seconds_f64();
    if seconds > 0.0 { format!("in {}", duration(seconds)) } else { format!("{} ago", duration(-seconds)) }
}

/// How long ago a time was.
pub(crate) fn age(time: DateTime<Utc>) -> String {
    duration((Utc::now() - time).as_seconds_f64())
}

/// A table; columns whose heading ends in `>` are aligned to the right.
pub(crate) fn table<const N: usize>(headings: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(TableStyle::new()).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(headings.map(|heading| Cell::new(heading.trim_end_matches('>').to_uppercase())));
    for row in rows {
        table.add_row(row.map(|text| Cell::new(text.replace(['\n', '\r', '\t'], " "))));
    }
    for (nth, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if headings[nth].ends_with('>') {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}
