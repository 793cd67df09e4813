//! `cargo xtask tokens`: what it saves to project a table of vectors once.
//!
//! The same tokens in turn as vectors, which an embedding looks up and the first layer multiplies, and as rows of the table whose
//! product was done before, so that whatever else the machine does falls on both. Their outputs are seen to have the same bits.

use benches::timing::{calibrate, median, repetition};
use benches::{on_one_thread, say};
use gatewise::{
    Any, Cell, Embedding, Error, Network, Philox, ProjectedTable, State, Tokens, View, Workspace,
};
use std::process::ExitCode;
use std::time::Duration;

/// T and the rows of the table; as many features as units.
const STEPS: usize = 100;
const VOCABULARY: usize = 100;
const CELLS: [Cell; 3] = [Cell::Lstm, Cell::Gru, Cell::RnnTanh];
/// H and B.
const SIZES: [(usize, usize); 8] =
    [(16, 1), (64, 1), (128, 1), (256, 1), (512, 1), (64, 32), (128, 32), (256, 32)];
/// Pairs of repetitions, and how long one takes at least.
const ROUNDS: usize = 21;
const LEAST: Duration = Duration::from_millis(3);

/// A network, its tokens, and room to run.
struct Job {
    network: Network<Any>,
    embedding: Embedding,
    table: ProjectedTable,
    hidden: usize,
    batch: usize,
    ids: Vec<usize>,
    x: Vec<f32>,
    y: Vec<f32>,
    state: State,
    workspace: Workspace,
}

impl Job {
    fn new(cell: Cell, hidden: usize, batch: usize) -> Result<Job, Error> {
        let network = Network::with_cell(cell, hidden, hidden).seed(1).build()?;
        let embedding = Embedding::new(VOCABULARY, hidden, 2)?;
        let mut random = Philox::new(1, 0);
        let mut id = || ((random.uniform() * VOCABULARY as f32) as usize).min(VOCABULARY - 1);
        Ok(Job {
            table: network.project_embedding(&embedding)?,
            ids: (0..STEPS * batch).map(|_| id()).collect(),
            x: vec![0.0; STEPS * batch * hidden],
            y: vec![0.0; STEPS * batch * hidden],
            state: network.zero_state(batch)?,
            workspace: Workspace::default(),
            network,
            embedding,
            hidden,
            batch,
        })
    }

    /// A whole sequence.
    fn forward(&mut self, is_projected: bool) -> Result<(), Error> {
        let Job { network, embedding, table, hidden, batch, ids, x, y, state, workspace } = self;
        state.fill_zero();
        if is_projected {
            let tokens = Tokens::new(ids, [STEPS, *batch])?;
            return network.forward_tokens_into(table, tokens, state, y, workspace);
        }
        embedding.forward(ids, x)?;
        network.forward_into(View::new(x, [STEPS, *batch, *hidden])?, state, y, workspace)
    }

    /// The same step by step.
    fn steps(&mut self, is_projected: bool) -> Result<(), Error> {
        let Job { network, embedding, table, hidden, batch, ids, x, y, state, .. } = self;
        state.fill_zero();
        let width = *batch * *hidden;
        for (ids, y) in ids.chunks_exact(*batch).zip(y.chunks_exact_mut(width)) {
            if is_projected {
                network.step_tokens(table, ids, state, y)?;
            } else {
                embedding.forward(ids, &mut x[..width])?;
                network.step(&x[..width], state, y)?;
            }
        }
        Ok(())
    }

    /// The outputs as bits.
    fn bits(&mut self, run: Run, is_projected: bool) -> Result<Vec<u32>, Error> {
        self.y.fill(f32::NAN);
        run(self, is_projected)?;
        Ok(self.y.iter().map(|y| y.to_bits()).collect())
    }
}

type Run = fn(&mut Job, bool) -> Result<(), Error>;

/// Microseconds of a call with vectors, and how many times as long that is as one with the table.
fn compare(job: &mut Job, run: Run) -> Result<(f64, f64), Error> {
    if job.bits(run, false)? != job.bits(run, true)? {
        let expected = "that of vectors, bit for bit";
        return Err(Error::Config { arg: "the output", expected, got: "others".to_string() });
    }
    let mut call = |is_projected| run(job, is_projected).expect("it ran before");
    let calls = calibrate(LEAST, || call(false));
    let (mut times, mut ratios) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let [vectors, tokens] = [false, true].map(|projected| repetition(calls, || call(projected)));
        times.push(vectors);
        ratios.push(vectors / tokens);
    }
    Ok((median(&times), median(&ratios)))
}

fn run() -> Result<(), Error> {
    say!("T {STEPS}, I = H, a vocabulary of {VOCABULARY}, one thread; medians of {ROUNDS} pairs.");
    say!("Times with vectors, an embedding's forward included, and theirs over those with a table.\n");
    say!("| cell | H | B | sequence, us | ratio | its steps one by one, us | ratio | making the table, us |");
    say!("|---|---|---|---|---|---|---|---|");
    for cell in CELLS {
        for (hidden, batch) in SIZES {
            let job = &mut Job::new(cell, hidden, batch)?;
            let (forward, of_forward) = compare(job, Job::forward)?;
            let (steps, of_steps) = compare(job, Job::steps)?;
            let mut make =
                || drop(job.network.project_embedding(&job.embedding).expect("it was made before"));
            let calls = calibrate(LEAST, &mut make);
            let make = repetition(calls, make);
            say!(
                "| {} | {hidden} | {batch} | {forward:.1} | {of_forward:.2} | {steps:.1} | {of_steps:.2} | {make:.1} |",
                cell.name()
            );
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    on_one_thread("tokens", run)
}
