//! The plot of a run: the demand beside the slots of the workers, and how long the oldest job waited.

use crate::{fleet::SLOTS, run::Sample};
use anyhow::{Result, anyhow};
use plotters::prelude::*;
use std::path::Path;

const SIZE: (u32, u32) = (760, 560);
const DEMAND: RGBColor = RGBColor(201, 84, 26);
const WORKERS: RGBColor = RGBColor(0, 92, 175);
const WAITS: RGBColor = RGBColor(90, 90, 90);
const LETTERS: (&str, u32) = ("sans-serif", 14);
const TITLE: (&str, u32) = ("sans-serif", 17);

/// Draws the samples as SVG.
pub(crate) fn draw(path: &Path, title: &str, samples: &[Sample]) -> Result<()> {
    drawn(path, title, samples).map_err(|error| anyhow!("drawing {}: {error}", path.display()))
}

fn drawn(path: &Path, title: &str, samples: &[Sample]) -> Result<(), Box<dyn std::error::Error>> {
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let (upper, lower) = area.split_vertically(SIZE.1 * 62 / 100);
    let minutes = |sample: &Sample| sample.at / 60.0;
    let end = samples.last().map_or(1.0, minutes);
    let slots = |sample: &Sample| f64::from(sample.replicas * SLOTS);
    let top = samples.iter().map(|sample| sample.demand.max(slots(sample))).fold(1.0, f64::max) * 1.1;
    let line =
        |of: &dyn Fn(&Sample) -> f64| samples.iter().map(|sample| (minutes(sample), of(sample))).collect::<Vec<_>>();

    let mut chart = ChartBuilder::on(&upper)
        .caption(title, TITLE)
        .margin(14)
        .x_label_area_size(30)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..end, 0.0..top)?;
    chart.configure_mesh().light_line_style(TRANSPARENT).y_desc("slots").label_style(LETTERS).draw()?;
    for (name, color, points) in
        [("demand", DEMAND, line(&|sample| sample.demand)), ("slots of the workers", WORKERS, line(&slots))]
    {
        chart
            .draw_series(LineSeries::new(points, color.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.2))
        .label_font(LETTERS)
        .draw()?;

    let most = samples.iter().map(|sample| sample.oldest).fold(1.0, f64::max) * 1.1;
    let mut chart = ChartBuilder::on(&lower)
        .margin(14)
        .x_label_area_size(42)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..end, 0.0..most)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("minutes of the autoscaler's clock")
        .y_desc("oldest job, s")
        .label_style(LETTERS)
        .draw()?;
    chart.draw_series(LineSeries::new(line(&|sample| sample.oldest), WAITS.stroke_width(2)))?;
    area.present()?;
    Ok(())
}
