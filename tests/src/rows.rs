//! Some rows or steps of a problem, and states of one row for all of them.

use crate::problem::{Arrays, Problem};
use crate::setup::{ResetTo, Setup};
use std::ops::Range;

impl Problem {
    /// The problem of some rows alone, in that order.
    pub fn pick_rows(&self, rows: &[usize]) -> Problem {
        let Setup { input, batch, .. } = self.setup;
        let output = self.setup.output();
        let pick = |data: &Vec<f32>, width: usize| pick_each(data, batch, width, rows);
        let pick_state = |data: &Vec<f32>| self.state_of_rows(data, rows, State::H);
        let pick_cell = |data: &Vec<f32>| self.state_of_rows(data, rows, State::C);
        let is_each = self.setup.reset_to == ResetTo::Each;
        let pick_reset = |[h, c]: &[Vec<f32>; 2]| match is_each {
            true => [pick_state(h), pick_cell(c)],
            false => [h.clone(), c.clone()],
        };
        let mut setup = self.setup.clone();
        setup.batch = rows.len();
        Problem {
            setup,
            x: pick(&self.x, input),
            lengths: self.lengths.as_ref().map(|lengths| pick_each(lengths, batch, 1, rows)),
            resets: self.resets.as_ref().map(|resets| pick_each(resets, batch, 1, rows)),
            reset_state: self.reset_state.as_ref().map(pick_reset),
            h_0: self.h_0.as_ref().map(pick_state),
            c_0: self.c_0.as_ref().map(pick_cell),
            dy: self.dy.as_ref().map(|dy| pick(dy, output)),
            dh_n: self.dh_n.as_ref().map(pick_state),
            dc_n: self.dc_n.as_ref().map(pick_cell),
            stack: self.stack.clone(),
            rows: pick_each(&self.rows, batch, 1, rows),
            first_step: self.first_step,
        }
    }

    /// The problem of the steps `begin .. end`, states and their upstream gradients as they are.
    pub fn pick_steps(&self, begin: usize, end: usize) -> Problem {
        assert!(self.lengths.is_none(), "rows end where the sequence does");
        let batch = self.setup.batch;
        let mut part = self.clone();
        part.setup.steps = end - begin;
        part.first_step += begin as u32;
        let (input, output) = (batch * self.setup.input, batch * self.setup.output());
        part.x = self.x[begin * input..end * input].to_vec();
        part.dy = self.dy.as_ref().map(|dy| dy[begin * output..end * output].to_vec());
        part.resets = self.resets.as_ref().map(|resets| resets[begin * batch..end * batch].to_vec());
        part
    }

    /// Of the arrays that have rows (all but the gradients of parameters) these rows, in that order.
    pub fn of_rows(&self, arrays: &Arrays<f32>, rows: &[usize]) -> Arrays<f32> {
        let list = arrays.list.iter().filter_map(|(name, data)| {
            let picked = match &name[..] {
                "out" => pick_each(data, self.setup.batch, self.setup.output(), rows),
                "grad x" => pick_each(data, self.setup.batch, self.setup.input, rows),
                "grad reset_h" | "grad reset_c" if self.setup.reset_to != ResetTo::Each => return None,
                "h_n" | "grad h_0" | "grad reset_h" => self.state_of_rows(data, rows, State::H),
                "c_n" | "grad c_0" | "grad reset_c" => self.state_of_rows(data, rows, State::C),
                _ => return None,
            };
            Some((name.clone(), picked))
        });
        Arrays { list: list.collect() }
    }

    /// Rows of a state, if there is one, in that order.
    fn state_of_rows(&self, state: &[f32], rows: &[usize], of: State) -> Vec<f32> {
        let Setup { layers, batch, .. } = self.setup;
        let parts = 0..if state.is_empty() { 0 } else { layers * self.setup.directions() };
        let part = |index: usize| {
            let part = &state[of.place(&self.setup, index, batch)];
            pick_each(part, batch, of.place(&self.setup, index, 1).len(), rows)
        };
        parts.flat_map(part).collect()
    }

    /// A reset state, h and c, of all rows.
    pub(crate) fn of_all_rows(&self, [h, c]: &[Vec<f32>; 2]) -> [Vec<f32>; 2] {
        [(h, State::H), (c, State::C)].map(|(state, of)| self.repeated(state, of))
    }

    fn repeated(&self, state: &[f32], of: State) -> Vec<f32> {
        let Setup { layers, batch, reset_to, .. } = self.setup;
        if reset_to == ResetTo::Each || state.is_empty() {
            return state.to_vec();
        }
        let part = |index: usize| state[of.place(&self.setup, index, 1)].repeat(batch);
        (0..layers * self.setup.directions()).flat_map(part).collect()
    }

    /// The gradients of a reset state of all rows, h and c, as those of the one which is given.
    pub fn of_reset_rows(&self, [h, c]: [&[f64]; 2]) -> [Vec<f64>; 2] {
        let Some([given_h, given_c]) = &self.reset_state else { return [vec![], vec![]] };
        [(given_h, h, State::H), (given_c, c, State::C)].map(|(given, grad, of)| match self.setup.reset_to {
            _ if given.is_empty() => vec![],
            ResetTo::Shared => self.sum_of_rows(grad, of),
            _ => grad.to_vec(),
        })
    }

    fn sum_of_rows(&self, grad: &[f64], of: State) -> Vec<f64> {
        let Setup { layers, batch, .. } = self.setup;
        let sum = |index: usize| -> Vec<f64> {
            let part = &grad[of.place(&self.setup, index, batch)];
            let width = of.place(&self.setup, index, 1).len();
            (0..width).map(|unit| part.iter().skip(unit).step_by(width).sum()).collect()
        };
        (0..layers * self.setup.directions()).flat_map(sum).collect()
    }
}

/// One of the two parts of a state.
#[derive(Clone, Copy)]
enum State {
    H,
    C,
}

impl State {
    /// Where it stands for a layer and direction in a state of `batch` rows.
    fn place(self, setup: &Setup, index: usize, batch: usize) -> Range<usize> {
        match self {
            State::H => setup.state_at(index, batch),
            State::C => setup.cell_at(index, batch),
        }
    }
}

/// Elements `rows` of each group of `batch` vectors.
fn pick_each<T: Copy>(data: &[T], batch: usize, width: usize, rows: &[usize]) -> Vec<T> {
    let groups = data.chunks_exact((batch * width).max(1));
    groups
        .flat_map(|group| rows.iter().flat_map(move |row| &group[row * width..][..width]))
        .copied()
        .collect()
}
