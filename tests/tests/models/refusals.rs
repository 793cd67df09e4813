//! Wrong calls of everything around a network: the exact words, and that nothing was written.

use super::errors::refused;
use super::optimizers::with;
use gatewise::{
    Adam, AdamW, Embedding, Error, IGNORE, Isa, Kernels, Linear, LinearRoom, Lstm, NonFinite, Norm,
    Optimizer, RmsProp, Sequence, Sgd, Tensors, View, clip_grad_norm, clip_grad_value, cross_entropy, mse,
};

/// One list of a parameter `w` of that shape, all ones.
fn tensors(name: &str, shape: &[usize]) -> Tensors {
    let mut tensors = Tensors::default();
    tensors.add(name, shape, vec![1.0; shape.iter().product()]).unwrap();
    tensors
}

#[test]
fn views_sequences_and_lists_of_tensors() {
    refused(View::new(&[0.0; 5], [1, 2, 3]), "a view's data has inconsistent length: got 5, expected 6");
    refused(
        Sequence::new(vec![0.0; 7], [1, 2, 3]),
        "a view's data has inconsistent length: got 7, expected 6",
    );
    let mut list = tensors("w", &[2]);
    let before = list.clone();
    refused(list.add("b", &[3], vec![0.0; 2]), "a tensor's data has inconsistent length: got 2, expected 3");
    refused(list.add("w", &[1], vec![0.0]), "the lists of tensors differ at w");
    let words = "the size of a parameter does not fit in memory";
    refused(list.add("b", &[usize::MAX, usize::MAX], vec![]), words);
    assert_eq!(list, before);
    refused(list.check_alike(&Tensors::default()), "the lists of tensors differ at w");
    refused(Tensors::default().check_alike(&list), "the lists of tensors differ at w");
    refused(list.check_alike(&tensors("w", &[2, 1])), "the lists of tensors differ at w");
    refused(list.check_alike(&tensors("v", &[2])), "the lists of tensors differ at w");
    let state = Lstm::new(2, 4).unwrap().zero_state(3).unwrap();
    let error = refused(state.gather(&[0, 3]), "rows: index 3 is out of range, there are 3");
    assert_eq!(error, Error::Index { arg: "rows", index: 3, len: 3 });
}

#[test]
fn instruction_sets() {
    for isa in Isa::ALL {
        match Kernels::with_isa(isa) {
            Ok(kernels) => assert_eq!(kernels.isa(), isa),
            Err(error) => {
                assert!(!isa.is_available());
                assert!(Error::from(error).to_string().contains(isa.name()));
            }
        }
    }
}

#[test]
fn embedding() {
    let embedding = Embedding::new(5, 3, 1).unwrap();
    let mut output = [7.5; 6];
    let words = "ids: index 5 is out of range, there are 5";
    let error = refused(embedding.forward(&[0, 5], &mut output), words);
    assert_eq!(error, Error::Index { arg: "ids", index: 5, len: 5 });
    refused(embedding.forward(&[0], &mut output), "output has inconsistent length: got 6, expected 3");
    assert_eq!(output, [7.5; 6]);
    let mut grads = embedding.params().zeros_like();
    refused(embedding.backward(&[0, 5], &output, &mut grads), words);
    refused(
        embedding.backward(&[0], &output, &mut grads),
        "grad_output has inconsistent length: got 6, expected 3",
    );
    assert_eq!(grads, embedding.params().zeros_like());
    let mut foreign = tensors("weight", &[5, 4]);
    let words = "the lists of tensors differ at weight";
    refused(embedding.backward(&[0, 1], &output, &mut foreign), words);
    assert_eq!(foreign, tensors("weight", &[5, 4]));
    assert!(matches!(Embedding::new(usize::MAX, 2, 1), Err(Error::SizeOverflow { .. })));
    let none = Embedding::new(0, 2, 1).unwrap();
    refused(none.forward(&[0], &mut [0.0; 2]), "ids: index 0 is out of range, there are 0");
    none.forward(&[], &mut []).unwrap();
}

#[test]
fn linear() {
    let linear = Linear::new(3, 2, 1).unwrap();
    let (x, mut y) = ([0.5; 12], [7.5; 8]);
    let words = "input has inconsistent length: got 11, expected 12";
    refused(linear.forward(4, &x[..11], &mut y), words);
    refused(linear.forward(4, &x, &mut y[..7]), "output has inconsistent length: got 7, expected 8");
    refused(linear.forward(usize::MAX, &x, &mut y), "the size of input does not fit in memory");
    assert_eq!(y, [7.5; 8]);
    let (mut grads, mut room, mut dx) = (linear.params().zeros_like(), LinearRoom::default(), [7.5; 12]);
    refused(linear.backward(4, &x[..11], &y, Some(&mut dx), &mut grads, &mut room), words);
    let words = "grad_output has inconsistent length: got 7, expected 8";
    refused(linear.backward(4, &x, &y[..7], Some(&mut dx), &mut grads, &mut room), words);
    let words = "grad_input has inconsistent length: got 11, expected 12";
    refused(linear.backward(4, &x, &y, Some(&mut dx[..11]), &mut grads, &mut room), words);
    assert_eq!((&grads, dx), (&linear.params().zeros_like(), [7.5; 12]));
    let mut foreign = tensors("weight", &[2, 3]);
    let words = "the lists of tensors differ at bias";
    refused(linear.backward(4, &x, &y, Some(&mut dx), &mut foreign, &mut room), words);
    assert_eq!((foreign, dx), (tensors("weight", &[2, 3]), [7.5; 12]));
    assert!(matches!(Linear::new(usize::MAX, 2, 1), Err(Error::SizeOverflow { .. })));
}

#[test]
fn losses() {
    let kernels = Kernels::auto().unwrap();
    let (logits, mut grad) = ([0.5; 6], [7.5; 6]);
    let words = "targets: index 3 is out of range, there are 3";
    let error = refused(cross_entropy(kernels, &logits, 3, &[0, 3], &mut grad), words);
    assert_eq!(error, Error::Index { arg: "targets", index: 3, len: 3 });
    let words = "logits has inconsistent length: got 5, expected 6";
    refused(cross_entropy(kernels, &logits[..5], 3, &[0, 1], &mut grad), words);
    let words = "grad_logits has inconsistent length: got 5, expected 6";
    refused(cross_entropy(kernels, &logits, 3, &[0, IGNORE], &mut grad[..5]), words);
    let words = "the size of logits does not fit in memory";
    refused(cross_entropy(kernels, &logits, usize::MAX, &[0, 1], &mut grad), words);
    refused(mse(&logits, &[0.0; 5], &mut grad), "target has inconsistent length: got 5, expected 6");
    refused(
        mse(&logits, &[0.0; 6], &mut grad[..5]),
        "grad_output has inconsistent length: got 5, expected 6",
    );
    assert_eq!(grad, [7.5; 6]);
}

#[test]
fn clipping() {
    let mut grads = tensors("w", &[4]);
    for (bad, text) in [(-1.0, "-1"), (f64::NAN, "NaN")] {
        let words = format!("max_norm must be a number that is not negative: got {text}");
        refused(clip_grad_norm(&mut [&mut grads], bad, Norm::L2, NonFinite::AsPyTorch), &words);
        let words = format!("limit must be a number that is not negative: got {text}");
        refused(clip_grad_value(&mut [&mut grads], bad as f32), &words);
    }
    grads.get_mut("w").unwrap().data_mut()[1] = f32::INFINITY;
    let before = grads.clone();
    for norm in [Norm::L1, Norm::L2, Norm::Inf] {
        let words = "the total norm of the gradients is non-finite (inf), so it cannot be clipped";
        let error = refused(clip_grad_norm(&mut [&mut grads], 1.0, norm, NonFinite::Error), words);
        assert_eq!(error, Error::NonFiniteNorm { norm: f64::INFINITY });
    }
    assert_eq!(grads, before);
}

/// Every optimizer refuses lists that do not fit and options that make no sense, and changes nothing then: not even what it keeps,
/// so that the next right step is the first one.
#[test]
fn optimizers() {
    type Make = fn() -> Box<dyn Optimizer>;
    let all: [(&str, Make); 4] = [
        ("Sgd", || Box::new(with(Sgd::new(0.1), |o| o.momentum = 0.9))),
        ("Adam", || Box::new(Adam::new(0.1))),
        ("AdamW", || Box::new(AdamW::new(0.1))),
        ("RmsProp", || Box::new(with(RmsProp::new(0.1), |o| o.momentum = 0.5))),
    ];
    for (name, make) in all {
        let (mut optimizer, mut fresh) = (make(), make());
        let (mut params, grads) = (tensors("w", &[4]), tensors("w", &[4]));
        let words = "the lists of tensors differ at w";
        refused(optimizer.step(&mut [&mut params], &[&tensors("w", &[5])]), words);
        refused(optimizer.step(&mut [&mut params], &[&tensors("v", &[4])]), words);
        refused(
            optimizer.step(&mut [&mut params], &[]),
            "grads has inconsistent number of lists: got 0, expected 1",
        );
        assert_eq!(params, tensors("w", &[4]), "{name}");
        optimizer.step(&mut [&mut params], &[&grads]).unwrap();
        let mut expected = tensors("w", &[4]);
        fresh.step(&mut [&mut expected], &[&grads]).unwrap();
        assert_eq!(params, expected, "{name}: a refused step leaves no trace");

        // Other parameters than those of the first step.
        let mut longer = tensors("w", &[5]);
        refused(optimizer.step(&mut [&mut longer], &[&tensors("w", &[5])]), words);
        let (mut a, mut b) = (tensors("w", &[4]), tensors("v", &[4]));
        let words = "the lists of tensors differ at the number of parameters";
        refused(optimizer.step(&mut [&mut a, &mut b], &[&grads, &tensors("v", &[4])]), words);
        assert_eq!((longer, a), (tensors("w", &[5]), tensors("w", &[4])), "{name}");
        optimizer.step(&mut [&mut params], &[&grads]).unwrap();
        fresh.step(&mut [&mut expected], &[&grads]).unwrap();
        assert_eq!(params, expected, "{name}");
    }
}

#[test]
fn options_of_optimizers() {
    let (mut params, grads) = (tensors("w", &[4]), tensors("w", &[4]));
    let mut check = |mut optimizer: Box<dyn Optimizer>, words: &str| {
        let error = refused(optimizer.step(&mut [&mut params], &[&grads]), words);
        assert!(matches!(error, Error::Config { .. }));
        assert_eq!(params, tensors("w", &[4]), "{words}");
    };
    let (finite, below_one) = ("must be a finite number that is not negative: got", "must be in [0, 1): got");
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        let text = bad.to_string();
        check(Box::new(Sgd::new(bad)), &format!("lr {finite} {text}"));
        check(Box::new(with(Sgd::new(0.1), |o| o.momentum = bad)), &format!("momentum {finite} {text}"));
        check(
            Box::new(with(Sgd::new(0.1), |o| o.weight_decay = bad)),
            &format!("weight_decay {finite} {text}"),
        );
        check(Box::new(Adam::new(bad)), &format!("lr {finite} {text}"));
        check(Box::new(with(Adam::new(0.1), |o| o.eps = bad)), &format!("eps {finite} {text}"));
        check(
            Box::new(with(Adam::new(0.1), |o| o.weight_decay = bad)),
            &format!("weight_decay {finite} {text}"),
        );
        check(Box::new(with(Adam::new(0.1), |o| o.betas = (bad, 0.9))), &format!("betas {below_one} {text}"));
        check(Box::new(with(Adam::new(0.1), |o| o.betas = (0.9, bad))), &format!("betas {below_one} {text}"));
        check(
            Box::new(AdamW { weight_decay: bad, ..AdamW::new(0.1) }),
            &format!("weight_decay {finite} {text}"),
        );
        check(Box::new(AdamW::new(bad)), &format!("lr {finite} {text}"));
        check(Box::new(RmsProp::new(bad)), &format!("lr {finite} {text}"));
        check(Box::new(with(RmsProp::new(0.1), |o| o.alpha = bad)), &format!("alpha {finite} {text}"));
        check(Box::new(with(RmsProp::new(0.1), |o| o.eps = bad)), &format!("eps {finite} {text}"));
        check(Box::new(with(RmsProp::new(0.1), |o| o.momentum = bad)), &format!("momentum {finite} {text}"));
        check(
            Box::new(with(RmsProp::new(0.1), |o| o.weight_decay = bad)),
            &format!("weight_decay {finite} {text}"),
        );
    }
    for bad in [f64::NAN, f64::INFINITY, -1e300] {
        let words = format!("dampening must be a finite number: got {bad}");
        let options = with(Sgd::new(0.1), |o| {
            o.momentum = 0.9;
            o.dampening = bad
        });
        check(Box::new(options), &words);
    }
    let words = "nesterov must be off without a momentum, or with dampening: got true";
    check(Box::new(with(Sgd::new(0.1), |o| o.nesterov = true)), words);
    check(
        Box::new(with(Sgd::new(0.1), |o| {
            o.nesterov = true;
            o.momentum = 0.9;
            o.dampening = 0.1
        })),
        words,
    );
}
