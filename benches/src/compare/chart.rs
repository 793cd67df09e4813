//! Results as a picture: one bar a system, as long as its time over Gatewise's, or, where most would be cut, as the logarithm of that.

use super::{Origin, Row};
use plotters::prelude::*;
use std::error::Error;
use std::path::Path;

/// Bars longer than that are cut: a gap near their end says so.
const LONGEST: f64 = 8.0;
const BAR: f64 = 16.0;
/// Where bars may stand, in pixels.
const LEFT: f64 = 170.0;
const RIGHT: f64 = 770.0;

/// Where times over Gatewise's stand from left to right.
#[derive(Clone, Debug, PartialEq)]
enum Scale {
    /// Bars from 0; those longer than [`LONGEST`] are cut.
    Linear,
    /// Bars from 1, to the right if slower, to the left if faster; from the first of these marks to the last.
    Log(Vec<f64>),
}

impl Scale {
    /// The scale on which most bars can be seen whole.
    fn of(ratios: &[f64]) -> Scale {
        let cut = ratios.iter().filter(|ratio| **ratio > LONGEST).count();
        if 2 * cut <= ratios.len() {
            return Scale::Linear;
        }
        let least = ratios.iter().copied().fold(1.0, f64::min);
        let most = ratios.iter().copied().fold(1.0, f64::max);
        let marks = (-9..9).flat_map(|exponent| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(exponent)));
        let marks: Vec<f64> = marks.collect();
        let first = marks.iter().rposition(|mark| *mark <= least).unwrap_or(0);
        let last = marks.iter().position(|mark| *mark >= most).unwrap_or(marks.len() - 1);
        Scale::Log(marks[first..=last].to_vec())
    }

    /// What the picture says of it.
    fn words(&self) -> &'static str {
        match self {
            Scale::Linear => {
                "time over Gatewise's; longer is slower; the line is Gatewise; a bar with a gap is cut"
            }
            Scale::Log(_) => {
                "time over Gatewise's, on a logarithmic scale; to the right of Gatewise is slower, to the left faster"
            }
        }
    }

    /// The marks on it; a linear one has none, for each bar has its figure.
    fn marks(&self) -> &[f64] {
        match self {
            Scale::Linear => &[],
            Scale::Log(marks) => marks,
        }
    }

    /// Where a ratio stands.
    fn at(&self, ratio: f64) -> f64 {
        let share = match self {
            Scale::Linear => ratio.min(LONGEST) / LONGEST,
            Scale::Log(marks) => {
                let [first, last] = [marks[0], marks[marks.len() - 1]].map(f64::ln);
                (ratio.ln() - first) / (last - first)
            }
        };
        LEFT + (RIGHT - LEFT) * share
    }

    /// From where to where the bar of a ratio reaches.
    fn bar(&self, ratio: f64) -> (f64, f64) {
        let end = self.at(ratio);
        match self {
            Scale::Linear => (LEFT, end),
            // Gatewise's own would have no length.
            Scale::Log(_) if ratio == 1.0 => (end - 3.0, end + 3.0),
            Scale::Log(_) => (end.min(self.at(1.0)), end.max(self.at(1.0))),
        }
    }

    fn is_cut(&self, ratio: f64) -> bool {
        *self == Scale::Linear && ratio > LONGEST
    }
}

/// Draws the cases of a group as SVG.
///
/// # Errors
/// If the file cannot be written.
pub fn draw(path: &Path, title: &str, cases: &[&[Row]]) -> Result<(), Box<dyn Error>> {
    let ratios: Vec<f64> = cases.iter().flat_map(|rows| rows.iter()).filter_map(|row| row.ratio).collect();
    let scale = Scale::of(&ratios);
    let lines = (ratios.len() + 2 * cases.len()) as f64;
    let marks_height = if scale.marks().is_empty() { 0.0 } else { BAR };
    let height = (lines * BAR + marks_height) as u32 + 70;
    let area = SVGBackend::new(path, (860, height)).into_drawing_area();
    area.fill(&WHITE)?;
    let font = |size: i32| ("sans-serif", size).into_font().color(&BLACK);
    area.draw(&Text::new(title, (16, 14), font(18)))?;
    area.draw(&Text::new(scale.words(), (16, 36), font(13)))?;
    let mut y = 64.0;
    for mark in scale.marks() {
        let text = mark.to_string();
        let at = scale.at(*mark) as i32 - 3 * text.len() as i32;
        area.draw(&Text::new(text, (at, y as i32 - 4), font(12)))?;
    }
    y += marks_height;
    for rows in cases {
        let Some(first) = rows.first() else { continue };
        area.draw(&Text::new(first.shape.clone(), (16, y as i32), font(14)))?;
        y += BAR + 3.0;
        let top = y as i32;
        let bottom = top + rows.iter().filter(|row| row.ratio.is_some()).count() as i32 * BAR as i32;
        let line = |ratio: f64, color: RGBColor| {
            let at = scale.at(ratio) as i32;
            area.draw(&PathElement::new([(at, top), (at, bottom)], color.stroke_width(1)))
        };
        for mark in scale.marks() {
            line(*mark, RGBColor(210, 210, 210))?;
        }
        for row in rows.iter() {
            let Some(ratio) = row.ratio else { continue };
            let (begin, end) = scale.bar(ratio);
            // Ours dark, measured peers lighter, recorded ones in outline: told apart without colours.
            let corners = [(begin as i32, y as i32 + 2), (end as i32, (y + BAR) as i32 - 2)];
            let style = match (&row.system[..], row.origin) {
                ("gatewise", _) => RGBColor(0, 60, 110).filled(),
                (_, Origin::Recorded) => RGBColor(120, 120, 120).stroke_width(1),
                _ => RGBColor(140, 180, 215).filled(),
            };
            area.draw(&Rectangle::new(corners, style))?;
            if scale.is_cut(ratio) {
                let gap = [(end as i32 - 14, corners[1].1), (end as i32 - 8, corners[0].1)];
                area.draw(&PathElement::new(gap, WHITE.stroke_width(3)))?;
            }
            area.draw(&Text::new(row.system.clone(), (28, y as i32 + 2), font(12)))?;
            let star = if row.origin == Origin::Recorded { " recorded" } else { "" };
            // Behind the line, where the bar does not reach it.
            let label = end.max(scale.at(1.0)) as i32 + 5;
            area.draw(&Text::new(format!("{ratio:.2}{star}"), (label, y as i32 + 2), font(12)))?;
            y += BAR;
        }
        line(1.0, BLACK)?;
        y += BAR - 3.0;
    }
    area.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One long bar is cut; where most would be, all stand on a scale that holds them.
    #[test]
    fn most_bars_can_be_seen_whole() {
        let linear = Scale::of(&[1.0, 0.5, 2.0, 100.0]);
        assert_eq!(linear, Scale::Linear);
        assert_eq!((linear.at(0.0), linear.at(LONGEST), linear.at(100.0)), (LEFT, RIGHT, RIGHT));
        assert_eq!(linear.bar(2.0), (LEFT, LEFT + (RIGHT - LEFT) / 4.0));
        assert!(linear.is_cut(100.0) && !linear.is_cut(LONGEST));

        let log = Scale::of(&[1.0, 0.6, 9.0, 30.0, 140.0]);
        assert_eq!(log, Scale::Log(vec![0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0]));
        let apart = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(apart(log.at(0.5), LEFT) && apart(log.at(200.0), RIGHT) && !log.is_cut(140.0));
        // Ten times as slow is as far from 1 as a hundred times from ten.
        assert!(apart(log.at(100.0) - log.at(10.0), log.at(10.0) - log.at(1.0)));
        let (one, half, ten) = (log.at(1.0), log.at(0.5), log.at(10.0));
        assert_eq!((log.bar(0.5), log.bar(10.0)), ((half, one), (one, ten)));
        assert!(log.bar(1.0).0 < one && log.bar(1.0).1 > one);
    }
}
