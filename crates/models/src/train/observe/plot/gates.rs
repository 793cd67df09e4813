//! Histograms of gates.

use super::legend::{Mark, legend};
use super::{FONT, INK, ORANGE, check_some, svg, track_name};
use crate::spec::Error;
use crate::train::observe::{Gate, GateReport};
use plotters::prelude::*;

const LIGHT_BLUE: RGBColor = RGBColor(165, 205, 240);
const PANEL: (u32, u32) = (270, 250);

/// A histogram of every gate's values, a row for each layer and direction. Bars at the ends, where more than half of a bar's width
/// is saturated, are darker; above each stand the mean, the share that is saturated, and how many units are dead.
///
/// # Errors
/// [`Error::Config`] if there is nothing to draw.
///
/// # Examples
/// ```
/// use gatewise::{GateReport, Lstm, View, plot};
///
/// let lstm = Lstm::new(1, 4)?;
/// let tape = lstm.forward_train(View::new(&[0.5; 10], [10, 1, 1])?, None)?;
/// let svg = plot::gates(&GateReport::new(&lstm, &tape)?, "Gates of an LSTM")?;
/// assert!(svg.starts_with("<svg") && svg.contains("Gates of an LSTM") && svg.contains("forget"));
/// # Ok::<(), gatewise::Error>(())
/// ```
pub fn gates(report: &GateReport, title: &str) -> Result<String, Error> {
    let columns = report.tracks.iter().map(|track| track.gates.len()).max().unwrap_or(0);
    check_some("report", columns > 0)?;
    let directions = 1 + report.tracks.iter().map(|track| track.direction).max().unwrap_or(0);
    let width = (PANEL.0 * columns as u32 + 28).max(620);
    let height = PANEL.1 * report.tracks.len() as u32 + 104;
    Ok(svg((width, height), |area| {
        let body = area.margin(14, 14, 14, 14).titled(title, (FONT, 20).into_font().color(&INK))?;
        let (_, body) = body.split_vertically(48);
        for (track, row) in report.tracks.iter().zip(body.split_evenly((report.tracks.len(), 1))) {
            let name = track_name(track.layer, track.direction, directions);
            for (gate, panel) in track.gates.iter().zip(row.split_evenly((1, columns))) {
                draw(
                    &panel,
                    &format!("{} gate, {name}", gate.role.name()).replace("state gate", "state"),
                    gate,
                )?;
            }
        }
        legend(
            area,
            14,
            vec![(Mark::Area(ORANGE), "saturated".into()), (Mark::Area(LIGHT_BLUE), "in between".into())],
        )
    }))
}

fn draw(area: &super::Area<'_>, name: &str, gate: &Gate) -> Result<(), Box<dyn std::error::Error>> {
    let [low, high] = gate.range;
    let high = if high > low { high } else { low + 1.0 };
    let count: u64 = gate.histogram.iter().sum();
    let share = |values: u64| values as f64 / count.max(1) as f64;
    let top = gate.histogram.iter().map(|&values| share(values)).fold(0.05, f64::max) * 1.05;
    let saturated = 100.0 * (gate.saturated[0] + gate.saturated[1]);
    let dead = gate.dead.len();
    let facts = format!("mean {:.2}, saturated {saturated:.0} %, dead {dead}", gate.mean);
    let font = |size: u32| (FONT, size).into_font().color(&INK);
    area.draw_text(name, &font(15), (56, 8))?;
    area.draw_text(&facts, &font(13), (56, 27))?;
    let (_, area) = area.split_vertically(46);
    let mut chart = ChartBuilder::on(&area)
        .margin_right(14)
        .margin_top(4)
        .x_label_area_size(40)
        .y_label_area_size(54)
        .build_cartesian_2d(low..high, 0.0..top)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .axis_style(INK)
        .x_labels(5)
        .y_labels(4)
        .x_desc("value")
        .y_desc("share of values")
        .x_label_formatter(&|x| format!("{x:.1}"))
        .y_label_formatter(&|y| format!("{y:.2}"))
        .light_line_style(WHITE)
        .label_style((FONT, 12))
        .axis_desc_style((FONT, 13))
        .draw()?;
    let width = (high - low) / gate.histogram.len() as f64;
    let [low_end, high_end] = gate.ends;
    let (low_end, high_end) = (low_end.unwrap_or(f64::NEG_INFINITY), high_end.unwrap_or(f64::INFINITY));
    for (i, &values) in gate.histogram.iter().enumerate() {
        let (from, to) = (low + i as f64 * width, low + (i + 1) as f64 * width);
        let middle = f64::midpoint(from, to);
        let is_saturated = middle <= low_end || middle >= high_end || (low == low_end && i == 0);
        let colour = if is_saturated { ORANGE } else { LIGHT_BLUE };
        let corners = [(from + 0.05 * width, 0.0), (to - 0.05 * width, share(values))];
        chart.draw_series([Rectangle::new(corners, colour.filled())])?;
    }
    Ok(())
}
