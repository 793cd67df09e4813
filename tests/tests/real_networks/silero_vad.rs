//! silero-vad 6.2.3: the probability that someone speaks, one for every 512 samples at 16 kHz.
//!
//! ```text
//! frame    = the 64 samples before, 512 new ones, 64 reflected              640 samples
//! s        = |STFT|: conv 1 -> 258, kernel 256, stride 128; re and im       129 x 4
//! features = relu conv, kernel 3, padding 1, four times                     128 x 1
//! h, c     = LSTM step
//! prob     = sigmoid(final_conv . relu(h) + bias)
//! ```

use super::support::{Fixture, assert_near};
use gatewise::{Kernels, Lstm, Tensors, View};
use tests::oracle::sigmoid;

const STREAMS: usize = 2;
const FRAMES: usize = 166;
const HIDDEN: usize = 128;
const SAMPLES: usize = 512;
const CONTEXT: usize = 64;

/// Channels of values along time.
type Signal = Vec<Vec<f64>>;

/// A convolution over time; `weight` is [out, in, kernel], the ends are padded with zeros.
fn convolve(x: &Signal, of: &Tensors, stride: usize, padding: usize) -> Signal {
    let weight = of.get("weight").unwrap();
    let (inputs, kernel) = (weight.shape()[1], weight.shape()[2]);
    let outputs = (x[0].len() + 2 * padding - kernel) / stride + 1;
    let channel = |(out, weight): (usize, &[f32])| {
        let at = |place: usize| {
            let mut sum = of.get("bias").map_or(0.0, |bias| f64::from(bias.data()[out]));
            for (x, weight) in x.iter().zip(weight.chunks(kernel)) {
                for (k, weight) in weight.iter().enumerate() {
                    let from = (place * stride + k).checked_sub(padding).and_then(|from| x.get(from));
                    sum += f64::from(*weight) * from.unwrap_or(&0.0);
                }
            }
            sum
        };
        (0..outputs).map(at).collect()
    };
    weight.data().chunks(inputs * kernel).enumerate().map(channel).collect()
}

/// What stands before the LSTM.
struct Encoder {
    stft: Tensors,
    /// Four convolutions, each with its stride.
    layers: [(Tensors, usize); 4],
}

impl Encoder {
    fn load(fixture: &Fixture) -> Encoder {
        let take = |prefix: &str| fixture.weights.take(prefix).unwrap();
        let layers = [(take("conv1."), 1), (take("conv2."), 2), (take("conv3."), 2), (take("conv4."), 1)];
        Encoder { stft: take("stft_conv."), layers }
    }

    /// The 128 features of a frame of 64 + 512 samples.
    fn features(&self, frame: &[f64]) -> Vec<f32> {
        let mut padded = frame.to_vec();
        padded.extend(frame.iter().rev().skip(1).take(CONTEXT));
        let stft = convolve(&vec![padded], &self.stft, 128, 0);
        let (re, im) = stft.split_at(stft.len() / 2);
        let magnitude =
            |(re, im): (&Vec<f64>, &Vec<f64>)| re.iter().zip(im).map(|(re, im)| re.hypot(*im)).collect();
        let mut x: Signal = re.iter().zip(im).map(magnitude).collect();
        for (layer, stride) in &self.layers {
            x = convolve(&x, layer, *stride, 1);
            x.iter_mut().flatten().for_each(|x| *x = x.max(0.0));
        }
        x.iter().map(|channel| channel[0] as f32).collect()
    }
}

/// The LSTM and what stands on it.
struct Decoder {
    lstm: Lstm,
    final_conv: Tensors,
}

impl Decoder {
    fn load(fixture: &Fixture, kernels: Kernels) -> Decoder {
        let mut lstm = Lstm::builder(HIDDEN, HIDDEN).kernels(kernels).build().unwrap();
        fixture.weights.load("lstm.", &mut lstm.params_mut()).unwrap();
        Decoder { lstm, final_conv: fixture.weights.take("final_conv.").unwrap() }
    }

    /// The probability of each row of h.
    fn prob(&self, h: &[f32]) -> Vec<f64> {
        let [bias, weight] = ["bias", "weight"].map(|name| self.final_conv.get(name).unwrap().data());
        let of_row = |h: &[f32]| {
            let terms = h.iter().zip(weight).map(|(h, w)| f64::from(h.max(0.0)) * f64::from(*w));
            sigmoid(f64::from(bias[0]) + terms.sum::<f64>())
        };
        h.chunks(HIDDEN).map(of_row).collect()
    }
}

/// Both streams as a batch, from recorded features; a split sequence and single steps give the same bits.
#[test]
fn silero_vad_outputs() {
    let fixture = Fixture::read("silero-vad");
    let x = fixture.f32("features");
    for kernels in Kernels::available().unwrap() {
        let model = Decoder::load(&fixture, kernels);
        let mut state = model.lstm.zero_state(STREAMS).unwrap();
        state.h_mut().copy_from_slice(fixture.f32("h0"));
        state.c_mut().copy_from_slice(fixture.f32("c0"));
        let view = |from: usize, to: usize| {
            let row = STREAMS * HIDDEN;
            View::new(&x[from * row..to * row], [to - from, STREAMS, HIDDEN]).unwrap()
        };
        let (out, end) = model.lstm.forward(view(0, FRAMES), Some(&state)).unwrap();
        let (of_out, of_c) = (fixture.allowed("lstm_out_f32_vs_f64"), fixture.allowed("c_n_f32_vs_f64"));
        assert_near("out", out.data(), &fixture.f64("out.f64"), of_out);
        assert_near("h_n", end.h(), &fixture.f64("h_n.f64"), of_out);
        assert_near("c_n", end.c(), &fixture.f64("c_n.f64"), of_c);
        let allowed = fixture.allowed("prob_f32_vs_f64");
        assert_near("prob", &model.prob(out.data()), &fixture.f64("prob.f64"), allowed);

        let (first, at_40) = model.lstm.forward(view(0, 40), Some(&state)).unwrap();
        assert_near("h_40", at_40.h(), &fixture.f64("h_40.f64"), of_out);
        assert_near("c_40", at_40.c(), &fixture.f64("c_40.f64"), of_c);
        let (rest, at_end) = model.lstm.forward(view(40, FRAMES), Some(&at_40)).unwrap();
        assert_eq!([first.data(), rest.data()].concat(), out.data());
        assert_eq!(at_end, end);
        let mut h = [0.0; STREAMS * HIDDEN];
        for (x, out) in x.chunks(h.len()).zip(out.data().chunks(h.len())) {
            model.lstm.step(x, &mut state, &mut h).unwrap();
            assert_eq!(h, out);
        }
        assert_eq!(state, end);
    }
}

/// From the recordings to the probabilities that the package's own network gives, frame by frame.
///
/// The card has no f32 - f64 difference of its final state, which comes from features that are its own too: the bound is what
/// PyTorch's f32 differs from it by.
#[test]
fn silero_vad_from_audio() {
    let fixture = Fixture::read("silero-vad");
    let encoder = Encoder::load(&fixture);
    let audio: Vec<f64> = fixture.i64("audio_i16").iter().map(|&x| x as f64 / 32768.0).collect();
    let streams = audio.chunks(FRAMES * SAMPLES).map(|stream| [&[0.0; CONTEXT], stream].concat());
    let streams: Vec<Vec<f64>> = streams.collect();
    let frames: Vec<Vec<f32>> = (0..FRAMES)
        .map(|t| {
            let frame = |stream: &Vec<f64>| encoder.features(&stream[t * SAMPLES..][..CONTEXT + SAMPLES]);
            streams.iter().flat_map(frame).collect()
        })
        .collect();
    for kernels in Kernels::available().unwrap() {
        let model = Decoder::load(&fixture, kernels);
        let mut state = model.lstm.zero_state(STREAMS).unwrap();
        let (mut h, mut prob) = ([0.0; STREAMS * HIDDEN], Vec::new());
        for x in &frames {
            model.lstm.step(x, &mut state, &mut h).unwrap();
            prob.extend(model.prob(&h));
        }
        let allowed = fixture.allowed("prob_original_vs_full_f64_chain");
        assert_near("prob", &prob, &fixture.f64("prob_original.f32"), allowed);
        let end = [state.h(), state.c()].concat();
        let allowed = fixture.allowed("state_torch_f32_vs_original");
        assert_near("state", &end, &fixture.f64("state_original.f32"), allowed);
    }
}
