//! Heat maps: influence as shade on a logarithmic scale, with its colour bar.

use super::{Area, FONT, INK, check_some, power, shade, svg, track_name, whole};
use crate::spec::Error;
use crate::train::observe::{GradientFlow, LagHistory};
use plotters::prelude::*;

/// Orders of magnitude that a scale covers at most, down from the largest value.
const MOST_DECADES: f64 = 12.0;
/// Columns of a picture: of more values, neighbours share one, which shows the largest.
const MOST_COLUMNS: usize = 400;
/// Shades of a scale.
const PARTS: usize = 64;
/// What stands for values that are infinite or not a number.
const NOT_FINITE: RGBColor = RGBColor(230, 60, 60);

/// A strip for each layer and direction and for the input: time from left to right, the L2 norm of the gradient as shade. Yellow is
/// large, dark violet small or zero; red crosses mark values that are not finite.
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
        for (i, (name, values)) in rows.iter().enumerate() {
            let top = (count - i) as f64;
            for (column, cell) in cells(values).enumerate() {
                // A little space between strips.
                let corners = [(cell.from, top - 0.94), (cell.to, top - 0.06)];
                chart.draw_series([Rectangle::new(corners, scale.shade(cell.value).filled())])?;
                let period = values.len().min(MOST_COLUMNS).div_ceil(40);
                let is_marked = column % period == period / 2;
                if !cell.value.is_finite() && is_marked {
                    let middle = (f64::midpoint(cell.from, cell.to), top - 0.5);
                    chart.draw_series([Cross::new(middle, 4, INK)])?;
                }
            }
            let (_, y) = chart.backend_coord(&(0.0, top - 0.5));
            labels.draw(name, y)?;
        }
        scale.draw_bar(&bar, "L2 norm")
    }))
}

/// Influence by lag (from left to right) and training step (from below), as shade: how far back a network learns to look.
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
            .x_desc("lag k")
            .y_desc("training step")
            .x_label_formatter(&|x| whole(*x))
            .y_labels(count.min(9))
            .y_label_formatter(&|y| step(*y))
            .label_style((FONT, 14))
            .axis_desc_style((FONT, 15))
            .draw()?;
        for (i, row) in history.rows.iter().enumerate() {
            let mut runs: Vec<(f64, f64, RGBColor)> = Vec::new();
            for cell in cells(&row.influence) {
                let colour = scale.shade(cell.value);
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
        scale.draw_bar(&bar, "influence")
    }))
}

/// The title, and below it room for the map and for the colour bar.
fn frame<'a>(area: &Area<'a>, title: &str) -> Result<(Area<'a>, Area<'a>), Box<dyn std::error::Error>> {
    let area = area.margin(14, 10, 14, 14).titled(title, (FONT, 20).into_font().color(&INK))?;
    let width = area.dim_in_pixel().0 as i32;
    Ok(area.split_horizontally(width - 120))
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

/// A logarithmic scale.
struct Scale {
    low: f64,
    high: f64,
    /// Whether some values are not finite.
    has_bad: bool,
}

impl Scale {
    /// From the smallest positive value to the largest one, whole decades, not too many.
    fn of<'a>(values: impl Iterator<Item = &'a f64>) -> Scale {
        let (mut low, mut high, mut has_bad) = (f64::INFINITY, f64::NEG_INFINITY, false);
        for value in values {
            has_bad |= !value.is_finite();
            if value.is_finite() && *value > 0.0 {
                (low, high) = (low.min(value.log10()), high.max(value.log10()));
            }
        }
        if low > high {
            (low, high) = (-1.0, 0.0);
        }
        let high = high.ceil();
        let low = low.floor().max(high - MOST_DECADES);
        Scale { low: low.min(high - 1.0), high, has_bad }
    }

    fn shade(&self, value: f64) -> RGBColor {
        if !value.is_finite() {
            return NOT_FINITE;
        }
        // The logarithm of 0 is below every scale.
        let at = ((value.log10() - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        shade(((at * PARTS as f64).floor().min(PARTS as f64 - 1.0) + 0.5) / PARTS as f64)
    }

    fn draw_bar(&self, area: &Area<'_>, unit: &str) -> Result<(), Box<dyn std::error::Error>> {
        let mut chart = ChartBuilder::on(area)
            .margin_left(16)
            .margin_right(4)
            .margin_top(22)
            .x_label_area_size(44)
            .right_y_label_area_size(56)
            .build_cartesian_2d(0.0..1.0, self.low..self.high)?
            .set_secondary_coord(0.0..1.0, self.low..self.high);
        for i in 0..PARTS {
            let at = |i: usize| self.low + (self.high - self.low) * i as f64 / PARTS as f64;
            let colour = shade((i as f64 + 0.5) / PARTS as f64);
            chart.draw_series([Rectangle::new([(0.0, at(i)), (1.0, at(i + 1))], colour.filled())])?;
        }
        let decades = (self.high - self.low) as usize;
        let room = (area.dim_in_pixel().1 as usize).saturating_sub(80) / 18;
        chart
            .configure_secondary_axes()
            .axis_style(INK)
            .y_labels(decades.min(room) + 1)
            .y_label_formatter(&|y| power(*y))
            .label_style((FONT, 14))
            .draw()?;
        let style = (FONT, 14).into_font().color(&INK);
        area.draw_text(unit, &style, (14, 2))?;
        if self.has_bad {
            let height = area.dim_in_pixel().1 as i32;
            let swatch = Rectangle::new([(16, height - 28), (28, height - 16)], NOT_FINITE.filled());
            area.draw(&swatch)?;
            area.draw_text("not finite", &style, (34, height - 29))?;
        }
        Ok(())
    }
}
