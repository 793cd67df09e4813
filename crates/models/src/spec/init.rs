//! Initial parameters from a seed: PyTorch's distributions, and the options that long dependencies are known to need.

use super::random::Philox;
use super::{Error, Tensors};
use gatewise_kernels::Cell;

/// How the parameters of a network start. The default is PyTorch's: everything uniform in +-1/sqrt(hidden_size).
///
/// # Examples
/// An LSTM that remembers from its first update on, and the IRNN of Le, Jaitly and Hinton (2015), a vanilla network that keeps its
/// state as it is:
/// ```
/// use gatewise::{Init, Lstm, Nonlinearity, Recurrent, Rnn};
///
/// let init = Init { recurrent: Recurrent::Orthogonal, forget_bias: Some(1.0), ..Init::default() };
/// let lstm = Lstm::builder(2, 64).init(init).build()?;
/// assert_eq!(lstm.params().get("bias_ih_l0").unwrap().data()[64..2 * 64], [1.0; 64]); // rows of i, f, g, o
///
/// let init = Init { recurrent: Recurrent::Identity, ..Init::default() };
/// let irnn = Rnn::builder(2, 64).nonlinearity(Nonlinearity::Relu).init(init).build()?;
/// assert_eq!(irnn.params().get("weight_hh_l0").unwrap().data()[..2], [1.0, 0.0]);
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Init {
    /// W_hh of every gate, layer and direction.
    pub recurrent: Recurrent,
    /// What W_hh is multiplied by, 0 or above. The norm of dL/dh grows or fades with it from step to step.
    pub recurrent_scale: f32,
    /// For an LSTM, the bias of the forget gates. PyTorch has two biases that are summed: the forget gate's part of bias_ih gets
    /// this value and that of bias_hh zeros, so that the sum is this value exactly. `None` leaves both as they are.
    pub forget_bias: Option<f32>,
}

/// Where the recurrent matrices start from. Each gate has a block of its own, [hidden_size, hidden_size], or
/// [hidden_size, proj_size] with a projection.
///
/// # Examples
/// ```
/// use gatewise::{Init, Recurrent, Rnn};
///
/// let init = Init { recurrent: Recurrent::Identity, ..Init::default() };
/// let rnn = Rnn::builder(1, 2).init(init).build()?;
/// assert_eq!(rnn.params().get("weight_hh_l0").unwrap().data(), [1.0, 0.0, 0.0, 1.0]);
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Recurrent {
    /// Uniform in +-1/sqrt(hidden_size), as PyTorch's.
    #[default]
    Uniform,
    /// W^T W = I in every block, as `torch.nn.init.orthogonal_`: no direction of h grows or fades.
    Orthogonal,
    /// Ones on the diagonal of every block, zeros elsewhere; all biases are zero then.
    Identity,
}

impl Default for Init {
    fn default() -> Self {
        Init { recurrent: Recurrent::Uniform, recurrent_scale: 1.0, forget_bias: None }
    }
}

impl Init {
    /// Whether these are options of such a cell.
    pub(crate) fn check(&self, cell: Cell, has_bias: bool) -> Result<(), Error> {
        let scale = self.recurrent_scale;
        if !(scale.is_finite() && scale >= 0.0) {
            let expected = "a finite number that is not negative";
            return Err(Error::Config { arg: "recurrent_scale", expected, got: scale.to_string() });
        }
        let Some(bias) = self.forget_bias else { return Ok(()) };
        let expected = if cell != Cell::Lstm {
            "left out for a cell that is no LSTM"
        } else if !has_bias {
            "left out for a network without biases"
        } else if !bias.is_finite() {
            "a finite number"
        } else {
            return Ok(());
        };
        Err(Error::Config { arg: "forget_bias", expected, got: bias.to_string() })
    }

    /// Changes parameters that have PyTorch's distribution into these. The arrays keep their streams of random numbers.
    pub(crate) fn apply(&self, params: &mut Tensors, cell: Cell, seed: u64) {
        for (stream, tensor) in (0..).zip(params.iter_mut()) {
            let is = |prefix| tensor.name().starts_with(prefix);
            let (is_recurrent, of_ih, of_hh) = (is("weight_hh"), is("bias_ih"), is("bias_hh"));
            let block = tensor.shape()[0] / cell.gates();
            let columns = *tensor.shape().last().unwrap_or(&0);
            let data = tensor.data_mut();
            if is_recurrent {
                let mut random = Philox::new(seed, stream);
                for block in data.chunks_exact_mut((block * columns).max(1)) {
                    match self.recurrent {
                        Recurrent::Uniform => {}
                        Recurrent::Orthogonal => orthogonal(block, columns, &mut random),
                        Recurrent::Identity => identity(block, columns),
                    }
                }
                // A factor of 1 leaves every bit as it is.
                data.iter_mut().for_each(|weight| *weight *= self.recurrent_scale);
            } else if of_ih || of_hh {
                if self.recurrent == Recurrent::Identity {
                    data.fill(0.0);
                }
                if let Some(bias) = self.forget_bias {
                    data[block..2 * block].fill(if of_ih { bias } else { 0.0 });
                }
            }
        }
    }
}

/// Ones on the diagonal.
fn identity(block: &mut [f32], columns: usize) {
    block.fill(0.0);
    block.iter_mut().step_by(columns + 1).take(columns).for_each(|weight| *weight = 1.0);
}

/// The Q of a normal matrix, [rows, columns] with rows >= columns, whose R has a positive diagonal: uniformly distributed over all
/// matrices with orthonormal columns.
///
/// ```text
/// q_j = a_j - sum_{i<j} (q_i . a_j) q_i, scaled to norm 1
/// ```
fn orthogonal(block: &mut [f32], columns: usize, random: &mut Philox) {
    let rows = block.len() / columns;
    let mut q: Vec<Vec<f64>> = Vec::with_capacity(columns);
    for _ in 0..columns {
        let mut column: Vec<f64> = (0..rows).map(|_| f64::from(random.normal())).collect();
        // What rounding leaves of the others after the first time is gone after the second.
        for _ in 0..2 {
            for other in &q {
                let along = dot(other, &column);
                column.iter_mut().zip(other).for_each(|(x, o)| *x -= along * o);
            }
        }
        let norm = dot(&column, &column).sqrt();
        column.iter_mut().for_each(|x| *x /= norm);
        q.push(column);
    }
    for (row, weights) in block.chunks_exact_mut(columns).enumerate() {
        weights.iter_mut().zip(&q).for_each(|(weight, column)| *weight = column[row] as f32);
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Fills every array with numbers of its own stream; each number is asked for with a scale that belongs to the array's place.
fn fill(params: &mut Tensors, seed: u64, scale: impl Fn(usize) -> f32, next: impl Fn(&mut Philox) -> f32) {
    for (place, tensor) in params.iter_mut().enumerate() {
        let (mut random, scale) = (Philox::new(seed, place as u64), scale(place));
        tensor.data_mut().fill_with(|| scale * next(&mut random));
    }
}

/// Uniform in +-1/sqrt(fan), which is asked for by the array's place in the list: `torch.nn.RNN`, `LSTM`, `GRU` with fan =
/// hidden_size, `torch.nn.Linear` with fan = in_features.
pub(crate) fn uniform(params: &mut Tensors, fan: impl Fn(usize) -> usize, seed: u64) {
    let bound = |place| match fan(place) {
        0 => 0.0,
        fan => (1.0 / (fan as f64).sqrt()) as f32,
    };
    fill(params, seed, bound, |random| 2.0 * random.uniform() - 1.0);
}

/// Normal with mean 0 and deviation 1: `torch.nn.Embedding`.
pub(crate) fn normal(params: &mut Tensors, seed: u64) {
    fill(params, seed, |_| 1.0, Philox::normal);
}
