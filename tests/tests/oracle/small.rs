//! The small layers, losses, optimisers and clipping. Values named PyTorch's were computed with PyTorch 2.15 in f64.

use tests::oracle::{
    Adam, AdamW, Norm, RmsProp, Sgd, clip_grad_norm, clip_grad_value, cross_entropy, embedding,
    embedding_backward, linear, linear_backward, mse, sigmoid, softmax, total_norm,
};
use tests::rng::Rng;

use super::finite::{Problem, check};
use super::meaning::assert_close;

/// A function of some variables; all gradients by hand.
struct Function<F, G> {
    variables: Vec<(&'static str, Vec<f64>)>,
    outputs: F,
    gradients: G,
}

type Variables = [(&'static str, Vec<f64>)];

impl<F: Fn(&Variables) -> Vec<f64>, G: Fn(&Variables, &[f64]) -> Vec<Vec<f64>>> Problem for Function<F, G> {
    fn outputs(&self) -> Vec<f64> {
        (self.outputs)(&self.variables)
    }

    fn variables(&mut self) -> Vec<(String, &mut [f64])> {
        let all = self.variables.iter_mut();
        all.map(|(name, values)| (name.to_string(), values.as_mut_slice())).collect()
    }

    fn gradients(&self, r: &[f64]) -> Vec<(String, Vec<f64>)> {
        let names = self.variables.iter().map(|(name, _)| name.to_string());
        names.zip((self.gradients)(&self.variables, r)).collect()
    }
}

#[test]
fn linear_and_its_gradients() {
    let y = linear(2, 3, &[1.0, 2.0, -1.0, 0.5], &[1.0, 0.0, 0.0, 1.0, 2.0, -1.0], Some(&[10.0, 20.0, 30.0]));
    assert_eq!(y, [11.0, 22.0, 30.0, 9.0, 20.5, 27.5]);
    assert_eq!(linear(2, 1, &[1.0, 2.0], &[3.0, 4.0], None), [11.0]);

    let mut rng = Rng::new(31);
    let variables = vec![
        ("x", rng.vec(4 * 3, -1.0, 1.0)),
        ("w", rng.vec(2 * 3, -1.0, 1.0)),
        ("b", rng.vec(2, -1.0, 1.0)),
    ];
    let mut problem = Function {
        variables,
        outputs: |v: &Variables| linear(3, 2, &v[0].1, &v[1].1, Some(&v[2].1)),
        gradients: |v: &Variables, r: &[f64]| {
            let grads = linear_backward(3, 2, &v[0].1, &v[1].1, r);
            vec![grads.x, grads.w, grads.b]
        },
    };
    assert_eq!(check(&mut problem, &mut rng, "linear"), 20);
}

#[test]
fn embedding_and_its_gradient() {
    let ids = [3, 0, 3, 1];
    assert_eq!(embedding(2, &[0.0, 1.0, 10.0, 11.0, 20.0, 21.0], &[2, 0]), [20.0, 21.0, 0.0, 1.0]);
    let mut rng = Rng::new(32);
    let mut problem = Function {
        variables: vec![("table", rng.vec(5 * 2, -1.0, 1.0))],
        outputs: |v: &Variables| embedding(2, &v[0].1, &ids),
        gradients: |_: &Variables, r: &[f64]| vec![embedding_backward(5, 2, &ids, r)],
    };
    assert_eq!(check(&mut problem, &mut rng, "embedding"), 10);
}

#[test]
fn losses_and_their_gradients() {
    let targets = [2, -100, 0, 1];
    let mut rng = Rng::new(33);
    let mut problem = Function {
        variables: vec![("logits", rng.vec(4 * 3, -2.0, 2.0))],
        outputs: |v: &Variables| vec![cross_entropy(3, &v[0].1, &targets, Some(-100)).0],
        gradients: |v: &Variables, r: &[f64]| {
            let (_, grad) = cross_entropy(3, &v[0].1, &targets, Some(-100));
            vec![grad.iter().map(|d| d * r[0]).collect()]
        },
    };
    assert_eq!(check(&mut problem, &mut rng, "cross-entropy"), 12);

    let target = rng.vec(6, -1.0, 1.0);
    let mut problem = Function {
        variables: vec![("y", rng.vec(6, -1.0, 1.0))],
        outputs: |v: &Variables| vec![mse(&v[0].1, &target).0],
        gradients: |v: &Variables, r: &[f64]| {
            vec![mse(&v[0].1, &target).1.iter().map(|d| d * r[0]).collect()]
        },
    };
    assert_eq!(check(&mut problem, &mut rng, "mse"), 6);
}

/// PyTorch's values; a shift of the logits changes nothing; large logits stay finite; no row gives NaN and zeros.
#[test]
fn losses_are_pytorchs() {
    let logits = [0.5, -1.0, 2.0, 1.5, 0.25, -0.75, 0.0, 3.0, 1.0, -2.0, 0.125, 0.5];
    let targets = [2, -100, 0, 1];
    let (loss, grad) = cross_entropy(3, &logits, &targets, Some(-100));
    let expected = [
        0.05843013071334556,
        0.013037524423562482,
        -0.07146765513690803,
        0.0,
        0.0,
        0.0,
        -0.3193299779553113,
        0.28126491149377986,
        0.03806506646153149,
        0.01546403525654436,
        -0.2038545513775016,
        0.18839051612095725,
    ];
    assert_close(&[loss], &[1.4522610949043324], "cross-entropy");
    assert_close(&grad, &expected, "gradient of the cross-entropy");

    let (far_loss, far_grad) = cross_entropy(3, &logits.map(|x| x + 4096.0), &targets, Some(-100));
    assert!((far_loss - loss).abs() < 1e-11);
    assert!(far_grad.iter().zip(&grad).all(|(a, b)| (a - b).abs() < 1e-11));
    assert_eq!(cross_entropy(2, &[1e4, -1e4], &[1], None).0, 2e4);
    assert_close(&softmax(&[1.0, 1.0, 1.0, 1.0]), &[0.25; 4], "softmax");

    let (none, zeros) = cross_entropy(3, &logits, &[-100; 4], Some(-100));
    assert!(none.is_nan() && zeros.iter().all(|&d| d == 0.0));

    let (loss, grad) = mse(&[0.5, -1.0, 2.0], &[1.0, 0.25, -0.5]);
    assert_close(&[loss], &[2.6875], "mse");
    assert_close(&grad, &[-1.0 / 3.0, -2.5 / 3.0, 5.0 / 3.0], "gradient of the mse");
}

#[test]
fn sigmoid_has_its_limits() {
    assert_eq!([sigmoid(0.0), sigmoid(1e3), sigmoid(-1e3)], [0.5, 1.0, 0.0]);
    assert_close(&[sigmoid(1.0)], &[0.7310585786300049], "sigmoid(1)");
}

/// Four steps on two tensors; returns all parameters.
fn train(mut step: impl FnMut(&mut [&mut [f64]], &[&[f64]])) -> Vec<f64> {
    let (mut p, mut q) = ([0.5, -1.25, 2.0], [0.75]);
    let gradients = [
        ([0.3, -0.7, 0.01], [1.5]),
        ([-0.2, -0.9, 0.02], [-2.5]),
        ([0.6, 0.4, -0.05], [0.125]),
        ([0.1, -0.3, 0.5], [0.0]),
    ];
    for (dp, dq) in &gradients {
        step(&mut [&mut p, &mut q], &[dp, dq]);
    }
    [&p[..], &q[..]].concat()
}

/// Every optimiser with its defaults and with other settings against PyTorch's values.
#[test]
fn optimisers_are_pytorchs() {
    let sgd = |sgd: Sgd| {
        let mut sgd = sgd;
        train(|p, g| sgd.step(p, g))
    };
    let plain = Sgd::new(0.1);
    assert_close(&sgd(plain.clone()), &[0.42, -1.1, 1.952, 0.8375], "sgd");
    // Without momentum the dampening means nothing.
    let damped = Sgd { dampening: 0.3, ..plain.clone() };
    assert_close(&sgd(damped), &[0.42, -1.1, 1.952, 0.8375], "sgd with dampening only");
    assert_close(
        &sgd(Sgd { weight_decay: 0.2, ..plain.clone() }),
        &[0.38335632000000003, -1.00984076, 1.7967743280000001, 0.7784473199999999],
        "sgd with weight decay",
    );
    assert_close(
        &sgd(Sgd { momentum: 0.9, dampening: 0.3, ..plain.clone() }),
        &[0.34796999999999995, -0.8707399999999997, 1.964417, 0.691775],
        "sgd with momentum",
    );
    assert_close(
        &sgd(Sgd { momentum: 0.9, nesterov: true, weight_decay: 0.2, ..plain }),
        &[0.16177225747199994, -0.4615953869959998, 1.4491360208088, 0.799118884572],
        "sgd with Nesterov's momentum",
    );

    let adam = |adam: Adam| {
        let mut adam = adam;
        train(|p, g| adam.step(p, g))
    };
    let other = Adam { betas: [0.8, 0.95], eps: 1e-3, ..Adam::new(0.1) };
    assert_close(
        &adam(Adam::new(0.1)),
        &[0.2677313544007075, -0.9433368917060911, 1.7760770061837567, 0.7156177607206224],
        "adam",
    );
    assert_close(
        &adam(Adam { weight_decay: 0.2, ..other.clone() }),
        &[0.2197771423426007, -0.9180256744033563, 1.606033442755462, 0.7005214900196471],
        "adam, other settings",
    );

    let adamw = |adamw: AdamW| {
        let mut adamw = adamw;
        train(|p, g| adamw.step(p, g))
    };
    assert_close(
        &adamw(AdamW::new(0.1)),
        &[0.26612346049796864, -0.9388954201278227, 1.7685537601937902, 0.7128433415285791],
        "adamw",
    );
    assert_close(
        &adamw(AdamW { weight_decay: 0.2, adam: other }),
        &[0.23945294428284677, -0.8678931093062567, 1.6424833733486213, 0.6704319030250435],
        "adamw, other settings",
    );

    let rmsprop = |rmsprop: RmsProp| {
        let mut rmsprop = rmsprop;
        train(|p, g| rmsprop.step(p, g))
    };
    assert_close(
        &rmsprop(RmsProp::new(0.1)),
        &[-0.9448667762219196, 0.45127320634031454, 0.02434916017913391, 0.5655224623707339],
        "rmsprop",
    );
    let other = RmsProp { alpha: 0.8, eps: 1e-3, momentum: 0.7, ..RmsProp::new(0.1) };
    assert_close(
        &rmsprop(RmsProp { weight_decay: 0.2, ..other.clone() }),
        &[-0.2456873041266397, -0.3009875555019551, 0.7270071934797708, 0.554168920081055],
        "rmsprop, other settings",
    );
    assert_close(
        &rmsprop(RmsProp { centered: true, ..other }),
        &[-0.2515327214509233, -0.197400023611653, 1.1128629417439568, 0.5393617640377971],
        "rmsprop, centred",
    );
}

#[test]
fn clipping_scales_all_tensors_by_one_factor() {
    let norms = |norm| total_norm(&[&[3.0, -4.0], &[12.0]], norm);
    assert_eq!([norms(Norm::L1), norms(Norm::L2), norms(Norm::Inf)], [19.0, 13.0, 12.0]);
    assert_eq!(total_norm(&[], Norm::L2), 0.0);
    assert!(total_norm(&[&[f64::NAN, 1.0], &[2.0]], Norm::Inf).is_nan());

    let (mut a, mut b) = ([3.0, -4.0], [12.0]);
    assert_eq!(clip_grad_norm(&mut [&mut a, &mut b], 6.5, Norm::L2), 13.0);
    let factor = 6.5 / (13.0 + 1e-6);
    assert_eq!((a, b), ([3.0 * factor, -4.0 * factor], [12.0 * factor]));

    // Below the limit nothing changes.
    let mut c = [0.5, -0.25];
    clip_grad_norm(&mut [&mut c], 1.0, Norm::L1);
    assert_eq!(c, [0.5, -0.25]);

    let (mut a, mut b) = ([3.0, -4.0, 0.5], [f64::NAN]);
    clip_grad_value(&mut [&mut a, &mut b], 2.0);
    assert_eq!(a, [2.0, -2.0, 0.5]);
    assert!(b[0].is_nan());
}
