//! Heat maps: sizes as shade on a logarithmic scale.

use super::scale::{Scale, cross};
use super::{Area, FONT, INK, check_some, svg, track_name, whole};
use crate::spec::Error;
use crate::train::observe::{GradientFlow, LagHistory};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use std::collections::HashSet;

/// Columns of a picture: of more values, neighbours share one, which shows the largest.
const MOST_COLUMNS: usize = 400;

/// A strip for each layer and direction and for the input: time from left to right, the L2 norm of the gradient as shade. Yellow is
/// large, dark violet small or zero; what is not finite is red with dark crosses.
///
/// # Errors
/// [`Error::Config`] if there is nothing to draw.
///
/// # Examples
/// ```
/// use gatewise::{GradientFlow, TrackFlow, plot};
///
/// let fades = (0..50).map(|t| 0.8_f64.powi(49 - t)).collect();
/// let flow = GradientFlow { tracks: vec![TrackFlow { h: fades, ..TrackFlow::default() }], ..GradientFlow::default() };
/// let svg = plot::gradient_flow(&flow, "A gradient that fades")?;
/// assert!(svg.starts_with("<svg") && svg.contains("|dL/dh|"));
/// # Ok::<(), gatewise::Error>(())
/// ```
pub fn gradient_flow(flow: &GradientFlow, title: &str) -> Result<String, Error> {
    check_some("flow", flow.steps() > 0)?;
    let directions = 1 + flow.tracks.iter().map(|track| track.direction).max().unwrap_or(0);
    let mut rows = Vec::new();
    for track in flow.tracks.iter().rev() {
        let name = track_name(track.layer, track.direction, directions);
        rows.push((format!("|dL/dh|  {name}"), &track.h[..]));
        if !track.c.is_empty() {
            rows.push((format!("|dL/dc|  {name}"), &track.c[..]));
        }
    }
    if !flow.x.is_empty() {
        rows.push(("|dL/dx|  input".to_string(), &flow.x[..]));
    }
    let scale = Scale::of(rows.iter().flat_map(|(_, values)| values.iter()));
    let height = (130 + 34 * rows.len() as u32).max(230);
    Ok(svg((900, height), |area| {
        let (main, bar) = frame(area, title)?;
        let count = rows.len();
        let steps = flow.steps() as f64;
        let mut chart = ChartBuilder::on(&main)
            .margin_right(10)
            .x_label_area_size(44)
            .y_label_area_size(170)
            .build_cartesian_2d(0.0..steps, 0.0..count as f64)?;
        chart
            .configure_mesh()
            .disable_mesh()
            .axis_style(INK)
            .x_desc("time step t")
            .x_label_formatter(&|x| whole(*x))
            .y_labels(0)
            .label_style((FONT, 14))
            .axis_desc_style((FONT, 15))
            .draw()?;
        let labels = Labels { left: 8, area: &main };
        let mut crosses = Crosses::default();
        for (i, (name, values)) in rows.iter().enumerate() {
            let top = (count - i) as f64;
            for cell in cells(values) {
                // A little space between strips.
                let corners = [(cell.from, top - 0.94), (cell.to, top - 0.06)];
                chart.draw_series([Rectangle::new(corners, scale.shade(cell.value).filled())])?;
                crosses.take(&chart, &cell, top - 0.5);
            }
            let (_, y) = chart.backend_coord(&(0.0, top - 0.5));
            labels.draw(name, y)?;
        }
        crosses.draw(&mut chart)?;
        scale.draw_bar(&bar, "L2 norm")
    }))
}

/// Influence by lag (from left to right) and training step (from below), as shade: how far back a network learns to look. What is not
/// finite is red with dark crosses.
///
/// # Errors
/// [`Error::Config`] if there is nothing to draw.
///
/// # Examples
/// ```
/// use gatewise::{LagHistory, plot};
///
/// let mut history = LagHistory::default();
/// for step in 0..5 {
///     history.push(100 * step, &[1.0, 0.5, 0.25]);
/// }
/// assert!(plot::lag_history(&history, "Memory while training")?.starts_with("<svg"));
/// # Ok::<(), gatewise::Error>(())
/// ```
pub fn lag_history(history: &LagHistory, title: &str) -> Result<String, Error> {
    let lags = history.rows.iter().map(|row| row.influence.len()).max().unwrap_or(0);
    check_some("history", lags > 0)?;
    let scale = Scale::of(history.rows.iter().flat_map(|row| &row.influence));
    Ok(svg((900, 480), |area| {
        let (main, bar) = frame(area, title)?;
        let count = history.rows.len();
        let mut chart = ChartBuilder::on(&main)
            .margin_right(10)
            .x_label_area_size(44)
            .y_label_area_size(80)
            .build_cartesian_2d(0.0..lags as f64, 0.0..count as f64)?;
        // Rows are of one height, whatever lies between their steps, and are labelled by their steps.
        let step = |y: f64| {
            let row = history.rows.get(y as usize).filter(|_| y.fract() == 0.0);
            row.map_or(String::new(), |row| row.step.to_string())
        };
        chart
            .configure_mesh()
            .disable_mesh()
            .axis_style(INK)
            .x_desc("lag k (steps)")
            .y_desc("training step")
            .x_label_formatter(&|x| whole(*x))
            .y_labels(count.min(9))
            .y_label_formatter(&|y| step(*y))
            .label_style((FONT, 14))
            .axis_desc_style((FONT, 15))
            .draw()?;
        let mut crosses = Crosses::default();
        for (i, row) in history.rows.iter().enumerate() {
            let mut runs: Vec<(f64, f64, RGBColor)> = Vec::new();
            for cell in cells(&row.influence) {
                let colour = scale.shade(cell.value);
                crosses.take(&chart, &cell, i as f64 + 0.5);
                match runs.last_mut() {
                    // Neighbours of one shade are one rectangle: a map of thousands of values stays a small file.
                    Some(last) if last.2 == colour => last.1 = cell.to,
                    _ => runs.push((cell.from, cell.to, colour)),
                }
            }
            for (from, to, colour) in runs {
                let corners = [(from, i as f64), (to, (i + 1) as f64)];
                chart.draw_series([Rectangle::new(corners, colour.filled())])?;
            }
        }
        crosses.draw(&mut chart)?;
        scale.draw_bar(&bar, "influence")
    }))
}

/// The title, and below it room for the map and for the colour bar.
fn frame<'a>(area: &Area<'a>, title: &str) -> Result<(Area<'a>, Area<'a>), Box<dyn std::error::Error>> {
    let area = area.margin(14, 10, 14, 14).titled(title, (FONT, 20).into_font().color(&INK))?;
    let width = area.dim_in_pixel().0 as i32;
    Ok(area.split_horizontally(width - 130))
}

/// The names of strips, at the left.
struct Labels<'a, 'b> {
    left: i32,
    area: &'a Area<'b>,
}

impl Labels<'_, '_> {
    fn draw(&self, text: &str, y: i32) -> Result<(), Box<dyn std::error::Error>> {
        use plotters::style::text_anchor::{HPos, Pos, VPos};
        let style = (FONT, 14).into_font().color(&INK).pos(Pos::new(HPos::Left, VPos::Center));
        // The chart answers where on the whole picture a point stands.
        let top = self.area.get_pixel_range().1.start;
        Ok(self.area.draw_text(text, &style, (self.left, y - top))?)
    }
}

/// Values that share a column.
struct Cell {
    from: f64,
    to: f64,
    value: f64,
}

fn cells(values: &[f64]) -> impl Iterator<Item = Cell> {
    let width = values.len().div_ceil(MOST_COLUMNS).max(1);
    values.chunks(width).enumerate().map(move |(i, values)| {
        let from = (i * width) as f64;
        // A value that is not finite must be seen.
        let largest = |a: f64, b: &f64| if !a.is_finite() || a > *b { a } else { *b };
        let value = values[1..].iter().fold(values[0], largest);
        Cell { from, to: from + values.len() as f64, value }
    })
}

/// A map whose axes are linear.
type Map<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// The crosses of what is not finite, on top of all cells, so that it is told from a shade without colours too. There is one for each
/// place of this many pixels, however small and many the cells are.
#[derive(Default)]
struct Crosses {
    places: HashSet<(i32, i32)>,
    middles: Vec<(f64, f64)>,
}

impl Crosses {
    const PLACE: i32 = 16;

    fn take(&mut self, map: &Map<'_>, cell: &Cell, y: f64) {
        let middle = (f64::midpoint(cell.from, cell.to), y);
        let (left, top) = map.backend_coord(&middle);
        let place = (left / Crosses::PLACE, top / Crosses::PLACE);
        if !cell.value.is_finite() && self.places.insert(place) {
            self.middles.push(middle);
        }
    }

    fn draw(self, map: &mut Map<'_>) -> Result<(), Box<dyn std::error::Error>> {
        map.draw_series(self.middles.into_iter().map(cross))?;
        Ok(())
    }
}
