//! Observations as JSON, and back.

use super::jacobian::recorded;
use gatewise::{
    ClipLedger, GateReport, LagHistory, LagProbe, NonFinite, Norm, Observer, Probes, SpikeDetector,
    Truncation, Upstream, View, lyapunov_exponents, truncation_bias,
};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Debug;
use tests::setup::Setup;

/// JSON's numbers are printed so that the same ones are read.
fn round_trip<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T, fields: &[&str]) {
    let text = serde_json::to_string(value).unwrap();
    for field in fields {
        assert!(text.contains(&format!("\"{field}\":")), "no {field} in {text}");
    }
    assert_eq!(&serde_json::from_str::<T>(&text).unwrap(), value);
}

#[test]
fn everything_is_plain_data() {
    let setup = Setup { hidden: 4, steps: 12, ..Setup::default() };
    let problem = setup.problem();
    let (network, mut tape, _) = recorded(&problem);
    round_trip(
        &GateReport::new(&network, &tape).unwrap(),
        &["tracks", "role", "mean", "dead", "histogram", "memory"],
    );
    let mut probe = LagProbe::new(&network, 5, Probes::Random(2), 1).unwrap();
    let influence = probe.measure(&network, &tape).unwrap();
    round_trip(influence, &["tracks", "layer", "direction", "h", "c", "x"]);
    let mut history = LagHistory::default();
    history.push(3, influence.tracks[0].state());
    round_trip(&history, &["rows", "step", "influence"]);
    let mut observer = Observer::new(&network);
    let mut grads = network.params().zeros_like();
    let ones = vec![1.0; setup.batch * setup.hidden];
    let upstream = Upstream { h_n: Some(&ones), ..Upstream::default() };
    observer.backward(&network, &mut tape, upstream, &mut grads).unwrap();
    round_trip(observer.flow(), &["tracks", "x", "non_finite"]);
    let mut ledger = ClipLedger::new(Norm::L2, NonFinite::Error, 10);
    let clipped = ledger.clip("all", &mut [&mut grads], 0.1, Some(observer.flow())).unwrap();
    round_trip(&clipped, &["norm", "scale", "is_clipped", "is_skipped"]);
    round_trip(&ledger.groups()[0], &["name", "updates", "clipped", "skipped", "entries", "max_norm"]);
    let x = View::new(&problem.x, problem.shape(setup.input)).unwrap();
    round_trip(&lyapunov_exponents(&network, x, None, 2, 1).unwrap(), &["steps", "exponents", "rows"]);
    let dy = View::new(&ones, [1, setup.batch, setup.hidden]).unwrap();
    let bias = truncation_bias(&network, x, None, Truncation { k1: 1, k2: 6 }, dy).unwrap();
    round_trip(&bias, &["total", "tensors", "cosine", "norm_ratio"]);
    let mut detector = SpikeDetector::new(8, 3.0);
    (0..9).for_each(|value| assert!(detector.push(f64::from(value % 3)).is_none()));
    round_trip(&detector.push(100.0).unwrap(), &["index", "value", "z"]);
}
