//! Tables for documents, aligned so that they are readable as plain text too.

use crate::results::{Results, Spread};

/// A table. The first column is left-aligned, all others are right-aligned.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let all = || std::iter::once(headings.iter().map(|text| (*text).to_owned()).collect()).chain(rows.iter().cloned());
    let width = |nth: usize| all().map(|row: Vec<String>| row[nth].chars().count()).max().unwrap_or(0).max(3);
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let mut lines: Vec<String> = all()
        .map(|row| {
            let cells = row.iter().zip(&widths).enumerate();
            let cells = cells.map(|(nth, (text, width))| match nth {
                0 => format!("{text:<width$}"),
                _ => format!("{text:>width$}"),
            });
            format!("| {} |", cells.collect::<Vec<_>>().join(" | "))
        })
        .collect();
    let rule = widths.iter().enumerate().map(|(nth, width)| match nth {
        0 => "-".repeat(*width),
        _ => format!("{}:", "-".repeat(width - 1)),
    });
    lines.insert(1, format!("| {} |", rule.collect::<Vec<_>>().join(" | ")));
    lines.join("\n") + "\n"
}

/// A number with a suitable number of digits, and with separators between thousands.
pub(crate) fn number(value: f64) -> String {
    let digits = match value.abs() {
        value if value >= 100.0 || value == 0.0 => 0,
        value if value >= 10.0 => 1,
        value if value >= 0.1 => 2,
        _ => 4,
    };
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_once('.').map_or((text.as_str(), ""), |(whole, rest)| (whole, rest));
    let mut grouped = String::new();
    for (nth, digit) in whole.chars().enumerate() {
        if nth > 0 && digit != '-' && (whole.len() - nth).is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if rest.is_empty() { grouped } else { format!("{grouped}.{rest}") }
}

/// A number on an axis: whole numbers have no fraction.
pub(crate) fn tick(value: f64) -> String {
    let text = number(value);
    if value.fract() == 0.0 { text.split('.').next().unwrap_or_default().to_owned() } else { text }
}

/// The median and the range; a dash if there are no values.
pub(crate) fn spread(spread: Option<Spread>) -> String {
    match spread {
        None => "–".to_owned(),
        Some(Spread { median, runs: 1, .. }) => number(median),
        Some(Spread { median, least, most, .. }) => {
            format!("{} [{}–{}]", number(median), number(least), number(most))
        }
    }
}

/// The median alone; a dash if there are no values.
pub(crate) fn median(spread: Option<Spread>) -> String {
    spread.map_or_else(|| "–".to_owned(), |spread| number(spread.median))
}

/// A part of a whole, in percent; a dash if a value is missing.
pub(crate) fn percent(part: Option<Spread>, whole: Option<Spread>) -> String {
    match (part, whole) {
        (Some(part), Some(whole)) if whole.median > 0.0 => format!("{:.0} %", part.median / whole.median * 100.0),
        _ => "–".to_owned(),
    }
}

/// Bytes in MB; a dash if there are no values.
pub(crate) fn megabytes(spread: Option<Spread>) -> String {
    spread.map_or_else(|| "–".to_owned(), |spread| format!("{:.1}", spread.median / 1e6))
}

/// The cost of a job in these runs: transactions, write-ahead log, and CPU of PostgreSQL, Redis, workers and driver.
pub(crate) fn costs(results: &Results, subject: &str, setting: &str) -> Vec<String> {
    let names = ["transactions", "wal_bytes", "postgres_cpu_us", "redis_cpu_us", "workers_cpu_us", "driver_cpu_us"];
    let cost = |name: &str| median(results.spread(subject, setting, &format!("costs/{name}_per_job")));
    names.map(cost).to_vec()
}

/// The headings of these columns.
pub(crate) const COSTS: [&str; 6] =
    ["tx/job", "WAL B/job", "PostgreSQL CPU µs/job", "Redis CPU µs/job", "workers CPU µs/job", "driver CPU µs/job"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_a_suitable_number_of_digits() {
        let texts = [0.0, 0.0123, 0.5, 12.34, 999.6, 1234.0, 1_234_567.8, -1234.0].map(number);
        assert_eq!(texts, ["0", "0.0123", "0.50", "12.3", "1,000", "1,234", "1,234,568", "-1,234"]);
    }

    #[test]
    fn axes_count_in_whole_numbers() {
        assert_eq!([0.0, 20.0, 2.5, 1500.0].map(tick), ["0", "20", "2.50", "1,500"]);
    }

    #[test]
    fn a_table_is_aligned() {
        let rows = [vec!["drain".to_owned(), "1".to_owned()], vec!["µ".to_owned(), "12,345".to_owned()]];
        let text = table(&["mode", "n"], &rows);
        assert_eq!(text, "| mode  |      n |\n| ----- | -----: |\n| drain |      1 |\n| µ     | 12,345 |\n");
    }

    #[test]
    fn a_missing_measurement_is_a_dash() {
        assert_eq!((spread(None), percent(None, None)), ("–".to_owned(), "–".to_owned()));
        let of = |values: &[f64]| Spread::of(values.to_vec());
        assert_eq!(spread(of(&[10.0, 30.0, 20.0])), "20.0 [10.0–30.0]");
        assert_eq!(percent(of(&[30.0]), of(&[120.0])), "25 %");
    }
}
