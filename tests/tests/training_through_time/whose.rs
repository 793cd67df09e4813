//! A tape is for the network and the parameters that recorded it.

use gatewise::{Cell, Error, Network, Upstream, View};

#[test]
fn a_tape_of_other_parameters_is_refused_and_nothing_is_written() {
    let build = |cell| Network::with_cell(cell, 2, 3).seed(1).build().unwrap();
    let (mut tanh, relu) = (build(Cell::RnnTanh), build(Cell::RnnRelu));
    let (x, dy) = ([0.5; 4 * 2], [1.0; 4 * 3]);
    let upstream = Upstream::output(View::new(&dy, [4, 1, 3]).unwrap());
    let mut tape = tanh.forward_train(View::new(&x, [4, 1, 2]).unwrap(), None).unwrap();
    let zeros = tanh.params().zeros_like();
    let mut grads = zeros.clone();

    let others = relu.backward(&mut tape, upstream, &mut grads);
    assert!(matches!(others, Err(Error::Config { arg: "tape", .. })), "{others:?}");
    assert!(relu.trace(&tape).is_err());
    assert_eq!(grads, zeros);

    // A guard through which nothing was changed, and a clone.
    drop(tanh.params_mut());
    let clone = tanh.clone();
    clone.backward(&mut tape.clone(), upstream, &mut grads).unwrap();
    let mut expected = zeros.clone();
    tanh.backward(&mut tape.clone(), upstream, &mut expected).unwrap();
    assert_eq!(grads, expected);
    assert_ne!(grads, zeros);

    tanh.params_mut().fill(0.5);
    let stale = tanh.backward(&mut tape, upstream, &mut grads);
    assert!(matches!(stale, Err(Error::Config { arg: "tape", .. })), "{stale:?}");
    assert_eq!(grads, expected);
    clone.backward(&mut tape, upstream, &mut grads).unwrap();
}
