//! Networks that other people trained, from their files to their answers, through the public interface and on every instruction
//! set of this machine. `tests/data/NAME` holds weights, real inputs, expected outputs and gradients of each, with `SOURCE.md` for
//! where they come from and `LICENSE.txt` for their terms.
//!
//! Expected values are those of PyTorch, Keras, ONNX Runtime or the package's own code. Those in f64 come from the same f32
//! weights, widened, and are the yardstick. What ours may be off by:
//!
//! ```text
//! outputs, states      OWN times what the original's f32 values are off by: `card.json` says it, or the two sets of values
//! losses, gradients    8 ceil(log2 K) eps scale,    K = steps * (sum over layers of layer_input + hidden)
//! what is decoded      nothing: it is the recorded text
//! ```
//! No f32 gradients are recorded, so theirs is the bound that gradients have against the oracle (`tests::bounds`). `scale` is the
//! value itself for a norm or a loss of terms of one sign, else the sum of the terms' magnitudes; for an array of gradients its
//! largest magnitude, for a bias also its weight_hh's; for sums over an axis the largest sum of magnitudes.
//!
//! What is not recurrent in a network (convolutions, attention) is plain code beside its test.

mod real_networks {
    mod chars2vec;
    mod g2p_en;
    mod rnnoise;
    mod silero_vad;
    mod support;
    mod textgenrnn;
}
