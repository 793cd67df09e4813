//! Figures of other systems measured earlier, on another machine.

use crate::case::{Case, Pass};

/// `benches/data/README.md` says where they are from.
const TABLE: &str = include_str!("../../data/recorded.csv");

/// The FMA peak of the machine they were measured on, GFLOP/s for one and two threads.
const PEAK: [f64; 2] = [116.0, 231.0];

/// Systems that no program in the repository runs: their figures cannot be repeated from here.
pub const BY_NO_PROGRAM: [&str; 2] = ["jax", "tf"];

/// Whether a system of a run is the one that was recorded; RTNeural was, as the fastest of its builds.
pub fn is_same(system: &str, recorded: &str) -> bool {
    system == recorded || (recorded == "rtneural" && system.starts_with("rtneural-"))
}

/// Whether a case is bound by computing, so that its times go with the FMA peak. Steps and small batches are bound by overhead,
/// latency or bandwidth, of which the peak says nothing.
pub fn is_scaled(case: &Case) -> bool {
    case.pass != Pass::Step && case.batch >= 8
}

/// Systems and their times of a case in microseconds: scaled to a machine of that FMA peak if computing is what takes them, and
/// as they were recorded otherwise. The peak is that of the machine's best instruction set, whatever Gatewise is held to.
pub fn times(case: &Case, fma_peak: f64) -> Vec<(&'static str, f64)> {
    let key = format!(
        "{},{},{},{},{},{},{},{},{},",
        format!("{:?}", case.pass).to_lowercase(),
        case.cell.cell().name(),
        case.batch,
        case.steps(),
        case.input,
        case.hidden,
        case.layers,
        if case.bidirectional { 2 } else { 1 },
        case.threads
    );
    let Some(peak) = PEAK.get(case.threads - 1) else { return Vec::new() };
    let scale = if is_scaled(case) { peak / fma_peak } else { 1.0 };
    TABLE
        .lines()
        .filter_map(|line| line.strip_prefix(&key[..])?.split_once(','))
        .filter_map(|(system, us)| Some((system, us.parse::<f64>().ok()? * scale)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::shapes::parse;
    use super::*;

    #[test]
    fn a_recorded_time_is_found_and_scaled_where_computing_bounds_it() {
        let times = times(&parse("lstm forward B=32 T=100 I=256 H=256", 1).unwrap(), 232.0);
        let (_, us) = times.iter().find(|(system, _)| *system == "onednn").unwrap();
        assert!((us - 15_800.0).abs() < 1.0, "{us}");
        let step = super::times(&parse("lstm step I=16 H=16", 1).unwrap(), 232.0);
        assert!(step.contains(&("rtneural", 0.112)), "{step:?}");
        assert!(super::times(&parse("lstm forward B=31 T=7 H=3", 1).unwrap(), 1.0).is_empty());
    }
}
