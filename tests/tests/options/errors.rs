//! Options that make no sense are refused, in words.

use gatewise::{Activation, Cell, Gru, Lstm, Network, Rnn};

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
