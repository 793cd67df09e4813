//! Tokens and projected tables: the bits of the vectors that they stand for, and everything that can be wrong with them.

use super::errors::refused;
use gatewise::{
    Cell, Embedding, Error, Gru, Kernels, Lstm, Network, ProjectedTable, State, Tokens, View, Workspace,
};
use proptest::prelude::*;
use rayon::ThreadPoolBuilder;
use tests::bounds::{same_bits, same_slices};
use tests::problem::{Arrays, Problem};
use tests::rng::Rng;
use tests::setup::{Setup, cases, large_setups, setups};

/// A problem whose input is rows of a table.
struct Text {
    problem: Problem,
    vocabulary: usize,
    /// [vocabulary, I]
    table: Vec<f32>,
    /// In the network's layout; no row has the number that stands beyond a row's length.
    ids: Vec<usize>,
}

/// What a table may hold as well, now and then.
const SPECIAL: [f32; 6] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 1e-40, f32::MAX];

impl Text {
    fn new(setup: &Setup) -> Text {
        let (mut problem, rng) = (setup.problem(), &mut Rng::new(!setup.seed));
        let Setup { steps, batch, input, batch_first, .. } = *setup;
        let (vocabulary, is_special) = (1 + rng.below(11), rng.chance(0.2));
        let value = |rng: &mut Rng| match is_special && rng.chance(0.02) {
            true => SPECIAL[rng.below(SPECIAL.len())],
            false => rng.uniform(-1.5, 1.5) as f32,
        };
        let table: Vec<f32> = (0..vocabulary * input).map(|_| value(rng)).collect();
        let mut ids = vec![usize::MAX; steps * batch];
        for (t, row) in (0..steps).flat_map(|t| (0..batch).map(move |row| (t, row))) {
            if problem.lengths.as_ref().is_none_or(|lengths| t < lengths[row]) {
                let id = rng.below(vocabulary);
                ids[if batch_first { row * steps + t } else { t * batch + row }] = id;
                problem.x[(t * batch + row) * input..][..input]
                    .copy_from_slice(&table[id * input..][..input]);
            }
        }
        Text { problem, vocabulary, table, ids }
    }

    fn project<K>(&self, network: &Network<K>) -> ProjectedTable {
        network.project_table(self.vocabulary, &self.table).unwrap()
    }

    /// [`Problem::infer`] of the tokens, in room that may have been used before.
    fn infer<K>(&self, network: &Network<K>, table: &ProjectedTable, room: &mut Workspace) -> Arrays<f32> {
        let problem = &self.problem;
        let [first, second, _] = problem.shape(0);
        let mut tokens = Tokens::new(&self.ids, [first, second]).unwrap();
        if let Some(lengths) = &problem.lengths {
            tokens = tokens.lengths(lengths);
        }
        if let Some(resets) = &problem.resets {
            tokens = tokens.resets(resets);
        }
        let reset = problem.reset_state(network);
        if let Some(state) = &reset {
            tokens = tokens.reset_state(state);
        }
        let start = problem.state(network);
        let (y, end) = network.forward_tokens(table, tokens, start.as_ref()).unwrap();

        let mut state = start.unwrap_or(network.zero_state(problem.setup.batch).unwrap());
        let mut out = vec![f32::NAN; y.data().len()];
        network.forward_tokens_into(table, tokens, &mut state, &mut out, room).unwrap();
        same_slices("into", y.data(), &out).unwrap();
        same_slices("h_n", end.h(), state.h()).unwrap();
        same_slices("c_n", end.c(), state.c()).unwrap();
        let out = problem.time_major(y.data(), problem.setup.output());
        let list = [("out", out), ("h_n", end.h().to_vec()), ("c_n", end.c().to_vec())];
        Arrays { list: list.map(|(name, data)| (name.to_string(), data)).to_vec() }
    }

    /// Step by step, against steps of the vectors.
    fn check_steps<K>(&self, network: &Network<K>, table: &ProjectedTable) -> Result<(), String> {
        let Setup { steps, batch, input, .. } = self.problem.setup;
        let start = || self.problem.state(network).unwrap_or(network.zero_state(batch).unwrap());
        let (mut one, mut other) = (start(), start());
        let width = batch * self.problem.setup.output();
        let (mut y, mut expected) = (vec![f32::NAN; width], vec![f32::NAN; width]);
        for t in 0..steps {
            let ids = &self.ids[t * batch..][..batch];
            network.step_tokens(table, ids, &mut one, &mut y).unwrap();
            let x = &self.problem.x[t * batch * input..][..batch * input];
            network.step(x, &mut other, &mut expected).unwrap();
            same_slices("out", &y, &expected)?;
            same_slices("h", one.h(), other.h())?;
            same_slices("c", one.c(), other.c())?;
        }
        Ok(())
    }
}

fn all_kernels() -> impl Iterator<Item = Kernels> {
    Kernels::available().unwrap().into_iter().flat_map(|kernels| [kernels, kernels.any_size()])
}

proptest! {
    #![proptest_config(cases(128))]

    /// Any network, lengths, resets, states, layout; the room used before by another network, and by vectors.
    #[test]
    fn tokens_have_the_bits_of_their_vectors(setup in setups(1 << 17), before in setups(1 << 14)) {
        let (text, before) = (Text::new(&setup), Text::new(&before));
        for kernels in all_kernels() {
            let (network, other) = (text.problem.network(kernels), before.problem.network(kernels));
            let mut room = Workspace::default();
            before.infer(&other, &before.project(&other), &mut room);
            let (vectors, table) = (text.problem.infer(&network), text.project(&network));
            let tokens = text.infer(&network, &table, &mut room);
            let same = same_bits(&vectors, &tokens);
            prop_assert!(same.is_ok(), "{}: {same:?}", kernels.isa());

            let x = text.problem.layout(&text.problem.x, setup.input);
            let (mut state, mut y) = (network.zero_state(setup.batch).unwrap(), vec![0.0; x.len().max(1)]);
            y.resize(text.problem.shape(setup.output()).iter().product(), 0.0);
            network.forward_into(text.problem.input(&x), &mut state, &mut y, &mut room).unwrap();
            let again = same_bits(&vectors, &text.infer(&network, &table, &mut room));
            prop_assert!(again.is_ok(), "{}, again: {again:?}", kernels.isa());
        }
    }

    /// Single steps of any network that has them.
    #[test]
    fn steps_of_tokens_have_the_bits_of_their_vectors(setup in setups(1 << 17)) {
        let layout = Setup { bidirectional: false, batch_first: false, ragged: false, ..setup };
        let text = Text::new(&layout);
        for kernels in all_kernels() {
            let network = text.problem.network(kernels);
            let same = text.check_steps(&network, &text.project(&network));
            prop_assert!(same.is_ok(), "{}: {same:?}", kernels.isa());
        }
    }
}

proptest! {
    #![proptest_config(cases(12))]

    /// Passes that are shared out, and tables that are made by several threads.
    #[test]
    fn any_number_of_threads(setup in large_setups()) {
        let text = Text::new(&setup);
        let kernels = Kernels::auto().unwrap();
        let network = text.problem.network(kernels);
        let vectors = text.problem.infer(&network);
        for threads in 1..=4 {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let tokens = pool.install(|| text.infer(&network, &text.project(&network), &mut Workspace::default()));
            let same = same_bits(&vectors, &tokens);
            prop_assert!(same.is_ok(), "{threads} threads: {same:?}");
        }
    }
}

/// A table that is worth several threads has the bits of one made by a single one.
#[test]
fn a_large_table() {
    let (embedding, gru) = (Embedding::new(3000, 40, 1).unwrap(), Gru::new(40, 24).unwrap());
    let ids: Vec<usize> = (0..3000).collect();
    let run = |threads| {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let table = pool.install(|| gru.project_embedding(&embedding)).unwrap();
        gru.forward_tokens(&table, Tokens::new(&ids, [1, 3000]).unwrap(), None).unwrap()
    };
    let mut x = vec![0.0; 3000 * 40];
    embedding.forward(&ids, &mut x).unwrap();
    let expected = gru.forward(View::new(&x, [1, 3000, 40]).unwrap(), None).unwrap();
    assert_eq!((run(1), run(3)), (expected.clone(), expected));
}

/// No rows, and no numbers to choose from: nothing is read.
#[test]
fn nothing() {
    for cell in Cell::ALL {
        let network = Network::with_cell(cell, 3, 5).build().unwrap();
        let table = network.project_table(0, &[]).unwrap();
        assert_eq!((table.vocabulary(), table.bytes()), (0, 0));
        let (y, end) = network.forward_tokens(&table, Tokens::new(&[], [4, 0]).unwrap(), None).unwrap();
        assert_eq!((y.shape(), end.shape()), ([4, 0, 5], [1, 0, 5]));
        network.step_tokens(&table, &[], &mut network.zero_state(0).unwrap(), &mut []).unwrap();
        // Rows of no steps.
        let tokens = Tokens::new(&[7; 6], [3, 2]).unwrap().lengths(&[0, 0]);
        let (y, _) = network.forward_tokens(&table, tokens, None).unwrap();
        assert!(y.data().iter().all(|&y| y == 0.0));
    }
}

/// I = 3, H = 5, T = 4, B = 2 and a vocabulary of 6; a state and an output full of a pattern.
struct Bench {
    network: Network<gatewise::Any>,
    table: ProjectedTable,
}

impl Bench {
    fn new(cell: Cell) -> Bench {
        let network = Network::with_cell(cell, 3, 5).num_layers(2).build().unwrap();
        Bench { table: network.project_table(6, &[0.5; 18]).unwrap(), network }
    }

    fn state(&self) -> State {
        let mut state = self.network.zero_state(2).unwrap();
        state.h_mut().fill(7.5);
        state.c_mut().fill(-7.5);
        state
    }

    /// Both forward passes refuse, with these words, and leave state and output as they were.
    #[track_caller]
    fn both_refuse(&self, table: &ProjectedTable, tokens: Tokens<'_>, words: &str) -> Error {
        let (start, mut y) = (self.state(), vec![7.5; 4 * 2 * 5]);
        refused(self.network.forward_tokens(table, tokens, Some(&start)), words);
        let mut state = start.clone();
        let room = &mut Workspace::default();
        let error = refused(self.network.forward_tokens_into(table, tokens, &mut state, &mut y, room), words);
        assert!(state == start && y.iter().all(|&y| y == 7.5), "nothing is written");
        error
    }

    #[track_caller]
    fn step_refuses(&self, table: &ProjectedTable, tokens: &[usize], len: usize, words: &str) -> Error {
        let (mut state, mut y) = (self.state(), vec![7.5; len]);
        let error = refused(self.network.step_tokens(table, tokens, &mut state, &mut y), words);
        assert!(state == self.state() && y.iter().all(|&y| y == 7.5), "nothing is written");
        error
    }
}

/// A token that is not in the table, wherever it stands; beyond a row's length none is looked at.
#[test]
fn tokens_out_of_range() {
    for cell in Cell::ALL {
        let bench = Bench::new(cell);
        for at in 0..8 {
            let mut ids = [0; 8];
            ids[at] = 6 + at;
            let (token, step, row) = (6 + at, at / 2, at % 2);
            let words = format!(
                "tokens: token {token} of row {row} at step {step} is out of range, the vocabulary has 6"
            );
            let tokens = Tokens::new(&ids, [4, 2]).unwrap();
            let error = bench.both_refuse(&bench.table, tokens, &words);
            assert_eq!(error, Error::Token { token, step, row, vocabulary: 6 });
            let mut lengths = [4; 2];
            lengths[row] = step;
            let tokens = tokens.lengths(&lengths);
            bench.network.forward_tokens(&bench.table, tokens, None).unwrap();
        }
        let words = "tokens: token 6 of row 1 at step 0 is out of range, the vocabulary has 6";
        bench.step_refuses(&bench.table, &[0, 6], 10, words);

        let rows = Network::with_cell(cell, 3, 5).batch_first(true).bidirectional(true).build().unwrap();
        let table = rows.project_table(6, &[0.5; 18]).unwrap();
        let tokens = Tokens::new(&[0, 0, 0, 0, 0, 9, 0, 0], [2, 4]).unwrap();
        let words = "tokens: token 9 of row 1 at step 1 is out of range, the vocabulary has 6";
        refused(rows.forward_tokens(&table, tokens, None), words);
    }
}

/// A table belongs to a network and its clones until the parameters may have changed.
#[test]
fn tables_of_others() {
    let words =
        "table must be projected by this network with its present parameters: got one of other parameters";
    let tokens = || Tokens::new(&[1; 8], [4, 2]).unwrap();
    for cell in Cell::ALL {
        let mut bench = Bench::new(cell);
        let other = Bench::new(cell);
        let error = bench.both_refuse(&other.table, tokens(), words);
        assert!(matches!(error, Error::Config { arg: "table", .. }));
        bench.step_refuses(&other.table, &[0, 0], 10, words);
        let wide = Network::with_cell(cell, 3, 50).bidirectional(true).build().unwrap();
        bench.both_refuse(&wide.project_table(6, &[0.5; 18]).unwrap(), tokens(), words);

        let clone = bench.network.clone();
        let expected = clone.forward_tokens(&bench.table, tokens(), None).unwrap();
        assert_eq!(bench.network.forward_tokens(&bench.table, tokens(), None).unwrap(), expected);
        // As they were, but they may have changed.
        bench.network.params_mut().iter_mut().for_each(drop);
        bench.both_refuse(&bench.table, tokens(), words);
        bench.step_refuses(&bench.table, &[0, 0], 10, words);
        assert_eq!(clone.forward_tokens(&bench.table, tokens(), None).unwrap(), expected);
        let table = bench.network.project_table(6, &[0.5; 18]).unwrap();
        assert_eq!(bench.network.forward_tokens(&table, tokens(), None).unwrap(), expected);
    }
}

/// Numbers, tables, states and outputs that do not fit.
#[test]
fn shapes() {
    refused(Tokens::new(&[0; 7], [4, 2]), "tokens has inconsistent length: got 7, expected 8");
    refused(Tokens::new(&[], [usize::MAX, 2]), "the size of tokens does not fit in memory");
    for cell in Cell::ALL {
        let bench = Bench::new(cell);
        let Bench { network, table } = &bench;
        refused(network.project_table(6, &[0.5; 17]), "table has inconsistent length: got 17, expected 18");
        refused(network.project_table(usize::MAX, &[]), "the size of table does not fit in memory");
        let embedding = Embedding::new(6, 4, 1).unwrap();
        let words = "embedding has inconsistent embedding_dim: got 4, expected 3";
        refused(network.project_embedding(&embedding), words);

        let ids = [0; 12];
        let words = "h_0 has inconsistent batch size: got 2, expected 3";
        bench.both_refuse(table, Tokens::new(&ids, [4, 3]).unwrap(), words);
        let words = "Expected sequence length to be larger than 0 in RNN";
        bench.both_refuse(table, Tokens::new(&[], [0, 2]).unwrap(), words);
        let words = "output has inconsistent length: got 40, expected 30";
        let (mut state, mut y) = (bench.state(), [7.5; 40]);
        let three = Tokens::new(&ids[..6], [3, 2]).unwrap();
        let room = &mut Workspace::default();
        refused(network.forward_tokens_into(table, three, &mut state, &mut y, room), words);
        assert!(state == bench.state() && y == [7.5; 40]);

        let tokens = Tokens::new(&ids[..8], [4, 2]).unwrap();
        let words = "lengths has inconsistent sequence length: got 5, expected 4";
        bench.both_refuse(table, tokens.lengths(&[4, 5]), words);
        let words = "resets has inconsistent length: got 7, expected 8";
        bench.both_refuse(table, tokens.resets(&[true; 7]), words);
        let words = "reset_h has inconsistent batch size: got 3, expected 2";
        bench.both_refuse(table, tokens.reset_state(&network.zero_state(3).unwrap()), words);

        bench.step_refuses(table, &[0], 10, "tokens has inconsistent length: got 1, expected 2");
        bench.step_refuses(table, &[0, 0], 9, "output has inconsistent length: got 9, expected 10");
    }
    let both = Lstm::builder(3, 5).bidirectional(true).build().unwrap();
    let table = both.project_table(6, &[0.5; 18]).unwrap();
    let (mut state, mut y) = (both.zero_state(1).unwrap(), [7.5; 10]);
    let error = both.step_tokens(&table, &[0], &mut state, &mut y).unwrap_err();
    assert!(matches!(error, Error::Config { arg: "bidirectional", .. }), "{error}");
    assert_eq!(y, [7.5; 10]);
}
