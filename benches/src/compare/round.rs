//! One piece of work: all systems prepared, their outputs compared, then timed in turns.

use super::outputs;
use super::peer::{self, Peer, Program, Spec, Started};
use super::recorded;
use super::shapes::{self, Shape, Work};
use super::{Origin, Row};
use crate::case::Pass;
use crate::matmul::Operands;
use crate::onnx;
use crate::problem::{Problem, load_tensors};
use crate::timing::{Times, median};
use gatewise::Cell;
use std::path::Path;
use std::time::Duration;

/// How long a system's threads may spin after a call before the next system is timed.
const REST: Duration = Duration::from_millis(2);

/// How long and how often.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effort {
    /// Rounds.
    pub reps: usize,
    /// What a system's share of a round takes at least.
    pub least: Duration,
    /// A system whose one call takes longer takes part in one round only.
    pub slow: Duration,
}

/// A system that takes its turns.
struct Runner {
    /// Its row.
    at: usize,
    peer: Peer,
    /// Calls of a turn; none says that one call is slow already.
    calls: Option<usize>,
    times: Vec<f64>,
}

/// Does one piece of work. The first spec that takes part is Gatewise; the others are compared with it. Row 0 is Gatewise's.
///
/// # Errors
/// One line if Gatewise itself cannot do it, or a file cannot be written.
pub fn run(
    shape: &Shape,
    specs: &[Spec],
    effort: Effort,
    fma_peak: f64,
    folder: &Path,
) -> Result<Vec<Row>, String> {
    let problem = folder.join("problem.safetensors");
    write_problem(&shape.work, &problem)?;
    let mut rows: Vec<Row> = Vec::new();
    let mut runners: Vec<Runner> = Vec::new();
    let mut ours = Vec::new();
    for spec in specs.iter().filter(|spec| spec.does(&shape.work)) {
        let (at, is_ours) = (rows.len(), rows.is_empty());
        let out = folder.join(format!("{}.safetensors", spec.name));
        let prepared = peer::start(spec, &shape.work, &problem, &out).and_then(|started| {
            let mut peer = match started {
                Started::Ready(peer) => peer,
                Started::Unsupported(why) => return Ok((Origin::Unsupported, why)),
                Started::Absent(why) => return Ok((Origin::Absent, why)),
            };
            let outputs = load_tensors(&out)?;
            if is_ours {
                ours = outputs;
            } else {
                outputs::compare(&ours, &outputs, has_kinks(&shape.work))?;
            }
            // A program that is started anew for each turn chooses its number of calls itself.
            let is_served = !matches!(spec.program, Program::Measure(_));
            let calls = if is_served { calibrate(&mut peer, effort)? } else { Some(1) };
            runners.push(Runner { at, peer, calls, times: Vec::new() });
            Ok((Origin::Measured, String::new()))
        });
        let (origin, note) = prepared.unwrap_or_else(|error| (Origin::Failed, error));
        rows.push(row(shape, &spec.name, origin, note));
        if is_ours && runners.is_empty() {
            return Err(format!("{}: {}", shapes::text(&shape.work), rows[0].note));
        }
    }
    take_turns(&mut runners, &mut rows, effort);
    let ours = runners[0].times.clone();
    for runner in runners {
        fill_in(&mut rows[runner.at], runner, &ours);
    }
    for row in &mut rows {
        row.is_missing = matches!(row.origin, Origin::Absent | Origin::Failed);
    }
    if let Work::Network(case) = &shape.work {
        add_recorded(&recorded::times(case, fma_peak), recorded::is_scaled(case), &mut rows);
    }
    Ok(rows)
}

/// Whether its gradient jumps where a sum is 0.
fn has_kinks(work: &Work) -> bool {
    matches!(work, Work::Network(case) if case.cell.cell() == Cell::RnnRelu)
}

fn row(shape: &Shape, system: &str, origin: Origin, note: String) -> Row {
    Row {
        shape: shapes::text(&shape.work),
        group: shape.group.to_string(),
        system: system.to_string(),
        version: String::new(),
        origin,
        is_missing: false,
        median_us: None,
        range_us: None,
        ratio: None,
        note,
    }
}

/// Writes the numbers, and for inference the network.
fn write_problem(work: &Work, path: &Path) -> Result<(), String> {
    match work {
        Work::Matmul(matmul) => Operands::new(matmul).save(matmul, path),
        Work::Network(case) => {
            case.check().map_err(|error| format!("{}: {error}", shapes::text(work)))?;
            let problem = Problem::new(case);
            problem.save(case, path)?;
            if case.pass == Pass::Train {
                return Ok(());
            }
            onnx::save(case, &problem, &path.with_extension("onnx"))
        }
    }
}

/// A B C A B C ...; who fails takes no further turn.
fn take_turns(runners: &mut [Runner], rows: &mut [Row], effort: Effort) {
    for round in 0..effort.reps {
        for runner in runners.iter_mut() {
            let is_done = rows[runner.at].origin == Origin::Failed || (round > 0 && runner.calls.is_none());
            if is_done {
                continue;
            }
            std::thread::sleep(REST);
            match runner.peer.run(runner.calls.unwrap_or(1)) {
                Ok(us) => runner.times.push(us),
                Err(error) => (rows[runner.at].origin, rows[runner.at].note) = (Origin::Failed, error),
            }
        }
    }
}

fn fill_in(row: &mut Row, runner: Runner, ours: &[f64]) {
    row.version = runner.peer.version.clone();
    if row.origin == Origin::Measured {
        row.note = runner.peer.note.clone();
        let times = Times { all: runner.times };
        row.median_us = Some(times.median());
        row.range_us = Some((times.min(), times.max()));
        let pairs: Vec<f64> = times.all.iter().zip(ours).map(|(peer, ours)| peer / ours).collect();
        row.ratio = Some(median(&pairs)).filter(|ratio| ratio.is_finite());
    }
}

/// How many calls take `least`.
fn calibrate(peer: &mut Peer, effort: Effort) -> Result<Option<usize>, String> {
    let mut calls = 1;
    loop {
        let us = peer.run(calls)?;
        if us * 1e-6 > effort.slow.as_secs_f64() {
            return Ok(None);
        }
        let total = us * calls as f64 * 1e-6;
        if total >= 0.1 * effort.least.as_secs_f64() {
            return Ok(Some((effort.least.as_secs_f64() / (us * 1e-6)).ceil().max(1.0) as usize));
        }
        calls *= 4;
    }
}

/// Recorded figures stand in for systems that were not measured.
fn add_recorded(times: &[(&str, f64)], is_scaled: bool, rows: &mut Vec<Row>) {
    let scaled = if is_scaled { "scaled by the FMA peaks" } else { "unscaled" };
    let ours = rows[0].median_us;
    for &(system, us) in times {
        let at = rows.iter().position(|row| row.system == system);
        if rows.iter().any(|row| recorded::is_same(&row.system, system) && row.origin != Origin::Absent) {
            continue;
        }
        let is_by_none = recorded::BY_NO_PROGRAM.contains(&system);
        let by = if is_by_none { " by no program in the repository" } else { "" };
        let absent = at.map_or(String::new(), |at| format!("; absent: {}", rows[at].note));
        let row = Row {
            system: system.to_string(),
            version: String::new(),
            origin: Origin::Recorded,
            is_missing: at.is_some(),
            median_us: Some(us),
            range_us: None,
            ratio: ours.map(|ours| us / ours),
            note: format!("on another machine{by}, {scaled}{absent}"),
            ..rows[0].clone()
        };
        match at {
            Some(at) => rows[at] = row,
            None => rows.push(row),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::shapes::{quick, work};
    use super::*;

    #[test]
    fn a_recorded_figure_stands_in_and_the_system_stays_missing() {
        let shape = Shape { group: "grid", work: work("lstm forward B=32 T=100 I=256 H=256", 1).unwrap() };
        let ours = Row { median_us: Some(10.0), ..row(&shape, "gatewise", Origin::Measured, String::new()) };
        let absent = |name| Row { is_missing: true, ..row(&shape, name, Origin::Absent, "why".to_string()) };
        let measured = Row { median_us: Some(20.0), ..row(&shape, "ort", Origin::Measured, String::new()) };
        let variant = Row { system: "rtneural-eigen".to_string(), ..measured.clone() };
        let mut rows = vec![ours, absent("torch"), measured, absent("other"), variant];
        let recorded = [("torch", 30.0), ("ort", 40.0), ("jax", 50.0), ("rtneural", 60.0)];
        add_recorded(&recorded, true, &mut rows);
        let of = |name| rows.iter().find(|row| row.system == name).unwrap();
        assert_eq!((of("torch").ratio, of("torch").is_missing), (Some(3.0), true));
        assert!(of("torch").note.contains("why"));
        assert!(of("jax").note.contains("no program") && !of("torch").note.contains("no program"));
        assert_eq!(of("ort").median_us, Some(20.0));
        assert_eq!((of("jax").ratio, of("jax").is_missing), (Some(5.0), false));
        assert!(rows.iter().all(|row| row.system != "rtneural"));
        assert_eq!(of("other").origin, Origin::Absent);
    }

    #[test]
    fn the_dozen_can_be_measured() {
        for shape in quick(1) {
            let Work::Network(case) = shape.work else { panic!("the dozen are networks") };
            case.check().unwrap();
        }
    }
}
