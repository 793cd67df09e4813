//! What lines, markers and shades mean, in a box at the upper right.

use super::{Area, FONT, GREY, INK};
use plotters::prelude::*;

/// How something is drawn.
pub(super) enum Mark {
    /// A line, its dashes and the spaces between them; no space is a whole line.
    Line(RGBColor, u32, u32),
    Circle(RGBColor),
    Triangle(RGBColor),
    Area(RGBColor),
}

/// Room beside a picture that holds the box of most.
pub(super) const LEGEND_WIDTH: i32 = 276;
const LINE: i32 = 20;
const MARK: i32 = 40;
/// About as wide as a letter of the font.
const LETTER: f64 = 6.3;

/// Draws the box on a whole picture, so far below its upper edge.
pub(super) fn legend(
    area: &Area<'_>,
    top: i32,
    marks: Vec<(Mark, String)>,
) -> Result<(), Box<dyn std::error::Error>> {
    let letters = marks.iter().map(|(_, text)| text.chars().count()).max().unwrap_or(0);
    let width = MARK + 24 + (letters as f64 * LETTER) as i32;
    let height = LINE * marks.len() as i32 + 8;
    let right = area.dim_in_pixel().0 as i32 - 14;
    let left = right - width;
    let corners = [(left, top), (right, top + height)];
    area.draw(&Rectangle::new(corners, WHITE.mix(0.9).filled()))?;
    area.draw(&Rectangle::new(corners, GREY))?;
    for (i, (mark, text)) in marks.into_iter().enumerate() {
        let (x, y) = (left + 8, top + LINE * i as i32 + LINE / 2 + 4);
        let middle = (x + MARK / 2, y);
        match mark {
            Mark::Line(colour, dash, space) => {
                let period = if space == 0 { MARK } else { (dash + space) as i32 };
                for from in (0..MARK).step_by(period as usize) {
                    let to = if space == 0 { MARK } else { (from + dash as i32).min(MARK) };
                    area.draw(&PathElement::new([(x + from, y), (x + to, y)], colour.stroke_width(2)))?;
                }
            }
            Mark::Circle(colour) => area.draw(&Circle::new(middle, 3, colour.filled()))?,
            Mark::Triangle(colour) => area.draw(&TriangleMarker::new(middle, 6, colour.filled()))?,
            Mark::Area(colour) => {
                let corners = [(x + 8, y - 6), (x + MARK - 8, y + 6)];
                area.draw(&Rectangle::new(corners, colour.filled()))?;
            }
        }
        area.draw_text(&text, &(FONT, 14).into_font().color(&INK), (x + MARK + 8, y - 7))?;
    }
    Ok(())
}
