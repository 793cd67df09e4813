//! Tokens, for cells with options: a projected table changes no bit, whichever way the cell takes its input.

use super::case::Case;
use super::model::{bits, fill, initial, narrow};
use gatewise::{Input, Kernels, Tokens, View};
use proptest::prelude::*;
use tests::rng::Rng;

fn against_vectors(seed: u64) -> Result<(), TestCaseError> {
    let mut rng = Rng::new(seed);
    let case = Case::draw(&mut rng);
    let stack = case.stack(&mut rng);
    let run = case.run(&stack.shape, &mut rng);
    let vocabulary = 1 + rng.below(5);
    let table: Vec<f32> = narrow(&rng.vec(vocabulary * case.input, -1.0, 1.0));
    let ids: Vec<usize> = (0..case.steps * case.batch).map(|_| rng.below(vocabulary)).collect();
    let x: Vec<f32> = ids.iter().flat_map(|id| &table[id * case.input..][..case.input]).copied().collect();
    // In the network's layout, both of them.
    let [first, second, _] = case.sequence_shape(case.input);
    let input = Input::from(View::new(&x, case.sequence_shape(case.input)).unwrap());
    let input = Input { lengths: case.lengths.as_deref(), resets: case.resets.as_deref(), ..input };
    let mut tokens = Tokens::new(&ids, [first, second]).unwrap();
    if let Some(lengths) = &case.lengths {
        tokens = tokens.lengths(lengths);
    }
    if let Some(resets) = &case.resets {
        tokens = tokens.resets(resets);
    }
    for kernels in Kernels::available().unwrap() {
        let mut network = case.build(kernels);
        fill(&mut network, &stack);
        let mut state = initial(&network, &run);
        let projected = network.project_table(vocabulary, &table).unwrap();
        let (y, end) = network.forward(input, Some(&state)).unwrap();
        let (of_tokens, end_of_tokens) = network.forward_tokens(&projected, tokens, Some(&state)).unwrap();
        prop_assert_eq!(bits(of_tokens.data()), bits(y.data()));
        prop_assert_eq!(bits(end_of_tokens.h()), bits(end.h()));
        prop_assert_eq!(bits(end_of_tokens.c()), bits(end.c()));
        if case.bidirectional {
            continue;
        }
        let (mut expected, mut out) = (state.clone(), vec![0.0; case.batch * network.config().output_size()]);
        let mut out_of_tokens = out.clone();
        // A step reads a token for each row, whatever the layout of sequences: any will do.
        for (step, ids) in ids.chunks(case.batch).enumerate() {
            let x = &x[step * case.batch * case.input..][..case.batch * case.input];
            network.step(x, &mut expected, &mut out).unwrap();
            network.step_tokens(&projected, ids, &mut state, &mut out_of_tokens).unwrap();
            prop_assert_eq!(bits(&out_of_tokens), bits(&out));
            prop_assert_eq!(bits(state.c()), bits(expected.c()));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn tokens_have_the_bits_of_their_vectors(seed: u64) {
        against_vectors(seed)?;
    }
}
