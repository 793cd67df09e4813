//! What a cell is beside its family: activations, a projection of its state, the place of the GRU's reset gate.

use crate::math::activation::{Activation, Activations};
use crate::rows::{Cell, Form};

impl Activations {
    /// Those that PyTorch's cell has; nothing is clipped.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::{Activation, Activations, Cell};
    ///
    /// assert_eq!(Activations::of(Cell::RnnRelu).candidate, Activation::Relu);
    /// assert_eq!(Activations::of(Cell::Gru).gate, Activation::Sigmoid);
    /// ```
    pub const fn of(cell: Cell) -> Activations {
        let candidate = match cell {
            Cell::RnnRelu => Activation::Relu,
            Cell::RnnTanh | Cell::Lstm | Cell::Gru => Activation::Tanh,
        };
        Activations {
            gate: Activation::Sigmoid,
            candidate,
            output: Activation::Tanh,
            clip: None,
            cell_clip: None,
        }
    }
}

/// A cell with its options. [`CellSpec::from`] a [`Cell`] is PyTorch's cell.
///
/// # Examples
/// ```
/// use gatewise_kernels::{Cell, CellSpec};
///
/// let spec = CellSpec { proj_size: Some(4), ..CellSpec::from(Cell::Lstm) };
/// assert_eq!((spec.gates(), spec.state_size(16), spec.saved()), (4, 4, 4 + 1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CellSpec {
    /// The family.
    pub cell: Cell,
    /// P: the state that is fed back and put out is W_hr u, of that size, at least 1, where u is what the cell makes. `None`: it is u.
    pub proj_size: Option<usize>,
    /// The activations and clips; those that the family does not have are not looked at.
    pub activations: Activations,
    /// For a GRU: whether the reset gate scales W_hn h + b_hn, as PyTorch has it, and not h itself. The latter cannot be projected.
    pub linear_before_reset: bool,
}

impl From<Cell> for CellSpec {
    fn from(cell: Cell) -> CellSpec {
        CellSpec { cell, proj_size: None, activations: Activations::of(cell), linear_before_reset: true }
    }
}

/// What a gate's W_hh is multiplied by.
///
/// # Examples
/// The GRU whose reset gate comes first multiplies W_hn with r * h, its saved value 3:
/// ```
/// use gatewise_kernels::{Cell, CellSpec, Operand};
///
/// let spec = CellSpec { linear_before_reset: false, ..CellSpec::from(Cell::Gru) };
/// let operands: Vec<Operand> = spec.recurrent_runs().iter().map(|run| run.operand).collect();
/// assert_eq!(operands, [Operand::State, Operand::Saved(3)]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// h before the step.
    State,
    /// One of the saved values.
    Saved(usize),
}

/// Neighbouring gates whose gradients of W_hh h + b_hh stand side by side among the saved values after backward.
///
/// # Examples
/// ```
/// use gatewise_kernels::{Cell, CellSpec, Operand, RecurrentRun};
///
/// let all = RecurrentRun { gate: 0, slot: 0, gates: 4, operand: Operand::State }; // i f g o
/// assert_eq!(CellSpec::from(Cell::Lstm).recurrent_runs(), [all]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecurrentRun {
    /// The first gate.
    pub gate: usize,
    /// Where its gradients stand.
    pub slot: usize,
    /// How many gates.
    pub gates: usize,
    /// What their weights are multiplied by.
    pub operand: Operand,
}

const fn run(gate: usize, slot: usize, gates: usize, operand: Operand) -> RecurrentRun {
    RecurrentRun { gate, slot, gates, operand }
}

impl CellSpec {
    /// G, the gates of a unit.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::{Cell, CellSpec};
    ///
    /// assert_eq!(CellSpec::from(Cell::Gru).gates(), 3);
    /// ```
    pub fn gates(&self) -> usize {
        self.cell.gates()
    }

    /// Features of h: P, or H without a projection.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::{Cell, CellSpec};
    ///
    /// let plain = CellSpec::from(Cell::Lstm);
    /// assert_eq!((plain.state_size(16), CellSpec { proj_size: Some(4), ..plain }.state_size(16)), (16, 4));
    /// ```
    pub fn state_size(&self, hidden: usize) -> usize {
        self.proj_size.unwrap_or(hidden)
    }

    /// Whether there is a state c of H features beside h: that of an LSTM, or the u of a projected GRU, which enters its next one.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::{Cell, CellSpec};
    ///
    /// let gru = CellSpec::from(Cell::Gru);
    /// assert!(!gru.has_cell_state() && CellSpec { proj_size: Some(4), ..gru }.has_cell_state());
    /// ```
    pub fn has_cell_state(&self) -> bool {
        self.cell.has_cell_state() || (self.cell == Cell::Gru && self.proj_size.is_some())
    }

    /// The values that a unit saves per step for the backward pass: LSTM i f g o; GRU r z n and W_hn h + b_hn, or r z n and r * h
    /// where the reset gate comes first; RNN h; and behind them u, if it is projected. Backward puts the gradients of the
    /// pre-activations of W_ih x + b_ih in the places of the gates.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::{Cell, CellSpec};
    ///
    /// assert_eq!(Cell::ALL.map(|cell| CellSpec::from(cell).saved()), [1, 1, 4, 4]);
    /// ```
    pub fn saved(&self) -> usize {
        self.cell.saved() + usize::from(self.proj_size.is_some())
    }

    /// Where u stands among the saved values, if it is projected.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::{Cell, CellSpec};
    ///
    /// let plain = CellSpec::from(Cell::Lstm);
    /// assert_eq!(plain.projected_slot(), None);
    /// assert_eq!(CellSpec { proj_size: Some(4), ..plain }.projected_slot(), Some(4)); // behind i f g o
    /// ```
    pub fn projected_slot(&self) -> Option<usize> {
        self.proj_size.map(|_| self.cell.saved())
    }

    /// Whether a step passes values on by way of the saved ones, so that `gates` has to be there in inference too, in one place
    /// for all steps or more.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::{Cell, CellSpec};
    ///
    /// let plain = CellSpec::from(Cell::Lstm);
    /// assert!(!plain.needs_gates() && CellSpec { proj_size: Some(4), ..plain }.needs_gates());
    /// ```
    pub fn needs_gates(&self) -> bool {
        self.proj_size.is_some() || self.form() == Form::ResetBefore
    }

    /// How the gradients of W_hh and b_hh follow from the saved values after backward.
    ///
    /// # Examples
    /// r and z side by side, and n by itself, whose W_hn h + b_hn is scaled:
    /// ```
    /// use gatewise_kernels::{Cell, CellSpec};
    ///
    /// let runs = CellSpec::from(Cell::Gru).recurrent_runs();
    /// assert_eq!(runs.iter().map(|run| (run.gate, run.slot, run.gates)).collect::<Vec<_>>(), [(0, 0, 2), (2, 3, 1)]);
    /// ```
    pub fn recurrent_runs(&self) -> &'static [RecurrentRun] {
        const RNN: &[RecurrentRun] = &[run(0, 0, 1, Operand::State)];
        const LSTM: &[RecurrentRun] = &[run(0, 0, 4, Operand::State)];
        const GRU: &[RecurrentRun] = &[run(0, 0, 2, Operand::State), run(2, 3, 1, Operand::State)];
        const RESET_BEFORE: &[RecurrentRun] =
            &[run(0, 0, 2, Operand::State), run(2, 2, 1, Operand::Saved(3))];
        match self.cell {
            Cell::RnnTanh | Cell::RnnRelu => RNN,
            Cell::Lstm => LSTM,
            Cell::Gru if self.linear_before_reset => GRU,
            Cell::Gru => RESET_BEFORE,
        }
    }

    /// The form of its kernels.
    pub(crate) fn form(&self) -> Form {
        if self.cell == Cell::Gru && !self.linear_before_reset {
            return Form::ResetBefore;
        }
        let plain = Activations::of(self.cell);
        let own = self.activations;
        // What the family does not have is not looked at.
        let seen = match self.cell {
            Cell::RnnTanh | Cell::RnnRelu => {
                Activations { candidate: own.candidate, clip: own.clip, ..plain }
            }
            Cell::Gru => Activations { output: plain.output, cell_clip: None, ..own },
            Cell::Lstm => own,
        };
        if seen == plain && self.proj_size.is_none() { Form::Plain } else { Form::With }
    }
}
