//! Initial parameters, PyTorch's distributions, from a seed.

use super::Tensors;
use super::random::Philox;

/// Fills every array with numbers of its own stream.
fn fill(params: &mut Tensors, seed: u64, mut next: impl FnMut(&mut Philox) -> f32) {
    for (stream, tensor) in (0..).zip(params.iter_mut()) {
        let mut random = Philox::new(seed, stream);
        tensor.data_mut().fill_with(|| next(&mut random));
    }
}

/// Uniform in +-1/sqrt(fan): `torch.nn.RNN`, `LSTM`, `GRU` with fan = hidden_size, `torch.nn.Linear` with fan = in_features.
pub(crate) fn uniform(params: &mut Tensors, fan: usize, seed: u64) {
    let bound = if fan == 0 { 0.0 } else { (1.0 / (fan as f64).sqrt()) as f32 };
    fill(params, seed, |random| bound * (2.0 * random.uniform() - 1.0));
}

/// Normal with mean 0 and deviation 1: `torch.nn.Embedding`.
pub(crate) fn normal(params: &mut Tensors, seed: u64) {
    fill(params, seed, Philox::normal);
}
