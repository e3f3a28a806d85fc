//! Aligned columns without borders, easy to read for people and for `awk`.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, TableStyle};

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
