//! textgenrnn 2.0.0: the next character from the last 40, two LSTM layers under an attention over time.
//!
//! ```text
//! x_t  = embedding[id]             pads in front are id 0 and run through the network as any other
//! y1_t, y2_t = the outputs of the two layers
//! u_t  = [x_t, y1_t, y2_t]
//! a    = softmax over t of (attention . u_t)          v = sum_t a_t u_t
//! prob = softmax(output(v))
//! ```

use super::support::{Fixture, assert_near, check_gradients, check_sums, rounding};
use gatewise::{Embedding, IGNORE, Kernels, Linear, Lstm, State, Upstream, View, cross_entropy};
use tests::oracle::softmax;

const WINDOWS: usize = 13;
const STEPS: usize = 40;
const FEATURES: usize = 100;
const HIDDEN: usize = 128;
const CHARACTERS: usize = 465;
/// Ids of the padding and of the mark between texts.
const PAD: usize = 0;
const START: usize = 464;

struct TextGen {
    embedding: Embedding,
    lstm: Lstm,
    attention: Vec<f32>,
    output: Linear,
}

/// What a batch of windows came to.
struct Pass {
    y2: Vec<f32>,
    state: State,
    logits: Vec<f32>,
}

impl TextGen {
    fn load(fixture: &Fixture, kernels: Kernels) -> TextGen {
        let file = &fixture.weights;
        let mut embedding = Embedding::new(CHARACTERS, FEATURES, 0).unwrap();
        file.load("embedding.", embedding.params_mut()).unwrap();
        let builder = Lstm::builder(FEATURES, HIDDEN).num_layers(2).batch_first(true);
        let mut lstm = builder.kernels(kernels).build().unwrap();
        file.load("rnn.", &mut lstm.params_mut()).unwrap();
        let mut output = Linear::with_kernels(FEATURES + 2 * HIDDEN, CHARACTERS, 0, kernels).unwrap();
        file.load("output.", &mut output.params_mut()).unwrap();
        let attention = file.take("attention.").unwrap().get("weight").unwrap().data().to_vec();
        TextGen { embedding, lstm, attention, output }
    }

    fn embed(&self, ids: &[usize]) -> Vec<f32> {
        let mut x = vec![0.0; ids.len() * FEATURES];
        self.embedding.forward(ids, &mut x).unwrap();
        x
    }

    /// Windows of ids, [rows, 40].
    fn run(&self, ids: &[usize]) -> Pass {
        let (x, rows) = (self.embed(ids), ids.len() / STEPS);
        let input = View::new(&x, [rows, STEPS, FEATURES]).unwrap();
        let (y2, state, trace) = self.lstm.forward_trace(input, None).unwrap();
        let (y1, y2) = (trace.h(0, 0).unwrap().data(), y2.into_data());
        let (mut logits, width) = (vec![0.0; rows * CHARACTERS], self.attention.len());
        for (row, logits) in logits.chunks_mut(CHARACTERS).enumerate() {
            let u: Vec<f32> = (row * STEPS..(row + 1) * STEPS)
                .flat_map(|t| {
                    let parts = [(&x[..], FEATURES), (y1, HIDDEN), (&y2[..], HIDDEN)];
                    parts.into_iter().flat_map(move |(part, width)| &part[t * width..][..width])
                })
                .copied()
                .collect();
            let dot =
                |u: &[f32]| u.iter().zip(&self.attention).map(|(u, w)| f64::from(*u) * f64::from(*w)).sum();
            let a = softmax(&u.chunks(width).map(dot).collect::<Vec<f64>>());
            let v: Vec<f32> = (0..width)
                .map(|k| a.iter().zip(u.chunks(width)).map(|(a, u)| a * f64::from(u[k])).sum::<f64>() as f32)
                .collect();
            self.output.forward(1, &v, logits).unwrap();
        }
        Pass { y2, state, logits }
    }
}

#[test]
fn textgenrnn_outputs() {
    let fixture = Fixture::read("textgenrnn");
    let ids = fixture.sizes("ids");
    for kernels in Kernels::available().unwrap() {
        let pass = TextGen::load(&fixture, kernels).run(&ids);
        let widen = |x: &f32| f64::from(*x);
        let prob = |logits: &[f32]| softmax(&logits.iter().map(widen).collect::<Vec<f64>>());
        let prob: Vec<f64> = pass.logits.chunks(CHARACTERS).flat_map(prob).collect();
        let of_h = fixture.allowed_by("h_n.f32", "h_n.f64");
        for (name, got, allowed) in [
            ("rnn2_out", &pass.y2[..], fixture.allowed("rnn2_out_f32_vs_f64")),
            ("h_n", pass.state.h(), of_h),
            ("c_n", pass.state.c(), fixture.allowed("c_n_f32_vs_f64")),
        ] {
            assert_near(name, got, &fixture.f64(&format!("{name}.f64")), allowed);
            assert_near(name, got, &fixture.f64(&format!("{name}_original.f32")), allowed);
        }
        let allowed = fixture.allowed("prob_f32_vs_f64");
        assert_near("prob", &prob, &fixture.f64("prob.f64"), allowed);
        assert_near("prob", &prob, &fixture.f64("prob_original.f32"), allowed);
    }
}

/// Texts that the network writes, the likeliest character each time: at most 80, up to the mark between texts.
#[test]
fn textgenrnn_texts() {
    let fixture = Fixture::read("textgenrnn");
    for kernels in Kernels::available().unwrap() {
        let model = TextGen::load(&fixture, kernels);
        for (prefix, expected) in fixture.card["generated_ids"].as_object().unwrap() {
            let id = |c: char| fixture.card["vocabulary"][c.to_string()].as_u64().unwrap() as usize;
            let mut ids = vec![START];
            ids.extend(prefix.chars().map(id));
            let most = ids.len() + 80;
            while ids.len() < most && (ids.len() == 1 || ids.last() != Some(&START)) {
                let mut window = vec![PAD; STEPS.saturating_sub(ids.len())];
                window.extend(&ids[ids.len().saturating_sub(STEPS)..]);
                let logits = model.run(&window).logits;
                let likeliest = (PAD + 1..CHARACTERS).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
                ids.push(likeliest.unwrap());
            }
            let expected: Vec<usize> =
                expected.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as usize).collect();
            assert_eq!(ids, expected, "after {prefix:?}");
        }
    }
}

/// The gradients of a mean cross-entropy: each output of the second layer as 128 logits, the next id modulo 128 as the class.
#[test]
fn textgenrnn_gradients() {
    let fixture = Fixture::read("textgenrnn");
    let ids = fixture.sizes("ids");
    let rounding = rounding(STEPS * (FEATURES + 3 * HIDDEN));
    let classes = |window: &[usize]| -> Vec<usize> {
        window[1..].iter().map(|id| id % HIDDEN).chain([IGNORE]).collect()
    };
    let targets: Vec<usize> = ids.chunks(STEPS).flat_map(classes).collect();
    for kernels in Kernels::available().unwrap() {
        let model = TextGen::load(&fixture, kernels);
        let x = model.embed(&ids);
        let input = View::new(&x, [WINDOWS, STEPS, FEATURES]).unwrap();
        let mut tape = model.lstm.forward_train(input, None).unwrap();
        let y2 = tape.output().data().to_vec();
        let mut dy = vec![0.0; y2.len()];
        let loss = cross_entropy(kernels, &y2, HIDDEN, &targets, &mut dy).unwrap();
        let expected = fixture.f64("grad.loss.f64");
        assert_near("loss", &[loss], &expected, rounding * expected[0]);
        let mut grads = model.lstm.params().zeros_like();
        let upstream = Upstream::output(View::new(&dy, [WINDOWS, STEPS, HIDDEN]).unwrap());
        model.lstm.backward(&mut tape, upstream, &mut grads).unwrap();
        check_gradients(&fixture, "rnn.", &grads, rounding);
        let dx = tape.grad_input().unwrap();
        check_sums("input_rows", dx.data(), FEATURES, &fixture.f64("grad.input_rows.f64"), rounding);
    }
}
