//! A recurrent pass as plain numbers: drawn at random, cut into parts, and given to the oracle.

use gatewise_kernels::{Cell, Weights};
use tests::oracle::{self, FLUSH_BELOW};
use tests::rng::Rng;

/// Which rows take part in which steps. Row `b` takes part in `lengths[b]` of them, and no later row in more.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Rows {
    /// All rows in all steps.
    All,
    /// Each row in the first steps, as in the forward direction.
    First(Vec<usize>),
    /// Each row in the last steps, as in the reverse direction.
    Last(Vec<usize>),
}

/// Sizes: T, B, I, H.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) steps: usize,
    pub(super) batch: usize,
    pub(super) input: usize,
    pub(super) hidden: usize,
}

/// Which of the optional arguments are there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Options {
    pub(super) bias: bool,
    pub(super) state: bool,
    pub(super) resets: bool,
    pub(super) reset_state: bool,
    pub(super) dy: bool,
    /// 0: all rows in all steps; 1: the first steps of each row; 2: the last.
    pub(super) rows: u8,
}

/// All arrays without gaps, in the kernels' order of time: [T, B, ..].
#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub(super) cell: Cell,
    pub(super) sizes: Sizes,
    pub(super) w_ih: Vec<f32>,
    pub(super) w_hh: Vec<f32>,
    pub(super) b_ih: Option<Vec<f32>>,
    pub(super) b_hh: Option<Vec<f32>>,
    pub(super) x: Vec<f32>,
    pub(super) h_0: Option<Vec<f32>>,
    pub(super) c_0: Option<Vec<f32>>,
    pub(super) rows: Rows,
    pub(super) resets: Option<Vec<bool>>,
    pub(super) reset_h: Option<Vec<f32>>,
    pub(super) reset_c: Option<Vec<f32>>,
    pub(super) dy: Option<Vec<f32>>,
    pub(super) dh: Vec<f32>,
    pub(super) dc: Vec<f32>,
}

impl Problem {
    /// Weights uniform in +-1/sqrt(H), drawn gate by gate; states, input and gradients uniform in +-1; a tenth of the steps
    /// reset.
    pub(super) fn draw(cell: Cell, sizes: Sizes, options: Options, seed: u64) -> Problem {
        let Sizes { steps, batch, input, hidden } = sizes;
        let mut rng = Rng::new(seed);
        let mut lengths: Vec<usize> = (0..batch).map(|_| rng.below(steps + 1)).collect();
        lengths.sort_unstable_by(|a, b| b.cmp(a));
        let resets = (0..steps * batch).map(|_| rng.chance(0.1)).collect();
        let mut values = |len: usize, bound: f64| -> Vec<f32> {
            (0..len).map(|_| rng.uniform(-bound, bound) as f32).collect()
        };
        let (width, bound) = (cell.gates() * hidden, 1.0 / (hidden.max(1) as f64).sqrt());
        let state = batch * hidden;
        Problem {
            cell,
            sizes,
            w_ih: values(width * input, bound),
            w_hh: values(width * hidden, bound),
            b_ih: options.bias.then(|| values(width, bound)),
            b_hh: options.bias.then(|| values(width, bound)),
            x: values(steps * batch * input, 1.0),
            h_0: options.state.then(|| values(state, 1.0)),
            c_0: (options.state && cell.has_cell_state()).then(|| values(state, 1.0)),
            rows: match options.rows {
                0 => Rows::All,
                1 => Rows::First(lengths),
                _ => Rows::Last(lengths),
            },
            resets: options.resets.then_some(resets),
            reset_h: options.reset_state.then(|| values(state, 1.0)),
            reset_c: (options.reset_state && cell.has_cell_state()).then(|| values(state, 1.0)),
            dy: options.dy.then(|| values(steps * batch * hidden, 1.0)),
            dh: values(state, 1.0),
            dc: if cell.has_cell_state() { values(state, 1.0) } else { vec![] },
        }
    }

    pub(super) fn weights(&self) -> Weights<'_> {
        let (b_ih, b_hh) = (self.b_ih.as_deref(), self.b_hh.as_deref());
        Weights { w_ih: &self.w_ih, w_hh: &self.w_hh, b_ih, b_hh, w_hr: None }
    }

    /// Whether row `b` takes part in step `t`.
    pub(super) fn runs(&self, t: usize, b: usize) -> bool {
        match &self.rows {
            Rows::All => true,
            Rows::First(lengths) => t < lengths[b],
            Rows::Last(lengths) => t >= self.sizes.steps - lengths[b],
        }
    }

    /// The rows of each step, as the kernels want them.
    pub(super) fn active(&self) -> Option<Vec<usize>> {
        let Sizes { steps, batch, .. } = self.sizes;
        let count = |t: usize| (0..batch).filter(|&b| self.runs(t, b)).count();
        (self.rows != Rows::All).then(|| (0..steps).map(count).collect())
    }

    /// Steps `begin .. end`, from these states.
    pub(super) fn steps(&self, begin: usize, end: usize, h: Vec<f32>, c: Vec<f32>) -> Problem {
        let Sizes { batch, input, hidden, steps } = self.sizes;
        let shorten = |lengths: &[usize], skipped: usize| {
            lengths.iter().map(|len| len.saturating_sub(skipped).min(end - begin)).collect()
        };
        Problem {
            sizes: Sizes { steps: end - begin, ..self.sizes },
            x: self.x[begin * batch * input..end * batch * input].to_vec(),
            h_0: Some(h),
            c_0: self.cell.has_cell_state().then_some(c),
            rows: match &self.rows {
                Rows::All => Rows::All,
                Rows::First(lengths) => Rows::First(shorten(lengths, begin)),
                Rows::Last(lengths) => Rows::Last(shorten(lengths, steps - end)),
            },
            resets: self.resets.as_ref().map(|resets| resets[begin * batch..end * batch].to_vec()),
            dy: self.dy.as_ref().map(|dy| dy[begin * batch * hidden..end * batch * hidden].to_vec()),
            ..self.clone()
        }
    }

    /// Row `b` alone.
    pub(super) fn row(&self, b: usize) -> Problem {
        let Sizes { batch, input, hidden, .. } = self.sizes;
        let state = |data: &Option<Vec<f32>>| data.as_ref().map(|data| row_of_state(data, b, hidden));
        Problem {
            sizes: Sizes { batch: 1, ..self.sizes },
            x: row_of_steps(&self.x, batch, b, input),
            h_0: state(&self.h_0),
            c_0: state(&self.c_0),
            rows: match &self.rows {
                Rows::All => Rows::All,
                Rows::First(lengths) => Rows::First(vec![lengths[b]]),
                Rows::Last(lengths) => Rows::Last(vec![lengths[b]]),
            },
            resets: self
                .resets
                .as_ref()
                .map(|resets| resets.iter().skip(b).step_by(batch).copied().collect()),
            reset_h: state(&self.reset_h),
            reset_c: state(&self.reset_c),
            dy: self.dy.as_ref().map(|dy| row_of_steps(dy, batch, b, hidden)),
            dh: row_of_state(&self.dh, b, hidden),
            dc: if self.dc.is_empty() { vec![] } else { row_of_state(&self.dc, b, hidden) },
            ..self.clone()
        }
    }

    /// What the oracle says of it.
    pub(super) fn solve(&self) -> Solution {
        let Sizes { steps, batch, input, hidden } = self.sizes;
        let cell = match self.cell {
            Cell::RnnTanh => oracle::Cell::RnnTanh,
            Cell::RnnRelu => oracle::Cell::RnnRelu,
            Cell::Lstm => oracle::Cell::Lstm,
            Cell::Gru => oracle::Cell::Gru,
        };
        let (gates, saved) = (self.cell.gates() * hidden, self.cell.saved() * hidden);
        // The last steps of a row are the oracle's reverse direction, whose first step is the row's last in memory.
        let reverse = matches!(self.rows, Rows::Last(_));
        let in_order = |data: Vec<f64>, width: usize| if reverse { turn(&data, batch * width) } else { data };
        let wide = |data: &[f32]| -> Vec<f64> { data.iter().map(|&x| f64::from(x)).collect() };
        let wide_option = |data: &Option<Vec<f32>>| data.as_ref().map(|data| wide(data));
        let c_state = |data: &Option<Vec<f32>>| wide_option(data).filter(|_| self.cell.has_cell_state());

        let shape = oracle::Shape { cell, input, hidden, proj: None };
        let weights = oracle::Weights {
            w_ih: wide(&self.w_ih),
            w_hh: wide(&self.w_hh),
            b_ih: wide_option(&self.b_ih),
            b_hh: wide_option(&self.b_hh),
            w_hr: None,
        };
        let run = oracle::LayerRun {
            steps,
            batch,
            x: in_order(wide(&self.x), input),
            h0: wide_option(&self.h_0),
            c0: c_state(&self.c_0),
            reverse,
            lengths: match &self.rows {
                Rows::All => None,
                Rows::First(lengths) | Rows::Last(lengths) => Some(lengths.clone()),
            },
            resets: self
                .resets
                .as_ref()
                .map(|resets| if reverse { turn(resets, batch) } else { resets.clone() }),
            reset_h: wide_option(&self.reset_h),
            reset_c: c_state(&self.reset_c),
            flush_below: Some(FLUSH_BELOW),
            options: None,
        };
        let upstream = oracle::Upstream {
            out: wide_option(&self.dy).map(|dy| in_order(dy, hidden)),
            h_n: Some(wide(&self.dh)),
            c_n: self.cell.has_cell_state().then(|| wide(&self.dc)),
        };
        let trace = oracle::forward(&shape, &weights, &run);
        let grads = oracle::backward(&shape, &weights, &run, &trace, &upstream);

        // A GRU saves, and gets back, W_hn h + b_hn as a fourth value.
        let with_recurrent = |own: &[f64], recurrent: &[f64]| -> Vec<f64> {
            if saved == gates {
                return own.to_vec();
            }
            let rows = own.chunks(gates.max(1)).zip(recurrent.chunks(gates.max(1)));
            rows.flat_map(|(own, recurrent)| {
                own.iter().chain(&recurrent[2 * hidden..]).copied().collect::<Vec<_>>()
            })
            .collect()
        };
        let nearest = trace.xa.iter().zip(&trace.ha).map(|(xa, ha)| (xa + ha).abs());
        let ran = (0..steps * batch).flat_map(|at| vec![self.runs(at / batch, at % batch); gates]);
        Solution {
            nearest_to_zero: in_order(nearest.collect(), gates)
                .into_iter()
                .zip(ran)
                .filter_map(|(x, ran)| ran.then_some(x))
                .fold(f64::INFINITY, f64::min),
            y: in_order(trace.out.clone(), hidden),
            c: in_order(trace.c.clone(), hidden),
            h_n: trace.h_n.clone(),
            c_n: trace.c_n.clone(),
            gates: in_order(with_recurrent(&trace.gates, &trace.ha), saved),
            d_gates: in_order(with_recurrent(&grads.xa, &grads.ha), saved),
            dh: grads.h0,
            dc: grads.c0,
            dh_steps: in_order(grads.h, hidden),
            dc_steps: in_order(grads.c, hidden),
        }
    }
}

/// The oracle's answers, in the kernels' order of time and slots.
#[derive(Clone, Debug)]
pub(super) struct Solution {
    pub(super) y: Vec<f64>,
    pub(super) c: Vec<f64>,
    pub(super) h_n: Vec<f64>,
    pub(super) c_n: Vec<f64>,
    pub(super) gates: Vec<f64>,
    pub(super) d_gates: Vec<f64>,
    pub(super) dh: Vec<f64>,
    pub(super) dc: Vec<f64>,
    pub(super) dh_steps: Vec<f64>,
    pub(super) dc_steps: Vec<f64>,
    /// The smallest magnitude of a pre-activation: near 0 the slope of relu is a matter of the last bit.
    pub(super) nearest_to_zero: f64,
}

/// The last line first.
fn turn<T: Clone>(data: &[T], line: usize) -> Vec<T> {
    data.chunks(line.max(1)).rev().flatten().cloned().collect()
}

/// Row `b` of `[T, batch, width]`.
pub(super) fn row_of_steps(data: &[f32], batch: usize, b: usize, width: usize) -> Vec<f32> {
    data.chunks((batch * width).max(1)).flat_map(|step| &step[b * width..][..width]).copied().collect()
}

/// Row `b` of `[B, width]`.
pub(super) fn row_of_state(data: &[f32], b: usize, width: usize) -> Vec<f32> {
    data[b * width..][..width].to_vec()
}
