//! The pictures: the losses, and what an observer saw.

use crate::run::Curves;
use crate::settings::Settings;
use crate::trainer::Observed;
use gatewise::{ClipGroup, plot};
use plotters::prelude::*;
use std::error::Error;

/// Updates that one point of the training curve averages.
const SMOOTH: usize = 10;

/// The curves as SVG.
pub(crate) fn draw(curves: &Curves, settings: &Settings) -> Result<String, Box<dyn Error>> {
    let train: Vec<(f64, f64)> = curves
        .train
        .chunks(SMOOTH)
        .enumerate()
        .map(|(i, losses)| {
            let middle = (i * SMOOTH) as f64 + (losses.len() + 1) as f64 / 2.0;
            (middle, losses.iter().map(|&loss| f64::from(loss)).sum::<f64>() / losses.len() as f64)
        })
        .collect();
    let validation: Vec<(f64, f64)> =
        curves.validation.iter().map(|&(done, loss)| (done as f64, loss)).collect();
    let losses = || train.iter().chain(&validation).map(|&(_, loss)| loss);
    let (lowest, highest) = (losses().fold(f64::INFINITY, f64::min), losses().fold(0.0, f64::max));
    let bottom = if lowest.is_finite() { (lowest * 10.0 - 1.0).floor() / 10.0 } else { 0.0 };

    let title = format!(
        "{} with {} layer(s) of {}: loss while training",
        settings.cell.name().to_uppercase(),
        settings.layers,
        settings.hidden
    );
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, (800, 480)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .margin(16)
        .caption(title, ("sans-serif", 20))
        .x_label_area_size(44)
        .y_label_area_size(60)
        .build_cartesian_2d(
            0.0..curves.train.len().max(1) as f64,
            bottom..highest.max(bottom + 0.1) * 1.02,
        )?;
    chart
        .configure_mesh()
        .x_desc("updates")
        .y_desc("nats per character")
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| format!("{y:.1}"))
        .light_line_style(WHITE)
        .axis_desc_style(("sans-serif", 16))
        .label_style(("sans-serif", 14))
        .draw()?;
    // Blue and orange differ in lightness too, and the second curve has points: readable without colours.
    let (blue, orange) = (RGBColor(0, 90, 160), RGBColor(225, 120, 0));
    chart
        .draw_series(LineSeries::new(train, blue.stroke_width(2)))?
        .label(format!("training (mean of {SMOOTH} windows)"))
        .legend(move |(x, y)| PathElement::new([(x, y), (x + 24, y)], blue.stroke_width(2)));
    chart
        .draw_series(LineSeries::new(validation.clone(), orange.stroke_width(2)))?
        .label("validation")
        .legend(move |(x, y)| PathElement::new([(x, y), (x + 24, y)], orange.stroke_width(2)));
    chart.draw_series(validation.into_iter().map(|point| Circle::new(point, 4, orange.filled())))?;
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE)
        .border_style(BLACK)
        .label_font(("sans-serif", 14))
        .draw()?;
    area.present()?;
    drop(chart);
    drop(area);
    Ok(svg)
}

/// What an observer saw in the last window, and what clipping did: names of files and pictures. A run that had nothing left to do
/// has clipped nothing.
pub(crate) fn observed(
    observed: &Observed,
    clipping: &ClipGroup,
    settings: &Settings,
) -> Result<Vec<(&'static str, String)>, gatewise::Error> {
    let Observed { flow, gates, influence } = observed;
    let title =
        |what: &str| format!("{} of {}: {what}", settings.cell.name().to_uppercase(), settings.hidden);
    let mut pictures = vec![
        ("flow.svg", plot::gradient_flow(flow, &title("gradient at each step of a window"))?),
        ("gates.svg", plot::gates(gates, &title("gates in a window"))?),
    ];
    // A window of one step has nothing before it.
    if flow.steps() > 1 {
        pictures
            .push(("influence.svg", plot::lag_influence(influence, &title("influence of earlier steps"))?));
    }
    if !clipping.entries.is_empty() {
        pictures.push(("norms.svg", plot::clipping(clipping, &title("norm of the gradient"))?));
    }
    Ok(pictures)
}
