//! The activations of gates and states as data: the list that ONNX has for its recurrent operators.
//!
//! Each has a slope that follows from its value alone, so that the backward pass needs the saved values only; parameters for
//! which that is not so ([`Activation::is_valid`]) are refused by the models.

use super::{sigmoid::sigmoid, softplus::softplus, tanh::tanh};
use crate::simd::Arithmetic;

/// A function of one number, y = f(x). NaN stays NaN.
///
/// # Examples
/// ```
/// use gatewise_kernels::{Activation, Activations, Cell, CellSpec, Kernels, Step, Weights};
///
/// let activations = Activations { candidate: Activation::Softsign, ..Activations::of(Cell::RnnTanh) };
/// let spec = CellSpec { activations, ..CellSpec::from(Cell::RnnTanh) };
/// let (kernels, mut h) = (Kernels::auto()?, [0.0]);
/// let weights = Weights { w_ih: &[1.0], w_hh: &[0.0], ..Weights::default() };
/// let packed = kernels.pack_cell(spec, 1, 1, weights)?;
/// kernels.step(&packed, Step { batch: 1, x: &[3.0], h_0: &[0.0], h_1: &mut h, c: &mut [] }, 1)?;
/// assert_eq!(h, [3.0 / (1.0 + 3.0)]);
/// # Ok::<(), gatewise_kernels::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// y = 1 / (1 + e^-x), f' = y (1 - y)
    Sigmoid,
    /// y = tanh x, f' = 1 - y^2
    Tanh,
    /// y = max(x, 0), f' = 1 where y > 0, else 0
    Relu,
    /// y = x, f' = 1
    Identity,
    /// y = alpha x + beta, f' = alpha
    Affine {
        /// Slope.
        alpha: f32,
        /// Value at 0.
        beta: f32,
    },
    /// y = x where x > 0, else alpha x; f' = 1 where y > 0, else alpha
    LeakyRelu {
        /// Slope below 0; not negative.
        alpha: f32,
    },
    /// y = x where x > alpha, else 0; f' = 1 where y > 0, else 0
    ThresholdedRelu {
        /// Threshold; not negative.
        alpha: f32,
    },
    /// y = alpha tanh(beta x), f' = beta (alpha - y^2 / alpha)
    ScaledTanh {
        /// Limit; not 0.
        alpha: f32,
        /// Factor of x.
        beta: f32,
    },
    /// y = min(max(alpha x + beta, 0), 1), f' = alpha where 0 < y < 1, else 0. See [`HARD_SIGMOID`](Activation::HARD_SIGMOID) and
    /// [`HARD_SIGMOID_RELU6`](Activation::HARD_SIGMOID_RELU6) for the two that are in use.
    HardSigmoid {
        /// Slope.
        alpha: f32,
        /// Value at 0.
        beta: f32,
    },
    /// y = x where x > 0, else alpha (e^x - 1); f' = 1 where y > 0, else y + alpha
    Elu {
        /// Limit of -y; not negative.
        alpha: f32,
    },
    /// y = x / (1 + |x|), f' = (1 - |y|)^2
    Softsign,
    /// y = ln(1 + e^x), f' = 1 - e^-y
    Softplus,
}

/// The activations of a cell, and how far what they work on may reach.
///
/// # Examples
/// ```
/// use gatewise_kernels::{Activation, Activations, Cell, CellSpec, Kernels, Step, Weights};
///
/// let identity = Activations { candidate: Activation::Identity, ..Activations::of(Cell::RnnTanh) };
/// let activations = Activations { clip: Some(2.0), ..identity };
/// let spec = CellSpec { activations, ..CellSpec::from(Cell::RnnTanh) };
/// let (kernels, mut h) = (Kernels::auto()?, [0.0]);
/// let weights = Weights { w_ih: &[1.0], w_hh: &[0.0], ..Weights::default() };
/// let packed = kernels.pack_cell(spec, 1, 1, weights)?;
/// kernels.step(&packed, Step { batch: 1, x: &[-9.0], h_0: &[0.0], h_1: &mut h, c: &mut [] }, 1)?;
/// assert_eq!(h, [-2.0]);
/// # Ok::<(), gatewise_kernels::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Activations {
    /// Of the gates: i f o of an LSTM, r z of a GRU. An RNN has none.
    pub gate: Activation,
    /// Of the candidate: g of an LSTM, n of a GRU; of the state itself for an RNN.
    pub candidate: Activation,
    /// Of the c that an LSTM puts out. The others have none.
    pub output: Activation,
    /// Largest magnitude of what `gate` and `candidate` are applied to, ONNX's `clip`; no gradient passes at that limit or beyond it.
    pub clip: Option<f32>,
    /// Largest magnitude of an LSTM's c, cuDNN's clip; no gradient passes at that limit or beyond it.
    pub cell_clip: Option<f32>,
}

/// x where that is between -limit and limit, else the limit on its side; NaN for NaN.
#[inline(always)]
fn clamp<V: Arithmetic>(token: V::Token, x: V, limit: f32) -> V {
    V::splat(token, limit).min(V::splat(token, -limit).max(x))
}

impl Activations {
    /// y = f(clip(x)), where f is `gate` or `candidate`.
    #[inline(always)]
    pub(crate) fn apply<V: Arithmetic>(&self, activation: Activation, token: V::Token, x: V) -> V {
        activation.apply(token, clamp(token, x, self.clip.unwrap_or(f32::INFINITY)))
    }

    /// The derivative of [`apply`](Self::apply) by x, from y. Where f has any slope it is strictly monotone, so that only a clipped x
    /// gives y = f(limit).
    #[inline(always)]
    pub(crate) fn slope<V: Arithmetic>(&self, activation: Activation, token: V::Token, y: V) -> V {
        let mut slope = activation.slope(token, y);
        if let Some(limit) = self.clip {
            for limit in [-limit, limit] {
                let end = activation.apply(token, V::splat(token, limit));
                // y * 0 is NaN where y is.
                let at_end = y.mul(V::splat(token, 0.0));
                slope = y.select_lt(end, slope, end.select_lt(y, slope, at_end));
            }
        }
        slope
    }

    /// What is kept of a new c.
    #[inline(always)]
    pub(crate) fn clip_cell<V: Arithmetic>(&self, token: V::Token, c: V) -> V {
        clamp(token, c, self.cell_clip.unwrap_or(f32::INFINITY))
    }

    /// What of the gradient of a kept c reaches the c that was computed.
    #[inline(always)]
    pub(crate) fn through_cell_clip<V: Arithmetic>(&self, token: V::Token, c: V, dc: V) -> V {
        match self.cell_clip {
            Some(limit) => c.abs().select_lt(V::splat(token, limit), dc, c.mul(V::splat(token, 0.0))),
            None => dc,
        }
    }
}

impl Activation {
    /// clip(0.2 x + 0.5, 0, 1): Keras before version 3, and ONNX's default.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::Activation;
    ///
    /// assert_eq!(Activation::HARD_SIGMOID, Activation::HardSigmoid { alpha: 0.2, beta: 0.5 });
    /// ```
    pub const HARD_SIGMOID: Activation = Activation::HardSigmoid { alpha: 0.2, beta: 0.5 };
    /// relu6(x + 3) / 6: PyTorch, and Keras from version 3 on.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::Activation;
    ///
    /// assert_eq!(Activation::HARD_SIGMOID_RELU6, Activation::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 });
    /// ```
    pub const HARD_SIGMOID_RELU6: Activation = Activation::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 };

    /// Whether the parameters are finite and such that the slope follows from the value.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::Activation;
    ///
    /// assert!(Activation::Elu { alpha: 1.0 }.is_valid());
    /// assert!(!Activation::Elu { alpha: f32::NAN }.is_valid());
    /// ```
    pub fn is_valid(&self) -> bool {
        match *self {
            Activation::Sigmoid
            | Activation::Tanh
            | Activation::Relu
            | Activation::Identity
            | Activation::Softsign
            | Activation::Softplus => true,
            Activation::Affine { alpha, beta } | Activation::HardSigmoid { alpha, beta } => {
                alpha.is_finite() && beta.is_finite()
            }
            Activation::LeakyRelu { alpha }
            | Activation::ThresholdedRelu { alpha }
            | Activation::Elu { alpha } => alpha.is_finite() && alpha >= 0.0,
            Activation::ScaledTanh { alpha, beta } => alpha.is_finite() && alpha != 0.0 && beta.is_finite(),
        }
    }

    /// y = f(x)
    #[inline(always)]
    pub(crate) fn apply<V: Arithmetic>(self, token: V::Token, x: V) -> V {
        let zero = V::splat(token, 0.0);
        let one = V::splat(token, 1.0);
        // In all of these the constant comes first in min and max, so that NaN passes.
        match self {
            Activation::Sigmoid => sigmoid(token, x),
            Activation::Tanh => tanh(token, x),
            Activation::Relu => zero.max(x),
            Activation::Identity => x,
            Activation::Affine { alpha, beta } => V::splat(token, alpha).mul_add(x, V::splat(token, beta)),
            Activation::LeakyRelu { alpha } => zero.select_lt(x, x, x.mul(V::splat(token, alpha))),
            // 0 for every number that is not above alpha, but NaN for NaN.
            Activation::ThresholdedRelu { alpha } => {
                V::splat(token, alpha).select_lt(x, x, zero.max(zero.min(x)))
            }
            Activation::ScaledTanh { alpha, beta } => {
                V::splat(token, alpha).mul(tanh(token, V::splat(token, beta).mul(x)))
            }
            Activation::HardSigmoid { alpha, beta } => {
                let line = V::splat(token, alpha).mul_add(x, V::splat(token, beta));
                one.min(zero.max(line))
            }
            // e^x - 1 = 2 t / (1 - t) with t = tanh(x / 2), which does not cancel near 0.
            Activation::Elu { alpha } => {
                let t = tanh(token, V::splat(token, 0.5).mul(x));
                let below = V::splat(token, alpha).mul(t.add(t).div(one.sub(t)));
                zero.select_lt(x, x, below)
            }
            // From 2^30 on the quotient rounds to 1; infinity over infinity would not.
            Activation::Softsign => {
                let magnitude = V::splat(token, 1_073_741_824.0).min(x.abs());
                magnitude.div(one.add(magnitude)).copysign(x)
            }
            Activation::Softplus => softplus(token, x),
        }
    }

    /// f'(x), from y = f(x).
    #[inline(always)]
    pub(crate) fn slope<V: Arithmetic>(self, token: V::Token, y: V) -> V {
        let zero = V::splat(token, 0.0);
        let one = V::splat(token, 1.0);
        match self {
            Activation::Sigmoid => y.mul(one.sub(y)),
            Activation::Tanh => one.sub(y.mul(y)),
            // y * 0 is zero where the unit was off, and NaN where y is NaN.
            Activation::Relu | Activation::ThresholdedRelu { .. } => zero.select_lt(y, one, y.mul(zero)),
            Activation::Identity => one,
            Activation::Affine { alpha, .. } => V::splat(token, alpha),
            Activation::LeakyRelu { alpha } => zero.select_lt(y, one, V::splat(token, alpha)),
            Activation::ScaledTanh { alpha, beta } => {
                let alpha = V::splat(token, alpha);
                V::splat(token, beta).mul(alpha.sub(y.mul(y.div(alpha))))
            }
            Activation::HardSigmoid { alpha, .. } => {
                zero.select_lt(y, y.select_lt(one, V::splat(token, alpha), zero), y.mul(zero))
            }
            Activation::Elu { alpha } => zero.select_lt(y, one, y.add(V::splat(token, alpha))),
            Activation::Softsign => {
                let left = one.sub(y.abs());
                left.mul(left)
            }
            // 1 - e^-y = 2 t / (1 + t) with t = tanh(y / 2), which does not cancel near 0.
            Activation::Softplus => {
                let t = tanh(token, V::splat(token, 0.5).mul(y));
                t.add(t).div(one.add(t))
            }
        }
    }
}
