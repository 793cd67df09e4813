//! PyTorch's tests of packed sequences (`test/nn/test_packed_sequence.py`) and the checks of `aten/src/ATen/native/PackedSequence.cpp`.
//! Networks here take padded sequences with lengths in any order, so that packing is for data that comes so.

use super::support::{kernels, refused, view};
use gatewise::{Cell, Input, Network, PackedSequence};
use tests::rng::Rng;

const LENGTHS: [usize; 5] = [5, 4, 2, 2, 1];
const WIDTH: usize = 3;

/// Rows of these lengths padded with zeros, [T, B, 3] or [B, T, 3].
fn padded(lengths: &[usize], steps: usize, batch_first: bool) -> Vec<f32> {
    let (batch, mut rng) = (lengths.len(), Rng::new(3));
    let mut x = vec![0.0; steps * batch * WIDTH];
    for (row, &length) in lengths.iter().enumerate() {
        for t in 0..length {
            let at = if batch_first { row * steps + t } else { t * batch + row };
            x[at * WIDTH..][..WIDTH].iter_mut().for_each(|x| *x = rng.uniform(0.5, 1.0) as f32);
        }
    }
    x
}

fn shape(lengths: &[usize], steps: usize, batch_first: bool) -> [usize; 3] {
    if batch_first { [lengths.len(), steps, WIDTH] } else { [steps, lengths.len(), WIDTH] }
}

/// PyTorch refuses rows that are not sorted, unless told to sort them. Here they are always put in order, and come back in the caller's;
/// batch sizes that grow, which unsorted rows would give, are refused.
#[test]
fn test_wrong_order() {
    let lengths = [3, 5];
    let x = padded(&lengths, 5, false);
    let packed = PackedSequence::pack(view(&x, [5, 2, WIDTH]), &lengths, false).unwrap();
    assert_eq!(packed.sorted_indices(), [1, 0]);
    let (back, of) = packed.pad(false).unwrap();
    assert_eq!((back.data(), &of[..]), (&x[..], &lengths[..]));
    let parts = PackedSequence::from_parts(vec![0.0; 9], WIDTH, vec![1, 2], None);
    refused(parts, "batch_sizes must be decreasing and greater than 0: got [1, 2]");
}

/// A total length beyond the longest row pads with zeros; one that is too small is refused. In networks T is the total length.
#[test]
fn test_total_length() {
    for batch_first in [false, true] {
        let x = padded(&LENGTHS, 7, batch_first);
        for cell in Cell::ALL {
            let network = Network::with_cell(cell, WIDTH, 4).batch_first(batch_first).bidirectional(true);
            let network = network.kernels(kernels()).build().unwrap();
            let input = Input::from(view(&x, shape(&LENGTHS, 7, batch_first))).lengths(&LENGTHS);
            let (long, long_end) = network.forward(input, None).unwrap();
            let tight = padded(&LENGTHS, 5, batch_first);
            let input = Input::from(view(&tight, shape(&LENGTHS, 5, batch_first))).lengths(&LENGTHS);
            let (short, short_end) = network.forward(input, None).unwrap();
            assert_eq!(long_end, short_end);
            for row in 0..5 {
                for t in 0..7 {
                    let at = |steps: usize| if batch_first { row * steps + t } else { t * 5 + row };
                    let got = &long.data()[at(7) * 8..][..8];
                    if t < 5 {
                        assert_eq!(got, &short.data()[at(5) * 8..][..8]);
                    } else {
                        assert_eq!(got, [0.0; 8]);
                    }
                }
            }
            let less = padded(&[4, 4, 2, 2, 1], 4, batch_first);
            let input = Input::from(view(&less, shape(&LENGTHS, 4, batch_first))).lengths(&LENGTHS);
            let words = "lengths has inconsistent sequence length: got 5, expected 4";
            refused(network.forward(input, None), words);
        }
    }
}

/// Rows one after another: the data of each step stand together, the longest row first.
#[test]
fn test_pack_sequence() {
    let x = padded(&LENGTHS, 5, true);
    let packed = PackedSequence::pack(view(&x, [5, 5, WIDTH]), &LENGTHS, true).unwrap();
    assert_eq!(packed.batch_sizes(), [5, 4, 2, 2, 1]);
    let mut data = Vec::new();
    for t in 0..5 {
        for (row, _) in LENGTHS.iter().enumerate().filter(|&(_, &length)| length > t) {
            data.extend_from_slice(&x[(row * 5 + t) * WIDTH..][..WIDTH]);
        }
    }
    assert_eq!(packed.data(), data);
    let from_parts = PackedSequence::from_parts(data, WIDTH, vec![5, 4, 2, 2, 1], None).unwrap();
    assert_eq!(from_parts, packed);
}

/// There and back, sorted and not, in both layouts; padding is zeros.
#[test]
fn test_pack_padded_sequence() {
    let sets: [&[usize]; 4] =
        [&[10, 8, 4, 2, 2, 2, 1], &[11, 10, 8, 6, 2, 1], &[11, 10, 8, 6, 2, 2], &[1, 9, 4]];
    for lengths in sets {
        for batch_first in [false, true] {
            let steps = *lengths.iter().max().unwrap();
            let x = padded(lengths, steps, batch_first);
            let shape = shape(lengths, steps, batch_first);
            let packed = PackedSequence::pack(view(&x, shape), lengths, batch_first).unwrap();
            assert_eq!(packed.data().len(), lengths.iter().sum::<usize>() * WIDTH);
            for (t, &size) in packed.batch_sizes().iter().enumerate() {
                assert_eq!(size, lengths.iter().filter(|&&length| length > t).count());
            }
            for (row, &place) in packed.unsorted_indices().iter().enumerate() {
                assert_eq!(packed.sorted_indices()[place], row);
            }
            let (back, of) = packed.pad(batch_first).unwrap();
            assert_eq!((back.data(), back.shape(), &of[..]), (&x[..], shape, lengths));
        }
    }
}

/// Each row comes back with its own steps.
#[test]
fn test_unpack_sequence() {
    let lengths = [2, 5, 1, 4];
    let x = padded(&lengths, 5, true);
    let packed = PackedSequence::pack(view(&x, [4, 5, WIDTH]), &lengths, true).unwrap();
    let (back, of) = packed.pad(true).unwrap();
    for (row, &length) in of.iter().enumerate() {
        assert_eq!(length, lengths[row]);
        let at = row * 5 * WIDTH;
        assert_eq!(back.data()[at..][..length * WIDTH], x[at..][..length * WIDTH]);
    }
}

/// ATen: one length for each row, every length greater than 0 and within the sequence, and data that are as many as the sizes say.
#[test]
fn checks_of_pack_padded_sequence() {
    let x = padded(&[2, 2], 2, false);
    let pack = |lengths: &[usize]| PackedSequence::pack(view(&x, [2, 2, WIDTH]), lengths, false);
    refused(pack(&[2]), "lengths has inconsistent batch size: got 1, expected 2");
    refused(pack(&[2, 0]), "lengths must be greater than 0 for all samples: got 0");
    refused(pack(&[3, 1]), "lengths has inconsistent sequence length: got 3, expected 2");
    let parts = PackedSequence::from_parts(vec![0.0; 8], WIDTH, vec![2, 1], None);
    refused(parts, "data has inconsistent length: got 8, expected 9");
    // A network takes rows of no steps, which the packed layout has no place for.
    let network = Network::with_cell(Cell::Gru, WIDTH, 4).build().unwrap();
    let input = Input::from(view(&x, [2, 2, WIDTH])).lengths(&[2, 0]);
    assert_eq!(network.forward(input, None).unwrap().1.h()[4..], [0.0; 4]);
}
