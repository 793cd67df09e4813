//! Pictures of what was observed, as the text of an SVG file. With the feature `plot`.
//!
//! Shades are viridis, whose lightness grows with the value, so they are told apart without colours too; lines differ in dash and marker.
//!
//! # Examples
//! ```
//! use gatewise::{Observer, Rnn, Upstream, View, plot};
//!
//! let rnn = Rnn::builder(1, 8).seed(1).build()?;
//! let mut observer = Observer::new(&rnn);
//! let mut tape = rnn.forward_train(View::new(&[0.5; 40], [40, 1, 1])?, None)?;
//! let upstream = Upstream { h_n: Some(&[1.0; 8]), ..Upstream::default() };
//! observer.backward(&rnn, &mut tape, upstream, &mut rnn.params().zeros_like())?;
//! let svg = plot::gradient_flow(observer.flow(), "A vanilla RNN's gradient fades")?;
//! assert!(svg.starts_with("<svg"));
//! # Ok::<(), gatewise::Error>(())
//! ```

mod gates;
mod heat;
mod legend;
mod lines;
mod norms;
mod scale;

pub use gates::gates;
pub use heat::{gradient_flow, lag_history};
pub use lines::lag_influence;
pub use norms::clipping;

use crate::spec::Error;
use legend::LEGEND_WIDTH;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use std::ops::Range;

/// An area of an SVG picture.
type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(40, 40, 40);
const BLUE: RGBColor = RGBColor(0, 70, 140);
const ORANGE: RGBColor = RGBColor(213, 94, 0);
const GREY: RGBColor = RGBColor(130, 130, 130);

/// Draws into a text.
fn svg(
    (width, height): (u32, u32),
    draw: impl FnOnce(&Area<'_>) -> Result<(), Box<dyn std::error::Error>>,
) -> String {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, (width, height)).into_drawing_area();
        area.fill(&WHITE).expect("a text takes whatever is drawn");
        draw(&area).expect("a text takes whatever is drawn");
        area.present().expect("a text takes whatever is drawn");
    }
    text
}

/// A chart of two axes, both linear: the second one shows powers of ten by their exponents.
type Axes<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// The frame of a picture of lines, its axes whole numbers by powers of ten, with room for a legend beside it.
fn axes<'a>(
    area: &Area<'a>,
    title: &str,
    [x_name, y_name]: [&str; 2],
    [x, y]: [Range<f64>; 2],
) -> Result<Axes<'a>, Box<dyn std::error::Error>> {
    let decades = (y.end - y.start) as usize;
    let mut chart = ChartBuilder::on(area)
        .margin(14)
        .margin_right(LEGEND_WIDTH)
        .caption(title, (FONT, 20).into_font().color(&INK))
        .x_label_area_size(44)
        .y_label_area_size(70)
        .build_cartesian_2d(x, y)?;
    chart
        .configure_mesh()
        .axis_style(INK)
        .x_desc(x_name)
        .y_desc(y_name)
        .x_label_formatter(&|x| whole(*x))
        .y_labels(decades + 1)
        .y_label_formatter(&|y| power(*y))
        .light_line_style(WHITE)
        .label_style((FONT, 14))
        .axis_desc_style((FONT, 15))
        .draw()?;
    Ok(chart)
}

/// Refuses to draw nothing.
fn check_some(arg: &'static str, is_some: bool) -> Result<(), Error> {
    if is_some {
        return Ok(());
    }
    Err(Error::Config { arg, expected: "one with something to draw", got: "nothing".to_string() })
}

/// What a layer in a direction is called.
fn track_name(layer: usize, direction: usize, directions: usize) -> String {
    match (directions, direction) {
        (1, _) => format!("layer {layer}"),
        (_, 0) => format!("layer {layer} forward"),
        _ => format!("layer {layer} reverse"),
    }
}

/// A number on an axis of whole ones.
fn whole(x: f64) -> String {
    if x.fract().abs() < 1e-9 { format!("{x:.0}") } else { String::new() }
}

/// A power of ten.
fn power(exponent: f64) -> String {
    let whole = exponent.round();
    if (exponent - whole).abs() > 1e-6 {
        return String::new();
    }
    if (0.0..=3.0).contains(&whole) { format!("{:.0}", 10_f64.powf(whole)) } else { format!("1e{whole:.0}") }
}

/// The colour of a value from 0 to 1: viridis, by its anchors.
fn shade(value: f64) -> RGBColor {
    const ANCHORS: [[f64; 3]; 9] = [
        [68.0, 1.0, 84.0],
        [71.0, 44.0, 122.0],
        [59.0, 81.0, 139.0],
        [44.0, 113.0, 142.0],
        [33.0, 144.0, 141.0],
        [39.0, 173.0, 129.0],
        [92.0, 200.0, 99.0],
        [170.0, 220.0, 50.0],
        [253.0, 231.0, 37.0],
    ];
    let at = value.clamp(0.0, 1.0) * 8.0;
    let low = (at as usize).min(7);
    let part = at - low as f64;
    let mix = |i: usize| (ANCHORS[low][i] + part * (ANCHORS[low + 1][i] - ANCHORS[low][i])).round() as u8;
    RGBColor(mix(0), mix(1), mix(2))
}
