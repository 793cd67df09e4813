//! RNNoise as in nnnoiseless 0.5.2: from 42 features of 10 ms of audio to 22 band gains and the probability of a voice.
//!
//! ```text
//! a = tanh(input_dense(x))
//! v = vad_gru(a)                        vad   = sigmoid(vad_output(v))
//! n = noise_gru([a, v, x])
//! d = denoise_gru([v, n, x])            gains = sigmoid(denoise_output(d))
//! ```
//! The GRUs have relu for their candidate and the reset before the product, candidate = relu(W x + U (r * h) + b). Weights are int8
//! with the scale 1/256, so exact in f32.

use super::support::{Fixture, assert_near, raw_weights};
use gatewise::{Activation, Gru, Kernels, Linear, State};
use std::collections::BTreeMap;
use tests::golden::Tensor;
use tests::oracle::sigmoid;

const FRAMES: usize = 300;
const FEATURES: usize = 42;

type Weights = BTreeMap<String, Tensor>;

/// A tensor as f32, `[rows, columns]` transposed.
fn transposed(tensor: &Tensor) -> Vec<f32> {
    let (values, columns) = (tensor.i64(), *tensor.shape.last().unwrap());
    let column = |c: usize| values[c..].iter().step_by(columns).map(|&w| w as f32 / 256.0);
    (0..columns).flat_map(column).collect()
}

/// What has three blocks of rows, z r n in the file, in PyTorch's order.
fn r_z_n(data: &[f32]) -> Vec<f32> {
    let block = data.len() / 3;
    [&data[block..2 * block], &data[..block], &data[2 * block..]].concat()
}

fn gru(weights: &Weights, name: &str, kernels: Kernels) -> Gru {
    let of = |part: &str| &weights[&format!("{name}.{part}")];
    let (input, hidden) = (of("input_weights").shape[0], of("recurrent_weights").shape[0]);
    let builder = Gru::builder(input, hidden).linear_before_reset(false).activation(Activation::Relu);
    let mut gru = builder.kernels(kernels).build().unwrap();
    let mut params = gru.params_mut();
    params.fill(0.0);
    for (to, from) in
        [("weight_ih_l0", "input_weights"), ("weight_hh_l0", "recurrent_weights"), ("bias_ih_l0", "bias")]
    {
        let from = of(from);
        // A bias is a single column.
        let data = if from.shape.len() == 1 { scaled(from) } else { transposed(from) };
        params.get_mut(to).unwrap().data_mut().copy_from_slice(&r_z_n(&data));
    }
    drop(params);
    gru
}

fn scaled(tensor: &Tensor) -> Vec<f32> {
    tensor.i64().iter().map(|&w| w as f32 / 256.0).collect()
}

fn dense(weights: &Weights, name: &str, kernels: Kernels) -> Linear {
    let (weight, bias) = (&weights[&format!("{name}.weights")], &weights[&format!("{name}.bias")]);
    let mut linear = Linear::with_kernels(weight.shape[0], weight.shape[1], 0, kernels).unwrap();
    let mut params = linear.params_mut();
    params.get_mut("weight").unwrap().data_mut().copy_from_slice(&transposed(weight));
    params.get_mut("bias").unwrap().data_mut().copy_from_slice(&scaled(bias));
    drop(params);
    linear
}

/// A dense layer and its activation, [rows, outputs].
fn run_dense(layer: &Linear, x: &[f32], rows: usize, activation: fn(f64) -> f64) -> Vec<f32> {
    let mut y = vec![0.0; rows * layer.params().get("bias").unwrap().data().len()];
    layer.forward(rows, x, &mut y).unwrap();
    y.iter().map(|&y| activation(f64::from(y)) as f32).collect()
}

/// Arrays of `rows` rows side by side.
fn beside(rows: usize, parts: [&[f32]; 3]) -> Vec<f32> {
    let row = |row: usize| {
        parts.into_iter().flat_map(move |part| {
            let width = part.len() / rows;
            &part[row * width..][..width]
        })
    };
    (0..rows).flat_map(row).copied().collect()
}

struct RnNoise {
    input: Linear,
    /// vad, noise, denoise
    grus: [Gru; 3],
    vad: Linear,
    gains: Linear,
}

/// All outputs, [frames, ..].
#[derive(Default, PartialEq, Debug)]
struct Outputs {
    /// Of the GRUs: vad, noise, denoise.
    h: [Vec<f32>; 3],
    vad: Vec<f32>,
    gains: Vec<f32>,
}

impl RnNoise {
    fn load(kernels: Kernels) -> RnNoise {
        let weights = raw_weights("rnnoise");
        RnNoise {
            input: dense(&weights, "input_dense", kernels),
            grus: ["vad_gru", "noise_gru", "denoise_gru"].map(|name| gru(&weights, name, kernels)),
            vad: dense(&weights, "vad_output", kernels),
            gains: dense(&weights, "denoise_output", kernels),
        }
    }

    /// The chain, whatever runs a GRU: its number and input to its outputs.
    fn run(&self, x: &[f32], mut gru: impl FnMut(usize, &[f32]) -> Vec<f32>) -> Outputs {
        let rows = x.len() / FEATURES;
        let a = run_dense(&self.input, x, rows, f64::tanh);
        let v = gru(0, &a);
        let n = gru(1, &beside(rows, [&a, &v, x]));
        let d = gru(2, &beside(rows, [&v, &n, x]));
        let vad = run_dense(&self.vad, &v, rows, sigmoid);
        let gains = run_dense(&self.gains, &d, rows, sigmoid);
        Outputs { h: [v, n, d], vad, gains }
    }

    /// All frames at once.
    fn run_whole(&self, x: &[f32]) -> Outputs {
        self.run(x, |of, x| {
            let gru = &self.grus[of];
            let x = gru.unbatched(x, [FRAMES, gru.config().input_size]).unwrap();
            gru.forward(x, None).unwrap().0.into_data()
        })
    }

    /// Frame after frame, as they come in.
    fn run_frames(&self, x: &[f32]) -> Outputs {
        let mut states: Vec<State> = self.grus.iter().map(|gru| gru.zero_state(1).unwrap()).collect();
        let mut all = Outputs::default();
        for x in x.chunks(FEATURES) {
            let outputs = self.run(x, |of, x| {
                let mut h = vec![0.0; self.grus[of].config().hidden_size];
                self.grus[of].step(x, &mut states[of], &mut h).unwrap();
                h
            });
            for (all, h) in all.h.iter_mut().zip(outputs.h) {
                all.extend(h);
            }
            all.vad.extend(outputs.vad);
            all.gains.extend(outputs.gains);
        }
        all
    }
}

/// Every GRU, the gains and the probability; frame after frame gives the same bits.
#[test]
fn rnnoise_outputs() {
    let fixture = Fixture::read("rnnoise");
    let x = fixture.f32("features");
    for kernels in Kernels::available().unwrap() {
        let model = RnNoise::load(kernels);
        let outputs = model.run_whole(x);
        let [v, n, d] = &outputs.h;
        for (name, got) in [
            ("vad_gru", v),
            ("noise_gru", n),
            ("denoise_gru", d),
            ("vad", &outputs.vad),
            ("gains", &outputs.gains),
        ] {
            let allowed = fixture.allowed(&format!("{name}_f32_vs_f64"));
            assert_near(name, got, &fixture.f64(&format!("{name}.f64")), allowed);
        }
        assert_eq!(model.run_frames(x), outputs);
    }
}
