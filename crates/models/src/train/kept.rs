//! What optimizers keep from step to step, and how it goes in and out.

use crate::spec::{Error, Tensors};

/// What an optimizer keeps from step to step: all that a checkpoint needs of it besides its options.
///
/// # Examples
/// A break between two steps that leaves no trace:
/// ```
/// use gatewise::{Adam, Gru, Optimizer};
///
/// let (mut gru, mut adam) = (Gru::new(2, 4)?, Adam::new(1e-3));
/// let mut grads = gru.params().zeros_like();
/// grads.fill(1.0);
/// adam.step(&mut [&mut gru.params_mut()], &[&grads])?;
/// let (mut copy, mut later) = (gru.clone(), Adam::new(1e-3));
/// later.set_state(&adam.state())?;
/// adam.step(&mut [&mut gru.params_mut()], &[&grads])?;
/// later.step(&mut [&mut copy.params_mut()], &[&grads])?;
/// assert_eq!(copy.params(), gru.params());
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OptimizerState {
    /// Steps so far.
    pub steps: u64,
    /// Shaped as their parameters, under PyTorch's names behind the parameter's place in the lists: `0.exp_avg`, `1.exp_avg`, ..,
    /// `0.exp_avg_sq`, .. Their order does not matter. Empty before the first step.
    pub tensors: Tensors,
}

/// The values that an optimizer keeps for each element of every parameter, N of them.
#[derive(Clone, Debug)]
pub(super) struct Kept<const N: usize> {
    names: [&'static str; N],
    steps: u64,
    /// For each name, for each parameter. Empty before the first step.
    slots: [Tensors; N],
}

impl<const N: usize> Kept<N> {
    pub(super) fn new(names: [&'static str; N]) -> Kept<N> {
        Kept { names, steps: 0, slots: std::array::from_fn(|_| Tensors::default()) }
    }

    /// Steps begun.
    pub(super) fn steps(&self) -> u64 {
        self.steps
    }

    /// Checks the lists, makes the slots at the first step, and counts the step.
    pub(super) fn begin(&mut self, params: &[&mut Tensors], grads: &[&Tensors]) -> Result<(), Error> {
        if params.len() != grads.len() {
            let (expected, got) = (params.len(), grads.len());
            return Err(Error::Shape { arg: "grads", dim: "number of lists", expected, got });
        }
        for (params, grads) in params.iter().zip(grads) {
            params.check_alike(grads)?;
        }
        let tensors = || params.iter().flat_map(|params| params.iter());
        if self.steps == 0 {
            let mut slots = std::array::from_fn(|_| Tensors::default());
            for (slot, name) in slots.iter_mut().zip(self.names) {
                for (i, tensor) in tensors().enumerate() {
                    slot.push(format!("{i}.{name}"), tensor.shape())?;
                }
            }
            self.slots = slots;
        }
        for slot in &self.slots {
            if slot.len() != tensors().count() {
                return Err(Error::TensorMismatch { name: "the number of parameters".to_string() });
            }
            let mut pairs = tensors().zip(slot.iter());
            if let Some((tensor, _)) = pairs.find(|(tensor, kept)| tensor.shape() != kept.shape()) {
                return Err(Error::TensorMismatch { name: tensor.name().to_string() });
            }
        }
        self.steps = self.steps.saturating_add(1);
        Ok(())
    }

    /// As [`Optimizer::state`](super::Optimizer::state).
    pub(super) fn state(&self) -> OptimizerState {
        let mut tensors = Tensors::default();
        for tensor in self.slots.iter().flat_map(Tensors::iter) {
            tensors.append(tensor.clone());
        }
        OptimizerState { steps: self.steps, tensors }
    }

    /// As [`Optimizer::set_state`](super::Optimizer::set_state).
    pub(super) fn set_state(&mut self, state: &OptimizerState) -> Result<(), Error> {
        let mismatch = |name: String| Err(Error::TensorMismatch { name });
        let count = if state.steps == 0 { 0 } else { state.tensors.len() / N };
        let mut slots: [Tensors; N] = std::array::from_fn(|_| Tensors::default());
        for i in 0..count {
            for (slot, name) in slots.iter_mut().zip(self.names) {
                let name = format!("{i}.{name}");
                match state.tensors.get(&name) {
                    Some(tensor) => slot.append(tensor.clone()),
                    None => return mismatch(name),
                }
            }
        }
        let is_kept = |name: &str| slots.iter().any(|slot| slot.get(name).is_some());
        if let Some(extra) = state.tensors.iter().find(|tensor| !is_kept(tensor.name())) {
            return mismatch(extra.name().to_string());
        }
        (self.steps, self.slots) = (state.steps, slots);
        Ok(())
    }
}

/// Checks options: (name, value, what it has to be below).
pub(super) fn check_numbers(numbers: &[(&'static str, f64, f64)]) -> Result<(), Error> {
    for &(arg, value, below) in numbers {
        if value.is_nan() || value < 0.0 || value >= below {
            let expected = if below == 1.0 { "in [0, 1)" } else { "a finite number that is not negative" };
            return Err(Error::Config { arg, expected, got: value.to_string() });
        }
    }
    Ok(())
}

/// Calls `update(p, g, what is kept)` for every element.
pub(super) fn each<const N: usize>(
    params: &mut [&mut Tensors],
    grads: &[&Tensors],
    kept: &mut Kept<N>,
    update: impl Fn(&mut f32, f32, [&mut f32; N]),
) {
    let params = params.iter_mut().flat_map(|params| params.iter_mut());
    let grads = grads.iter().flat_map(|grads| grads.iter());
    let mut slots = kept.slots.each_mut().map(|slot| slot.iter_mut());
    for (param, grad) in params.zip(grads) {
        let mut slots = slots.each_mut().map(|slot| {
            let tensor = slot.next().expect("a slot has as many tensors as there are parameters");
            tensor.data_mut().iter_mut()
        });
        for (p, &g) in param.data_mut().iter_mut().zip(grad.data()) {
            let values =
                slots.each_mut().map(|slot| slot.next().expect("a slot is as long as its parameter"));
            update(p, g, values);
        }
    }
}
