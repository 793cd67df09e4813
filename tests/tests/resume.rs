//! What training needs to go on after a break: optimizers out and in again, weight files written whole, learning rates.

use gatewise::{
    Adam, AdamW, Decay, Error, Optimizer, OptimizerState, RmsProp, Schedule, Sgd, Tensors, WeightFile,
    save_weights, save_weights_with,
};
use std::path::PathBuf;

const STEPS: u64 = 12;

/// Two lists, as of a model of two layers; both have a tensor of the same name.
fn params() -> [Tensors; 2] {
    let list = |shape: [usize; 2], start: f32| {
        let mut list = Tensors::default();
        let values = |n: usize| (0..n).map(|i| start + 0.01 * i as f32).collect();
        list.add("weight", &shape, values(shape[0] * shape[1])).unwrap();
        list.add("bias", &shape[..1], values(shape[0])).unwrap();
        list
    };
    [list([3, 5], 0.1), list([2, 3], -0.4)]
}

/// Gradients that differ from step to step.
fn gradients(step: u64) -> [Tensors; 2] {
    let mut grads = params();
    for (i, tensor) in grads.iter_mut().flat_map(Tensors::iter_mut).enumerate() {
        for (j, g) in tensor.data_mut().iter_mut().enumerate() {
            *g = ((1 + step) as f32 * 0.7 + i as f32 * 1.3 + j as f32 * 0.31).sin();
        }
    }
    grads
}

fn train(optimizer: &mut impl Optimizer, params: &mut [Tensors; 2], steps: std::ops::Range<u64>) {
    for step in steps {
        let [a, b] = params;
        let [ga, gb] = gradients(step);
        optimizer.step(&mut [a, b], &[&ga, &gb]).unwrap();
    }
}

fn bits(params: &[Tensors; 2]) -> Vec<u32> {
    params
        .iter()
        .flat_map(Tensors::iter)
        .flat_map(|tensor| tensor.data().iter().map(|x| x.to_bits()))
        .collect()
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("resume-{name}.safetensors"))
}

/// Breaks off after every number of steps, through a file and into a new optimizer, and compares with the run that did not.
fn resumes<O: Optimizer>(name: &str, make: impl Fn() -> O, tensors: &[&str]) {
    let mut whole = params();
    train(&mut make(), &mut whole, 0..STEPS);
    for at in [0, 1, 5, STEPS - 1] {
        let (mut first, mut parts) = (make(), params());
        train(&mut first, &mut parts, 0..at);
        let state = first.state();
        assert_eq!(state.steps, at, "{name}");
        let expected = if at == 0 { 0 } else { 4 * tensors.len() };
        assert_eq!(state.tensors.len(), expected, "{name}");

        let path = file(name);
        save_weights(&path, &[("optimizer.", &state.tensors)]).unwrap();
        let tensors = WeightFile::read(&path).unwrap().take("optimizer.").unwrap();
        let mut second = make();
        second.set_state(&OptimizerState { steps: state.steps, tensors }).unwrap();
        assert_eq!(second.state(), state, "{name}");
        train(&mut second, &mut parts, at..STEPS);
        assert_eq!(bits(&parts), bits(&whole), "{name} broken off after {at} steps");
    }
    let mut optimizer = make();
    train(&mut optimizer, &mut params(), 0..1);
    let kept = optimizer.state().tensors;
    for tensor in tensors {
        assert_eq!(kept.get(&format!("0.{tensor}")).unwrap().shape(), [3, 5], "{name}");
        assert_eq!(kept.get(&format!("3.{tensor}")).unwrap().shape(), [2], "{name}");
    }
}

#[test]
fn a_resumed_optimizer_goes_on_with_the_same_bits() {
    resumes("sgd", || Sgd::new(0.1), &["momentum_buffer"]);
    let momentum = || {
        let mut sgd = Sgd::new(0.1);
        (sgd.momentum, sgd.dampening, sgd.weight_decay) = (0.9, 0.3, 0.01);
        sgd
    };
    resumes("sgd-momentum", momentum, &["momentum_buffer"]);
    let nesterov = || {
        let mut sgd = Sgd::new(0.1);
        (sgd.momentum, sgd.nesterov) = (0.9, true);
        sgd
    };
    resumes("sgd-nesterov", nesterov, &["momentum_buffer"]);
    resumes("adam", || Adam::new(0.1), &["exp_avg", "exp_avg_sq"]);
    resumes("adamw", || AdamW::new(0.1), &["exp_avg", "exp_avg_sq"]);
    let rmsprop = || {
        let mut rmsprop = RmsProp::new(0.1);
        (rmsprop.momentum, rmsprop.centered) = (0.5, true);
        rmsprop
    };
    resumes("rmsprop", rmsprop, &["square_avg", "grad_avg", "momentum_buffer"]);
}

#[test]
fn a_state_that_is_not_the_optimizers_is_refused_and_changes_nothing() {
    let mut adam = Adam::new(0.1);
    train(&mut adam, &mut params(), 0..3);
    let state = adam.state();
    let refused = |state: &OptimizerState, name: &str| {
        let mut other = adam.clone();
        assert_eq!(other.set_state(state), Err(Error::TensorMismatch { name: name.to_string() }));
        assert_eq!(other.state(), adam.state());
    };
    // Another optimizer's, one that lacks a tensor, one with a tensor too many, one of no steps that has tensors.
    let mut sgd = Sgd::new(0.1);
    train(&mut sgd, &mut params(), 0..3);
    refused(&sgd.state(), "0.exp_avg");
    let mut lacks = Tensors::default();
    for tensor in state.tensors.iter().filter(|tensor| tensor.name() != "3.exp_avg_sq") {
        lacks.add(tensor.name(), tensor.shape(), tensor.data().to_vec()).unwrap();
    }
    refused(&OptimizerState { steps: 3, tensors: lacks }, "3.exp_avg");
    let mut extra = state.clone();
    extra.tensors.add("max_exp_avg_sq", &[1], vec![0.0]).unwrap();
    refused(&extra, "max_exp_avg_sq");
    refused(&OptimizerState { steps: 0, tensors: state.tensors.clone() }, "0.exp_avg");

    // A state of other parameters is found out by the step, which then changes neither parameters nor state.
    let [a, _] = params();
    let mut of_one = Adam::new(0.1);
    of_one.step(&mut [&mut a.clone()], &[&a]).unwrap();
    adam.set_state(&of_one.state()).unwrap();
    let [mut a, mut b] = params();
    let [ga, gb] = gradients(0);
    assert!(matches!(adam.step(&mut [&mut a, &mut b], &[&ga, &gb]), Err(Error::TensorMismatch { .. })));
    assert_eq!([a, b], params());
    assert_eq!(adam.state(), of_one.state());
}

#[test]
fn metadata_goes_out_and_in_and_the_bytes_are_always_the_same() {
    let [list, _] = params();
    let (path, text) = (file("metadata"), "two lines\nand a \"quote\" \u{1d11e}");
    save_weights_with(&path, &[("a.", &list)], ("notes", text)).unwrap();
    let read = WeightFile::read(&path).unwrap();
    assert_eq!(read.metadata("notes").as_deref(), Some(text));
    assert_eq!(read.metadata("other"), None);
    assert_eq!(read.take("b.").unwrap().len(), 0);
    assert_eq!(read.take("a.").unwrap().get("weight"), list.get("weight"));

    let bytes = std::fs::read(&path).unwrap();
    save_weights_with(&path, &[("a.", &list)], ("notes", text)).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    save_weights(&path, &[("a.", &list)]).unwrap();
    assert_eq!(WeightFile::read(&path).unwrap().metadata("notes"), None);
}

#[test]
fn a_file_that_cannot_be_written_stays_as_it_was() {
    let [list, other] = params();
    let path = file("whole");
    save_weights(&path, &[("", &list)]).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    // The place beside it, where the new file grows, is taken by a folder.
    let beside = path.with_extension("safetensors.part");
    std::fs::create_dir_all(&beside).unwrap();
    let refused = save_weights(&path, &[("", &other)]);
    std::fs::remove_dir(&beside).unwrap();
    assert!(matches!(refused, Err(Error::WeightFile { what, .. }) if what == path.display().to_string()));
    assert_eq!(std::fs::read(&path).unwrap(), bytes);

    save_weights(&path, &[("", &other)]).unwrap();
    assert_ne!(std::fs::read(&path).unwrap(), bytes);
    assert!(!beside.exists());
}

#[test]
fn learning_rates_follow_their_formulas() {
    let close = |schedule: Schedule, expected: &[(u64, f64)]| {
        schedule.check().unwrap();
        for &(update, factor) in expected {
            let got = schedule.factor(update);
            assert!((got - factor).abs() < 1e-12, "{schedule:?} at {update}: {got}, expected {factor}");
        }
    };
    close(Schedule::default(), &[(0, 1.0), (u64::MAX, 1.0)]);
    close(
        Schedule { warmup: 4, ..Schedule::default() },
        &[(0, 0.25), (1, 0.5), (3, 1.0), (4, 1.0), (9, 1.0)],
    );
    let decay = Decay::Step { every: 3, gamma: 0.5 };
    close(Schedule { warmup: 0, decay }, &[(0, 1.0), (2, 1.0), (3, 0.5), (5, 0.5), (6, 0.25)]);
    close(Schedule { warmup: 2, decay }, &[(0, 0.5), (2, 1.0), (4, 1.0), (5, 0.5)]);
    let decay = Decay::Cosine { updates: 8, end: 0.2 };
    let quarter = 0.2 + 0.8 * (1.0 + 0.5f64.sqrt()) / 2.0;
    close(Schedule { warmup: 0, decay }, &[(0, 1.0), (2, quarter), (4, 0.6), (8, 0.2), (100, 0.2)]);

    let wrong = |decay| Schedule { warmup: 0, decay }.check().is_err();
    assert!(wrong(Decay::Step { every: 0, gamma: 0.5 }) && wrong(Decay::Step { every: 1, gamma: -1.0 }));
    assert!(
        wrong(Decay::Cosine { updates: 0, end: 0.0 }) && wrong(Decay::Cosine { updates: 1, end: f64::NAN })
    );
    // Unchecked, they still answer a number.
    assert_eq!(Schedule { warmup: 0, decay: Decay::Step { every: 0, gamma: 0.5 } }.factor(1), 0.5);
}
