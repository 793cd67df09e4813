//! What a kernel row is: the words of the registry, which dispatch, tests and benches read alike.

use crate::gates::checked::{BackwardTask, ForwardTask, SingleTask};
use crate::gemm::block::GemmTask;
use crate::isa::Isa;

/// A recurrent cell.
///
/// # Examples
/// ```
/// use gatewise_kernels::Cell;
///
/// assert_eq!(Cell::ALL.map(|cell| cell.gates()), [1, 1, 4, 3]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cell {
    /// Vanilla (Elman) network with tanh.
    RnnTanh,
    /// Vanilla (Elman) network with relu.
    RnnRelu,
    /// Long short-term memory.
    Lstm,
    /// Gated recurrent unit, reset gate applied after the product, as PyTorch.
    Gru,
}

impl Cell {
    /// All cells.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::Cell;
    ///
    /// assert_eq!(Cell::ALL.map(|cell| cell.has_cell_state()), [false, false, true, false]);
    /// ```
    pub const ALL: [Cell; 4] = [Cell::RnnTanh, Cell::RnnRelu, Cell::Lstm, Cell::Gru];

    /// The name used in kernel ids and on command lines.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(gatewise_kernels::Cell::ALL.map(|cell| cell.name()), ["rnn_tanh", "rnn_relu", "lstm", "gru"]);
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            Cell::RnnTanh => "rnn_tanh",
            Cell::RnnRelu => "rnn_relu",
            Cell::Lstm => "lstm",
            Cell::Gru => "gru",
        }
    }

    /// G, the gates of a unit: each has its rows in weight_ih, weight_hh and the biases.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(gatewise_kernels::Cell::Lstm.gates(), 4); // i f g o
    /// ```
    pub const fn gates(self) -> usize {
        match self {
            Cell::RnnTanh | Cell::RnnRelu => 1,
            Cell::Lstm => 4,
            Cell::Gru => 3,
        }
    }

    /// The values a unit saves per step for the backward pass: LSTM i f g o; GRU r z n and W_hn h + b_hn; RNN h.
    /// Backward puts the gradients of the pre-activations in their places; [`CellSpec`](crate::CellSpec) says which where.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(gatewise_kernels::Cell::ALL.map(|cell| cell.saved()), [1, 1, 4, 4]);
    /// ```
    pub const fn saved(self) -> usize {
        match self {
            Cell::RnnTanh | Cell::RnnRelu => 1,
            Cell::Lstm | Cell::Gru => 4,
        }
    }

    /// Whether there is a cell state c beside h.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::Cell;
    ///
    /// assert!(Cell::Lstm.has_cell_state() && !Cell::Gru.has_cell_state());
    /// ```
    pub const fn has_cell_state(self) -> bool {
        matches!(self, Cell::Lstm)
    }
}

/// Which cells of a family a kernel runs.
///
/// # Examples
/// Options choose other kernels of the same family:
/// ```
/// use gatewise_kernels::{Cell, CellSpec, Form, Kernels, Weights};
///
/// let plain = CellSpec::from(Cell::Gru);
/// for (linear_before_reset, form) in [(true, Form::Plain), (false, Form::ResetBefore)] {
///     let spec = CellSpec { linear_before_reset, ..plain };
///     assert_eq!(Kernels::auto()?.pack_cell(spec, 0, 0, Weights::default())?.backward_row().form, form);
/// }
/// # Ok::<(), gatewise_kernels::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// PyTorch's cell.
    Plain,
    /// Any activations, and a projection of the state.
    With,
    /// The GRU whose reset gate comes before the product, with any activations.
    ResetBefore,
}

/// What a kernel does.
///
/// # Examples
/// ```
/// use gatewise_kernels::{Isa, Pass, registry};
///
/// assert_eq!(registry(Isa::Portable).iter().filter(|row| row.pass == Pass::Matmul).count(), 1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pass {
    /// Forward over a chunk of time, multiplying the input itself; made for single steps.
    Step,
    /// Forward over a chunk of time, the input already projected.
    Forward,
    /// Backward over a chunk of time.
    Backward,
    /// Matmul against packed strips.
    Matmul,
    /// Exponential of each element.
    Exp,
    /// Logistic sigmoid of each element.
    Sigmoid,
    /// Hyperbolic tangent of each element.
    Tanh,
    /// Sum of listed rows.
    SumRows,
    /// Sum of squares of each row.
    SumSquares,
}

/// One kernel.
///
/// # Examples
/// ```
/// use gatewise_kernels::{Isa, registry};
///
/// let row = registry(Isa::Portable).iter().find(|row| row.id == "f32-lstm-bwd-hn-portable").unwrap();
/// assert_eq!((row.isa, row.hidden, row.lanes), (Isa::Portable, None, 4));
/// ```
#[derive(Debug)]
pub struct Row {
    /// `f32-<cell>-<pass>-h<size>-<isa>`, `hn` for any size.
    pub id: &'static str,
    /// The cell, for a cell's kernel.
    pub cell: Option<Cell>,
    /// Which cells of the family.
    pub form: Form,
    /// What it does.
    pub pass: Pass,
    /// The one hidden size it is for; `None` is any.
    pub hidden: Option<usize>,
    /// The instruction set it needs.
    pub isa: Isa,
    /// Lanes of its vectors: weights are packed for them.
    pub lanes: usize,
    /// Rows and vectors of its register tile.
    pub tile: (usize, usize),
    /// Vectors of a strip: weights are packed for them.
    pub nr: usize,
    /// How often its k loop is unrolled.
    pub unroll: usize,
    /// Its function.
    pub(crate) entry: Entry,
}

/// The function of a row. Each may be called only on a CPU that has the row's instruction set.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Entry {
    Forward(unsafe fn(&ForwardTask)),
    Single(unsafe fn(&SingleTask)),
    Backward(unsafe fn(&BackwardTask)),
    Matmul(unsafe fn(&GemmTask)),
    Map(unsafe fn(&[f32], &mut [f32])),
    SumRows(unsafe fn(&[f32], &[usize], &mut [f32])),
    SumSquares(unsafe fn(&[f32], &mut [f64], bool)),
}

/// The kernels of every instruction set that no cell owns.
#[derive(Debug)]
pub(crate) struct CommonRows {
    pub(crate) matmul: &'static Row,
    pub(crate) exp: &'static Row,
    pub(crate) sigmoid: &'static Row,
    pub(crate) tanh: &'static Row,
    pub(crate) sum_rows: &'static Row,
    pub(crate) sum_squares: &'static Row,
}

impl CommonRows {
    /// Lanes of a vector and vectors of a strip, which operands of the matmul are packed for.
    pub(crate) fn strip(&self) -> (usize, usize) {
        (self.matmul.lanes, self.matmul.nr)
    }
}

/// The kernels chosen for one cell and hidden size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CellRows {
    /// Single rows, input fused.
    pub(crate) step_single: &'static Row,
    /// Any number of rows, input fused.
    pub(crate) step: &'static Row,
    /// The input projected before; `None` for cells that always multiply it in the recurrent kernel.
    pub(crate) forward: Option<&'static Row>,
    pub(crate) backward: &'static Row,
    /// The input's projection.
    pub(crate) matmul: &'static Row,
}
