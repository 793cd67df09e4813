//! Observations as JSON, and back.

use super::jacobian::recorded;
use gatewise::{
    ClipEntry, ClipGroup, ClipLedger, Clipped, Gate, GateReport, GateRole, GradientFlow, LagHistory,
    LagInfluence, LagProbe, LagRow, Lyapunov, NonFinite, Norm, Observer, Probes, Spike, SpikeDetector,
    TensorBias, TrackFlow, TrackGates, TrackInfluence, TrackLyapunov, Truncation, TruncationBias, Upstream,
    View, lyapunov_exponents, truncation_bias,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
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

const INF: f64 = f64::INFINITY;
const LIST: [f64; 5] = [1.0, INF, -INF, f64::NAN, -0.0];

/// NaN is no number's equal, so what is read is held against what was written as text; and against the words it has to be made of.
fn keeps<T: Serialize + DeserializeOwned + Debug>(value: &T, words: &[&str]) {
    let text = serde_json::to_string(value).unwrap();
    let read = serde_json::from_str::<T>(&text).unwrap();
    assert_eq!(format!("{read:?}"), format!("{value:?}"), "{text}");
    for word in words {
        assert!(text.contains(word), "no {word} in {text}");
    }
    assert!(!text.contains("null"), "{text}");
    // By way of a value too, in which numbers may be whole ones.
    let value = serde_json::to_value(value).unwrap();
    assert_eq!(format!("{:?}", serde_json::from_value::<T>(value).unwrap()), format!("{read:?}"), "{text}");
}

#[test]
fn what_is_not_finite_comes_back() {
    let list = r#"[1.0,"inf","-inf","nan",-0.0]"#;
    let of = |name: &str| format!("\"{name}\":{list}");
    let entry = ClipEntry { update: 3, norm: f64::NAN, max_norm: INF, scale: 1.0 };
    keeps(&entry, &[r#""norm":"nan""#, r#""max_norm":"inf""#, r#""scale":1.0"#]);
    keeps(&ClipGroup { entries: [entry].into(), ..ClipGroup::default() }, &[r#""max_norm":"inf""#]);
    let clipped =
        Clipped { norm: INF, scale: f64::NAN, is_clipped: true, is_skipped: false, non_finite: None };
    let text = serde_json::to_string(&clipped).unwrap();
    assert_eq!(format!("{:?}", serde_json::from_str::<Clipped>(&text).unwrap()), format!("{clipped:?}"));

    let track = TrackFlow { h: LIST.to_vec(), c: LIST.to_vec(), ..TrackFlow::default() };
    keeps(&track, &[&of("h"), &of("c")]);
    let flow = GradientFlow { tracks: vec![track], x: LIST.to_vec(), non_finite: None };
    let text = serde_json::to_string(&flow).unwrap();
    assert_eq!(format!("{:?}", serde_json::from_str::<GradientFlow>(&text).unwrap()), format!("{flow:?}"));
    let track = TrackInfluence { h: LIST.to_vec(), c: LIST.to_vec(), ..TrackInfluence::default() };
    keeps(&LagInfluence { tracks: vec![track], x: LIST.to_vec() }, &[&of("h"), &of("c"), &of("x")]);
    let rows = vec![LagRow { step: 7, influence: LIST.to_vec() }];
    keeps(&LagHistory { rows }, &[&of("influence")]);

    let gate = Gate {
        role: GateRole::Forget,
        mean: f64::NAN,
        saturated: [f64::NAN, 0.5],
        ends: [Some(0.1), Some(0.9)],
        dead: vec![1],
        unit_means: LIST.to_vec(),
        histogram: vec![2, 3],
        range: [-INF, INF],
    };
    let words =
        [r#""mean":"nan""#, r#""saturated":["nan",0.5]"#, r#""range":["-inf","inf"]"#, &of("unit_means")];
    keeps(&gate, &words);
    keeps(&TrackGates { layer: 0, direction: 1, gates: vec![gate], memory: LIST.to_vec() }, &[&of("memory")]);

    let track = TrackLyapunov {
        exponents: LIST.to_vec(),
        rows: vec![LIST.to_vec(), vec![]],
        ..TrackLyapunov::default()
    };
    let rows = format!("\"rows\":[{list},[]]");
    keeps(&Lyapunov { steps: 9, tracks: vec![track] }, &[&of("exponents"), &rows]);
    let tensor = TensorBias { name: "all".to_string(), cosine: f64::NAN, norm_ratio: INF };
    let bias = TruncationBias { total: tensor.clone(), tensors: vec![tensor] };
    keeps(&bias, &[r#""cosine":"nan","norm_ratio":"inf""#]);
    keeps(&Spike { index: 4, value: -INF, z: INF }, &[r#""value":"-inf","z":"inf""#]);
}

/// Whole numbers are numbers; any other word is refused by what would do.
#[test]
fn what_is_no_number_is_refused() {
    let spike = |value: &str| {
        serde_json::from_str::<Spike>(&format!(r#"{{"index": 0, "value": {value}, "z": 1}}"#))
            .map(|spike| spike.value)
            .map_err(|error| error.to_string())
    };
    assert_eq!((spike("2"), spike("-2"), spike("2.5e3")), (Ok(2.0), Ok(-2.0), Ok(2500.0)));
    for wrong in ["null", "\"NaN\"", "\"1\"", "[1]", "true"] {
        let error = spike(wrong).unwrap_err();
        assert!(error.contains(r#"expected a number, "inf", "-inf" or "nan""#), "{wrong}: {error}");
    }
}

/// What a user writes beside observations.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Losses {
    #[serde(with = "gatewise::numbers")]
    last: Option<f64>,
    #[serde(with = "gatewise::numbers")]
    by_update: Vec<(usize, f64)>,
}

#[test]
fn losses_are_written_as_observations_are() {
    for last in [None, Some(0.5), Some(-INF)] {
        round_trip(&Losses { last, by_update: vec![(10, 0.5), (20, INF)] }, &["last", "by_update"]);
    }
}
