//! One case: all peers prepared, their outputs compared, then timed in turns.

use super::outputs;
use super::peer::{self, Peer, Spec, Started};
use super::recorded;
use super::shapes::{self, Shape};
use super::{Origin, Row};
use crate::problem::{Problem, load_tensors};
use crate::timing::{Times, median};
use std::path::Path;
use std::time::Duration;

/// How long and how often.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effort {
    /// Rounds.
    pub reps: usize,
    /// What a peer's share of a round takes at least.
    pub least: Duration,
    /// A peer whose one call takes longer takes part in one round only.
    pub slow: Duration,
}

/// Runs a case. The first spec is Gatewise; the others are compared with it. Row 0 is Gatewise's.
///
/// # Errors
/// One line if Gatewise itself cannot run the case, or a file cannot be written.
pub fn run(
    shape: &Shape,
    specs: &[Spec],
    effort: Effort,
    fma_peak: f64,
    folder: &Path,
) -> Result<Vec<Row>, String> {
    let case = &shape.case;
    let problem = folder.join("problem.safetensors");
    Problem::new(case).save(case, &problem)?;
    let row = |spec: &Spec, origin, note: String| Row {
        shape: shapes::text(case),
        group: shape.group.to_string(),
        system: spec.name.clone(),
        version: String::new(),
        origin,
        median_us: None,
        range_us: None,
        ratio: None,
        note,
    };

    let mut rows = Vec::new();
    let mut runners: Vec<(usize, Peer, usize)> = Vec::new();
    let mut ours = Vec::new();
    for spec in specs {
        let is_ours = rows.is_empty();
        if spec.command.is_empty() {
            rows.push(row(spec, Origin::Absent, spec.absent.clone()));
            continue;
        }
        let out = folder.join(format!("{}.safetensors", spec.name));
        let prepared = peer::start(spec, case, &problem, &out).and_then(|started| {
            let Started::Ready(mut peer) = started else { return Ok(started) };
            let outputs = load_tensors(&out)?;
            if is_ours {
                ours = outputs;
            } else {
                outputs::compare(&ours, &outputs)?;
            }
            let calls = calibrate(&mut peer, effort)?;
            runners.push((rows.len(), peer, calls));
            Ok(Started::Unsupported(String::new()))
        });
        rows.push(match prepared {
            Ok(Started::Unsupported(why)) => row(spec, Origin::Unsupported, why),
            Ok(Started::Ready(_)) => unreachable!("taken apart above"),
            Err(error) => row(spec, Origin::Failed, error),
        });
        if is_ours && runners.is_empty() {
            return Err(format!("{}: {}", shapes::text(case), rows[0].note));
        }
    }

    let mut times: Vec<Vec<f64>> = vec![Vec::new(); rows.len()];
    for round in 0..effort.reps {
        for (at, peer, calls) in &mut runners {
            if round > 0 && *calls == 0 {
                continue;
            }
            match peer.run((*calls).max(1)) {
                Ok(us) => times[*at].push(us),
                Err(error) => rows[*at].note = error,
            }
        }
    }
    for (at, peer, _) in &runners {
        let row = &mut rows[*at];
        let of_peer = Times { all: times[*at].clone() };
        row.version = peer.version.clone();
        if row.note.is_empty() {
            row.origin = Origin::Measured;
            row.note = peer.note.clone();
            row.median_us = Some(of_peer.median());
            row.range_us = Some((of_peer.min(), of_peer.max()));
            let pairs: Vec<f64> = of_peer.all.iter().zip(&times[0]).map(|(peer, ours)| peer / ours).collect();
            row.ratio = Some(median(&pairs));
        } else {
            row.origin = Origin::Failed;
        }
    }
    add_recorded(shape, &mut rows, fma_peak);
    Ok(rows)
}

/// How many calls take `least`; 0 says that one call is slow already.
fn calibrate(peer: &mut Peer, effort: Effort) -> Result<usize, String> {
    let mut calls = 1;
    loop {
        let us = peer.run(calls)?;
        if us * 1e-6 > effort.slow.as_secs_f64() {
            return Ok(0);
        }
        let total = us * calls as f64 * 1e-6;
        if total >= 0.1 * effort.least.as_secs_f64() {
            return Ok((effort.least.as_secs_f64() / (us * 1e-6)).ceil().max(1.0) as usize);
        }
        calls *= 4;
    }
}

/// Recorded figures stand in for systems that were not measured.
fn add_recorded(shape: &Shape, rows: &mut Vec<Row>, fma_peak: f64) {
    let ours = rows[0].median_us;
    for (system, us) in recorded::times(&shape.case, fma_peak) {
        let note = "measured on another machine, scaled by the FMA peaks".to_string();
        let recorded = Row {
            system: system.to_string(),
            version: String::new(),
            origin: Origin::Recorded,
            median_us: Some(us),
            range_us: None,
            ratio: ours.map(|ours| us / ours),
            note,
            ..rows[0].clone()
        };
        match rows.iter_mut().find(|row| row.system == system) {
            Some(row) if row.origin == Origin::Absent => *row = recorded,
            Some(_) => {}
            None => rows.push(recorded),
        }
    }
}
