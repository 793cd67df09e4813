//! Optimizers, by PyTorch's formulas. p is a parameter, g its gradient, t the number of the step from 1.

use super::kept::{Kept, OptimizerState, check_numbers, each};
use crate::spec::{Error, Tensors};

/// Changes parameters by their gradients. Every call takes the same lists in the same order, for the optimizer keeps values for
/// each parameter.
///
/// # Examples
/// One update of two parts of a model, with the same two lists each time:
/// ```
/// use gatewise::{Adam, Gru, Linear, Optimizer};
///
/// let (mut gru, mut head) = (Gru::new(2, 4)?, Linear::new(4, 1, 0)?);
/// let (mut gru_grads, head_grads) = (gru.params().zeros_like(), head.params().zeros_like());
/// gru_grads.fill(1.0);
/// let mut adam = Adam::new(1e-3);
/// let before = gru.params().clone();
/// adam.step(&mut [&mut gru.params_mut(), &mut head.params_mut()], &[&gru_grads, &head_grads])?;
/// assert_ne!(gru.params(), &before);
/// # Ok::<(), gatewise::Error>(())
/// ```
pub trait Optimizer {
    /// One step.
    ///
    /// # Errors
    /// [`Error::TensorMismatch`] if a list of gradients is not like its parameters, or the parameters are not those of the first
    /// step; [`Error::Config`] if an option makes no sense. Nothing is written then.
    ///
    /// # Examples
    /// ```
    /// let (mut params, mut grads) = (gatewise::Tensors::default(), gatewise::Tensors::default());
    /// params.add("p", &[1], vec![1.0])?;
    /// grads.add("p", &[1], vec![0.5])?;
    /// gatewise::Optimizer::step(&mut gatewise::Sgd::new(1.0), &mut [&mut params], &[&grads])?;
    /// assert_eq!(params.get("p").unwrap().data(), [0.5]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    fn step(&mut self, params: &mut [&mut Tensors], grads: &[&Tensors]) -> Result<(), Error>;

    /// What it keeps from step to step, to be saved. Options such as the learning rate are not part of it.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Adam, Optimizer};
    ///
    /// assert_eq!(Adam::new(1e-3).state().steps, 0); // before the first step
    /// ```
    fn state(&self) -> OptimizerState;

    /// Goes on from a saved state: the steps that follow have the same bits as if there had been no break.
    ///
    /// # Errors
    /// [`Error::TensorMismatch`] names a tensor that such an optimizer does not keep, or lacks. Nothing has changed then. Whether
    /// the state is that of the parameters at hand is seen at the next step.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Adam, Optimizer, OptimizerState};
    ///
    /// let (mut adam, state) = (Adam::new(1e-3), OptimizerState { steps: 5, ..OptimizerState::default() });
    /// adam.set_state(&state)?;
    /// assert_eq!(adam.state().steps, 5);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    fn set_state(&mut self, state: &OptimizerState) -> Result<(), Error>;
}

/// Stochastic gradient descent, `torch.optim.SGD`:
///
/// ```text
/// g = g + weight_decay p
/// b = g at the first step, then  b = momentum b + (1 - dampening) g
/// p = p - lr d      d = g without momentum, b with it, g + momentum b with Nesterov's
/// ```
///
/// # Examples
/// ```
/// use gatewise::{Optimizer, Sgd, Tensors};
///
/// let (mut params, mut grads) = (Tensors::default(), Tensors::default());
/// params.add("p", &[1], vec![1.0])?;
/// grads.add("p", &[1], vec![1.0])?;
/// let mut sgd = Sgd::new(0.25);
/// sgd.momentum = 0.5;
/// sgd.step(&mut [&mut params], &[&grads])?; // b = 1
/// sgd.step(&mut [&mut params], &[&grads])?; // b = 1.5
/// assert_eq!(params.get("p").unwrap().data(), [1.0 - 0.25 * (1.0 + 1.5)]);
/// # Ok::<(), gatewise::Error>(())
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
    kept: Kept<1>,
}

impl Sgd {
    /// Plain gradient descent; set the fields for more.
    ///
    /// # Examples
    /// ```
    /// let sgd = gatewise::Sgd::new(0.1);
    /// assert_eq!((sgd.lr, sgd.momentum, sgd.weight_decay, sgd.nesterov), (0.1, 0.0, 0.0, false));
    /// ```
    pub fn new(lr: f64) -> Sgd {
        let kept = Kept::new(["momentum_buffer"]);
        Sgd { lr, momentum: 0.0, dampening: 0.0, weight_decay: 0.0, nesterov: false, kept }
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
        check_numbers(&numbers)?;
        if !(self.dampening as f32).is_finite() {
            let got = self.dampening.to_string();
            return Err(Error::Config { arg: "dampening", expected: "a finite number", got });
        }
        self.kept.begin(params, grads)?;
        let is_first = self.kept.steps() == 1;
        let (lr, decay, momentum) = (self.lr as f32, self.weight_decay as f32, self.momentum as f32);
        let (fresh, nesterov) = ((1.0 - self.dampening) as f32, self.nesterov);
        each(params, grads, &mut self.kept, |p, g, [b]| {
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

    fn state(&self) -> OptimizerState {
        self.kept.state()
    }

    fn set_state(&mut self, state: &OptimizerState) -> Result<(), Error> {
        self.kept.set_state(state)
    }
}

/// Adam, `torch.optim.Adam`; its weight decay is a part of the gradient:
///
/// ```text
/// g = g + weight_decay p
/// m = m + (1 - beta1) (g - m)        v = beta2 v + (1 - beta2) g^2
/// p = p - lr / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
/// ```
///
/// # Examples
/// The first step is lr long, whatever the size of the gradient:
/// ```
/// use gatewise::{Adam, Optimizer, Tensors};
///
/// let (mut params, mut grads) = (Tensors::default(), Tensors::default());
/// params.add("p", &[2], vec![0.0, 0.0])?;
/// grads.add("p", &[2], vec![5.0, -0.1])?;
/// Adam::new(0.5).step(&mut [&mut params], &[&grads])?;
/// let p = params.get("p").unwrap().data();
/// assert!((p[0] + 0.5).abs() < 1e-5 && (p[1] - 0.5).abs() < 1e-5);
/// # Ok::<(), gatewise::Error>(())
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
    kept: Kept<2>,
}

impl Adam {
    /// PyTorch's defaults.
    ///
    /// # Examples
    /// ```
    /// let adam = gatewise::Adam::new(1e-3);
    /// assert_eq!((adam.betas, adam.eps, adam.weight_decay), ((0.9, 0.999), 1e-8, 0.0));
    /// ```
    pub fn new(lr: f64) -> Adam {
        let kept = Kept::new(["exp_avg", "exp_avg_sq"]);
        Adam { lr, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.0, kept }
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
        check_numbers(&numbers)?;
        self.kept.begin(params, grads)?;
        let t = i32::try_from(self.kept.steps()).unwrap_or(i32::MAX);
        let (beta1, beta2) = self.betas;
        let step = (self.lr / (1.0 - beta1.powi(t))) as f32;
        let root = (1.0 - beta2.powi(t)).sqrt() as f32;
        let (fresh1, beta2, fresh2) = ((1.0 - beta1) as f32, beta2 as f32, (1.0 - beta2) as f32);
        let (eps, decay) = (self.eps as f32, self.weight_decay as f32);
        each(params, grads, &mut self.kept, |p, g, [m, v]| {
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

    fn state(&self) -> OptimizerState {
        self.kept.state()
    }

    fn set_state(&mut self, state: &OptimizerState) -> Result<(), Error> {
        self.kept.set_state(state)
    }
}

/// AdamW, `torch.optim.AdamW`: Adam whose weight decay acts on the parameter itself, p = p - lr weight_decay p, before the step.
///
/// # Examples
/// Without a gradient nothing but the decay is left:
/// ```
/// use gatewise::{AdamW, Optimizer, Tensors};
///
/// let mut params = Tensors::default();
/// params.add("p", &[1], vec![8.0])?;
/// let grads = params.zeros_like();
/// let mut adam = AdamW { weight_decay: 0.5, ..AdamW::new(0.5) };
/// adam.step(&mut [&mut params], &[&grads])?;
/// assert_eq!(params.get("p").unwrap().data(), [8.0 - 0.5 * 0.5 * 8.0]);
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct AdamW {
    /// Weight decay.
    pub weight_decay: f64,
    /// All else; its own weight decay is part of the gradient and stays 0.
    pub adam: Adam,
}

impl AdamW {
    /// PyTorch's defaults.
    ///
    /// # Examples
    /// ```
    /// let adam = gatewise::AdamW::new(1e-3);
    /// assert_eq!((adam.weight_decay, adam.adam.lr, adam.adam.weight_decay), (0.01, 1e-3, 0.0));
    /// ```
    pub fn new(lr: f64) -> AdamW {
        AdamW { weight_decay: 0.01, adam: Adam::new(lr) }
    }
}

impl Optimizer for AdamW {
    fn step(&mut self, params: &mut [&mut Tensors], grads: &[&Tensors]) -> Result<(), Error> {
        check_numbers(&[("weight_decay", self.weight_decay, f64::INFINITY)])?;
        let keep = (1.0 - self.adam.lr * self.weight_decay) as f32;
        self.adam.update(params, grads, keep)
    }

    fn state(&self) -> OptimizerState {
        self.adam.kept.state()
    }

    fn set_state(&mut self, state: &OptimizerState) -> Result<(), Error> {
        self.adam.kept.set_state(state)
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
///
/// # Examples
/// ```
/// use gatewise::{Optimizer, RmsProp, Tensors};
///
/// let (mut params, mut grads) = (Tensors::default(), Tensors::default());
/// params.add("p", &[1], vec![1.0])?;
/// grads.add("p", &[1], vec![4.0])?;
/// let mut rms_prop = RmsProp::new(0.25);
/// rms_prop.alpha = 0.75;
/// rms_prop.step(&mut [&mut params], &[&grads])?; // v = 0.25 * 16, g / sqrt(v) = 2
/// assert!((params.get("p").unwrap().data()[0] - 0.5).abs() < 1e-6);
/// # Ok::<(), gatewise::Error>(())
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
    kept: Kept<3>,
}

impl RmsProp {
    /// PyTorch's defaults.
    ///
    /// # Examples
    /// ```
    /// let rms_prop = gatewise::RmsProp::new(1e-2);
    /// assert_eq!((rms_prop.alpha, rms_prop.momentum, rms_prop.centered), (0.99, 0.0, false));
    /// ```
    pub fn new(lr: f64) -> RmsProp {
        RmsProp {
            lr,
            alpha: 0.99,
            eps: 1e-8,
            weight_decay: 0.0,
            momentum: 0.0,
            centered: false,
            kept: Kept::new(["square_avg", "grad_avg", "momentum_buffer"]),
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
        check_numbers(&numbers)?;
        self.kept.begin(params, grads)?;
        let (lr, alpha, fresh) = (self.lr as f32, self.alpha as f32, (1.0 - self.alpha) as f32);
        let (eps, decay, momentum) = (self.eps as f32, self.weight_decay as f32, self.momentum as f32);
        let centered = self.centered;
        each(params, grads, &mut self.kept, |p, g, [v, a, b]| {
            let g = g + decay * *p;
            *v = alpha * *v + fresh * g * g;
            *a += fresh * (g - *a);
            let root = if centered { (*v - *a * *a).sqrt() } else { v.sqrt() } + eps;
            *b = momentum * *b + g / root;
            *p -= lr * *b;
        });
        Ok(())
    }

    fn state(&self) -> OptimizerState {
        self.kept.state()
    }

    fn set_state(&mut self, state: &OptimizerState) -> Result<(), Error> {
        self.kept.set_state(state)
    }
}
