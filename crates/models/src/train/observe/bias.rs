//! What truncation costs: the gradient that goes back k2 steps against the one that goes back twice as far.

use super::squares::sum_of_squares;
use crate::nets::Network;
use crate::run::{Tape, Upstream};
use crate::spec::shape::expect;
use crate::spec::{Error, Input, Sequence, State, Tensors, View};
use crate::train::Truncation;
use gatewise_kernels::Kernels;

/// The gradient of the last k1 steps' losses that goes back k2 steps against the one that goes back 2 k2.
///
/// # Examples
/// ```
/// use gatewise::{Gru, Truncation, View, truncation_bias};
///
/// let gru = Gru::builder(1, 4).seed(1).build()?;
/// let (x, dy, truncation) = ([0.5; 40], [1.0; 4], Truncation { k1: 1, k2: 20 });
/// let bias = truncation_bias(&gru, View::new(&x, [40, 1, 1])?, None, truncation, View::new(&dy, [1, 1, 4])?)?;
/// assert_eq!((bias.total.name.as_str(), bias.tensors.len()), ("all", 4)); // two weights, two biases
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TruncationBias {
    /// Of all parameters as one long vector.
    pub total: TensorBias,
    /// Of each parameter.
    pub tensors: Vec<TensorBias>,
}

/// Two gradients of the same parameters, g of k2 steps and G of 2 k2.
///
/// # Examples
/// ```
/// use gatewise::{Gru, Truncation, View, truncation_bias};
///
/// let gru = Gru::builder(1, 4).seed(1).build()?;
/// let (x, dy, truncation) = ([0.5; 40], [1.0; 4], Truncation { k1: 1, k2: 20 });
/// let bias = truncation_bias(&gru, View::new(&x, [40, 1, 1])?, None, truncation, View::new(&dy, [1, 1, 4])?)?;
/// let recurrent = bias.tensors.iter().find(|tensor| tensor.name == "weight_hh_l0").expect("a GRU has it");
/// assert!(recurrent.cosine > 0.99 && (recurrent.norm_ratio - 1.0).abs() < 0.01);
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TensorBias {
    /// The name of the parameter.
    pub name: String,
    /// g . G / (|g| |G|): 1 if truncation leaves the direction; NaN if one of them is zero.
    #[cfg_attr(feature = "serde", serde(with = "super::numbers"))]
    pub cosine: f64,
    /// |g| / |G|: 1 if it leaves the length; NaN or infinite if |G| is zero.
    #[cfg_attr(feature = "serde", serde(with = "super::numbers"))]
    pub norm_ratio: f64,
}

/// Measures what cutting back-propagation at k2 steps changes. `input` has 2 k2 steps at least, its last one the last of a window; what
/// stands before the last 2 k2 is only run forward, from `state`. `output` is the gradient of the outputs of the last k1 steps,
/// [k1, batch, hidden_size] in the network's layout. The parameters' gradient of these steps' losses is taken twice, back through the
/// last k2 steps and through the last 2 k2, both from the state that the steps before left.
///
/// # Errors
/// [`Error::Config`] if k1 is 0 or above k2, the input has fewer than 2 k2 steps, lengths or resets, or the network is bidirectional or has
/// dropout; else as [`Network::forward_train`] and [`Network::backward`].
///
/// # Examples
/// ```
/// use gatewise::{Gru, Truncation, View, truncation_bias};
///
/// let gru = Gru::builder(1, 4).seed(1).build()?;
/// let (x, dy) = ([0.5; 40], [1.0; 5 * 4]);
/// let truncation = Truncation { k1: 5, k2: 20 };
/// let bias = truncation_bias(&gru, View::new(&x, [40, 1, 1])?, None, truncation, View::new(&dy, [5, 1, 4])?)?;
/// assert!(bias.total.cosine > 0.99); // steps 20 and more before the end hardly matter here
/// # Ok::<(), gatewise::Error>(())
/// ```
pub fn truncation_bias<'a, K>(
    network: &Network<K>,
    input: impl Into<Input<'a>>,
    state: Option<&State>,
    truncation: Truncation,
    output: View<'_>,
) -> Result<TruncationBias, Error> {
    let (input, config) = (input.into(), network.config());
    let Truncation { k1, k2 } = truncation;
    let wrong = |arg, expected, got: String| Err(Error::Config { arg, expected, got });
    let sequence = input.sequence;
    let [first, second, _] = sequence.shape();
    let (steps, batch) = if config.batch_first { (second, first) } else { (first, second) };
    if k1 == 0 || k1 > k2 {
        return wrong("k1", "from 1 to k2", format!("{k1} with k2 = {k2}"));
    }
    if config.bidirectional {
        return wrong("bidirectional", "off for truncated back-propagation", "true".to_string());
    }
    if input.lengths.is_some() || input.resets.is_some() || config.dropout > 0.0 {
        return wrong("input", "without lengths, resets and dropout", "some".to_string());
    }
    let Some(before) = k2.checked_mul(2).and_then(|reach| steps.checked_sub(reach)) else {
        return wrong("k2", "half of the steps at most", format!("{k2} with {steps} steps"));
    };
    let shape = output.shape();
    let (new, rows) = if config.batch_first { (shape[1], shape[0]) } else { (shape[0], shape[1]) };
    expect("grad_output", "sequence length", new, k1)?;
    expect("grad_output", "batch size", rows, batch)?;
    expect("grad_output", "hidden_size", shape[2], config.output_size())?;

    let mut start = match state {
        Some(state) => state.clone(),
        None => network.zero_state(batch)?,
    };
    if before > 0 {
        start = network.forward(part(sequence, 0, before, config.batch_first)?.view(), Some(&start))?.1;
    }
    let gradient = |start: &State, reach: usize| {
        let x = part(sequence, steps - reach, reach, config.batch_first)?;
        let mut tape = Tape::default();
        network.forward_train_into(x.view(), Some(start), &mut tape)?;
        let dy = at_the_end(output, reach, config.batch_first)?;
        let mut grads = network.params().zeros_like();
        let upstream = Upstream { input_grad: false, ..Upstream::output(dy.view()) };
        network.backward(&mut tape, upstream, &mut grads)?;
        Ok::<Tensors, Error>(grads)
    };
    let long = gradient(&start, 2 * k2)?;
    let (_, middle) =
        network.forward(part(sequence, before, k2, config.batch_first)?.view(), Some(&start))?;
    let short = gradient(&middle, k2)?;
    Ok(compared(network.kernels(), &short, &long))
}

/// Some steps of a sequence in a network's layout.
fn part(whole: View<'_>, from: usize, steps: usize, batch_first: bool) -> Result<Sequence, Error> {
    let ([first, second, width], data) = (whole.shape(), whole.data());
    if !batch_first {
        let step = second * width;
        return Sequence::new(data[from * step..][..steps * step].to_vec(), [steps, second, width]);
    }
    let rows = (0..first).flat_map(|b| &data[(b * second + from) * width..][..steps * width]);
    Sequence::new(rows.copied().collect(), [first, steps, width])
}

/// A gradient of the last steps as one of `steps` steps, zeros before.
fn at_the_end(last: View<'_>, steps: usize, batch_first: bool) -> Result<Sequence, Error> {
    let ([first, second, width], data) = (last.shape(), last.data());
    let (new, batch) = if batch_first { (second, first) } else { (first, second) };
    let zeros = vec![0.0; (steps - new) * width * if batch_first { 1 } else { batch }];
    if !batch_first {
        return Sequence::new([&zeros, data].concat(), [steps, batch, width]);
    }
    let rows = (0..batch).flat_map(|b| zeros.iter().chain(&data[b * new * width..][..new * width]));
    Sequence::new(rows.copied().collect(), [batch, steps, width])
}

fn compared(kernels: Kernels, short: &Tensors, long: &Tensors) -> TruncationBias {
    let mut sums = [0.0; 3];
    let bias = |name: &str, [dot, short, long]: [f64; 3]| TensorBias {
        name: name.to_string(),
        cosine: dot / (short.sqrt() * long.sqrt()),
        norm_ratio: (short / long).sqrt(),
    };
    let tensors = short.iter().zip(long.iter()).map(|(short, long)| {
        let pairs = short.data().iter().zip(long.data());
        let dot = pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        let own = [dot, sum_of_squares(kernels, short.data()), sum_of_squares(kernels, long.data())];
        sums.iter_mut().zip(own).for_each(|(sum, own)| *sum += own);
        bias(short.name(), own)
    });
    let tensors = tensors.collect();
    TruncationBias { total: bias("all", sums), tensors }
}
