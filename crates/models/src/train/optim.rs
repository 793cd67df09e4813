//! Optimizers, by PyTorch's formulas. p is a parameter, g its gradient, t the number of the step from 1.

use crate::spec::{Error, Tensors};

/// Changes parameters by their gradients. Every call takes the same lists in the same order, for the optimizer keeps values for
/// each parameter.
pub trait Optimizer {
    /// One step.
    ///
    /// # Errors
    /// [`Error::TensorMismatch`] if a list of gradients is not like its parameters, or the parameters are not those of the first
    /// step; [`Error::Config`] if an option makes no sense. Nothing is written then.
    fn step(&mut self, params: &mut [&mut Tensors], grads: &[&Tensors]) -> Result<(), Error>;
}

/// One value per element of every parameter, kept from step to step.
type Slot = Vec<Vec<f32>>;

/// Checks the lists and the numbers; makes the slots at the first step.
fn prepare<const N: usize>(
    params: &[&mut Tensors],
    grads: &[&Tensors],
    slots: [&mut Slot; N],
    numbers: &[(&'static str, f64, f64)],
) -> Result<(), Error> {
    for &(arg, value, below) in numbers {
        if value.is_nan() || value < 0.0 || value >= below {
            let expected = if below == 1.0 { "in [0, 1)" } else { "a finite number that is not negative" };
            return Err(Error::Config { arg, expected, got: value.to_string() });
        }
    }
    if params.len() != grads.len() {
        let (expected, got) = (params.len(), grads.len());
        return Err(Error::Shape { arg: "grads", dim: "number of lists", expected, got });
    }
    for (params, grads) in params.iter().zip(grads) {
        params.check_alike(grads)?;
    }
    let tensors = || params.iter().flat_map(|params| params.iter());
    for slot in slots {
        if slot.is_empty() {
            *slot = tensors().map(|tensor| vec![0.0; tensor.data().len()]).collect();
        }
        if slot.len() != tensors().count() {
            let name = "the number of parameters".to_string();
            return Err(Error::TensorMismatch { name });
        }
        if let Some((tensor, _)) = tensors().zip(slot.iter()).find(|(t, slot)| t.data().len() != slot.len()) {
            return Err(Error::TensorMismatch { name: tensor.name().to_string() });
        }
    }
    Ok(())
}

/// Calls `update(p, g, values of the slots)` for every element.
fn each<const N: usize>(
    params: &mut [&mut Tensors],
    grads: &[&Tensors],
    mut slots: [&mut Slot; N],
    update: impl Fn(&mut f32, f32, [&mut f32; N]),
) {
    let params = params.iter_mut().flat_map(|params| params.iter_mut());
    let grads = grads.iter().flat_map(|grads| grads.iter());
    for (i, (param, grad)) in params.zip(grads).enumerate() {
        let mut slots = slots.each_mut().map(|slot| slot[i].iter_mut());
        for (p, &g) in param.data_mut().iter_mut().zip(grad.data()) {
            let values =
                slots.each_mut().map(|slot| slot.next().expect("a slot is as long as its parameter"));
            update(p, g, values);
        }
    }
}

/// Stochastic gradient descent, `torch.optim.SGD`:
///
/// ```text
/// g = g + weight_decay p
/// b = g at the first step, then  b = momentum b + (1 - dampening) g
/// p = p - lr d      d = g without momentum, b with it, g + momentum b with Nesterov's
/// ```
#[derive(Clone, Debug)]
pub struct Sgd {
    /// Learning rate.
    pub lr: f64,
    /// Momentum; 0 is none.
    pub momentum: f64,
    /// Dampening of the momentum.
    pub dampening: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Nesterov's momentum.
    pub nesterov: bool,
    buffer: Slot,
}

impl Sgd {
    /// Plain gradient descent; set the fields for more.
    pub fn new(lr: f64) -> Sgd {
        Sgd { lr, momentum: 0.0, dampening: 0.0, weight_decay: 0.0, nesterov: false, buffer: Vec::new() }
    }
}

impl Optimizer for Sgd {
    fn step(&mut self, params: &mut [&mut Tensors], grads: &[&Tensors]) -> Result<(), Error> {
        if self.nesterov && (self.momentum <= 0.0 || self.dampening != 0.0) {
            let expected = "off without a momentum, or with dampening";
            return Err(Error::Config { arg: "nesterov", expected, got: "true".to_string() });
        }
        let numbers = [
            ("lr", self.lr, f64::INFINITY),
            ("momentum", self.momentum, f64::INFINITY),
            ("weight_decay", self.weight_decay, f64::INFINITY),
        ];
        let is_first = self.buffer.is_empty();
        prepare(params, grads, [&mut self.buffer], &numbers)?;
        let (lr, decay, momentum) = (self.lr as f32, self.weight_decay as f32, self.momentum as f32);
        let (fresh, nesterov) = ((1.0 - self.dampening) as f32, self.nesterov);
        each(params, grads, [&mut self.buffer], |p, g, [b]| {
            let g = g + decay * *p;
            *b = if is_first { g } else { momentum * *b + fresh * g };
            let d = if nesterov {
                g + momentum * *b
            } else if momentum == 0.0 {
                g
            } else {
                *b
            };
            *p -= lr * d;
        });
        Ok(())
    }
}

/// Adam, `torch.optim.Adam`; its weight decay is a part of the gradient:
///
/// ```text
/// g = g + weight_decay p
/// m = m + (1 - beta1) (g - m)        v = beta2 v + (1 - beta2) g^2
/// p = p - lr / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
/// ```
#[derive(Clone, Debug)]
pub struct Adam {
    /// Learning rate.
    pub lr: f64,
    /// beta1, beta2.
    pub betas: (f64, f64),
    /// Added to the root.
    pub eps: f64,
    /// Weight decay.
    pub weight_decay: f64,
    t: i32,
    m: Slot,
    v: Slot,
}

impl Adam {
    /// PyTorch's defaults.
    pub fn new(lr: f64) -> Adam {
        Adam { lr, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.0, t: 0, m: Vec::new(), v: Vec::new() }
    }

    /// The step; before it every parameter is multiplied by `keep`.
    fn update(&mut self, params: &mut [&mut Tensors], grads: &[&Tensors], keep: f32) -> Result<(), Error> {
        let numbers = [
            ("lr", self.lr, f64::INFINITY),
            ("betas", self.betas.0, 1.0),
            ("betas", self.betas.1, 1.0),
            ("eps", self.eps, f64::INFINITY),
            ("weight_decay", self.weight_decay, f64::INFINITY),
        ];
        prepare(params, grads, [&mut self.m, &mut self.v], &numbers)?;
        self.t = self.t.saturating_add(1);
        let (beta1, beta2) = self.betas;
        let step = (self.lr / (1.0 - beta1.powi(self.t))) as f32;
        let root = (1.0 - beta2.powi(self.t)).sqrt() as f32;
        let (fresh1, beta2, fresh2) = ((1.0 - beta1) as f32, beta2 as f32, (1.0 - beta2) as f32);
        let (eps, decay) = (self.eps as f32, self.weight_decay as f32);
        each(params, grads, [&mut self.m, &mut self.v], |p, g, [m, v]| {
            *p *= keep;
            let g = g + decay * *p;
            *m += fresh1 * (g - *m);
            *v = beta2 * *v + fresh2 * g * g;
            *p -= step * (*m / (v.sqrt() / root + eps));
        });
        Ok(())
    }
}

impl Optimizer for Adam {
    fn step(&mut self, params: &mut [&mut Tensors], grads: &[&Tensors]) -> Result<(), Error> {
        self.update(params, grads, 1.0)
    }
}

/// AdamW, `torch.optim.AdamW`: Adam whose weight decay acts on the parameter itself, p = p - lr weight_decay p, before the step.
#[derive(Clone, Debug)]
pub struct AdamW {
    /// Weight decay.
    pub weight_decay: f64,
    /// All else; its own weight decay is part of the gradient and stays 0.
    pub adam: Adam,
}

impl AdamW {
    /// PyTorch's defaults.
    pub fn new(lr: f64) -> AdamW {
        AdamW { weight_decay: 0.01, adam: Adam::new(lr) }
    }
}

impl Optimizer for AdamW {
    fn step(&mut self, params: &mut [&mut Tensors], grads: &[&Tensors]) -> Result<(), Error> {
        prepare(params, grads, [], &[("weight_decay", self.weight_decay, f64::INFINITY)])?;
        let keep = (1.0 - self.adam.lr * self.weight_decay) as f32;
        self.adam.update(params, grads, keep)
    }
}

/// RMSprop, `torch.optim.RMSprop`:
///
/// ```text
/// g = g + weight_decay p
/// v = alpha v + (1 - alpha) g^2
/// centered:       a = a + (1 - alpha) (g - a)       root = sqrt(v - a^2) + eps,  else  sqrt(v) + eps
/// with momentum:  b = momentum b + g / root         p = p - lr b,                else  p - lr g / root
/// ```
#[derive(Clone, Debug)]
pub struct RmsProp {
    /// Learning rate.
    pub lr: f64,
    /// Smoothing of the squares.
    pub alpha: f64,
    /// Added to the root.
    pub eps: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Momentum; 0 is none.
    pub momentum: f64,
    /// Whether the mean gradient is taken off.
    pub centered: bool,
    v: Slot,
    a: Slot,
    b: Slot,
}

impl RmsProp {
    /// PyTorch's defaults.
    pub fn new(lr: f64) -> RmsProp {
        RmsProp {
            lr,
            alpha: 0.99,
            eps: 1e-8,
            weight_decay: 0.0,
            momentum: 0.0,
            centered: false,
            v: Vec::new(),
            a: Vec::new(),
            b: Vec::new(),
        }
    }
}

impl Optimizer for RmsProp {
    fn step(&mut self, params: &mut [&mut Tensors], grads: &[&Tensors]) -> Result<(), Error> {
        let numbers = [
            ("lr", self.lr, f64::INFINITY),
            ("alpha", self.alpha, f64::INFINITY),
            ("eps", self.eps, f64::INFINITY),
            ("weight_decay", self.weight_decay, f64::INFINITY),
            ("momentum", self.momentum, f64::INFINITY),
        ];
        prepare(params, grads, [&mut self.v, &mut self.a, &mut self.b], &numbers)?;
        let (lr, alpha, fresh) = (self.lr as f32, self.alpha as f32, (1.0 - self.alpha) as f32);
        let (eps, decay, momentum) = (self.eps as f32, self.weight_decay as f32, self.momentum as f32);
        let centered = self.centered;
        each(params, grads, [&mut self.v, &mut self.a, &mut self.b], |p, g, [v, a, b]| {
            let g = g + decay * *p;
            *v = alpha * *v + fresh * g * g;
            *a += fresh * (g - *a);
            let root = if centered { (*v - *a * *a).sqrt() } else { v.sqrt() } + eps;
            *b = momentum * *b + g / root;
            *p -= lr * *b;
        });
        Ok(())
    }
}
