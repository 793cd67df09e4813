//! Influence against lag, a line for each layer and direction.

use super::legend::{Mark, legend};
use super::{BLUE, GREY, INK, ORANGE, axes, check_some, svg, track_name};
use crate::spec::Error;
use crate::train::observe::LagInfluence;
use plotters::prelude::*;

/// Orders of magnitude that the picture covers at most.
const MOST_DECADES: f64 = 12.0;
/// Colour, dash and space of states' lines, taken in turn: no space is a whole line.
const STATES: [(RGBColor, u32, u32); 4] = [(BLUE, 1, 0), (ORANGE, 10, 5), (INK, 16, 3), (BLUE, 6, 9)];
/// Those of the input's.
const INPUT: (RGBColor, u32, u32) = (GREY, 2, 4);

/// Influence against lag, as it was measured, on a logarithmic axis: a line for each layer and direction, of c where there is one, else
/// of h, and a dotted one for the network's input.
///
/// # Errors
/// [`Error::Config`] if there is nothing to draw.
///
/// # Examples
/// ```
/// use gatewise::{LagInfluence, TrackInfluence, plot};
///
/// let track = TrackInfluence { h: vec![1.0, 0.5, 0.25], ..TrackInfluence::default() };
/// let influence = LagInfluence { tracks: vec![track], x: vec![0.3, 0.2, 0.1] };
/// assert!(plot::lag_influence(&influence, "Influence by lag")?.starts_with("<svg"));
/// # Ok::<(), gatewise::Error>(())
/// ```
pub fn lag_influence(influence: &LagInfluence, title: &str) -> Result<String, Error> {
    let directions = 1 + influence.tracks.iter().map(|track| track.direction).max().unwrap_or(0);
    let mut lines: Vec<(String, &[f64], _)> = Vec::new();
    for (track, style) in influence.tracks.iter().zip(STATES.iter().cycle()) {
        let name = track_name(track.layer, track.direction, directions);
        let state = if track.c.is_empty() { "h" } else { "c" };
        lines.push((format!("{state} of {name}"), track.state(), *style));
    }
    let lags = lines.iter().map(|(_, values, _)| values.len()).max().unwrap_or(0);
    check_some("influence", lags > 1)?;
    if !influence.x.is_empty() {
        lines.push(("the input x".to_string(), &influence.x, INPUT));
    }
    let points = |values: &[f64]| -> Vec<(f64, f64)> {
        let all = values.iter().enumerate().map(|(k, value)| (k as f64, value.log10()));
        all.filter(|(_, value)| value.is_finite()).collect()
    };
    let logs = || lines.iter().flat_map(|(_, values, _)| points(values)).map(|(_, value)| value);
    let high = logs().fold(f64::NEG_INFINITY, f64::max).ceil().max(0.0);
    let low = logs().fold(high - 1.0, f64::min).floor().max(high - MOST_DECADES);
    Ok(svg((900, 480), |area| {
        let names = ["lag k (steps)", "influence on the last h"];
        let mut chart = axes(area, title, names, [0.0..(lags - 1) as f64, low..high])?;
        let mut marks = Vec::new();
        for (name, values, (colour, dash, space)) in &lines {
            let (colour, dash, space) = (*colour, *dash, *space);
            let line = points(values).into_iter().filter(move |(_, value)| *value >= low);
            let style = colour.stroke_width(2);
            if space == 0 {
                chart.draw_series(LineSeries::new(line, style))?;
            } else {
                chart.draw_series(DashedLineSeries::new(line, dash, space, style))?;
            }
            marks.push((Mark::Line(colour, dash, space), name.clone()));
        }
        legend(area, 50, marks)?;
        Ok(())
    }))
}
