//! Everything that can be wrong with a call: an error that says so, and nothing written.

use gatewise::{
    Error, GateReport, Gradients, Gru, Input, LagProbe, Lstm, NonFinite, Norm, Observer, Probes, StepClip,
    Tape, Truncation, Upstream, View, lyapunov_exponents, truncation_bias,
};

fn refused<T: std::fmt::Debug>(result: Result<T, Error>, words: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.to_string(), words);
}

fn gru(layers: usize, hidden: usize) -> Gru {
    Gru::builder(1, hidden).num_layers(layers).seed(1).build().unwrap()
}

const X: [f32; 10] = [0.5; 10];

fn tape(gru: &Gru) -> Tape {
    gru.forward_train(View::new(&X, [10, 1, 1]).unwrap(), None).unwrap()
}

#[test]
fn an_observer_of_another_network() {
    let (ours, other) = (gru(2, 4), gru(1, 4));
    let mut observer = Observer::new(&ours);
    let mut grads = ours.params().zeros_like();
    observer.backward(&ours, &mut tape(&ours), Upstream::default(), &mut grads).unwrap();
    let before = observer.flow().clone();
    let (mut tape, mut grads) = (tape(&other), other.params().zeros_like());
    grads.fill(7.0);
    let words = "observer must be made for a network with the options of this one: got one for gru 1-4 (layers 2, directions 1), \
                 while this is gru 1-4 (layers 1, directions 1)";
    refused(observer.backward(&other, &mut tape, Upstream::default(), &mut grads), words);
    let mut gradients = Gradients::default();
    refused(observer.backward_keep(&other, &tape, Upstream::default(), &mut gradients, &mut grads), words);
    assert_eq!(observer.flow(), &before);
    assert!(grads.iter().all(|grad| grad.data().iter().all(|value| *value == 7.0)));
    // The tape is not consumed.
    other.backward(&mut tape, Upstream::default(), &mut grads).unwrap();
}

#[test]
fn a_pass_that_is_refused_leaves_the_observations() {
    let gru = gru(1, 4);
    let mut observer = Observer::new(&gru);
    let (mut tape, mut grads) = (tape(&gru), gru.params().zeros_like());
    let upstream = Upstream { h_n: Some(&[1.0; 4]), ..Upstream::default() };
    observer.backward(&gru, &mut tape, upstream, &mut grads).unwrap();
    let before = observer.flow().clone();
    assert!(before.tracks[0].h[9] > 0.0);
    assert_eq!(observer.backward(&gru, &mut tape, upstream, &mut grads), Err(Error::TapeConsumed));
    let mut other = Lstm::new(1, 4).unwrap().params().zeros_like();
    assert!(observer.backward(&gru, &mut tape, upstream, &mut other).is_err());
    assert_eq!(observer.flow(), &before);
    for clip in [StepClip::Norm(-1.0), StepClip::Value(f32::NAN)] {
        let mut tape = self::tape(&gru);
        let upstream = Upstream { clip: Some(clip), ..upstream };
        let (StepClip::Norm(limit) | StepClip::Value(limit)) = clip;
        let words = format!("clip must be a number that is not negative: got {limit}");
        refused(observer.backward(&gru, &mut tape, upstream, &mut grads), &words);
        gru.backward(&mut tape, Upstream::default(), &mut grads).unwrap();
    }
}

#[test]
fn probes() {
    let (ours, other) = (gru(1, 4), gru(1, 5));
    refused(LagProbe::new(&ours, 3, Probes::Random(0), 1), "probes must be greater than zero: got 0");
    let mut probe = LagProbe::new(&ours, 10, Probes::Random(1), 1).unwrap();
    let words =
        "max_lag must be less than the steps of every row: got 10, where the shortest row has 10 steps";
    refused(probe.measure(&ours, &tape(&ours)).cloned(), words);
    let input = [0.5; 22];
    let ragged = Input::from(View::new(&input, [11, 2, 1]).unwrap()).lengths(&[11, 3]);
    let words =
        "max_lag must be less than the steps of every row: got 10, where the shortest row has 3 steps";
    refused(probe.measure(&ours, &ours.forward_train(ragged, None).unwrap()).cloned(), words);
    let none = ours.forward_train(View::new(&[], [20, 0, 1]).unwrap(), None).unwrap();
    refused(probe.measure(&ours, &none).cloned(), "batch must be greater than zero: got 0");
    let words = "probe must be made for a network with the options of this one: got one for gru 1-4 (layers 1, directions 1), while \
                 this is gru 1-5 (layers 1, directions 1)";
    refused(probe.measure(&other, &tape(&other)).cloned(), words);
    assert_eq!(probe.measure(&ours, &Tape::default()), Err(Error::TapeConsumed));
    assert!(probe.influence().tracks.is_empty());
    assert_eq!(GateReport::new(&ours, &Tape::default()), Err(Error::TapeConsumed));
    assert!(GateReport::new(&ours, &tape(&other)).is_err());
}

#[test]
fn exponents() {
    let gru = gru(1, 4);
    let x = View::new(&X, [10, 1, 1]).unwrap();
    for count in [0, 5] {
        let words = format!("count must be from 1 to the features of the state: got {count} of 4");
        refused(lyapunov_exponents(&gru, x, None, count, 1), &words);
    }
    let words = "input must be without lengths and resets: got some";
    refused(lyapunov_exponents(&gru, Input::from(x).lengths(&[10]), None, 1, 1), words);
    refused(lyapunov_exponents(&gru, Input::from(x).resets(&[true; 10]), None, 1, 1), words);
    let none = View::new(&[], [10, 0, 1]).unwrap();
    refused(lyapunov_exponents(&gru, none, None, 1, 1), "batch must be greater than zero: got 0");
    let narrow = View::new(&X, [5, 1, 2]).unwrap();
    let words = "input has inconsistent input_size: got 2, expected 1";
    refused(lyapunov_exponents(&gru, narrow, None, 1, 1), words);
    let state = gru.zero_state(3).unwrap();
    assert!(lyapunov_exponents(&gru, x, Some(&state), 1, 1).is_err());
    let fixed = Gru::builder(1, 4).training(false).build().unwrap();
    assert!(lyapunov_exponents(&fixed, x, None, 1, 1).is_err());
}

#[test]
fn biases() {
    let gru = gru(1, 4);
    let (x, dy) = (View::new(&X, [10, 1, 1]).unwrap(), View::new(&[1.0; 8], [2, 1, 4]).unwrap());
    let of = |input: Input<'_>, k1: usize, k2: usize| {
        truncation_bias(&gru, input, None, Truncation { k1, k2 }, dy).map(|_| ())
    };
    refused(of(x.into(), 0, 4), "k1 must be from 1 to k2: got 0 with k2 = 4");
    refused(of(x.into(), 5, 4), "k1 must be from 1 to k2: got 5 with k2 = 4");
    refused(of(x.into(), 2, 6), "k2 must be half of the steps at most: got 6 with 10 steps");
    refused(
        of(x.into(), 2, usize::MAX),
        &format!("k2 must be half of the steps at most: got {} with 10 steps", usize::MAX),
    );
    refused(of(x.into(), 3, 4), "grad_output has inconsistent sequence length: got 2, expected 3");
    refused(
        of(Input::from(x).lengths(&[9]), 2, 4),
        "input must be without lengths, resets and dropout: got some",
    );
    of(x.into(), 2, 5).unwrap();
}

#[test]
fn thresholds() {
    let mut grads = gru(1, 4).params().zeros_like();
    let mut ledger = gatewise::ClipLedger::new(Norm::L2, NonFinite::Skip, 0);
    for bad in [-1.0, f64::NAN] {
        let words = format!("max_norm must be a number that is not negative: got {bad}");
        refused(ledger.clip("g", &mut [&mut grads], bad, None), &words);
    }
    assert!(ledger.groups().is_empty());
    ledger.clip("g", &mut [&mut grads], 1.0, None).unwrap();
    ledger.clip("g", &mut [&mut grads], 1.0, None).unwrap();
    assert_eq!(ledger.groups()[0].entries.len(), 1);
}
