//! Inference on tokens: the product of the first layer's W_ih and each row of a table is computed once, and no step does it again.

use super::Network;
use crate::run::{Picked, ProjectedTable, Source, Workspace};
use crate::spec::shape::{product, zeros};
use crate::spec::{Error, Sequence, State, Tokens};

impl<K> Network<K> {
    /// What the first layer makes of each row of a table with W_ih and b_ih; `table` is [vocabulary, input_size]. One-hot input is
    /// that of the identity matrix. The work is shared out to the rayon pool it is called in.
    ///
    /// # Errors
    /// [`Error::Shape`] if the table is not as long as the sizes say, [`Error::SizeOverflow`] if its projection does not fit in
    /// memory.
    ///
    /// # Examples
    /// One-hot characters:
    /// ```
    /// use gatewise::{Gru, Tokens, View};
    ///
    /// let gru = Gru::new(3, 8)?; // a vocabulary of three
    /// let table = gru.project_table(3, &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0])?;
    /// let one_hot = [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]; // 2, 0
    /// let (y, h_n) = gru.forward_tokens(&table, Tokens::new(&[2, 0], [2, 1])?, None)?;
    /// assert_eq!((y, h_n), gru.forward(View::new(&one_hot, [2, 1, 3])?, None)?);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn project_table(&self, vocabulary: usize, table: &[f32]) -> Result<ProjectedTable, Error> {
        self.stack.project_table(vocabulary, table)
    }

    /// Runs a whole sequence of tokens: the bits of [`forward`](Network::forward) over the rows of the table that they stand for, in
    /// less time. Inference only: training needs the vectors, for their gradient and that of W_ih.
    ///
    /// # Errors
    /// [`Error::Config`] if another network made the table, or the parameters may have changed since; [`Error::Token`] if a token is
    /// not in the table, beyond a row's length excepted; [`Error::Shape`], [`Error::EmptySequence`] or [`Error::SizeOverflow`] if
    /// tokens and state do not fit the network.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Embedding, Lstm, Tokens, View};
    ///
    /// let (letters, lstm) = (Embedding::new(26, 4, 0)?, Lstm::new(4, 8)?);
    /// let table = lstm.project_embedding(&letters)?;
    /// let ids = [7, 0, 4, 1, 11, 2]; // three steps of two rows
    /// let (y, state) = lstm.forward_tokens(&table, Tokens::new(&ids, [3, 2])?, None)?;
    ///
    /// let mut x = [0.0; 6 * 4];
    /// letters.forward(&ids, &mut x)?;
    /// assert_eq!((y, state), lstm.forward(View::new(&x, [3, 2, 4])?, None)?);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn forward_tokens(
        &self,
        table: &ProjectedTable,
        tokens: Tokens<'_>,
        state: Option<&State>,
    ) -> Result<(Sequence, State), Error> {
        let [first, second, _] = tokens.input().sequence.shape();
        let mut state = match state {
            Some(state) => state.clone(),
            None => self.zero_state(if self.stack.config.batch_first { first } else { second })?,
        };
        let shape = [first, second, self.stack.config.output_size()];
        let mut output = zeros("output", product("output", &shape)?)?;
        self.forward_tokens_into(table, tokens, &mut state, &mut output, &mut Workspace::default())?;
        Ok((Sequence::new(output, shape)?, state))
    }

    /// As [`forward_tokens`](Network::forward_tokens), into the caller's memory, as
    /// [`forward_into`](Network::forward_into). Allocates only what the workspace has to grow by.
    ///
    /// # Errors
    /// As [`forward_tokens`](Network::forward_tokens), and [`Error::Shape`] if `output` does not fit; nothing is written then.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Embedding, Gru, Tokens, Workspace};
    ///
    /// let (letters, gru) = (Embedding::new(26, 4, 0)?, Gru::new(4, 8)?);
    /// let (table, mut state) = (gru.project_embedding(&letters)?, gru.zero_state(1)?);
    /// let (mut y, mut workspace) = ([0.0; 3 * 8], Workspace::default());
    /// for ids in [[7, 0, 4], [11, 2, 3]] {
    ///     let tokens = Tokens::new(&ids, [3, 1])?; // three steps of one row
    ///     gru.forward_tokens_into(&table, tokens, &mut state, &mut y, &mut workspace)?; // carries the state
    ///     assert_eq!(state.h(), &y[2 * 8..]);
    /// }
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn forward_tokens_into(
        &self,
        table: &ProjectedTable,
        tokens: Tokens<'_>,
        state: &mut State,
        output: &mut [f32],
        workspace: &mut Workspace,
    ) -> Result<(), Error> {
        let picked = Some(Picked { table, ids: tokens.ids() });
        self.stack.forward_into(Source { input: tokens.input(), picked }, state, output, workspace)
    }

    /// Runs one time step of every row, as [`step`](Network::step): `tokens` is `[batch]`. Allocates nothing; the bits of a step over
    /// the rows of the table that the tokens stand for.
    ///
    /// # Errors
    /// As [`step`](Network::step), and [`Error::Config`] or [`Error::Token`] as [`forward_tokens`](Network::forward_tokens); nothing
    /// is written then.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Embedding, Gru};
    ///
    /// let (letters, gru) = (Embedding::new(26, 4, 0)?, Gru::new(4, 8)?);
    /// let table = gru.project_embedding(&letters)?;
    /// let (mut state, mut h) = (gru.zero_state(1)?, [0.0; 8]);
    /// for id in [7, 0, 4] {
    ///     gru.step_tokens(&table, &[id], &mut state, &mut h)?;
    /// }
    /// assert_eq!(h, state.h());
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn step_tokens(
        &self,
        table: &ProjectedTable,
        tokens: &[usize],
        state: &mut State,
        output: &mut [f32],
    ) -> Result<(), Error> {
        self.stack.step_tokens(Picked { table, ids: tokens }, state, output)
    }
}
