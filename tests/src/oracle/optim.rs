//! Optimiser steps by PyTorch's formulas, element by element.
//!
//! `p` is a parameter, `g` its gradient, `t` the number of the step from 1. Each optimiser has PyTorch's defaults
//! from `new(lr)`; change the fields for others. `step` takes the same tensors in the same order every time.

/// One `f64` of state per element of every tensor.
type Slots = Vec<Vec<f64>>;

/// Zeros for every element of every tensor, made at the first step.
fn slots(state: &mut Slots, params: &[&mut [f64]]) {
    if state.is_empty() {
        *state = params.iter().map(|param| vec![0.0; param.len()]).collect();
    }
}

/// Calls `update(tensor, element, &mut p, g)` for every element.
fn each(params: &mut [&mut [f64]], grads: &[&[f64]], mut update: impl FnMut(usize, usize, &mut f64, f64)) {
    assert_eq!(params.len(), grads.len(), "one gradient per parameter");
    for (tensor, (param, grad)) in params.iter_mut().zip(grads).enumerate() {
        assert_eq!(param.len(), grad.len(), "a gradient has the size of its parameter");
        for (k, p) in param.iter_mut().enumerate() {
            update(tensor, k, p, grad[k]);
        }
    }
}

/// Stochastic gradient descent.
///
/// ```text
/// g = g + weight_decay p
/// b = g at the first step, then  b = momentum b + (1 - dampening) g
/// p = p - lr d      d = g without momentum, b with it, g + momentum b with Nesterov's
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Sgd {
    /// Learning rate.
    pub lr: f64,
    /// Momentum; 0 = none.
    pub momentum: f64,
    /// Dampening of the momentum.
    pub dampening: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Nesterov's momentum.
    pub nesterov: bool,
    /// Steps done.
    pub t: u32,
    /// `b`.
    pub buffer: Slots,
}

impl Sgd {
    /// Plain gradient descent.
    pub fn new(lr: f64) -> Self {
        Sgd { lr, momentum: 0.0, dampening: 0.0, weight_decay: 0.0, nesterov: false, t: 0, buffer: vec![] }
    }

    /// One step.
    pub fn step(&mut self, params: &mut [&mut [f64]], grads: &[&[f64]]) {
        slots(&mut self.buffer, params);
        self.t += 1;
        each(params, grads, |tensor, k, p, g| {
            let g = g + self.weight_decay * *p;
            let b = &mut self.buffer[tensor][k];
            *b = if self.t == 1 { g } else { self.momentum * *b + (1.0 - self.dampening) * g };
            let d = match (self.momentum == 0.0, self.nesterov) {
                (true, _) => g,
                (false, false) => *b,
                (false, true) => g + self.momentum * *b,
            };
            *p -= self.lr * d;
        });
    }
}

/// Adam, with weight decay as a part of the gradient.
///
/// ```text
/// g = g + weight_decay p
/// m = beta1 m + (1 - beta1) g        v = beta2 v + (1 - beta2) g^2
/// p = p - lr / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Adam {
    /// Learning rate.
    pub lr: f64,
    /// `beta1`, `beta2`.
    pub betas: [f64; 2],
    /// Added to the root.
    pub eps: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Steps done.
    pub t: i32,
    /// `m`.
    pub m: Slots,
    /// `v`.
    pub v: Slots,
}

impl Adam {
    /// PyTorch's defaults.
    pub fn new(lr: f64) -> Self {
        Adam { lr, betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.0, t: 0, m: vec![], v: vec![] }
    }

    /// One step.
    pub fn step(&mut self, params: &mut [&mut [f64]], grads: &[&[f64]]) {
        slots(&mut self.m, params);
        slots(&mut self.v, params);
        self.t += 1;
        let [beta1, beta2] = self.betas;
        each(params, grads, |tensor, k, p, g| {
            let (m, v) = (&mut self.m[tensor][k], &mut self.v[tensor][k]);
            let g = g + self.weight_decay * *p;
            *m = beta1 * *m + (1.0 - beta1) * g;
            *v = beta2 * *v + (1.0 - beta2) * g * g;
            let root = v.sqrt() / (1.0 - beta2.powi(self.t)).sqrt() + self.eps;
            *p -= self.lr / (1.0 - beta1.powi(self.t)) * *m / root;
        });
    }
}

/// AdamW: Adam whose weight decay acts on the parameter, `p = p - lr weight_decay p`, before the step.
#[derive(Debug, Clone, PartialEq)]
pub struct AdamW {
    /// Weight decay, PyTorch's default 0.01.
    pub weight_decay: f64,
    /// The rest; its own weight decay is 0.
    pub adam: Adam,
}

impl AdamW {
    /// PyTorch's defaults.
    pub fn new(lr: f64) -> Self {
        AdamW { weight_decay: 0.01, adam: Adam::new(lr) }
    }

    /// One step.
    pub fn step(&mut self, params: &mut [&mut [f64]], grads: &[&[f64]]) {
        each(params, grads, |_, _, p, _| *p -= self.adam.lr * self.weight_decay * *p);
        self.adam.step(params, grads);
    }
}

/// RMSprop.
///
/// ```text
/// g = g + weight_decay p
/// v = alpha v + (1 - alpha) g^2
/// centred:        a = alpha a + (1 - alpha) g       root = sqrt(v - a^2) + eps,  else  sqrt(v) + eps
/// with momentum:  b = momentum b + g / root         p = p - lr b,                else  p - lr g / root
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct RmsProp {
    /// Learning rate.
    pub lr: f64,
    /// Smoothing of the squares.
    pub alpha: f64,
    /// Added to the root.
    pub eps: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Momentum; 0 = none.
    pub momentum: f64,
    /// Whether the mean gradient is taken off.
    pub centered: bool,
    /// `v`.
    pub v: Slots,
    /// `a`.
    pub mean: Slots,
    /// `b`.
    pub buffer: Slots,
}

impl RmsProp {
    /// PyTorch's defaults.
    pub fn new(lr: f64) -> Self {
        RmsProp {
            lr,
            alpha: 0.99,
            eps: 1e-8,
            weight_decay: 0.0,
            momentum: 0.0,
            centered: false,
            v: vec![],
            mean: vec![],
            buffer: vec![],
        }
    }

    /// One step.
    pub fn step(&mut self, params: &mut [&mut [f64]], grads: &[&[f64]]) {
        for state in [&mut self.v, &mut self.mean, &mut self.buffer] {
            slots(state, params);
        }
        let alpha = self.alpha;
        each(params, grads, |tensor, k, p, g| {
            let (v, a) = (&mut self.v[tensor][k], &mut self.mean[tensor][k]);
            let b = &mut self.buffer[tensor][k];
            let g = g + self.weight_decay * *p;
            *v = alpha * *v + (1.0 - alpha) * g * g;
            *a = alpha * *a + (1.0 - alpha) * g;
            let root = if self.centered { (*v - *a * *a).sqrt() } else { v.sqrt() } + self.eps;
            *b = self.momentum * *b + g / root;
            *p -= self.lr * *b;
        });
    }
}
