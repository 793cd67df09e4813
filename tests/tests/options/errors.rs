//! Options that make no sense are refused, in words.

use gatewise::{Activation, Cell, Gru, Lstm, Merge, Network, Rnn};

fn message<K>(built: Result<Network<K>, gatewise::Error>) -> String {
    built.map(|_| ()).unwrap_err().to_string()
}

#[test]
fn a_projection_is_smaller_than_what_it_projects() {
    assert_eq!(
        message(Lstm::builder(3, 4).proj_size(4).build()),
        "proj_size must be smaller than hidden_size: got 4"
    );
    assert!(Lstm::builder(3, 4).proj_size(0).build().is_ok());
}

#[test]
fn shapes_of_a_projected_network() {
    for cell in Cell::ALL {
        let network =
            Network::with_cell(cell, 3, 7).proj_size(2).num_layers(2).bidirectional(true).build().unwrap();
        let state = network.zero_state(5).unwrap();
        let has_c = matches!(cell, Cell::Lstm | Cell::Gru);
        assert_eq!((state.shape(), state.h().len()), ([4, 5, 2], 4 * 5 * 2));
        assert_eq!(state.c().len(), if has_c { 4 * 5 * 7 } else { 0 });
        let names: Vec<_> = network.params().iter().take(5).map(|tensor| tensor.name()).collect();
        assert_eq!(names, ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "weight_hr_l0"]);
        let shape = |name| network.params().get(name).unwrap().shape().to_vec();
        assert_eq!(shape("weight_hh_l1_reverse"), [cell.gates() * 7, 2]);
        assert_eq!(shape("weight_ih_l1"), [cell.gates() * 7, 4]);
        assert_eq!(shape("weight_hr_l1_reverse"), [2, 7]);
    }
}

#[test]
fn hidden_sizes_are_one_for_each_layer() {
    let of = |sizes: &[usize]| Lstm::builder(3, 4).hidden_sizes(sizes);
    assert_eq!(message(of(&[]).build()), "num_layers must be greater than zero: got 0");
    assert_eq!(message(of(&[5, 0, 4]).build()), "hidden_size must be greater than zero: got 0");
    assert_eq!(
        message(of(&[5, 4]).num_layers(3).build()),
        "hidden_sizes must be one for each layer: got 2 for num_layers = 3"
    );
    assert_eq!(
        message(of(&[5, 3, 4]).proj_size(3).build()),
        "proj_size must be smaller than hidden_size: got 3"
    );
    assert!(of(&[5, 3, 4]).proj_size(2).build().is_ok());
    assert_eq!(message(of(&[5, usize::MAX / 2]).build()), "the size of a parameter does not fit in memory");
    let (one, other) = (of(&[5, 3, 4]).build().unwrap(), of(&[5, 2, 4]).build().unwrap());
    let (x, mut state) = ([0.0; 3], other.zero_state(1).unwrap());
    let refused = one.step(&x, &mut state, &mut [0.0; 4]).unwrap_err().to_string();
    assert_eq!(refused, "h_0 has inconsistent hidden_size: got 2, expected 3");
    assert_eq!(state, other.zero_state(1).unwrap());
}

#[test]
fn shapes_of_layers_of_different_sizes() {
    for cell in Cell::ALL {
        let network =
            Network::with_cell(cell, 3, 0).hidden_sizes(&[7, 2, 5]).bidirectional(true).build().unwrap();
        let shape = |name| network.params().get(name).unwrap().shape().to_vec();
        assert_eq!(shape("weight_ih_l1"), [cell.gates() * 2, 14]);
        assert_eq!(shape("weight_hh_l2_reverse"), [cell.gates() * 5, 5]);
        assert_eq!(shape("bias_hh_l1"), [cell.gates() * 2]);
        let mut state = network.zero_state(4).unwrap();
        assert_eq!((state.shape(), state.h().len()), ([6, 4, 5], 4 * 2 * (7 + 2 + 5)));
        assert_eq!(state.h_range(1, 1), Some(4 * 16..4 * 18));
        assert_eq!((state.h_range(3, 0), state.h_range(0, 2)), (None, None));
        let c = (cell == Cell::Lstm).then_some(4 * 16..4 * 18);
        assert_eq!(state.c_range(1, 1), c);
        // Rows of each part.
        for (i, h) in state.h_mut().iter_mut().enumerate() {
            *h = i as f32;
        }
        let picked = state.gather(&[3, 1]).unwrap();
        let (from, to) = (state.h_range(2, 0).unwrap(), picked.h_range(2, 0).unwrap());
        assert_eq!(picked.h()[to], [&state.h()[from.clone()][15..], &state.h()[from][5..10]].concat());
        // The distribution is each layer's own.
        let bound =
            |name| network.params().get(name).unwrap().data().iter().fold(0.0_f32, |m, x| m.max(x.abs()));
        for (name, hidden) in [("weight_ih_l0", 7.0_f32), ("weight_ih_l1", 2.0), ("weight_ih_l2", 5.0)] {
            let expected = 1.0 / hidden.sqrt();
            assert!(bound(name) <= expected && bound(name) > 0.8 * expected, "{name}: {}", bound(name));
        }
    }
}

#[test]
fn a_merge_needs_two_directions() {
    for (merge, name) in [(Merge::Sum, "Sum"), (Merge::Mean, "Mean"), (Merge::Product, "Product")] {
        let words = format!("merge must be left at Concat for a network of one direction: got {name}");
        assert_eq!(message(Gru::builder(3, 4).merge(merge).build()), words);
        let network = Gru::builder(3, 4).num_layers(2).bidirectional(true).merge(merge).build().unwrap();
        assert_eq!(network.params().get("weight_ih_l1").unwrap().shape(), [12, 4]);
        assert_eq!(network.config().output_size(), 4);
    }
}

#[test]
fn a_reset_before_the_product_is_a_grus_and_not_projected() {
    assert_eq!(
        message(Lstm::builder(3, 4).linear_before_reset(false).build()),
        "linear_before_reset must be left on for a cell that is no GRU: got false"
    );
    assert_eq!(
        message(Gru::builder(3, 4).linear_before_reset(false).proj_size(2).build()),
        "linear_before_reset must be left on with a projection, for the reset gate cannot scale a projected h: got false"
    );
}

#[test]
fn activations_have_a_place_and_a_slope() {
    let hard = Activation::HARD_SIGMOID;
    assert_eq!(
        message(Rnn::builder(3, 4).gate_activation(hard).build()),
        "gate_activation must be left out for a cell that has none: got HardSigmoid { alpha: 0.2, beta: 0.5 }"
    );
    assert!(Gru::builder(3, 4).output_activation(hard).build().is_err());
    for bad in [
        Activation::LeakyRelu { alpha: -0.1 },
        Activation::ThresholdedRelu { alpha: -1.0 },
        Activation::Elu { alpha: f32::NAN },
        Activation::ScaledTanh { alpha: 0.0, beta: 1.0 },
        Activation::Affine { alpha: f32::INFINITY, beta: 0.0 },
    ] {
        let text = message(Gru::builder(3, 4).activation(bad).build());
        assert!(text.starts_with("activation must be one with finite parameters"), "{text}");
    }
}

#[test]
fn clips_are_finite_limits_of_what_the_cell_has() {
    for limit in [0.0, -1.0, f32::INFINITY, f32::NAN] {
        let refused = message(Rnn::builder(3, 4).pre_activation_clip(limit).build());
        assert_eq!(refused, format!("pre_activation_clip must be finite and greater than zero: got {limit}"));
        let refused = message(Lstm::builder(3, 4).cell_clip(limit).build());
        assert_eq!(refused, format!("cell_clip must be finite and greater than zero: got {limit}"));
    }
    assert_eq!(
        message(Gru::builder(3, 4).cell_clip(1.0).build()),
        "cell_clip must be left out for a cell that has no c: got 1"
    );
}
