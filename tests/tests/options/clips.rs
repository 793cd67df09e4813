//! What is clipped within a cell: before the activations, and c itself.

use super::case::{Case, single};
use super::model::{bits, fill, initial, narrow};
use gatewise::{Activation, Activations, Cell, Input, Kernels, Upstream, View};
use tests::oracle::StackRun;
use tests::rng::Rng;

/// A case of no other option.
fn plain(cell: Cell, hidden: usize, rng: &mut Rng) -> Case {
    Case {
        cell,
        activations: Activations::of(cell),
        linear_before_reset: true,
        proj: None,
        lengths: None,
        resets: None,
        initial_state: true,
        batch_first: false,
        dropout: 0.0,
        bidirectional: false,
        steps: 6,
        batch: 3,
        input: 4,
        hidden,
        ..Case::draw(rng)
    }
}

/// Outputs, final state and all gradients, as bits.
fn train(case: &Case, stack: &tests::oracle::Stack, run: &StackRun, kernels: Kernels) -> [Vec<u32>; 4] {
    let mut network = case.build(kernels);
    fill(&mut network, stack);
    let x = narrow(&run.x);
    let input = Input::from(View::new(&x, [case.steps, case.batch, case.input]).unwrap());
    let mut tape = network.forward_train(input, Some(&initial(&network, run))).unwrap();
    let y = tape.output().data().to_vec();
    let mut end = network.zero_state(case.batch).unwrap();
    tape.final_state(&mut end).unwrap();
    let dy: Vec<f32> = y.iter().map(|y| 1.0 - y).collect();
    let up = Upstream::output(View::new(&dy, tape.output().shape()).unwrap());
    let mut grads = network.params().zeros_like();
    network.backward(&mut tape, up, &mut grads).unwrap();
    let grads = grads.iter().flat_map(|tensor| bits(tensor.data())).collect();
    [bits(&y), bits(end.c()), grads, bits(tape.grad_h_0())]
}

/// Limits that nothing reaches change no bit, though the kernels are others.
#[test]
fn a_limit_that_is_not_reached_changes_nothing() {
    for cell in Cell::ALL {
        let mut rng = Rng::new(11);
        let plain = plain(cell, 19, &mut rng);
        let far = Activations {
            clip: Some(1e6),
            cell_clip: (cell == Cell::Lstm).then_some(1e6),
            ..plain.activations
        };
        let with = Case { activations: far, ..plain.clone() };
        let stack = plain.stack(&mut rng);
        let run = plain.run(&stack.shape, &mut rng);
        for kernels in Kernels::available().unwrap() {
            let ids = [&plain, &with].map(|case| case.build(kernels).kernel_id(6, 3, 1).unwrap());
            assert_ne!(ids[0], ids[1]);
            assert_eq!(train(&plain, &stack, &run, kernels), train(&with, &stack, &run, kernels), "{cell:?}");
        }
    }
}

/// A relu clipped at 6 is relu6, whose gradient is zero at 6 and beyond.
#[test]
fn a_clipped_relu_stops_at_its_limit() {
    let mut network = gatewise::Rnn::builder(1, 1)
        .activation(Activation::Relu)
        .pre_activation_clip(6.0)
        .bias(false)
        .build()
        .unwrap();
    network.params_mut().get_mut("weight_ih_l0").unwrap().data_mut()[0] = 1.0;
    network.params_mut().get_mut("weight_hh_l0").unwrap().data_mut()[0] = 0.0;
    let x = [-1.0, 5.5, 6.0, 6.5, -7.0, f32::INFINITY];
    let mut tape = network.forward_train(View::new(&x, [1, 6, 1]).unwrap(), None).unwrap();
    assert_eq!(tape.output().data(), [0.0, 5.5, 6.0, 6.0, 0.0, 6.0]);
    let mut grads = network.params().zeros_like();
    let up = Upstream::output(View::new(&[1.0; 6], [1, 6, 1]).unwrap());
    network.backward(&mut tape, up, &mut grads).unwrap();
    assert_eq!(tape.grad_input().unwrap().data(), [0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
}

/// However large the sums: |c| stays within the limit at every step, and h within its tanh.
#[test]
fn c_stays_within_its_limit() {
    let mut rng = Rng::new(5);
    let mut case = plain(Cell::Lstm, 33, &mut rng);
    case.activations.cell_clip = Some(0.25);
    (case.layers, case.taper) = (1, 0);
    let stack = case.stack(&mut rng);
    let mut run = case.run(&stack.shape, &mut rng);
    run.x.iter_mut().for_each(|x| *x = single(*x * 50.0));
    for kernels in Kernels::available().unwrap() {
        let mut network = case.build(kernels);
        fill(&mut network, &stack);
        let x = narrow(&run.x);
        let view = View::new(&x, [case.steps, case.batch, case.input]).unwrap();
        let (y, _, trace) = network.forward_trace(view, Some(&initial(&network, &run))).unwrap();
        let c = trace.c(0, 0).unwrap();
        assert!(c.data().iter().all(|c| c.abs() <= 0.25));
        let at_limit = c.data().iter().filter(|c| c.abs() == 0.25).count();
        assert!(4 * at_limit > c.data().len(), "{at_limit} of {} at the limit", c.data().len());
        assert!(y.data().iter().all(|h| h.abs() <= 0.25_f32.tanh()));
    }
}
