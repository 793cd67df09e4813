//! Lines in a chart, as the text of an SVG file.

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use std::error::Error;

/// One line.
#[derive(Clone, Debug)]
pub struct Line {
    /// What the legend calls it.
    pub name: String,
    /// (x, y); what is not finite, or not above 0 on a logarithmic axis, is left out.
    pub points: Vec<(f64, f64)>,
}

/// A chart of lines. They differ in colour, lightness and dash.
#[derive(Clone, Debug)]
pub struct Chart<'a> {
    /// What stands above it.
    pub title: &'a str,
    /// The names of the axes.
    pub axes: [&'a str; 2],
    /// The lines, eight at most.
    pub lines: Vec<Line>,
    /// A level to hold them against, dotted.
    pub level: Option<(&'a str, f64)>,
    /// The orders of magnitude of a logarithmic y axis, counted from the largest value; `None` for a linear axis.
    pub decades: Option<f64>,
    /// Where the legend stands.
    pub legend: Corner,
    /// Pixels.
    pub size: (u32, u32),
}

/// A corner of a chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corner {
    /// Above the beginning of the lines.
    UpperLeft,
    /// Above their end.
    UpperRight,
    /// Below the beginning.
    LowerLeft,
    /// Below the end.
    LowerRight,
    /// At the right of the chart, which is so much narrower: it covers no line.
    Beside,
}

/// A chart whose axes are there.
type Axes<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// The style of a level.
const LEVEL: (RGBColor, u32, u32) = (RGBColor(90, 90, 90), 2, 4);
const FONT: &str = "sans-serif";
/// Colour, dash and space between dashes.
const STYLES: [(RGBColor, u32, u32); 8] = [
    (RGBColor(0, 70, 140), 1, 0),
    (RGBColor(213, 94, 0), 12, 4),
    (RGBColor(20, 20, 20), 22, 5),
    (RGBColor(0, 158, 115), 4, 4),
    (RGBColor(204, 121, 167), 14, 6),
    (RGBColor(120, 120, 120), 7, 3),
    (RGBColor(86, 180, 233), 2, 3),
    (RGBColor(170, 150, 0), 18, 4),
];

impl Chart<'_> {
    /// Draws it.
    ///
    /// # Errors
    /// If there is nothing to draw.
    pub fn draw(&self) -> Result<String, Box<dyn Error>> {
        let height = |y: f64| if self.decades.is_some() { y.log10() } else { y };
        let points = |line: &Line| -> Vec<(f64, f64)> {
            let points = line.points.iter().map(|&(x, y)| (x, height(y)));
            points.filter(|(x, y)| x.is_finite() && y.is_finite()).collect()
        };
        let all: Vec<(f64, f64)> = self.lines.iter().flat_map(points).collect();
        if all.is_empty() {
            return Err(format!("{}: there is nothing to draw", self.title).into());
        }
        let level = self.level.map(|(name, y)| (name, height(y)));
        let xs = || all.iter().map(|&(x, _)| x);
        let ys = || all.iter().map(|&(_, y)| y).chain(level.map(|(_, y)| y));
        let (left, right) = (xs().fold(f64::INFINITY, f64::min), xs().fold(f64::NEG_INFINITY, f64::max));
        let (low, high) = (ys().fold(f64::INFINITY, f64::min), ys().fold(f64::NEG_INFINITY, f64::max));
        let (low, high) = match self.decades {
            Some(decades) => (low.floor().max(high.ceil() - decades), high.ceil()),
            None => (low - 0.03 * (high - low), high + 0.05 * (high - low)),
        };
        let mut svg = String::new();
        {
            let names =
                self.lines.iter().map(|line| line.name.as_str()).chain(self.level.map(|(name, _)| name));
            let beside = if self.legend == Corner::Beside { legend_width(names) + 12 } else { 0 };
            let area = SVGBackend::with_string(&mut svg, self.size).into_drawing_area();
            area.fill(&WHITE)?;
            let mut chart = ChartBuilder::on(&area)
                .margin(12)
                .margin_right(24 + beside)
                .caption(self.title, (FONT, 20))
                .x_label_area_size(44)
                .y_label_area_size(68)
                .build_cartesian_2d(left..right, low..high.max(low + 1e-9))?;
            let is_log = self.decades.is_some();
            let label = move |y: &f64| if is_log { power(*y) } else { decimal(*y) };
            let mut mesh = chart.configure_mesh();
            mesh.x_desc(self.axes[0]).y_desc(self.axes[1]).x_label_formatter(&|x| decimal(*x));
            if is_log {
                mesh.y_labels((high - low) as usize + 1);
            }
            mesh.y_label_formatter(&label)
                .light_line_style(WHITE)
                .label_style((FONT, 14))
                .axis_desc_style((FONT, 15))
                .draw()?;
            let mut entries = Vec::new();
            for (line, style) in self.lines.iter().zip(STYLES) {
                let visible = points(line).into_iter().filter(|&(_, y)| y >= low);
                draw_line(&mut chart, visible, style)?;
                entries.push((line.name.as_str(), style));
            }
            if let Some((name, y)) = level {
                draw_line(&mut chart, [(left, y), (right, y)].into_iter(), LEVEL)?;
                entries.push((name, LEVEL));
            }
            legend(&area, self.legend, &entries)?;
            area.present()?;
        }
        Ok(svg)
    }
}

fn draw_line(
    chart: &mut Axes<'_>,
    points: impl Iterator<Item = (f64, f64)> + Clone,
    (colour, dash, space): (RGBColor, u32, u32),
) -> Result<(), Box<dyn Error>> {
    let style = colour.stroke_width(2);
    if space == 0 {
        chart.draw_series(LineSeries::new(points, style))?;
    } else {
        chart.draw_series(DashedLineSeries::new(points, dash, space, style))?;
    }
    Ok(())
}

/// The length of a sample of a line.
const SAMPLE: i32 = 40;

/// The width of the box for these names.
fn legend_width<'a>(names: impl Iterator<Item = &'a str>) -> i32 {
    /// About as wide as a letter of the font.
    const LETTER: f64 = 7.4;
    let letters = names.map(|name| name.chars().count()).max().unwrap_or(0);
    SAMPLE + 26 + (letters as f64 * LETTER) as i32
}

/// Samples of lines and their names in a box.
fn legend(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    corner: Corner,
    entries: &[(&str, (RGBColor, u32, u32))],
) -> Result<(), Box<dyn Error>> {
    const LINE: i32 = 20;
    let width = legend_width(entries.iter().map(|(name, _)| *name));
    let height = LINE * entries.len() as i32 + 8;
    let (right, bottom) = (area.dim_in_pixel().0 as i32 - 34, area.dim_in_pixel().1 as i32 - 68);
    let (left, top) = match corner {
        Corner::UpperLeft => (92, 52),
        Corner::UpperRight => (right - width, 52),
        Corner::Beside => (right + 22 - width, 52),
        Corner::LowerLeft => (92, bottom - height),
        Corner::LowerRight => (right - width, bottom - height),
    };
    let corners = [(left, top), (left + width, top + height)];
    area.draw(&Rectangle::new(corners, WHITE.mix(0.9).filled()))?;
    area.draw(&Rectangle::new(corners, RGBColor(150, 150, 150)))?;
    for (i, (name, (colour, dash, space))) in entries.iter().enumerate() {
        let (x, y) = (left + 8, top + LINE * i as i32 + LINE / 2 + 4);
        let (dash, space) = if *space == 0 { (SAMPLE, 1) } else { (*dash as i32, *space as i32) };
        for from in (0..SAMPLE).step_by((dash + space) as usize) {
            let to = (from + dash).min(SAMPLE);
            area.draw(&PathElement::new([(x + from, y), (x + to, y)], colour.stroke_width(2)))?;
        }
        area.draw_text(name, &(FONT, 14).into_font().color(&BLACK), (x + SAMPLE + 8, y - 7))?;
    }
    Ok(())
}

/// A number without zeros at its end.
fn decimal(x: f64) -> String {
    let text = format!("{x:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_string() } else { text.to_string() }
}

/// A power of ten.
fn power(exponent: f64) -> String {
    let whole = exponent.round();
    match exponent - whole {
        rest if rest.abs() > 1e-6 => String::new(),
        _ if (-2.0..=3.0).contains(&whole) => decimal(10_f64.powf(whole)),
        _ => format!("1e{whole:.0}"),
    }
}
