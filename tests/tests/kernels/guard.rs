//! Every slice that a kernel gets, right against a page that may not be touched: behind its end, and in front of its
//! start. A read or write beyond a slice ends the process.

use super::cells::{cells, options, sizes};
use super::memory::Place;
use super::problem::Problem;
use super::run::{Input, Way, forward, pack, steps};
use super::run_back::backward;
use super::sequence::Layout;
use super::support::{assert_bits, available, config, on_threads};
use gatewise_kernels::{Kernels, Matrix, MatrixMut, OuterProducts, OuterScratch};
use proptest::prelude::*;
use tests::rng::Rng;

const GUARDED: [Place; 2] = [Place::GuardBehind, Place::GuardInFront];

proptest! {
    #![proptest_config(config())]

    #[test]
    fn cells_stay_within_their_arguments(
        cell in cells(), sizes in sizes(1 << 14), options in options(), seed in any::<u64>(),
        layout in prop::sample::select(Layout::ALL.to_vec()), chunk in 0..6_usize,
        (shards, slices) in prop_oneof![(1..4_usize, Just(1_usize)), (Just(1_usize), 2..4_usize)], [keep, c_0_in_c, observe, more_flags] in any::<[bool; 4]>(),
    ) {
        let problem = Problem::draw(cell, sizes, options, seed);
        let input = match chunk {
            0 => Input::Fused,
            1 => Input::FusedSingle,
            2 | 3 => Input::Rows { single: chunk == 2 },
            _ => Input::Projected(chunk - 3),
        };
        for kernels in available() {
            let packed = pack(kernels, &problem);
            for place in GUARDED {
                let way = Way { place, layout, input, shards, slices, keep, c_0_in_c, observe, more_flags };
                let run = forward(kernels, &packed, &problem, &way);
                let heap = forward(kernels, &packed, &problem, &Way { place: Place::Heap, ..way });
                assert_bits("y", &run.y, &heap.y);
                let kept = forward(kernels, &packed, &problem, &Way { keep: true, ..way });
                let back = backward(kernels, &packed, &problem, &kept, &way, &[sizes.steps / 2]);
                let heap = backward(kernels, &packed, &problem, &kept, &Way { place: Place::Heap, ..way }, &[]);
                assert_bits("d gates", &back.d_gates, &heap.d_gates);
                if options.rows == 0 {
                    assert_bits("y", &steps(kernels, &packed, &problem, &way).y, &run.y);
                }
            }
        }
    }

    #[test]
    fn matmul_stays_within_its_operands(
        m in 0..20_usize, n in 0..40_usize, k in 0..20_usize, transposed in any::<[bool; 3]>(),
        beta in prop::sample::select(vec![0.0_f32, 1.0, 0.5]), threads in 1..4_usize, seed in any::<u64>(),
    ) {
        let mut rng = Rng::new(seed);
        let mut random = |len: usize| -> Vec<f32> { (0..len).map(|_| rng.uniform(-1.0, 1.0) as f32).collect() };
        let (a, b, c) = (random(m * k), random(k * n), random(m * n));
        let strides = |transposed: bool, rows: usize, columns: usize| if transposed { (1, rows) } else { (columns, 1) };
        for kernels in available() {
            let product = |place: Place| {
                let (a, b, mut c) = (place.put(&a), place.put(&b), place.put(&c));
                let (row, col) = strides(transposed[0], m, k);
                let a = Matrix { data: &a, row, col };
                let (row, col) = strides(transposed[1], k, n);
                let b = Matrix { data: &b, row, col };
                let (row, col) = strides(transposed[2], m, n);
                let c_out = MatrixMut { data: &mut c, row, col };
                on_threads(threads, || kernels.matmul(m, n, k, a, b, beta, c_out, threads)).expect("fits");
                c.to_vec()
            };
            let heap = product(Place::Heap);
            for place in GUARDED {
                assert_bits("C", &product(place), &heap);
            }
        }
    }

    #[test]
    fn sums_stay_within_their_rows(m in 0..20_usize, n in 0..20_usize, from in 0..20_usize, rows in 0..9_usize, seed in any::<u64>()) {
        let mut rng = Rng::new(seed);
        let (a, b) = (vec![1.0_f32; from + m], vec![2.0_f32; from + n]);
        let places: Vec<usize> = (0..rows).map(|_| rng.below(from + 1)).collect();
        for kernels in available() {
            for place in GUARDED {
                let (a, b, places) = (place.put(&a), place.put(&b), place.put(&places));
                let (mut c, mut out) = (place.put(&vec![0.5_f32; m * n]), place.put(&vec![0.5_f32; n]));
                let sum = OuterProducts { m, n, a: &a, a_rows: &places, b: &b, b_rows: &places, c: &mut c };
                kernels.add_outer_products(sum, &mut OuterScratch::new(), 1).expect("fits");
                assert!(c.iter().all(|&c| c == 0.5 + 2.0 * rows as f32));
                kernels.sum_rows(&b, &places, &mut out).expect("fits");
                assert!(out.iter().all(|&out| out == 0.5 + 2.0 * rows as f32));
                let mut squares = place.put(&[0.0_f64]);
                kernels.sum_squares(&b, &mut squares).expect("one row");
                assert!(squares[0] == 4.0 * b.len() as f64);
            }
        }
    }
}

#[test]
fn activations_stay_within_their_slices() {
    for kernels in available() {
        for len in 0..70 {
            for place in GUARDED {
                let x = place.put(&vec![0.25_f32; len]);
                for map in [Kernels::exp, Kernels::sigmoid, Kernels::tanh] {
                    let mut y = place.put(&vec![f32::NAN; len]);
                    map(&kernels, &x, &mut y).expect("equal lengths");
                    assert!(y.iter().all(|y| !y.is_nan()));
                }
            }
        }
    }
}
