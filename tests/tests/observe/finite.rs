//! Where the first value stands that is not finite.

use gatewise::{Activation, Cell, Kernels, Network, Observer, Rnn, Tensors, Upstream, View};

const STEPS: usize = 12;

/// A network that passes h on, multiplied.
fn multiplying(factor: f32) -> Rnn {
    let builder = Rnn::builder(1, 2).activation(Activation::Identity).kernels(Kernels::auto().unwrap());
    let mut rnn = builder.build().unwrap();
    let mut params = rnn.params_mut();
    params.fill(0.0);
    params.get_mut("weight_hh_l0").unwrap().data_mut().copy_from_slice(&[factor, 0.0, 0.0, factor]);
    params.get_mut("weight_ih_l0").unwrap().data_mut().fill(1.0);
    drop(params);
    rnn
}

fn place<K>(network: &Network<K>, x: &[f32], upstream: Upstream<'_>) -> String {
    let batch = x.len() / STEPS / network.config().input_size;
    let shape = if network.config().batch_first { [batch, STEPS, 1] } else { [STEPS, batch, 1] };
    let mut tape = network.forward_train(View::new(x, shape).unwrap(), None).unwrap();
    let mut observer = Observer::new(network);
    let mut grads: Tensors = network.params().zeros_like();
    observer.backward(network, &mut tape, upstream, &mut grads).unwrap();
    observer.flow().non_finite.as_ref().map_or(String::new(), ToString::to_string)
}

#[test]
fn every_place() {
    let h_n = Upstream { h_n: Some(&[1.0, 1.0]), ..Upstream::default() };
    let zeros = [0.0; STEPS];
    assert_eq!(place(&multiplying(1e5), &zeros[..], Upstream::default()), "");
    // 1e5 to the eighth is beyond f32: eight steps before the last.
    assert_eq!(place(&multiplying(1e5), &zeros, h_n), "dL/dh of layer 0, forward, at step 3");
    // Forward: x = 1 at step 2, 1e40 at step 10, whatever the backward pass says.
    let mut x = zeros;
    x[2] = 1.0;
    assert_eq!(place(&multiplying(1e5), &x, h_n), "h of layer 0, forward, at step 10");
    let mut x = zeros;
    x[7] = f32::NAN;
    assert_eq!(place(&multiplying(0.5), &x, h_n), "input, at step 7");
    assert_eq!(place(&multiplying(f32::NAN), &zeros, h_n), "weight_hh_l0");
    let mut dy = [0.0; STEPS * 2];
    dy[2 * 4 + 1] = f32::INFINITY;
    let upstream = Upstream::output(View::new(&dy, [STEPS, 1, 2]).unwrap());
    assert_eq!(place(&multiplying(0.5), &zeros, upstream), "dL/d output, at step 4");
}

/// A bidirectional LSTM whose second layer has a c that leaves its range: an LSTM's c grows by one a step at most, so it starts there.
#[test]
fn a_c_and_a_layout() {
    let builder = Network::with_cell(Cell::Lstm, 1, 2).num_layers(2).bidirectional(true).batch_first(true);
    let network = builder.seed(3).build().unwrap();
    let mut state = network.zero_state(2).unwrap();
    // Layer 1, reverse, row 1: its first step is the last one in time.
    state.c_mut()[3 * 2 * 2 + 2] = f32::INFINITY;
    let x = [0.1; 2 * STEPS];
    let mut tape = network.forward_train(View::new(&x, [2, STEPS, 1]).unwrap(), Some(&state)).unwrap();
    let mut observer = Observer::new(&network);
    let dy = [1.0; 2 * STEPS * 4];
    let upstream = Upstream::output(View::new(&dy, [2, STEPS, 4]).unwrap());
    observer.backward(&network, &mut tape, upstream, &mut network.params().zeros_like()).unwrap();
    let place = observer.flow().non_finite.as_ref().map_or(String::new(), ToString::to_string);
    assert_eq!(place, "c of layer 1, reverse, at step 11");
}
