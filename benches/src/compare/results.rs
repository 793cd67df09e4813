//! What a run of `compare` found, and where and when, as a file.

use super::Row;
use crate::machine;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// All results of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// The processor's own name.
    pub cpu: String,
    /// How many cores there are.
    pub cores: usize,
    /// What the operating system calls itself.
    pub system: String,
    /// The instruction set that Gatewise ran on.
    pub isa: String,
    /// Threads and the FMA peak of the best instruction set on them, GFLOP/s.
    pub fma_peaks: Vec<(usize, f64)>,
    /// Year, month and day, UTC.
    pub date: String,
    /// The command line.
    pub command: String,
    /// A list of rows for each piece of work, Gatewise's first.
    pub cases: Vec<Vec<Row>>,
}

impl Results {
    /// Those of this machine and this day, without cases.
    pub fn here(isa: &str, command: &str, fma_peaks: &[(usize, f64)]) -> Results {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Results {
            cpu: machine::name(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            isa: isa.to_string(),
            fma_peaks: fma_peaks.to_vec(),
            date: date(seconds / 86_400),
            command: command.to_string(),
            cases: Vec::new(),
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// One line that names it.
    pub fn load(path: &Path) -> Result<Results, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Writes a file.
    ///
    /// # Errors
    /// One line that names it.
    pub fn save(&self, path: &Path) -> Result<(), String> {
        let text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// The groups in the order in which they came, each with its cases.
    pub fn groups(&self) -> Vec<(&str, Vec<&[Row]>)> {
        let mut groups: Vec<(&str, Vec<&[Row]>)> = Vec::new();
        for rows in &self.cases {
            let Some(first) = rows.first() else { continue };
            match groups.iter_mut().find(|(name, _)| *name == first.group) {
                Some((_, cases)) => cases.push(rows),
                None => groups.push((&first.group, vec![rows])),
            }
        }
        groups
    }
}

/// Year, month and day of that many days after 1970-01-01.
fn date(days: u64) -> String {
    let (mut year, mut day) = (1970, days);
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    while day >= 365 + u64::from(is_leap(year)) {
        day -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while day >= lengths[month] {
        day -= lengths[month];
        month += 1;
    }
    format!("{year}-{:02}-{:02}", month + 1, day + 1)
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn days_become_dates() {
        let cases =
            [(0, "1970-01-01"), (11_016, "2000-02-29"), (20_513, "2026-03-01"), (20_453, "2025-12-31")];
        for (days, text) in cases {
            assert_eq!(date(days), text);
        }
    }
}
