//! Inference step by step.

use super::{Picked, Stack};
use crate::spec::shape::{Dims, expect_len, product};
use crate::spec::{Error, State};
use gatewise_kernels::{Forward, Seq, SeqMut, Step, TableRows};

impl Stack {
    #[inline(never)]
    fn reserve_gates(&self, state: &mut State) -> Result<(), Error> {
        state.reserve_gates(&Dims::new(&self.config, 1, state.batch())?.widest(&self.config))
    }

    /// One time step of a layer whose cell passes values on by way of its gates. Apart from [`step`](Stack::step), whose other cells are
    /// in a hurry.
    #[inline(never)]
    fn step_by_way_of(
        &self,
        gates: &mut [f32],
        index: usize,
        rows: Option<TableRows<'_>>,
        Step { batch, x, h_0, h_1, c }: Step<'_>,
        threads: usize,
    ) -> Result<(), Error> {
        let layer = &self.layers[index];
        let dims = Dims::new(&self.config, 1, batch)?.of(&self.config, index);
        let args = Forward {
            steps: 1,
            batch,
            x: Seq::time_major(x, batch, if rows.is_some() { 0 } else { layer.input }),
            h_0: Some(h_0),
            c_0: None,
            y: SeqMut::in_place(h_1, dims.features),
            c: self.state_shape.has_c().then(|| SeqMut::in_place(c, dims.hidden)),
            gates: Some(SeqMut::in_place(gates, dims.hidden * dims.saved)),
            active: None,
            resets: None,
            reset_h: None,
            reset_c: None,
            scratch: &mut [],
        };
        let (packed, plan) = (&layer.directions[0], self.plan(layer, &dims, threads));
        match rows {
            None => self.kernels.forward(packed, &plan, args)?,
            Some(rows) => self.kernels.forward_rows(packed, &plan, rows, args)?,
        }
        Ok(())
    }

    /// Whether a row of the batch is in the table for each token.
    fn check_step_tokens(&self, Picked { table, ids }: Picked<'_>, batch: usize) -> Result<(), Error> {
        self.check_table(table)?;
        expect_len("tokens", ids.len(), batch)?;
        let vocabulary = table.vocabulary();
        match ids.iter().position(|&id| id >= vocabulary) {
            Some(row) => Err(Error::Token { token: ids[row], step: 0, row, vocabulary }),
            None => Ok(()),
        }
    }

    /// One time step of a batch, [B, input_size] to [B, features of h]. Allocates nothing, but for room in the state that some
    /// cells need in the first one.
    pub(crate) fn step(&self, x: &[f32], state: &mut State, out: &mut [f32]) -> Result<(), Error> {
        self.step_from(x, None, state, out)
    }

    /// The same of tokens, one for each row.
    pub(crate) fn step_tokens(
        &self,
        picked: Picked<'_>,
        state: &mut State,
        out: &mut [f32],
    ) -> Result<(), Error> {
        self.step_from(&[], Some(picked), state, out)
    }

    /// Each of the two has it for itself: a small step is short.
    #[inline(always)]
    fn step_from(
        &self,
        x: &[f32],
        picked: Option<Picked<'_>>,
        state: &mut State,
        out: &mut [f32],
    ) -> Result<(), Error> {
        let config = &self.config;
        if config.bidirectional {
            let (arg, expected) =
                ("bidirectional", "off for single steps: the reverse direction starts at the end");
            return Err(Error::Config { arg, expected, got: "true".to_string() });
        }
        // A state of this network exists, so its sizes multiply: small steps are too short to see to that again.
        let batch = state.batch();
        state.check_made(&self.state_shape, config)?;
        match picked {
            None => expect_len("input", x.len(), product("input", &[batch, config.input_size])?)?,
            Some(picked) => self.check_step_tokens(picked, batch)?,
        }
        expect_len("output", out.len(), batch * config.state_size())?;
        // A single row has nothing to share out.
        let threads = if batch > 1 { rayon::current_num_threads() } else { 1 };
        let (has_c, needs_gates) = (self.state_shape.has_c(), self.needs_gates);
        if needs_gates {
            self.reserve_gates(state)?;
        }
        let (h_0, h_1, c, gates) = state.split();
        let (mut of_h, mut of_c) = (0..0, 0..0);
        for (i, layer) in self.layers.iter().enumerate() {
            let packed = &layer.directions[0];
            let (below, above) = h_1.split_at_mut(of_h.end);
            let x = if i == 0 { x } else { &below[of_h.start..] };
            of_h = of_h.end..of_h.end + batch * packed.state_size();
            of_c = of_c.end..of_c.end + if has_c { batch * packed.hidden_size() } else { 0 };
            let (h_0, h_1, c) = (&h_0[of_h.clone()], &mut above[..of_h.len()], &mut c[of_c.clone()]);
            let step = Step { batch, x, h_0, h_1, c };
            let rows = picked.filter(|_| i == 0).map(|picked| picked.rows(0, picked.ids, batch));
            if needs_gates {
                self.step_by_way_of(gates, i, rows, step, threads)?;
            } else if let Some(rows) = rows {
                self.kernels.step_rows(packed, rows, step, threads)?;
            } else {
                self.kernels.step(packed, step, threads)?;
            }
        }
        out.copy_from_slice(&h_1[of_h]);
        state.advance();
        Ok(())
    }
}
