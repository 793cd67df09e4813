//! The number of threads changes no bit: pools of 1 to 4 threads, on passes that are worth sharing out.

use gatewise::{Cell, Kernels};
use proptest::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::LazyLock;
use tests::bounds::same_bits;
use tests::problem::Problem;
use tests::setup::{Setup, cases, large_setups};

static POOLS: LazyLock<Vec<ThreadPool>> = LazyLock::new(|| {
    (1..=4).map(|threads| ThreadPoolBuilder::new().num_threads(threads).build().unwrap()).collect()
});

fn check(problem: &Problem, kernels: Kernels) -> Result<(), TestCaseError> {
    let network = problem.network(kernels);
    let run = |pool: &ThreadPool| pool.install(|| (problem.train(&network), problem.infer(&network)));
    let (trained, inferred) = run(&POOLS[0]);
    for pool in &POOLS[1..] {
        let (other_trained, other_inferred) = run(pool);
        for same in [same_bits(&trained, &other_trained), same_bits(&inferred, &other_inferred)] {
            prop_assert!(
                same.is_ok(),
                "{} threads on {}: {same:?}",
                pool.current_num_threads(),
                kernels.isa()
            );
        }
    }
    Ok(())
}

/// Passes of these tests are shared out at all: otherwise they would prove nothing.
#[test]
fn these_passes_are_shared_out() {
    let setup = Setup { cell: Cell::Gru, hidden: 64, input: 8, steps: 64, batch: 6, ..Setup::default() };
    let network = setup.problem().network(Kernels::auto().unwrap());
    let one = network.explain(setup.steps, setup.batch, 1).unwrap();
    let four = network.explain(setup.steps, setup.batch, 4).unwrap();
    assert_ne!(one, four, "the plan for one thread is the plan for four");
}

proptest! {
    #![proptest_config(cases(12))]

    /// Outputs, states and all gradients, dW among them.
    #[test]
    fn any_number_of_threads(setup in large_setups()) {
        for kernels in Kernels::available().unwrap().into_iter().rev().take(1) {
            check(&setup.problem(), kernels)?;
        }
    }
}

/// One pass of each cell on every instruction set.
#[test]
fn any_number_of_threads_on_every_instruction_set() {
    for cell in Cell::ALL {
        let options = Setup { bidirectional: true, ragged: true, resets: true, seed: 3, ..Setup::default() };
        let setup = Setup {
            cell,
            hidden: 72,
            input: 9,
            steps: 4_500_000 / (6 * cell.gates() * 72 * 81),
            batch: 6,
            ..options
        };
        for kernels in Kernels::available().unwrap() {
            check(&setup.problem(), kernels).unwrap_or_else(|error| panic!("{cell:?}: {error}"));
        }
    }
}
