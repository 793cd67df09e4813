//! Traces: every h, c and gate value, against the oracle's, and the same from inference, tapes and checkpointed tapes.

use super::case::{Case, HIDDEN, INPUT, Options, all_options, assert_close, f64s, kernels, oracle_of};
use gatewise::{Error, Memory, State, Tape, Trace, View};
use tests::oracle::StackRun;

/// [B, T, W] to [T, B, W], if it is that.
fn time_major(case: &Case, view: View<'_>) -> Vec<f32> {
    let Options { steps, batch, batch_first, .. } = case.options;
    let width = view.shape()[2];
    let at = |t: usize, b: usize| if batch_first { b * steps + t } else { t * batch + b };
    let vectors = (0..steps).flat_map(|t| (0..batch).map(move |b| (t, b)));
    vectors.flat_map(|(t, b)| view.data()[at(t, b) * width..][..width].to_vec()).collect()
}

/// The state that resets lead to, one for each row.
fn of_all_rows(case: &Case, of: fn(&State) -> &[f32]) -> Option<Vec<f64>> {
    let state = case.reset_state.as_ref()?;
    let rows: Vec<usize> = (0..case.options.batch).map(|row| row.min(state.batch() - 1)).collect();
    Some(f64s(of(&state.gather(&rows).unwrap())))
}

#[test]
fn all_values_are_the_oracles() {
    for kernels in kernels() {
        for (seed, options) in (0..).zip(all_options()) {
            let case = Case::new(options, kernels, seed);
            let Options { steps, batch, .. } = options;
            let run = StackRun {
                steps,
                batch,
                x: f64s(&time_major(&case, View::new(&case.x, case.input().sequence.shape()).unwrap())),
                h0: Some(f64s(case.state.h())),
                c0: Some(f64s(case.state.c())),
                lengths: (!case.lengths.is_empty()).then(|| case.lengths.clone()),
                resets: (!case.resets.is_empty()).then(|| case.resets.clone()),
                reset_h: of_all_rows(&case, State::h),
                reset_c: of_all_rows(&case, State::c),
                ..StackRun::default()
            };
            let expected = oracle_of(&case.network).forward(&run);
            let (y, end, trace) = case.network.forward_trace(case.input(), Some(&case.state)).unwrap();
            assert_eq!((y, end), case.network.forward(case.input(), Some(&case.state)).unwrap());
            let directions = if options.bidirectional { 2 } else { 1 };
            let terms = 16 * options.layers * (steps + HIDDEN + INPUT);
            for (index, expected) in expected.layers.iter().enumerate() {
                let (layer, direction) = (index / directions, index % directions);
                let what = format!("{options:?} layer {layer} direction {direction}");
                let h = time_major(&case, trace.h(layer, direction).unwrap());
                assert_close(&format!("{what} h"), &h, &expected.out, terms);
                match trace.c(layer, direction) {
                    Some(c) => assert_close(&format!("{what} c"), &time_major(&case, c), &expected.c, terms),
                    None => assert!(expected.c.is_empty()),
                }
                let (gates, hidden) = (trace.gate_names().len(), options.hidden_sizes()[layer]);
                for (gate, name) in trace.gate_names().iter().enumerate() {
                    let part = |row: &[f64]| row[gate * hidden..][..hidden].to_vec();
                    let of_gate: Vec<f64> =
                        expected.gates.chunks_exact(gates * hidden).flat_map(part).collect();
                    let got = time_major(&case, trace.gate(name, layer, direction).unwrap());
                    assert_close(&format!("{what} {name}"), &got, &of_gate, terms);
                }
            }
            assert_eq!(trace.h(options.layers, 0), None);
            assert_eq!(trace.h(0, directions), None);
            assert_eq!(trace.gate("no such gate", 0, 0), None);
        }
    }
}

/// A tape gives the trace of its pass, with its dropout; without dropout that of inference; and cut into segments the same bits.
#[test]
fn tapes_give_the_same_trace() {
    for (seed, options) in (0..).zip(all_options()) {
        let case = Case::new(Options { steps: 29, ..options }, kernels()[0], seed);
        let of_tape = |tape: &mut Tape| -> Trace {
            case.network.forward_train_into(case.input(), Some(&case.state), tape).unwrap();
            case.network.trace(tape).unwrap()
        };
        let mut full = Tape::default();
        let expected = of_tape(&mut full);
        let (_, _, of_inference) = case.network.forward_trace(case.input(), Some(&case.state)).unwrap();
        assert_eq!(of_inference == expected, options.dropout == 0.0, "{options:?}");
        let refused = case.network.forward_train_into(
            case.input(),
            Some(&case.state),
            &mut Tape::with_memory(Memory::Budget(0)),
        );
        let Err(Error::MemoryBudget { needed, .. }) = refused else { panic!("{refused:?}") };
        let mut cut = Tape::with_memory(Memory::Budget(needed));
        assert_eq!(of_tape(&mut cut), expected, "{options:?}");
        assert!(cut.segment_len().is_some());

        case.network.backward(&mut full, case.upstream(), &mut case.grads()).unwrap();
        assert_eq!(case.network.trace(&full), Err(Error::TapeConsumed));
    }
}

/// A gate's view has the layout of the network's sequences, and a network without training has traces too.
#[test]
fn shapes_and_networks_for_inference() {
    let lstm = gatewise::Lstm::builder(2, 3).batch_first(true).training(false).build().unwrap();
    let x = [0.5; 4 * 5 * 2];
    let (_, _, trace) = lstm.forward_trace(View::new(&x, [4, 5, 2]).unwrap(), None).unwrap();
    assert_eq!(trace.gate_names(), ["i", "f", "g", "o"]);
    assert_eq!(trace.gate("o", 0, 0).unwrap().shape(), [4, 5, 3]);
    assert_eq!(trace.c(0, 0).unwrap().shape(), [4, 5, 3]);
    let gru = gatewise::Gru::new(2, 3).unwrap();
    let (_, _, trace) = gru.forward_trace(View::new(&x, [5, 4, 2]).unwrap(), None).unwrap();
    assert_eq!((trace.gate_names(), trace.c(0, 0)), (&["r", "z", "n"][..], None));
}
