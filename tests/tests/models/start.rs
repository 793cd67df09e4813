//! Initial parameters: PyTorch's names, shapes, order and distributions, from a seed.

use gatewise::{Any, Cell, Embedding, Linear, Network, Tensors};

fn network(cell: Cell, seed: u64) -> Network<Any> {
    Network::with_cell(cell, 5, 25).num_layers(2).bidirectional(true).seed(seed).build().unwrap()
}

/// The names, shapes and order of `torch.nn.LSTM(5, 25, 2, bidirectional=True).state_dict()`, and without biases.
#[test]
fn names_and_shapes() {
    for cell in Cell::ALL {
        let rows = cell.gates() * 25;
        let network = network(cell, 0);
        let got: Vec<(&str, &[usize])> = network.params().iter().map(|t| (t.name(), t.shape())).collect();
        let expected: [(&str, &[usize]); 16] = [
            ("weight_ih_l0", &[rows, 5]),
            ("weight_hh_l0", &[rows, 25]),
            ("bias_ih_l0", &[rows]),
            ("bias_hh_l0", &[rows]),
            ("weight_ih_l0_reverse", &[rows, 5]),
            ("weight_hh_l0_reverse", &[rows, 25]),
            ("bias_ih_l0_reverse", &[rows]),
            ("bias_hh_l0_reverse", &[rows]),
            ("weight_ih_l1", &[rows, 50]),
            ("weight_hh_l1", &[rows, 25]),
            ("bias_ih_l1", &[rows]),
            ("bias_hh_l1", &[rows]),
            ("weight_ih_l1_reverse", &[rows, 50]),
            ("weight_hh_l1_reverse", &[rows, 25]),
            ("bias_ih_l1_reverse", &[rows]),
            ("bias_hh_l1_reverse", &[rows]),
        ];
        assert_eq!(got, expected);
        let without = Network::with_cell(cell, 5, 25).bias(false).build().unwrap();
        let names: Vec<&str> = without.params().iter().map(|tensor| tensor.name()).collect();
        assert_eq!(names, ["weight_ih_l0", "weight_hh_l0"]);
    }
}

/// All parameters of a network are uniform in +-1/sqrt(hidden_size): the bounds are kept and nearly reached, and mean and spread are
/// those of the distribution.
#[test]
fn the_distribution_of_a_network() {
    for cell in Cell::ALL {
        let network = network(cell, 11);
        check_uniform(network.params(), 1.0 / 25.0_f64.sqrt());
    }
    // `torch.nn.Linear`: +-1/sqrt(in_features).
    check_uniform(Linear::new(40, 60, 3).unwrap().params(), 1.0 / 40.0_f64.sqrt());
}

fn check_uniform(params: &Tensors, bound: f64) {
    let all: Vec<f64> =
        params.iter().flat_map(|tensor| tensor.data()).map(|&value| f64::from(value)).collect();
    let n = all.len() as f64;
    let (low, high) = all.iter().fold((f64::MAX, f64::MIN), |(low, high), &x| (low.min(x), high.max(x)));
    // The bound itself is an f32; of n values the farthest is within 20/n of the end, with a probability of e^-10 against it.
    assert!(low >= -bound * (1.0 + 1e-7) && high <= bound * (1.0 + 1e-7), "{low} .. {high}, bound {bound}");
    assert!(low <= -bound * (1.0 - 20.0 / n) && high >= bound * (1.0 - 20.0 / n), "{low} .. {high} of {n}");
    let mean = all.iter().sum::<f64>() / n;
    let variance = all.iter().map(|x| x * x).sum::<f64>() / n;
    assert!(mean.abs() <= 5.0 * bound / (3.0 * n).sqrt(), "mean {mean}");
    // A variance of n uniform values has a deviation of sqrt(4/45 / n) bound^2.
    assert!(
        (variance - bound * bound / 3.0).abs() <= 5.0 * bound * bound * (4.0 / 45.0 / n).sqrt(),
        "{variance}"
    );
}

/// `torch.nn.Embedding`: normal, mean 0, deviation 1.
#[test]
fn the_distribution_of_an_embedding() {
    let embedding = Embedding::new(100, 60, 5).unwrap();
    let all: Vec<f64> =
        embedding.params().get("weight").unwrap().data().iter().map(|&x| f64::from(x)).collect();
    let n = all.len() as f64;
    let mean = all.iter().sum::<f64>() / n;
    let variance = all.iter().map(|x| x * x).sum::<f64>() / n;
    let beyond_two = all.iter().filter(|x| x.abs() > 2.0).count() as f64 / n;
    assert!(
        mean.abs() <= 5.0 / n.sqrt() && (variance - 1.0).abs() <= 5.0 * (2.0 / n).sqrt(),
        "{mean} {variance}"
    );
    assert!(
        (beyond_two - 0.0455).abs() <= 5.0 * (0.0455 * 0.9545 / n).sqrt(),
        "{beyond_two} beyond two deviations"
    );
}

/// The same seed has the same parameters, whatever the kernels; another one differs in every array, and no two arrays are alike.
#[test]
fn seeds() {
    for cell in Cell::ALL {
        let (one, again, other) = (network(cell, 1), network(cell, 1), network(cell, 2));
        assert_eq!(one.params(), again.params());
        for kernels in gatewise::Kernels::available().unwrap() {
            let built = Network::with_cell(cell, 5, 25).num_layers(2).bidirectional(true).seed(1);
            assert_eq!(built.kernels(kernels).build().unwrap().params(), one.params());
        }
        for (a, b) in one.params().iter().zip(other.params().iter()) {
            let same = a.data().iter().zip(b.data()).filter(|(a, b)| a == b).count();
            assert!(same * 20 < a.data().len(), "{}: {same} values are the same", a.name());
        }
        let names: Vec<_> = one.params().iter().collect();
        for (i, a) in names.iter().enumerate() {
            for b in &names[i + 1..] {
                assert_ne!(a.data()[..20], b.data()[..20], "{} and {}", a.name(), b.name());
            }
        }
    }
    assert_eq!(Linear::new(4, 3, 7).unwrap().params(), Linear::new(4, 3, 7).unwrap().params());
    assert_ne!(Linear::new(4, 3, 7).unwrap().params(), Linear::new(4, 3, 8).unwrap().params());
    assert_ne!(Embedding::new(4, 3, 7).unwrap().params(), Embedding::new(4, 3, 8).unwrap().params());
}
