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
            Origin::Recorded => "recorded",
            Origin::Unsupported => "unsupported",
            Origin::Absent => "absent",
            Origin::Failed => "FAILED",
        };
        let range =
            row.range_us.map_or(String::new(), |(min, max)| format!("{} .. {}", time(min), time(max)));
        let about = [origin, &row.version, &row.note].into_iter().filter(|words| !words.is_empty());
        let about = about.collect::<Vec<_>>().join(" ");
        writeln!(text, "  {:<18} {figure:>10} {ratio:>8}  {range:<22}  {}", row.system, about)
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

/// Cases as a Markdown table: a row a case, Gatewise's time, and each system's time over it.
pub fn markdown(cases: &[&[Row]]) -> String {
    let mut systems: Vec<&str> = Vec::new();
    for row in cases.iter().copied().flatten() {
        let has_figure = row.ratio.is_some() && row.system != "gatewise";
        if has_figure && !systems.contains(&&row.system[..]) {
            systems.push(&row.system);
        }
    }
    let mut text = format!("| case | Gatewise | {} |\n|---|---|", systems.join(" | "));
    text += &"---|".repeat(systems.len());
    text += "\n";
    for rows in cases {
        let Some(ours) = rows.first() else { continue };
        text += &format!("| {} | {} |", ours.shape, ours.median_us.map_or("-".to_string(), time));
        for system in &systems {
            let row = rows.iter().find(|row| row.system == *system);
            text += &format!(" {} |", row.map_or(String::new(), cell));
        }
        text += "\n";
    }
    text
}

/// A system's time over Gatewise's, a star on recorded ones; or why there is none.
fn cell(row: &Row) -> String {
    match (row.ratio, row.origin) {
        (Some(ratio), Origin::Recorded) => format!("{ratio:.2}\\*"),
        (Some(ratio), _) => format!("{ratio:.2}"),
        (None, Origin::Failed) => "failed".to_string(),
        (None, Origin::Absent) => "absent".to_string(),
        (None, _) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_column_for_each_system_with_a_figure() {
        let row = |system: &str, origin, ratio: Option<f64>| Row {
            shape: "lstm step B=1 I=1 H=8".to_string(),
            group: "audio".to_string(),
            system: system.to_string(),
            version: String::new(),
            origin,
            is_missing: false,
            median_us: ratio.map(|ratio| 2.0 * ratio),
            range_us: None,
            ratio,
            note: String::new(),
        };
        let rows = [
            row("gatewise", Origin::Measured, Some(1.0)),
            row("rten", Origin::Absent, None),
            row("torch", Origin::Recorded, Some(3.0)),
            row("ort", Origin::Measured, Some(2.5)),
        ];
        let table = markdown(&[&rows]);
        assert!(table.starts_with("| case | Gatewise | torch | ort |\n|---|---|---|---|\n"), "{table}");
        assert!(table.ends_with("| lstm step B=1 I=1 H=8 | 2.0 us | 3.00\\* | 2.50 |\n"), "{table}");
        let text = text(&rows);
        let places: Vec<_> = ["gatewise", "ort", "torch", "rten"].map(|name| text.find(name)).to_vec();
        assert!(places.is_sorted() && places[0].is_some(), "{text}");
    }
}
