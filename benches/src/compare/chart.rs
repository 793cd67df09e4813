//! Results as a picture: one bar a system, the length its time over Gatewise's.

use super::{Origin, Row};
use plotters::prelude::*;
use std::error::Error;
use std::path::Path;

/// Bars longer than that are cut: a gap near their end says so.
const LONGEST: f64 = 8.0;
const BAR: f64 = 16.0;

/// Draws the cases of a group as SVG.
///
/// # Errors
/// If the file cannot be written.
pub fn draw(path: &Path, title: &str, cases: &[&[Row]]) -> Result<(), Box<dyn Error>> {
    let bars = |rows: &[Row]| rows.iter().filter(|row| row.ratio.is_some()).count() as f64;
    let lines: f64 = cases.iter().map(|rows| bars(rows) + 2.0).sum();
    let height = (lines * BAR) as u32 + 70;
    let area = SVGBackend::new(path, (860, height)).into_drawing_area();
    area.fill(&WHITE)?;
    let font = |size: i32| ("sans-serif", size).into_font().color(&BLACK);
    area.draw(&Text::new(title, (16, 14), font(18)))?;
    area.draw(&Text::new(
        "time over Gatewise's; longer is slower; the line is Gatewise; a bar with a gap is cut",
        (16, 36),
        font(13),
    ))?;
    let (left, unit) = (170.0, 75.0);
    let mut y = 64.0;
    for rows in cases {
        let Some(first) = rows.first() else { continue };
        area.draw(&Text::new(first.shape.clone(), (16, y as i32), font(14)))?;
        y += BAR + 3.0;
        let top = y;
        for row in rows.iter() {
            let Some(ratio) = row.ratio else { continue };
            let end = left + unit * ratio.min(LONGEST);
            // Ours dark, measured peers lighter, recorded ones in outline: told apart without colours.
            let corners = [(left as i32, y as i32 + 2), (end as i32, (y + BAR) as i32 - 2)];
            let style = match (&row.system[..], row.origin) {
                ("gatewise", _) => RGBColor(0, 60, 110).filled(),
                (_, Origin::Recorded) => RGBColor(120, 120, 120).stroke_width(1),
                _ => RGBColor(140, 180, 215).filled(),
            };
            area.draw(&Rectangle::new(corners, style))?;
            if ratio > LONGEST {
                let gap = [(end as i32 - 14, corners[1].1), (end as i32 - 8, corners[0].1)];
                area.draw(&PathElement::new(gap, WHITE.stroke_width(3)))?;
            }
            area.draw(&Text::new(row.system.clone(), (28, y as i32 + 2), font(12)))?;
            let star = if row.origin == Origin::Recorded { " recorded" } else { "" };
            // Behind the line, where the bar does not reach it.
            let label = end.max(left + unit) as i32 + 5;
            area.draw(&Text::new(format!("{ratio:.2}{star}"), (label, y as i32 + 2), font(12)))?;
            y += BAR;
        }
        let at = (left + unit) as i32;
        area.draw(&PathElement::new([(at, top as i32), (at, y as i32)], BLACK.stroke_width(1)))?;
        y += BAR - 3.0;
    }
    area.present()?;
    Ok(())
}
