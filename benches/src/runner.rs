//! Gatewise running a case.

use crate::case::{Case, Pass};
use crate::problem::Problem;
use gatewise::{Any, Error, Input, Network, State, Tape, Tensors, Upstream, View, Workspace};
use gatewise_kernels::Kernels;

/// A case, ready to be called over and over.
#[derive(Debug)]
pub struct Runner {
    case: Case,
    network: Network<Any>,
    problem: Problem,
    state: State,
    y: Vec<f32>,
    room: Workspace,
    tape: Tape,
    grads: Tensors,
}

impl Runner {
    /// Builds the network of a case; `chunk` is how many steps the input is projected at a time, `None` the planner's choice.
    ///
    /// # Errors
    /// The network's own.
    pub fn new(case: &Case, kernels: Kernels, chunk: Option<usize>) -> Result<Runner, Error> {
        let mut network = Network::with_cell(case.cell.cell(), case.input, case.hidden)
            .num_layers(case.layers)
            .bidirectional(case.bidirectional)
            .proj_size(case.proj.unwrap_or(0))
            .projection_chunk(chunk)
            .training(case.pass == Pass::Train)
            .kernels(kernels)
            .build()?;
        let problem = Problem::new(case);
        problem.set(&mut network.params_mut());
        Ok(Runner {
            state: network.zero_state(case.batch)?,
            y: vec![0.0; case.steps() * case.batch * case.output()],
            room: Workspace::default(),
            tape: Tape::default(),
            grads: network.params().zeros_like(),
            case: case.clone(),
            network,
            problem,
        })
    }

    /// One call, as the pass says.
    ///
    /// # Errors
    /// The network's own.
    pub fn call(&mut self) -> Result<(), Error> {
        let Case { batch, input, .. } = self.case;
        let (steps, output) = (self.case.steps(), self.case.output());
        let with_lengths = |x| Input { lengths: self.problem.lengths.as_deref(), ..Input::from(x) };
        match self.case.pass {
            Pass::Step => self.network.step(&self.problem.x, &mut self.state, &mut self.y),
            Pass::Forward => {
                let x = View::new(&self.problem.x, [steps, batch, input])?;
                self.state.fill_zero();
                self.network.forward_into(with_lengths(x), &mut self.state, &mut self.y, &mut self.room)
            }
            Pass::Train => {
                let x = View::new(&self.problem.x, [steps, batch, input])?;
                let dy = View::new(&self.problem.dy, [steps, batch, output])?;
                // An optimizer would change the parameters here: dropping the guard packs them.
                drop(self.network.params_mut());
                self.network.forward_train_into(with_lengths(x), None, &mut self.tape)?;
                self.grads.fill(0.0);
                self.network.backward(&mut self.tape, Upstream::output(dy), &mut self.grads)
            }
        }
    }

    /// What one call from zero state computes, by name: y and, for training, every gradient.
    ///
    /// # Errors
    /// The network's own.
    pub fn outputs(&mut self) -> Result<Vec<(String, Vec<f32>)>, Error> {
        self.state.fill_zero();
        self.call()?;
        if self.case.pass != Pass::Train {
            return Ok(vec![("y".to_string(), self.y.clone())]);
        }
        let mut all = vec![("y".to_string(), self.tape.output().data().to_vec())];
        for tensor in self.grads.iter() {
            all.push((format!("grad.{}", tensor.name()), tensor.data().to_vec()));
        }
        let dx = self.tape.grad_input().map_or(Vec::new(), |dx| dx.data().to_vec());
        all.push(("grad.x".to_string(), dx));
        Ok(all)
    }

    /// How each layer is run: kernels by registry name, packed bytes, plan.
    ///
    /// # Errors
    /// The network's own.
    pub fn explain(&self) -> Result<Vec<String>, Error> {
        self.network.explain(self.case.steps(), self.case.batch, self.case.threads)
    }

    /// The registry name of the kernel that runs the first layer forward.
    ///
    /// # Errors
    /// The network's own.
    pub fn kernel(&self) -> Result<&'static str, Error> {
        self.network.kernel_id(self.case.steps(), self.case.batch, self.case.threads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Lengths;
    use crate::compare::shapes;
    use gatewise::Cell;

    #[test]
    fn every_combination_of_options_runs() {
        for kernels in Kernels::available().unwrap() {
            for cell in Cell::ALL {
                for (pass, dirs) in [("step", 1), ("forward", 1), ("forward", 2), ("train", 1), ("train", 2)]
                {
                    let text = format!("{} {pass} B=3 T=5 I=4 H=6 L=2 dir={dirs}", cell.name());
                    let full = shapes::parse(&text, 1).unwrap();
                    let ragged = Case { lengths: Lengths::Ragged, ..full.clone() };
                    let projected = |case: &Case| Case { proj: Some(2), ..case.clone() };
                    let cases = [projected(&full), projected(&ragged), full, ragged];
                    for case in cases.into_iter().filter(|case| case.check().is_ok()) {
                        let mut runner = Runner::new(&case, kernels, None).unwrap();
                        let outputs = runner.outputs().unwrap();
                        let (name, y) = &outputs[0];
                        let width = case.proj.unwrap_or(6) * dirs;
                        assert_eq!((&name[..], y.len()), ("y", case.steps() * 3 * width), "{text}");
                        assert!(outputs.iter().all(|(_, values)| values.iter().any(|x| *x != 0.0)), "{text}");
                        // Beyond its length a row has no output.
                        for (row, steps) in case.row_lengths().into_iter().flatten().enumerate() {
                            let outside = (steps..5).flat_map(|t| &y[(t * 3 + row) * width..][..width]);
                            assert!(outside.into_iter().all(|x| *x == 0.0), "{text}");
                        }
                        runner.call().unwrap();
                    }
                }
            }
        }
    }
}
