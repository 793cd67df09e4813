//! The norms of the gradients over the updates, and what clipping did.

use super::legend::{Mark, legend};
use super::{BLUE, INK, ORANGE, axes, check_some, svg};
use crate::spec::Error;
use crate::train::observe::{ClipEntry, ClipGroup};
use plotters::prelude::*;

const DASH: (u32, u32) = (10, 6);

/// The norm before clipping of each update in a ledger's window, on a logarithmic axis, with the threshold as a dashed line; circles
/// mark updates that were clipped, triangles at the upper edge norms that were not finite. The legend names what there is of these.
///
/// # Errors
/// [`Error::Config`] if there is nothing to draw.
///
/// # Examples
/// ```
/// use gatewise::{ClipEntry, ClipGroup, plot};
///
/// let entry = |update| ClipEntry { update, norm: 1.0 + update as f64, max_norm: 2.0, scale: 1.0 };
/// let group = ClipGroup { entries: (0..10).map(entry).collect(), updates: 10, ..ClipGroup::default() };
/// assert!(plot::clipping(&group, "Norms")?.starts_with("<svg"));
/// assert!(plot::clipping(&ClipGroup::default(), "Norms").is_err()); // nothing to draw
/// # Ok::<(), gatewise::Error>(())
/// ```
pub fn clipping(group: &ClipGroup, title: &str) -> Result<String, Error> {
    let (Some(first), Some(last)) = (group.entries.front(), group.entries.back()) else {
        check_some("group", false)?;
        return Ok(String::new());
    };
    let positive = |value: f64| (value.is_finite() && value > 0.0).then(|| value.log10());
    let norms: Vec<(f64, f64)> =
        group.entries.iter().filter_map(|entry| Some((entry.update as f64, positive(entry.norm)?))).collect();
    let limits: Vec<(f64, f64)> = group
        .entries
        .iter()
        .filter_map(|entry| Some((entry.update as f64, positive(entry.max_norm)?)))
        .collect();
    let logs = || norms.iter().chain(&limits).map(|(_, value)| *value);
    let (low, high) = (logs().fold(f64::INFINITY, f64::min), logs().fold(f64::NEG_INFINITY, f64::max));
    let (low, high) = if low <= high { (low.floor(), high.ceil()) } else { (-1.0, 1.0) };
    let high = high.max(low + 1.0);
    Ok(svg((900, 480), |area| {
        let updates = first.update as f64..(last.update as f64).max(first.update as f64 + 1.0);
        let mut chart = axes(area, title, ["update", "norm of the gradient"], [updates, low..high])?;
        // The legend names what there is to see, and nothing else.
        let mut marks = Vec::new();
        if let [one] = norms[..] {
            // A line needs two.
            chart.draw_series([Circle::new(one, 3, BLUE.filled())])?;
            marks.push((Mark::Circle(BLUE), "norm before clipping".to_string()));
        } else if !norms.is_empty() {
            chart.draw_series(LineSeries::new(norms, BLUE.stroke_width(1)))?;
            marks.push((Mark::Line(BLUE, 1, 0), "norm before clipping".to_string()));
        }
        let clipped = group.entries.iter().filter(|entry| entry.scale < 1.0);
        let clipped = clipped.filter_map(|entry| Some((entry.update as f64, positive(entry.norm)?)));
        let mut clipped = clipped.map(|point| Circle::new(point, 3, ORANGE.filled())).peekable();
        if clipped.peek().is_some() {
            let share = 100.0 * group.share_clipped();
            chart.draw_series(clipped)?;
            marks.push((Mark::Circle(ORANGE), format!("clipped ({share:.0} % of all updates)")));
        }
        if !limits.is_empty() {
            chart.draw_series(DashedLineSeries::new(limits, DASH.0, DASH.1, INK.stroke_width(2)))?;
            marks.push((Mark::Line(INK, DASH.0, DASH.1), "threshold".to_string()));
        }
        let bad = group.entries.iter().filter(|entry| !entry.norm.is_finite());
        let edge = high - 0.02 * (high - low);
        let triangle = |entry: &ClipEntry| TriangleMarker::new((entry.update as f64, edge), 7, INK.filled());
        let mut bad = bad.map(triangle).peekable();
        if bad.peek().is_some() {
            chart.draw_series(bad)?;
            marks.push((Mark::Triangle(INK), "not finite".to_string()));
        }
        if marks.is_empty() { Ok(()) } else { legend(area, 50, marks) }
    }))
}
