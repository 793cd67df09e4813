//! Numbers in place of vectors: each stands for a row of a table, and what the first layer makes of that row with W_ih is computed
//! once for each set of parameters.

use super::Stack;
use super::arrange::Arrangement;
use super::direction::{Grid, time};
use crate::spec::shape::Dims;
use crate::spec::{Error, Input, State};
use gatewise_kernels::plan::matmul_threads;
use gatewise_kernels::{ProjectedRows, TableRows};

/// The projections `W_ih x + b_ih` of each row x of a table by the first layer of a network, as its parameters were: an embedding
/// whose product is done. Made by [`Network::project_embedding`](crate::Network::project_embedding) and
/// [`Network::project_table`](crate::Network::project_table), read by [`Network::forward_tokens`](crate::Network::forward_tokens) and
/// [`Network::step_tokens`](crate::Network::step_tokens).
///
/// It belongs to the network that made it and to its clones. Once the parameters may have changed
/// ([`params_mut`](crate::Network::params_mut)) it is refused: make another one. An embedding that changes later changes nothing here:
/// another table then, too.
///
/// # Examples
/// ```
/// use gatewise::{Embedding, Lstm};
///
/// let (letters, lstm) = (Embedding::new(26, 4, 0)?, Lstm::new(4, 8)?);
/// let table = lstm.project_embedding(&letters)?;
/// assert_eq!(table.vocabulary(), 26);
/// assert!(table.bytes() >= 26 * 4 * 8 * size_of::<f32>()); // the sums of four gates of eight units
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ProjectedTable {
    directions: Vec<ProjectedRows>,
    vocabulary: usize,
    /// That of the parameters.
    stamp: u64,
}

impl ProjectedTable {
    /// Rows of the table: tokens are smaller.
    ///
    /// # Examples
    /// ```
    /// let table = gatewise::Gru::new(2, 3)?.project_table(5, &[0.5; 5 * 2])?;
    /// assert_eq!(table.vocabulary(), 5);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// Bytes that it takes: a row of gates * hidden_size floats, filled up to whole vectors, for each token and direction.
    ///
    /// # Examples
    /// ```
    /// let bytes = |bidirectional| {
    ///     let gru = gatewise::Gru::builder(2, 3).bidirectional(bidirectional).build()?;
    ///     Ok::<usize, gatewise::Error>(gru.project_table(5, &[0.5; 5 * 2])?.bytes())
    /// };
    /// assert_eq!(bytes(true)?, 2 * bytes(false)?);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn bytes(&self) -> usize {
        self.directions.iter().map(ProjectedRows::bytes).sum()
    }
}

/// Tokens, and the table that they pick from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Picked<'a> {
    pub(crate) table: &'a ProjectedTable,
    /// In the network's layout.
    pub(crate) ids: &'a [usize],
}

impl<'a> Picked<'a> {
    /// The rows of a direction's table, `ids` in its order: [steps, places].
    pub(super) fn rows(&self, direction: usize, ids: &'a [usize], batch: usize) -> TableRows<'a> {
        TableRows { table: &self.table.directions[direction], rows: ids, step: batch }
    }
}

/// What an inference pass reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    /// The sequence, of no features where there are tokens, and what is special about its rows.
    pub(crate) input: Input<'a>,
    pub(crate) picked: Option<Picked<'a>>,
}

impl<'a> From<Input<'a>> for Source<'a> {
    fn from(input: Input<'a>) -> Source<'a> {
        Source { input, picked: None }
    }
}

impl Source<'_> {
    /// Features of the input of a layer that are multiplied: none of those of tokens.
    pub(super) fn features(&self, stack: &Stack, layer: usize) -> usize {
        if layer == 0 && self.picked.is_some() { 0 } else { stack.layers[layer].input }
    }
}

impl Stack {
    /// Projects each of the `vocabulary` rows of a table, [vocabulary, input_size].
    pub(crate) fn project_table(&self, vocabulary: usize, table: &[f32]) -> Result<ProjectedTable, Error> {
        let (layer, mut directions) = (&self.layers[0], Vec::new());
        for packed in &layer.directions {
            let width = packed.spec().gates().saturating_mul(packed.hidden_size());
            let threads = matmul_threads(vocabulary, width, layer.input, rayon::current_num_threads());
            directions.push(self.kernels.project_rows(packed, vocabulary, table, threads)?);
        }
        Ok(ProjectedTable { directions, vocabulary, stamp: self.stamp })
    }

    /// Whether this network, or a clone of it, made the table, with the parameters that it has now.
    pub(super) fn check_table(&self, table: &ProjectedTable) -> Result<(), Error> {
        if table.stamp == self.stamp {
            return Ok(());
        }
        let expected = "projected by this network with its present parameters";
        Err(Error::Config { arg: "table", expected, got: "one of other parameters".to_string() })
    }

    /// The sizes of an inference pass, if all that it reads fits.
    pub(super) fn check_source(&self, source: &Source<'_>, state: &State) -> Result<Dims, Error> {
        let Source { input, picked } = source;
        if let Some(picked) = picked {
            self.check_table(picked.table)?;
        }
        let dims = self.check_forward(input, source.features(self, 0), Some(state))?;
        let Some(Picked { table, ids }) = picked else { return Ok(dims) };
        let (vocabulary, grid) = (table.vocabulary, Grid::layout(&dims, 1, self.config.batch_first));
        for step in 0..dims.steps {
            for row in 0..dims.batch {
                let is_valid = input.lengths.is_none_or(|lengths| step < lengths[row]);
                let token = ids[grid.at(step, row)];
                if is_valid && token >= vocabulary {
                    return Err(Error::Token { token, step, row, vocabulary });
                }
            }
        }
        Ok(dims)
    }
}

impl Arrangement {
    /// The tokens of a direction in its order to [T, places]; what stands where a row takes no part is not read.
    pub(super) fn gather_tokens(
        &self,
        ids: &[usize],
        grid: Grid,
        to: &mut [usize],
        dims: &Dims,
        direction: usize,
    ) {
        for (step, to) in to.chunks_exact_mut(dims.batch.max(1)).enumerate() {
            let t = time(dims, direction, step);
            for (place, to) in to.iter_mut().enumerate().take(self.active_at(direction, step, dims)) {
                *to = ids[grid.at(t, self.row(place))];
            }
        }
    }
}
