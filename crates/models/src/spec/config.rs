//! The options of a network, under PyTorch's names.

use super::Error;
use gatewise_kernels::{Activations, Cell, CellSpec};

/// The activation of a vanilla RNN.
///
/// # Examples
/// ```
/// use gatewise::{Nonlinearity, Rnn, View};
///
/// let rnn = Rnn::builder(1, 4).nonlinearity(Nonlinearity::Relu).build()?;
/// let (y, _) = rnn.forward(View::new(&[-3.0, 5.0], [2, 1, 1])?, None)?;
/// assert!(y.data().iter().all(|&h| h >= 0.0));
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Nonlinearity {
    /// h' = tanh(..)
    #[default]
    Tanh,
    /// h' = max(.., 0)
    Relu,
}

/// What becomes of the two directions of a layer, f forward and r reverse, at each step. The final states stay as they are.
///
/// # Examples
/// ```
/// use gatewise::{Gru, Merge, View};
///
/// let x = View::new(&[0.5; 3 * 2], [3, 1, 2])?; // three steps of one row
/// let run = |merge| Gru::builder(2, 4).bidirectional(true).merge(merge).build()?.forward(x, None);
/// let ((both, _), (sum, _)) = (run(Merge::Concat)?, run(Merge::Sum)?);
/// for (both, sum) in both.data().chunks(2 * 4).zip(sum.data().chunks(4)) {
///     assert!((0..4).all(|unit| sum[unit] == both[unit] + both[4 + unit]));
/// }
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Merge {
    /// f and r side by side, as in PyTorch: the output has twice the features of h.
    #[default]
    Concat,
    /// f + r
    Sum,
    /// (f + r) / 2
    Mean,
    /// f r, unit by unit.
    Product,
}

/// The options of a network.
///
/// # Examples
/// ```
/// use gatewise::{Cell, Lstm};
///
/// let lstm = Lstm::builder(8, 16).num_layers(2).proj_size(4).build()?;
/// let config = lstm.config();
/// assert_eq!((config.cell, config.hidden_size, config.proj_size), (Cell::Lstm, 16, 4));
/// assert_eq!((config.bias, config.batch_first, config.dropout), (true, false, 0.0));
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The cell.
    pub cell: Cell,
    /// Features of one time step's input; may be 0.
    pub input_size: usize,
    /// Features of c, and of h unless it is projected; those of the last layer where layers differ.
    pub hidden_size: usize,
    /// The same for each layer, if they were given one by one; else empty.
    pub hidden_sizes: Vec<usize>,
    /// Features that h is projected to; 0 for none.
    pub proj_size: usize,
    /// The activations of the cell, and what is clipped before and after them.
    pub activations: Activations,
    /// For a GRU: whether the reset gate scales W_hn h + b_hn, as in PyTorch, and not h before the product.
    pub linear_before_reset: bool,
    /// Layers, each reading the outputs of the one below.
    pub num_layers: usize,
    /// Whether there are bias_ih and bias_hh.
    pub bias: bool,
    /// Sequences are [batch, time, feature] instead of [time, batch, feature].
    pub batch_first: bool,
    /// Each layer runs in both directions of time.
    pub bidirectional: bool,
    /// What becomes of the outputs of both.
    pub merge: Merge,
    /// Share of the outputs of each layer but the last that is set to zero in training.
    pub dropout: f32,
}

/// As it would be derived, but that empty lists of sizes are not looked at: they lie nowhere, and a comparison with vectors from nowhere
/// takes 100 ns, which those who look at a pass of 10 us would pay in each.
impl PartialEq for Config {
    fn eq(&self, other: &Config) -> bool {
        // Every field by its name: one that is added and not compared does not compile.
        let Config {
            cell,
            input_size,
            hidden_size,
            hidden_sizes,
            proj_size,
            activations,
            linear_before_reset,
            num_layers,
            bias,
            batch_first,
            bidirectional,
            merge,
            dropout,
        } = self;
        let are_empty = hidden_sizes.is_empty() && other.hidden_sizes.is_empty();
        (cell, input_size, hidden_size) == (&other.cell, &other.input_size, &other.hidden_size)
            && (are_empty || *hidden_sizes == other.hidden_sizes)
            && (proj_size, activations) == (&other.proj_size, &other.activations)
            && (linear_before_reset, num_layers, bias)
                == (&other.linear_before_reset, &other.num_layers, &other.bias)
            && (batch_first, bidirectional) == (&other.batch_first, &other.bidirectional)
            && (merge, dropout) == (&other.merge, &other.dropout)
    }
}

impl Config {
    pub(crate) fn new(cell: Cell, input_size: usize, hidden_size: usize) -> Config {
        Config {
            cell,
            input_size,
            hidden_size,
            hidden_sizes: Vec::new(),
            proj_size: 0,
            activations: Activations::of(cell),
            linear_before_reset: true,
            num_layers: 1,
            bias: true,
            batch_first: false,
            bidirectional: false,
            merge: Merge::Concat,
            dropout: 0.0,
        }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let smallest = self.hidden_sizes.iter().copied().fold(self.hidden_size, usize::min);
        for (arg, value) in [("hidden_size", smallest), ("num_layers", self.num_layers)] {
            if value == 0 {
                return Err(Error::Config { arg, expected: "greater than zero", got: value.to_string() });
            }
        }
        if !self.hidden_sizes.is_empty() && self.hidden_sizes.len() != self.num_layers {
            let (sizes, layers) = (self.hidden_sizes.len(), self.num_layers);
            let (arg, got) = ("hidden_sizes", format!("{sizes} for num_layers = {layers}"));
            return Err(Error::Config { arg, expected: "one for each layer", got });
        }
        if self.proj_size > 0 && self.proj_size >= smallest {
            let (arg, expected) = ("proj_size", "smaller than hidden_size");
            return Err(Error::Config { arg, expected, got: self.proj_size.to_string() });
        }
        if self.merge != Merge::Concat && !self.bidirectional {
            let (arg, expected) = ("merge", "left at Concat for a network of one direction");
            return Err(Error::Config { arg, expected, got: format!("{:?}", self.merge) });
        }
        self.check_activations()?;
        if !self.linear_before_reset {
            let (arg, got) = ("linear_before_reset", "false".to_string());
            if self.cell != Cell::Gru {
                return Err(Error::Config { arg, expected: "left on for a cell that is no GRU", got });
            }
            if self.proj_size > 0 {
                let expected = "left on with a projection, for the reset gate cannot scale a projected h";
                return Err(Error::Config { arg, expected, got });
            }
        }
        if !(0.0..=1.0).contains(&self.dropout) {
            let expected = "a number in range [0, 1]";
            return Err(Error::Config { arg: "dropout", expected, got: self.dropout.to_string() });
        }
        Ok(())
    }

    /// 1, or 2 for a bidirectional network.
    ///
    /// # Examples
    /// ```
    /// let gru = gatewise::Gru::builder(2, 3).bidirectional(true).build()?;
    /// assert_eq!(gru.config().directions(), 2);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn directions(&self) -> usize {
        1 + usize::from(self.bidirectional)
    }

    /// Those that the cell has are as they have to be, and the others as they were.
    fn check_activations(&self) -> Result<(), Error> {
        let Activations { gate, candidate, output, clip, cell_clip } = self.activations;
        let plain = Activations::of(self.cell);
        let has_gates = self.cell.gates() > 1;
        for (arg, activation, plain, exists) in [
            ("gate_activation", gate, plain.gate, has_gates),
            ("activation", candidate, plain.candidate, true),
            ("output_activation", output, plain.output, self.cell == Cell::Lstm),
        ] {
            let expected = if !exists && activation != plain {
                "left out for a cell that has none"
            } else if !activation.is_valid() {
                "one with finite parameters whose slope follows from its value"
            } else {
                continue;
            };
            return Err(Error::Config { arg, expected, got: format!("{activation:?}") });
        }
        for (arg, limit, exists) in
            [("pre_activation_clip", clip, true), ("cell_clip", cell_clip, self.cell == Cell::Lstm)]
        {
            let Some(limit) = limit else { continue };
            let expected = if !exists {
                "left out for a cell that has no c"
            } else if limit.is_nan() || limit.is_infinite() || limit <= 0.0 {
                "finite and greater than zero"
            } else {
                continue;
            };
            return Err(Error::Config { arg, expected, got: limit.to_string() });
        }
        Ok(())
    }

    /// The cell with its options.
    ///
    /// # Examples
    /// ```
    /// let lstm = gatewise::Lstm::builder(2, 8).proj_size(3).build()?;
    /// assert_eq!(lstm.config().spec().proj_size, Some(3));
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn spec(&self) -> CellSpec {
        CellSpec {
            cell: self.cell,
            proj_size: Some(self.proj_size).filter(|&size| size > 0),
            activations: self.activations,
            linear_before_reset: self.linear_before_reset,
        }
    }

    /// Features of a layer's c, and of its h unless that is projected. There is no such layer: those of the last one.
    ///
    /// # Examples
    /// ```
    /// let gru = gatewise::Gru::builder(2, 0).hidden_sizes(&[16, 8]).build()?;
    /// assert_eq!([0, 1, 2].map(|layer| gru.config().hidden_size_of(layer)), [16, 8, 8]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn hidden_size_of(&self, layer: usize) -> usize {
        self.hidden_sizes.get(layer).copied().unwrap_or(self.hidden_size)
    }

    /// Features of h: proj_size, or hidden_size without a projection; of the last layer where they differ.
    ///
    /// # Examples
    /// ```
    /// let lstm = gatewise::Lstm::builder(2, 8).proj_size(3).build()?;
    /// assert_eq!((lstm.config().hidden_size, lstm.config().state_size()), (8, 3));
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn state_size(&self) -> usize {
        self.projected(self.hidden_size)
    }

    /// Features of a layer's h.
    pub(crate) fn state_size_of(&self, layer: usize) -> usize {
        self.projected(self.hidden_size_of(layer))
    }

    fn projected(&self, hidden_size: usize) -> usize {
        if self.proj_size > 0 { self.proj_size } else { hidden_size }
    }

    /// Features of the output: those of the last layer's h for each direction, the forward one first, or those of h where the
    /// directions are [merged](Merge) into one.
    ///
    /// # Examples
    /// ```
    /// let gru = gatewise::Gru::builder(2, 3).bidirectional(true).build()?;
    /// assert_eq!(gru.config().output_size(), 2 * 3);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn output_size(&self) -> usize {
        self.layer_output(self.num_layers.saturating_sub(1))
    }

    /// Features of the output of a layer.
    pub(crate) fn layer_output(&self, layer: usize) -> usize {
        let copies = if self.merge == Merge::Concat { self.directions() } else { 1 };
        self.state_size_of(layer).saturating_mul(copies)
    }

    /// Features of the input of a layer.
    pub(crate) fn layer_input(&self, layer: usize) -> usize {
        layer.checked_sub(1).map_or(self.input_size, |below| self.layer_output(below))
    }

    /// Parameters of one layer in one direction.
    pub(crate) fn parameters_a_direction(&self) -> usize {
        (if self.bias { 4 } else { 2 }) + usize::from(self.proj_size > 0)
    }
}
