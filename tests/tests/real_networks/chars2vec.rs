//! chars2vec 0.1.7, eng_50: a vector for any spelling of a word, two LSTM layers whose gates are hard sigmoids.
//!
//! ```text
//! x      = one-hot characters, zero vectors in front      the zeros run through the network as any other
//! i f o  = clip(0.2 a + 0.5, 0, 1)                        what Keras took for a sigmoid when the network was trained
//! vector = h_n of the second layer
//! ```

use super::support::{Fixture, assert_near, rounding};
use gatewise::{Activation, Kernels, Lstm, Tokens, Upstream, View};
use tests::bounds::same_slices;

const WORDS: usize = 16;
const STEPS: usize = 15;
const CHARACTERS: usize = 59;
const HIDDEN: usize = 50;

fn load(fixture: &Fixture, gates: Activation, kernels: Kernels) -> Lstm {
    let builder = Lstm::builder(CHARACTERS, HIDDEN).num_layers(2).batch_first(true);
    let mut lstm = builder.gate_activation(gates).kernels(kernels).build().unwrap();
    fixture.weights.load("", &mut lstm.params_mut()).unwrap();
    lstm
}

/// The words as the network was trained to read them, and as a newer Keras silently does, with the logistic sigmoid.
#[test]
fn chars2vec_outputs() {
    let fixture = Fixture::read("chars2vec-eng-50");
    let x = View::new(fixture.f32("input"), [WORDS, STEPS, CHARACTERS]).unwrap();
    // The f32 values of c are recorded for the hard sigmoid alone.
    let of_c = fixture.allowed_by("hard_sigmoid.c_n.f32", "hard_sigmoid.c_n.f64");
    for kernels in Kernels::available().unwrap() {
        for (gates, of, check) in [
            (Activation::HARD_SIGMOID, "hard_sigmoid", "hard_h_n_f32_vs_f64"),
            (Activation::Sigmoid, "sigmoid", "sigmoid_h_n_f32_vs_f64"),
        ] {
            let (out, state) = load(&fixture, gates, kernels).forward(x, None).unwrap();
            let (expected, allowed) =
                (|name: &str| fixture.f64(&format!("{of}.{name}")), fixture.allowed(check));
            assert_near(of, out.data(), &expected("out.f64"), allowed);
            assert_near(of, state.h(), &expected("h_n.f64"), allowed);
            assert_near(of, state.h(), &expected("h_n_original.f32"), allowed);
            assert_near(of, state.c(), &expected("c_n.f64"), of_c);
        }
    }
}

/// The same words as numbers, bit for bit: the one-hot characters, and the zeros in front of them, are rows of a table.
#[test]
fn chars2vec_of_tokens() {
    let fixture = Fixture::read("chars2vec-eng-50");
    let input = fixture.f32("input");
    let number = |x: &[f32]| x.iter().position(|&x| x == 1.0).unwrap_or(CHARACTERS);
    let ids: Vec<usize> = input.chunks(CHARACTERS).map(number).collect();
    let mut table = vec![0.0; (CHARACTERS + 1) * CHARACTERS];
    table.iter_mut().step_by(CHARACTERS + 1).take(CHARACTERS).for_each(|x| *x = 1.0);
    for kernels in Kernels::available().unwrap() {
        let lstm = load(&fixture, Activation::HARD_SIGMOID, kernels);
        let table = lstm.project_table(CHARACTERS + 1, &table).unwrap();
        let x = View::new(input, [WORDS, STEPS, CHARACTERS]).unwrap();
        let (y, state) = lstm.forward(x, None).unwrap();
        let tokens = Tokens::new(&ids, [WORDS, STEPS]).unwrap();
        let (of_tokens, end) = lstm.forward_tokens(&table, tokens, None).unwrap();
        same_slices("out", of_tokens.data(), y.data()).unwrap();
        same_slices("h_n", end.h(), state.h()).unwrap();
        same_slices("c_n", end.c(), state.c()).unwrap();
    }
}

/// All gradients of a loss on outputs and final states, element by element.
#[test]
fn chars2vec_gradients() {
    let fixture = Fixture::read("chars2vec-eng-50");
    let x = View::new(fixture.f32("input"), [WORDS, STEPS, CHARACTERS]).unwrap();
    let rounding = rounding(STEPS * (CHARACTERS + 3 * HIDDEN));
    let check = |name: &str, got: &[f32]| {
        let expected = fixture.f64(&format!("grad.{name}.f64"));
        let scale = expected.iter().fold(0.0, |most: f64, g| most.max(g.abs()));
        assert_near(name, got, &expected, rounding * scale);
    };
    for kernels in Kernels::available().unwrap() {
        let lstm = load(&fixture, Activation::HARD_SIGMOID, kernels);
        let mut tape = lstm.forward_train(x, None).unwrap();
        let mut end = lstm.zero_state(WORDS).unwrap();
        tape.final_state(&mut end).unwrap();
        let parts = [("R_out", tape.output().data()), ("R_h", end.h()), ("R_c", end.c())];
        let terms = parts.into_iter().flat_map(|(weights, values)| {
            let weights = fixture.f32(&format!("grad.{weights}.f32"));
            weights.iter().zip(values).map(|(w, v)| f64::from(*w) * f64::from(*v))
        });
        let terms: Vec<f64> = terms.collect();
        let scale: f64 = terms.iter().map(|term| term.abs()).sum();
        assert_near("loss", &[terms.iter().sum::<f64>()], &fixture.f64("grad.loss.f64"), rounding * scale);

        let mut grads = lstm.params().zeros_like();
        let upstream = Upstream {
            output: Some(View::new(fixture.f32("grad.R_out.f32"), [WORDS, STEPS, HIDDEN]).unwrap()),
            h_n: Some(fixture.f32("grad.R_h.f32")),
            c_n: Some(fixture.f32("grad.R_c.f32")),
            ..Upstream::default()
        };
        lstm.backward(&mut tape, upstream, &mut grads).unwrap();
        for tensor in grads.iter() {
            check(tensor.name(), tensor.data());
        }
        check("input", tape.grad_input().unwrap().data());
    }
}
