//! The logarithmic scale of a heat map, with its colour bar.

use super::{Area, FONT, INK, power, shade};
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint};
use plotters::prelude::*;
use std::ops::Range;

/// Orders of magnitude that a scale covers at most, down from the largest value.
const MOST_DECADES: f64 = 12.0;
/// Shades of a scale.
const PARTS: usize = 64;
/// What stands for values that are infinite or not a number, together with [`cross`]es.
const NOT_FINITE: RGBColor = RGBColor(230, 60, 60);

/// Tells what is not finite from a shade without colours too.
pub(super) fn cross<Place>(middle: Place) -> Cross<Place, i32> {
    Cross::new(middle, 4, INK)
}

/// A logarithmic scale.
pub(super) struct Scale {
    low: f64,
    high: f64,
    /// Whether some values are below it; they have the lowest shade.
    has_lower: bool,
    /// Whether some values are not finite.
    has_bad: bool,
}

impl Scale {
    /// From the smallest positive value to the largest one, whole decades, not too many.
    pub(super) fn of<'a>(values: impl Iterator<Item = &'a f64>) -> Scale {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        let (mut has_bad, mut has_zero) = (false, false);
        for value in values {
            has_bad |= !value.is_finite();
            has_zero |= *value == 0.0;
            if value.is_finite() && *value > 0.0 {
                (low, high) = (low.min(value.log10()), high.max(value.log10()));
            }
        }
        if low > high {
            (low, high) = (-1.0, 0.0);
        }
        let high = high.ceil();
        let least = high - MOST_DECADES;
        let has_lower = has_zero || low < least;
        Scale { low: low.floor().max(least).min(high - 1.0), high, has_lower, has_bad }
    }

    pub(super) fn shade(&self, value: f64) -> RGBColor {
        if !value.is_finite() {
            return NOT_FINITE;
        }
        // The logarithm of 0 is below every scale.
        let at = ((value.log10() - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        shade(((at * PARTS as f64).floor().min(PARTS as f64 - 1.0) + 0.5) / PARTS as f64)
    }

    fn label(&self, exponent: f64) -> String {
        let is_end = self.has_lower && exponent == self.low;
        format!("{}{}", if is_end { "<= " } else { "" }, power(exponent))
    }

    pub(super) fn draw_bar(&self, area: &Area<'_>, unit: &str) -> Result<(), Box<dyn std::error::Error>> {
        let room = (area.dim_in_pixel().1 as usize).saturating_sub(80) / 18;
        let mut chart = ChartBuilder::on(area)
            .margin_left(16)
            .margin_right(4)
            .margin_top(22)
            .x_label_area_size(44)
            .right_y_label_area_size(68)
            .build_cartesian_2d(0.0..1.0, self.low..self.high)?
            .set_secondary_coord(0.0..1.0, Decades { low: self.low, high: self.high, room });
        for i in 0..PARTS {
            let at = |i: usize| self.low + (self.high - self.low) * i as f64 / PARTS as f64;
            let colour = shade((i as f64 + 0.5) / PARTS as f64);
            chart.draw_series([Rectangle::new([(0.0, at(i)), (1.0, at(i + 1))], colour.filled())])?;
        }
        chart
            .configure_secondary_axes()
            .axis_style(INK)
            .y_label_formatter(&|y| self.label(*y))
            .label_style((FONT, 14))
            .draw()?;
        let style = (FONT, 14).into_font().color(&INK);
        area.draw_text(unit, &style, (14, 2))?;
        if self.has_bad {
            let height = area.dim_in_pixel().1 as i32;
            let swatch = Rectangle::new([(16, height - 28), (28, height - 16)], NOT_FINITE.filled());
            area.draw(&swatch)?;
            area.draw(&cross((22, height - 22)))?;
            area.draw_text("not finite", &style, (34, height - 29))?;
        }
        Ok(())
    }
}

/// Exponents on the bar's axis: from its lower end on as many as there is room for.
struct Decades {
    low: f64,
    high: f64,
    room: usize,
}

impl Ranged for Decades {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, exponent: &f64, (from, to): (i32, i32)) -> i32 {
        let part = (exponent - self.low) / (self.high - self.low);
        from + (part * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        let decades = (self.high - self.low) as usize;
        let step = decades.div_ceil(self.room.max(1)).max(1);
        (0..=decades).step_by(step).map(|decade| self.low + decade as f64).collect()
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}
