//! PyTorch's packed layout, and sequences without a batch axis.

use gatewise::{Gru, PackedSequence, View};
use tests::rng::Rng;

/// There and back, for lengths in any order and both layouts.
#[test]
fn padded_sequences_go_there_and_back() {
    let mut rng = Rng::new(1);
    for _ in 0..100 {
        let (batch, width, batch_first) = (1 + rng.below(5), rng.below(4), rng.chance(0.5));
        let lengths: Vec<usize> = (0..batch).map(|_| 1 + rng.below(6)).collect();
        let steps = *lengths.iter().max().unwrap();
        let mut x = vec![0.0; steps * batch * width];
        for b in 0..batch {
            for t in 0..lengths[b] {
                let at = if batch_first { b * steps + t } else { t * batch + b };
                x[at * width..][..width].iter_mut().for_each(|x| *x = rng.uniform(-1.0, 1.0) as f32);
            }
        }
        let shape = if batch_first { [batch, steps, width] } else { [steps, batch, width] };
        let packed = PackedSequence::pack(View::new(&x, shape).unwrap(), &lengths, batch_first).unwrap();
        assert_eq!(packed.data().len(), lengths.iter().sum::<usize>() * width);
        let sorted: Vec<usize> = packed.sorted_indices().iter().map(|&row| lengths[row]).collect();
        assert!(sorted.is_sorted_by(|a, b| a >= b));
        let (padded, back) = packed.pad(batch_first).unwrap();
        assert_eq!((padded.data(), padded.shape(), back), (&x[..], shape, lengths));
        let (data, sizes) = (packed.data().to_vec(), packed.batch_sizes().to_vec());
        let sorted = Some(packed.sorted_indices().to_vec());
        assert_eq!(PackedSequence::from_parts(data, width, sizes, sorted).unwrap(), packed);
    }
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let x = View::new(&[0.0; 6], [3, 2, 1]).unwrap();
    let message = |lengths: &[usize]| PackedSequence::pack(x, lengths, false).unwrap_err().to_string();
    assert_eq!(message(&[3]), "lengths has inconsistent batch size: got 1, expected 2");
    assert_eq!(message(&[3, 4]), "lengths has inconsistent sequence length: got 4, expected 3");
    assert_eq!(message(&[0, 3]), "lengths must be greater than 0 for all samples: got 0");
    let parts = |data: usize, sizes: &[usize], sorted: Option<&[usize]>| {
        PackedSequence::from_parts(vec![0.0; data], 1, sizes.to_vec(), sorted.map(<[usize]>::to_vec))
    };
    assert!(parts(3, &[2, 1], None).is_ok());
    assert!(parts(4, &[2, 1], None).is_err());
    assert!(parts(3, &[1, 2], None).is_err());
    assert!(parts(3, &[2, 1, 0], None).is_err());
    assert!(parts(3, &[2, 1], Some(&[1, 1])).is_err());
    assert!(parts(3, &[2, 1], Some(&[0, 2])).is_err());
    assert!(parts(3, &[2, 1], Some(&[0])).is_err());
}

/// A sequence [T, I] is a batch of one, whatever the layout.
#[test]
fn a_sequence_without_a_batch_axis() {
    let x = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6];
    let outputs = [false, true].map(|batch_first| {
        let gru = Gru::builder(2, 4).batch_first(batch_first).build().unwrap();
        let (y, state) = gru.forward(gru.unbatched(&x, [3, 2]).unwrap(), None).unwrap();
        assert_eq!(state.shape(), [1, 1, 4]);
        let refused = gru.unbatched(&x, [4, 2]).unwrap_err().to_string();
        assert_eq!(refused, "a view's data has inconsistent length: got 6, expected 8");
        y.into_data()
    });
    assert_eq!(outputs[0].len(), 3 * 4);
    assert_eq!(outputs[0], outputs[1]);
}
