//! Sums of rows, sums of squares and norms: one order, hence the same bits everywhere.

use super::gemm::edges;
use super::support::{assert_bits, available, config};
use proptest::prelude::*;
use tests::rng::Rng;

proptest! {
    #![proptest_config(config())]

    /// `out += row` for each listed row, in order: plain f32 additions.
    #[test]
    fn sum_rows_adds_in_order(width in edges(), from in 1..50_usize, rows in 0..30_usize, seed in any::<u64>()) {
        let mut rng = Rng::new(seed);
        let data: Vec<f32> = (0..from + width).map(|_| rng.uniform(-1.0, 1.0) as f32).collect();
        let rows: Vec<usize> = (0..rows).map(|_| rng.below(from + 1)).collect();
        let start: Vec<f32> = (0..width).map(|_| rng.uniform(-1.0, 1.0) as f32).collect();
        let mut expected = start.clone();
        for &row in &rows {
            for (sum, x) in expected.iter_mut().zip(&data[row..]) {
                *sum += x;
            }
        }
        for kernels in available() {
            let mut out = start.clone();
            kernels.sum_rows(&data, &rows, &mut out).expect("every row lies within the data");
            assert_bits("out", &out, &expected);
        }
    }

    /// The k-th square goes to the k % 16-th sum, and the sums are added by halves: the same bits everywhere, for values of any size.
    #[test]
    fn sum_squares_has_one_order(width in edges(), rows in 0..20_usize, size in -149..128_i32, seed in any::<u64>()) {
        let mut rng = Rng::new(seed);
        let unit = 2.0_f64.powi(size);
        let data: Vec<f32> = (0..rows * width).map(|_| (rng.uniform(-1.0, 1.0) * unit) as f32).collect();
        let expected: Vec<f64> = (0..rows).map(|row| {
            by_halves(data[row * width..][..width].iter().map(|&x| f64::from(x) * f64::from(x)), |a, b| a + b)
        }).collect();
        for kernels in available() {
            let mut out = vec![f64::NAN; rows];
            kernels.sum_squares(&data, &mut out).expect("as many rows");
            assert_eq!(out.iter().map(|x| x.to_bits()).collect::<Vec<_>>(), expected.iter().map(|x| x.to_bits()).collect::<Vec<_>>());
        }
    }

    /// Each row's norm, whatever the size of the rows beside it: from its squares added up in f32 as in f64 above, if the total is in
    /// range and the row is not too wide, else in f64.
    #[test]
    fn norms_have_one_order(
        width in prop_oneof![edges(), 1020..1030_usize],
        sizes in prop::collection::vec(prop_oneof![-34..-26_i32, 55..70_i32, -149..128_i32], 0..20),
        seed in any::<u64>(),
    ) {
        let mut rng = Rng::new(seed);
        let mut row = |size: i32| -> Vec<f32> {
            (0..width).map(|_| (rng.uniform(-1.0, 1.0) * 2.0_f64.powi(size)) as f32).collect()
        };
        let data: Vec<f32> = sizes.iter().flat_map(|&size| row(size)).collect();
        let expected: Vec<u64> = (0..sizes.len()).map(|i| {
            let row = &data[i * width..][..width];
            let total = by_halves(row.iter().map(|x| x * x), |a, b| a + b);
            let is_in_range = width <= 1024 && total >= 2.0_f32.powi(-60) && total < f32::INFINITY;
            let wide = by_halves(row.iter().map(|&x| f64::from(x) * f64::from(x)), |a, b| a + b).sqrt();
            let norm = if is_in_range { f64::from(total.sqrt()) } else { wide };
            assert!((norm - wide).abs() <= wide * 2.0_f64.powi(-18), "{norm:e}, in f64 {wide:e}");
            norm.to_bits()
        }).collect();
        for kernels in available() {
            let mut out = vec![f64::NAN; sizes.len()];
            kernels.norms(&data, &mut out).expect("as many rows");
            prop_assert_eq!(out.iter().map(|x| x.to_bits()).collect::<Vec<_>>(), expected.clone());
        }
    }
}
/// What is not finite stays so, and nothing else becomes it.
#[test]
fn squares_are_finite_where_all_values_are() {
    for kernels in available() {
        for width in [1, 15, 300] {
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX] {
                let mut data = vec![f32::MAX; 7 * width];
                data[3 * width + width - 1] = bad;
                let (mut squares, mut norms) = ([0.0; 7], [0.0; 7]);
                kernels.sum_squares(&data, &mut squares).expect("seven rows");
                kernels.norms(&data, &mut norms).expect("seven rows");
                for row in 0..7 {
                    let is_finite = row != 3 || bad.is_finite();
                    assert_eq!([squares[row].is_finite(), norms[row].is_finite()], [is_finite; 2]);
                }
            }
        }
    }
}

/// Sixteen sums, the k-th value in the k % 16-th, added by halves.
fn by_halves<T: Copy + Default>(values: impl Iterator<Item = T>, add: impl Fn(T, T) -> T) -> T {
    let mut sums = [T::default(); 16];
    for (k, value) in values.enumerate() {
        sums[k % 16] = add(sums[k % 16], value);
    }
    for half in [8, 4, 2, 1] {
        for k in 0..half {
            sums[k] = add(sums[k], sums[k + half]);
        }
    }
    sums[0]
}
