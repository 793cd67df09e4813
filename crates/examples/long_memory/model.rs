//! A recurrent layer and a linear one above it.

use crate::options::Options;
use crate::tasks::{Batch, Target, Task};
use gatewise::{
    Any, Cell, Error, Linear, LinearRoom, Network, Observer, Tape, Tensors, Upstream, View, cross_entropy,
    mse,
};
use std::ops::Range;

/// What is learned.
pub(crate) struct Model {
    pub(crate) network: Network<Any>,
    head: Linear,
}

/// What an update works with; used again for each.
#[derive(Default)]
pub(crate) struct Room {
    pub(crate) tape: Tape,
    head: LinearRoom,
    output: Vec<f32>,
    grad_output: Vec<f32>,
    /// [steps, rows, hidden], zeros at the steps that are not learned from.
    grad_h: Vec<f32>,
}

/// The gradients of both layers.
pub(crate) struct Grads {
    pub(crate) network: Tensors,
    pub(crate) head: Tensors,
}

impl Model {
    /// A model for a problem, its parameters from the seed.
    pub(crate) fn new(cell: Cell, task: &Task, options: &Options) -> Result<Model, Error> {
        let network = Network::with_cell(cell, task.features(), options.hidden)
            .seed(options.seed)
            .init(options.init(cell))
            .build()?;
        // A seed of its own, far from those a user would try.
        let seed = options.seed.wrapping_add(1 << 32);
        let head = Linear::with_kernels(options.hidden, task.outputs(), seed, network.kernels())?;
        Ok(Model { network, head })
    }

    pub(crate) fn zero_grads(&self) -> Grads {
        Grads { network: self.network.params().zeros_like(), head: self.head.params().zeros_like() }
    }

    /// How many numbers are learned.
    pub(crate) fn num_parameters(&self) -> usize {
        self.network.params().num_elements() + self.head.params().num_elements()
    }

    /// Runs a batch and answers the loss at some of the steps that are learned from, all or those that are reported; leaves the tape,
    /// and the loss's gradient to the outputs of the linear layer.
    pub(crate) fn forward(
        &self,
        task: &Task,
        batch: &Batch,
        rows: usize,
        steps: Range<usize>,
        room: &mut Room,
    ) -> Result<f64, Error> {
        let input = View::new(&batch.input, [task.steps(), rows, task.features()])?;
        self.network.forward_train_into(input, None, &mut room.tape)?;
        let (hidden, count) = (self.network.config().hidden_size, steps.len() * rows);
        room.output.resize(count * task.outputs(), 0.0);
        room.grad_output.resize(count * task.outputs(), 0.0);
        let h = &room.tape.output().data()[places(&steps, rows * hidden)];
        self.head.forward(count, h, &mut room.output)?;
        let first = task.learned().start;
        let of_target = places(&(steps.start - first..steps.end - first), rows);
        match &batch.target {
            Target::Values(values) => mse(&room.output, &values[of_target], &mut room.grad_output),
            Target::Classes(classes) => {
                let kernels = self.network.kernels();
                cross_entropy(
                    kernels,
                    &room.output,
                    task.outputs(),
                    &classes[of_target],
                    &mut room.grad_output,
                )
            }
        }
    }

    /// The gradients of what [`forward`](Model::forward) left. The observer looks on.
    pub(crate) fn backward(
        &self,
        task: &Task,
        rows: usize,
        room: &mut Room,
        observer: &mut Observer,
        grads: &mut Grads,
    ) -> Result<(), Error> {
        grads.network.fill(0.0);
        grads.head.fill(0.0);
        let hidden = self.network.config().hidden_size;
        let learned = places(&task.learned(), rows * hidden);
        room.grad_h.clear();
        room.grad_h.resize(task.steps() * rows * hidden, 0.0);
        let (count, grad_h) = (task.learned().len() * rows, &mut room.grad_h[learned.clone()]);
        let h = &room.tape.output().data()[learned];
        self.head.backward(count, h, &room.grad_output, Some(grad_h), &mut grads.head, &mut room.head)?;
        let upstream = Upstream::output(View::new(&room.grad_h, [task.steps(), rows, hidden])?);
        observer.backward(&self.network, &mut room.tape, upstream, &mut grads.network)
    }

    /// Lets an optimizer change all parameters.
    pub(crate) fn update(
        &mut self,
        step: impl FnOnce(&mut [&mut Tensors]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        step(&mut [&mut self.network.params_mut(), &mut self.head.params_mut()])
    }
}

/// Where the values of some steps stand, so many a step.
fn places(steps: &Range<usize>, width: usize) -> Range<usize> {
    steps.start * width..steps.end * width
}
