//! Truncation bias against the gradients of streams.

use gatewise::{Cell, Tensors, TruncatedBptt, Truncation, Upstream, View, truncation_bias};
use tests::setup::Setup;

fn dot(a: &Tensors, b: &Tensors) -> f64 {
    let pairs = a.iter().zip(b.iter()).flat_map(|(a, b)| a.data().iter().zip(b.data()));
    pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// The last window's gradients of two truncated streams are the two that are compared.
#[test]
fn the_gradients_of_two_streams() {
    for (cell, batch_first) in [(Cell::Gru, false), (Cell::Lstm, true), (Cell::RnnTanh, false)] {
        let setup =
            Setup { cell, hidden: 5, steps: 20, batch: 2, batch_first, layers: 2, ..Setup::default() };
        let problem = setup.problem();
        let network = problem.network(gatewise::Kernels::auto().unwrap());
        let state = problem.state(&network).unwrap();
        let x = problem.layout(&problem.x, setup.input);
        let x = View::new(&x, problem.shape(setup.input)).unwrap();
        let (k1, k2) = (4, 8);
        let dy: Vec<f32> = (0..k1 * setup.batch * setup.hidden).map(|i| 1.0 - (i % 3) as f32).collect();
        let shape =
            if batch_first { [setup.batch, k1, setup.hidden] } else { [k1, setup.batch, setup.hidden] };
        let dy = View::new(&dy, shape).unwrap();
        let gradient = |k2: usize| {
            let mut bptt = TruncatedBptt::new(&network, Truncation { k1, k2 }, state.clone()).unwrap();
            bptt.push(x).unwrap();
            let mut grads = network.params().zeros_like();
            while bptt.forward(&network).unwrap() {
                grads.fill(0.0);
                bptt.backward(&network, Upstream::output(dy), &mut grads).unwrap();
            }
            grads
        };
        let (short, long) = (gradient(k2), gradient(2 * k2));
        let bias = truncation_bias(&network, x, Some(&state), Truncation { k1, k2 }, dy).unwrap();
        let [s, l] = [&short, &long].map(|grads| dot(grads, grads).sqrt());
        // Sums of the same f32 products in another order.
        let near = |a: f64, b: f64| (a - b).abs() < 1e-6 * b.abs().max(1.0);
        assert!(near(bias.total.cosine, dot(&short, &long) / (s * l)), "{bias:?}");
        assert!(near(bias.total.norm_ratio, s / l), "{bias:?}");
        assert!(bias.total.cosine < 1.0 - 1e-6, "{cell:?}: the cut changes nothing, so nothing is proved");
        assert_eq!(bias.tensors.len(), network.params().len());
        for ((of, short), long) in bias.tensors.iter().zip(short.iter()).zip(long.iter()) {
            assert_eq!(of.name, short.name());
            let norm = |data: &[f32]| data.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
            assert!(near(of.norm_ratio, norm(short.data()) / norm(long.data())), "{of:?}");
        }
    }
}

/// Where the state does not reach back, nothing is lost.
#[test]
fn a_network_without_memory() {
    let mut gru = gatewise::Gru::builder(1, 3).seed(2).build().unwrap();
    gru.params_mut().get_mut("weight_hh_l0").unwrap().data_mut().fill(0.0);
    // z = sigmoid(-100): nothing is kept.
    let mut params = gru.params_mut();
    params.get_mut("bias_ih_l0").unwrap().data_mut()[3..6].fill(-100.0);
    drop(params);
    let (x, dy) = ([0.5; 12], [1.0; 3]);
    let (x, dy) = (View::new(&x, [12, 1, 1]).unwrap(), View::new(&dy, [1, 1, 3]).unwrap());
    let bias = truncation_bias(&gru, x, None, Truncation { k1: 1, k2: 6 }, dy).unwrap();
    assert!((bias.total.cosine - 1.0).abs() < 1e-12 && (bias.total.norm_ratio - 1.0).abs() < 1e-12);
}
