//! Plots of the results, as SVG.

use crate::{
    growth::{BY_ID, SKIP_LOCKED},
    results::{Results, Spread},
};
use anyhow::{Result, anyhow};
use plotters::prelude::*;
use std::{fs, path::Path};

const SIZE: (u32, u32) = (760, 420);
const OURS: RGBColor = RGBColor(0, 92, 175);
const OTHER: RGBColor = RGBColor(201, 84, 26);
const LETTERS: (&str, u32) = ("sans-serif", 14);
const TITLE: (&str, u32) = ("sans-serif", 17);

/// In percent. The last few jobs would make the axis so long that the other jobs become invisible. The table shows
/// them.
const SHOWN_MAX: f64 = 99.0;

/// One line of a plot.
struct Curve<'a> {
    name: &'a str,
    color: RGBColor,
    points: Vec<(f64, f64)>,
}

/// Everything of a plot besides its curves.
struct Frame<'a> {
    title: &'a str,
    across: &'a str,
    up: &'a str,
    /// Each step of the x axis doubles the value.
    doubling: bool,
    /// The y axis ends at 100.
    percent: bool,
}

/// The title of a plot, and its file.
type Picture = (&'static str, &'static str);

/// Draws all plots for these results.
pub(crate) fn draw(results: &Results, folder: &Path) -> Result<Vec<Picture>> {
    fs::create_dir_all(folder)?;
    match results.name.as_str() {
        "growth" => {
            let picture = ("Throughput against worker processes", "throughput-by-processes.svg");
            ways(results, folder, picture, ["worker processes", "jobs per second"], "drain_per_s")
        }
        "claimers" => {
            let picture = ("What a job costs PostgreSQL, against claimers", "postgres-cost-by-claimers.svg");
            ways(results, folder, picture, ["claimers", "µs of CPU per job"], "postgres_cpu_us_per_job")
        }
        "short" => latency(results, folder),
        _ => Ok(Vec::new()),
    }
}

/// Both ways to find jobs, by number of claimers or processes.
fn ways(
    results: &Results,
    folder: &Path,
    (title, file): Picture,
    [across, up]: [&str; 2],
    figure: &str,
) -> Result<Vec<Picture>> {
    let curve = |name, way: &str, color| {
        let points = results.settings().into_iter().filter_map(|number| {
            let Spread { median, .. } = results.spread(way, number, figure)?;
            Some((number.parse().ok()?, median))
        });
        Curve { name, color, points: points.collect() }
    };
    let curves = [curve("claims by id", BY_ID, OURS), curve("SKIP LOCKED", SKIP_LOCKED, OTHER)];
    let frame = Frame { title, across, up, doubling: true, percent: false };
    plot(&folder.join(file), &frame, &curves)?;
    Ok(vec![(title, file)])
}

fn latency(results: &Results, folder: &Path) -> Result<Vec<Picture>> {
    let curve = |name, subject: &str, setting: &str, color| {
        let runs: Vec<_> = results.runs.iter().filter(|run| run.subject == subject && run.setting == setting).collect();
        let parts = runs.first().and_then(|run| run.line.get("quantiles_ms")?.as_array()).map_or(0, Vec::len);
        let points = (0..parts).filter_map(|nth| {
            let of = |place: usize| {
                Spread::of(runs.iter().filter_map(|run| run.figure(&format!("quantiles_ms/{nth}/{place}"))).collect())
            };
            Some((of(1)?.median, of(0)?.median * 100.0))
        });
        let points = points.filter(|(_, percent)| *percent <= SHOWN_MAX);
        Curve { name, color, points: points.collect() }
    };
    let curves = [
        curve("Leasehold: enqueue call to handler", "leasehold", "latency", OURS),
        curve("floor: an INSERT and an UPDATE, committed", "floor", "floor", OTHER),
    ];
    let (title, file) = ("Latency of single jobs on an idle system", "latency.svg");
    let frame = Frame { title, across: "ms", up: "% of jobs within", doubling: false, percent: true };
    plot(&folder.join(file), &frame, &curves)?;
    Ok(vec![(title, file)])
}

fn plot(path: &Path, frame: &Frame<'_>, curves: &[Curve<'_>]) -> Result<()> {
    let points = || curves.iter().flat_map(|curve| curve.points.iter().copied());
    if points().count() == 0 {
        return Ok(());
    }
    let most = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0_f64, f64::max);
    let (across, up) = (most(&mut points().map(|point| point.0)), most(&mut points().map(|point| point.1)));
    let up = if frame.percent { 100.0 } else { up * 1.1 };
    drawn(path, frame, curves, across, up).map_err(|error| anyhow!("drawing {}: {error}", path.display()))
}

fn drawn(
    path: &Path,
    frame: &Frame<'_>,
    curves: &[Curve<'_>],
    across: f64,
    up: f64,
) -> Result<(), Box<dyn std::error::Error>> {
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut builder = ChartBuilder::on(&area);
    builder.caption(frame.title, TITLE).margin(14).x_label_area_size(42).y_label_area_size(74);
    // The two kinds of axes are two types, so a macro draws both.
    macro_rules! fill {
        ($chart:expr, $labels:expr) => {{
            let mut chart = $chart;
            chart
                .configure_mesh()
                .light_line_style(TRANSPARENT)
                .bold_line_style(BLACK.mix(0.15))
                .x_desc(frame.across)
                .y_desc(frame.up)
                .x_labels($labels)
                .x_label_formatter(&|value| format!("{value}"))
                .y_label_formatter(&|value| crate::table::tick(*value))
                .label_style(LETTERS)
                .draw()?;
            for Curve { name, color, points } in curves {
                let color = *color;
                chart
                    .draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(2)).point_size(3))?
                    .label(*name)
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
            }
            chart
                .configure_series_labels()
                // A corner without curves: a share rises to the upper right, and figures by processes stay above zero.
                .position(if frame.percent { SeriesLabelPosition::LowerRight } else { SeriesLabelPosition::LowerLeft })
                .background_style(WHITE.mix(0.85))
                .border_style(BLACK.mix(0.2))
                .label_font(LETTERS)
                .draw()?;
        }};
    }
    if frame.doubling {
        fill!(builder.build_cartesian_2d((1.0..across.max(2.0)).log_scale().base(2.0), 0.0..up)?, 8);
    } else {
        fill!(builder.build_cartesian_2d(0.0..across, 0.0..up)?, 10);
    }
    area.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_shows_the_curves_and_their_names() {
        let folder = leasehold_tests::private_folder();
        let path = folder.path().join("plot.svg");
        let curves = [Curve { name: "one & only", color: OURS, points: vec![(1.0, 10.0), (64.0, 1234.0)] }];
        let frame = Frame { title: "a title", across: "processes", up: "jobs", doubling: true, percent: false };
        plot(&path, &frame, &curves).expect("a plot");
        let text = fs::read_to_string(&path).expect("the picture");
        for part in ["<svg", "<polyline", "a title", "one &amp; only", "processes", "64"] {
            assert!(text.contains(part), "no {part} in {text}");
        }
    }
}
