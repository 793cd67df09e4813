//! Results as text.

use super::{Origin, Row};
use std::fmt::Write;

/// One case's rows for a terminal, fastest first below Gatewise.
pub fn text(rows: &[Row]) -> String {
    let mut text = String::new();
    let Some(first) = rows.first() else { return text };
    writeln!(text, "{} ({})", first.shape, first.group).expect("a string takes all");
    for row in sorted(rows) {
        let figure = row.median_us.map_or("-".to_string(), time);
        let ratio = row.ratio.map_or(String::new(), |ratio| format!("{ratio:.2}x"));
        let origin = match row.origin {
            Origin::Measured => "",
            Origin::Recorded => "recorded ",
            Origin::Unsupported => "unsupported ",
            Origin::Absent => "absent ",
            Origin::Failed => "FAILED ",
        };
        let about = format!("{origin}{} {}", row.version, row.note);
        writeln!(text, "  {:<18} {figure:>11} {ratio:>8}  {}", row.system, about.trim())
            .expect("a string takes all");
    }
    text
}

/// Gatewise, then what has a figure by its time, then the rest.
fn sorted(rows: &[Row]) -> Vec<&Row> {
    let mut sorted: Vec<&Row> = rows.iter().collect();
    let key = |row: &Row| row.median_us.unwrap_or(f64::INFINITY);
    if let Some(peers) = sorted.get_mut(1..) {
        peers.sort_by(|a, b| key(a).total_cmp(&key(b)));
    }
    sorted
}

/// Microseconds for people.
pub fn time(us: f64) -> String {
    match us {
        us if us < 1.0 => format!("{:.0} ns", us * 1e3),
        us if us < 1e3 => format!("{us:.1} us"),
        us if us < 1e6 => format!("{:.2} ms", us / 1e3),
        us => format!("{:.2} s", us / 1e6),
    }
}

/// All results as a Markdown table: a row a case, Gatewise's time, and each system's time over it.
pub fn markdown(all: &[Vec<Row>]) -> String {
    let mut systems: Vec<&str> = Vec::new();
    for row in all.iter().flatten() {
        let has_figure = row.ratio.is_some() && row.system != "gatewise";
        if has_figure && !systems.contains(&&row.system[..]) {
            systems.push(&row.system);
        }
    }
    let mut text = format!("| case | Gatewise | {} |\n|---|---|", systems.join(" | "));
    text += &"---|".repeat(systems.len());
    text += "\n";
    for rows in all {
        let Some(ours) = rows.first() else { continue };
        write!(text, "| {} | {} |", ours.shape, ours.median_us.map_or("-".to_string(), time))
            .expect("a string takes all");
        for system in &systems {
            let row = rows.iter().find(|row| row.system == *system);
            let cell = row.and_then(|row| Some((row.ratio?, row.origin)));
            let mark = |origin| if origin == Origin::Recorded { "\\*" } else { "" };
            let cell = cell.map_or(String::new(), |(ratio, origin)| format!("{ratio:.2}{}", mark(origin)));
            write!(text, " {cell} |").expect("a string takes all");
        }
        text += "\n";
    }
    text + "\nTimes of a call; of the others their time over Gatewise's, so above 1 Gatewise is faster. \\* recorded on another \
            machine and scaled by the FMA peaks.\n"
}
