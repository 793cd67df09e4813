//! The packed matmul against a naive f64 sum, and its promises about bits: over any sizes, strides and transposes.

use super::support::{EPS, UNTOUCHED, assert_bits, available, config, fused, on_threads, same};
use gatewise_kernels::{Kernels, Matrix, MatrixMut, OuterProducts, OuterScratch};
use proptest::prelude::*;
use tests::rng::Rng;

/// Multiply-adds of a case.
const WORK: usize = 1 << 18;

/// Where the elements of a matrix stand.
#[derive(Clone, Copy, Debug)]
struct Layout {
    /// Columns are neighbours in memory, or rows are.
    by_rows: bool,
    /// Floats left out between neighbours, and between lines of them.
    gaps: (usize, usize),
}

impl Layout {
    /// (row stride, column stride, floats up to the last element).
    fn strides(self, rows: usize, columns: usize) -> (usize, usize, usize) {
        let near = 1 + self.gaps.0;
        let far = |line: usize| line.max(1) * near + self.gaps.1;
        let (row, col) = if self.by_rows { (far(columns), near) } else { (near, far(rows)) };
        let len = if rows == 0 || columns == 0 { 0 } else { (rows - 1) * row + (columns - 1) * col + 1 };
        (row, col, len)
    }
}

fn layouts() -> impl Strategy<Value = Layout> {
    (any::<bool>(), prop_oneof![Just(0_usize), 0..4_usize], 0..4_usize)
        .prop_map(|(by_rows, near, far)| Layout { by_rows, gaps: (near, far) })
}

/// A matrix in memory of its layout, gaps holding [`UNTOUCHED`].
struct Stored {
    rows: usize,
    columns: usize,
    row: usize,
    col: usize,
    data: Vec<f32>,
}

impl Stored {
    fn new(layout: Layout, rows: usize, columns: usize, mut element: impl FnMut() -> f32) -> Stored {
        let (row, col, len) = layout.strides(rows, columns);
        let mut data = vec![UNTOUCHED; len];
        for i in 0..rows {
            for j in 0..columns {
                data[i * row + j * col] = element();
            }
        }
        Stored { rows, columns, row, col, data }
    }

    fn at(&self, i: usize, j: usize) -> f32 {
        self.data[i * self.row + j * self.col]
    }

    fn matrix(&self) -> Matrix<'_> {
        Matrix { data: &self.data, row: self.row, col: self.col }
    }

    fn matrix_mut(&mut self) -> MatrixMut<'_> {
        MatrixMut { data: &mut self.data, row: self.row, col: self.col }
    }

    fn dense(&self) -> Vec<f32> {
        (0..self.rows).flat_map(|i| (0..self.columns).map(move |j| self.at(i, j))).collect()
    }

    /// Every float that is no element is as it was.
    fn assert_gaps(&self) {
        let mut element = vec![false; self.data.len()];
        for i in 0..self.rows {
            for j in 0..self.columns {
                element[i * self.row + j * self.col] = true;
            }
        }
        let touched = (0..element.len()).find(|&i| !element[i] && !same(self.data[i], UNTOUCHED));
        assert_eq!(touched, None, "a float between the elements of C was written");
    }
}

#[derive(Clone, Copy, Debug)]
struct Case {
    m: usize,
    n: usize,
    k: usize,
    a: Layout,
    b: Layout,
    c: Layout,
    beta: f32,
    threads: usize,
    seed: u64,
}

/// Rows and columns: none, one, the edges of every register tile (up to six rows, up to four vectors of up to sixteen
/// lanes), and the edges of a block of rows.
pub(super) fn edges() -> impl Strategy<Value = usize> {
    prop_oneof![
        8 => 0..35_usize,
        2 => prop::sample::select(vec![47_usize, 48, 49, 63, 64, 65, 95, 96, 97]),
        1 => prop::sample::select(vec![383_usize, 384, 385, 391]),
    ]
}

/// Depths: none, one, the edges of the unrolled loop, and the edges of a block.
fn depths() -> impl Strategy<Value = usize> {
    prop_oneof![
        6 => 0..20_usize,
        2 => 20..200_usize,
        3 => prop::sample::select(vec![255_usize, 256, 257, 511, 512, 513, 600]),
    ]
}

fn betas() -> impl Strategy<Value = f32> {
    prop_oneof![Just(0.0_f32), Just(-0.0), Just(1.0), Just(-1.0), Just(0.5), -3.0_f32..3.0]
}

fn cases() -> impl Strategy<Value = Case> {
    let sizes =
        (edges(), edges(), depths()).prop_filter("a case of bounded work", |&(m, n, k)| m * n * k <= WORK);
    (sizes, layouts(), layouts(), layouts(), betas(), 1..5_usize, any::<u64>())
        .prop_map(|((m, n, k), a, b, c, beta, threads, seed)| Case { m, n, k, a, b, c, beta, threads, seed })
}

/// Operands of a case; C is NaN where it must not be read.
fn operands(case: &Case) -> (Stored, Stored, Stored) {
    let mut rng = Rng::new(case.seed);
    let mut random = || rng.uniform(-1.0, 1.0) as f32;
    let a = Stored::new(case.a, case.m, case.k, &mut random);
    let b = Stored::new(case.b, case.k, case.n, &mut random);
    let c = Stored::new(case.c, case.m, case.n, || if case.beta == 0.0 { f32::NAN } else { random() });
    (a, b, c)
}

/// The product of a case, C in its layout.
fn multiply(kernels: Kernels, case: &Case, a: &Stored, b: &Stored, c: &Stored, packed: bool) -> Stored {
    let Case { m, n, k, beta, threads, .. } = *case;
    let mut c = Stored { data: c.data.clone(), ..*c };
    let done = on_threads(threads, || {
        if packed {
            let b = kernels.pack_b(k, n, b.matrix())?;
            kernels.matmul_packed(m, a.matrix(), &b, beta, c.matrix_mut(), threads)
        } else {
            kernels.matmul(m, n, k, a.matrix(), b.matrix(), beta, c.matrix_mut(), threads)
        }
    });
    done.expect("the arguments fit");
    c.assert_gaps();
    c
}

/// `|got - (beta C + A B)| <= 2 (K + 1) eps (|beta C| + |A| |B|)` for each element.
fn assert_product(kernels: Kernels, case: &Case, a: &Stored, b: &Stored, c: &Stored, got: &Stored) {
    let bound = 2.0 * (case.k + 1) as f64 * EPS;
    for i in 0..case.m {
        for j in 0..case.n {
            let start = if case.beta == 0.0 { 0.0 } else { f64::from(case.beta) * f64::from(c.at(i, j)) };
            let (mut sum, mut magnitude) = (start, start.abs());
            for k in 0..case.k {
                let product = f64::from(a.at(i, k)) * f64::from(b.at(k, j));
                sum += product;
                magnitude += product.abs();
            }
            let (got, isa) = (f64::from(got.at(i, j)), kernels.isa());
            assert!((got - sum).abs() <= bound * magnitude, "{isa} ({i}, {j}): {got:e}, expected {sum:e}");
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn product_is_within_the_bound(case in cases()) {
        let (a, b, c) = operands(&case);
        for kernels in available() {
            let got = multiply(kernels, &case, &a, &b, &c, false);
            assert_product(kernels, &case, &a, &b, &c, &got);
        }
    }

    #[test]
    fn bits_depend_on_no_thread_packing_layout_or_instruction_set(case in cases()) {
        let (a, b, c) = operands(&case);
        let plain = Layout { by_rows: true, gaps: (0, 0) };
        let plain = Case { a: plain, b: plain, c: plain, ..case };
        let (a_plain, b_plain, c_plain) = operands(&plain);
        for kernels in available() {
            let expected = multiply(kernels, &Case { threads: 1, ..plain }, &a_plain, &b_plain, &c_plain, false);
            for threads in 1..=4 {
                let got = multiply(kernels, &Case { threads, ..case }, &a, &b, &c, threads % 2 == 0);
                assert_bits("C", &got.dense(), &expected.dense());
            }
        }
        let mut fused = fused().into_iter().map(|kernels| multiply(kernels, &case, &a, &b, &c, false).data);
        if let Some(first) = fused.next() {
            fused.for_each(|other| assert_bits("C of another instruction set", &other, &first));
        }
    }

    #[test]
    fn rows_and_columns_do_not_know_their_neighbours(case in cases(), row in any::<prop::sample::Index>(), column in any::<prop::sample::Index>()) {
        prop_assume!(case.m > 0 && case.n > 0);
        let (i, j) = (row.index(case.m), column.index(case.n));
        let (a, b, c) = operands(&case);
        let one = Case { m: 1, n: 1, ..case };
        let plain = Layout { by_rows: true, gaps: (0, 0) };
        let mut k = 0..case.k;
        let a_row = Stored::new(plain, 1, case.k, || a.at(i, k.next().unwrap_or(0)));
        let mut k = 0..case.k;
        let b_column = Stored::new(plain, case.k, 1, || b.at(k.next().unwrap_or(0), j));
        let c_element = Stored::new(plain, 1, 1, || c.at(i, j));
        for kernels in available() {
            let whole = multiply(kernels, &case, &a, &b, &c, false).at(i, j);
            let alone = multiply(kernels, &one, &a_row, &b_column, &c_element, false).at(0, 0);
            assert_bits("an element alone", &[alone], &[whole]);
        }
    }

    /// A chain that is cut in two products, the second with beta 1, is the same chain.
    #[test]
    fn a_chain_can_be_stored_and_resumed(case in cases(), cut in any::<prop::sample::Index>()) {
        let cut = cut.index(case.k + 1);
        let (a, b, c) = operands(&case);
        for kernels in available() {
            let whole = multiply(kernels, &case, &a, &b, &c, false);
            let part = |at: usize, len: usize| {
                let a = Matrix { data: &a.data[if len * case.m == 0 { 0 } else { at * a.col }..], ..a.matrix() };
                let b = Matrix { data: &b.data[if len * case.n == 0 { 0 } else { at * b.row }..], ..b.matrix() };
                (a, b)
            };
            let mut resumed = Stored { data: c.data.clone(), ..c };
            for (at, len, beta) in [(0, cut, case.beta), (cut, case.k - cut, 1.0)] {
                let (a, b) = part(at, len);
                kernels.matmul(case.m, case.n, len, a, b, beta, resumed.matrix_mut(), 1).expect("the arguments fit");
            }
            assert_bits("C", &resumed.data, &whole.data);
        }
    }

    /// `C += sum of outer products` is the matmul of the listed rows, transposed, and so are its bits.
    #[test]
    fn outer_products_are_a_product(m in edges(), n in edges(), k in 0..40_usize, from in 1..40_usize, threads in 1..5_usize, seed in any::<u64>()) {
        prop_assume!(m * n * k <= WORK);
        let mut rng = Rng::new(seed);
        let mut rows = |width: usize| {
            let data: Vec<f32> = (0..from + width).map(|_| rng.uniform(-1.0, 1.0) as f32).collect();
            let places: Vec<usize> = (0..k).map(|_| rng.below(from + 1)).collect();
            (data, places)
        };
        let ((a, a_rows), (b, b_rows)) = (rows(m), rows(n));
        let start: Vec<f32> = (0..m * n).map(|_| rng.uniform(-1.0, 1.0) as f32).collect();
        let pick = |data: &[f32], places: &[usize], width: usize| -> Vec<f32> {
            places.iter().flat_map(|&at| data[at..][..width].to_vec()).collect()
        };
        let (a_dense, b_dense) = (pick(&a, &a_rows, m), pick(&b, &b_rows, n));
        for kernels in available() {
            let mut expected = start.clone();
            let a_columns = Matrix::row_major(&a_dense, m).transposed();
            let c = MatrixMut::row_major(&mut expected, n);
            kernels.matmul(m, n, k, a_columns, Matrix::row_major(&b_dense, n), 1.0, c, 1).expect("fits");
            let mut c = start.clone();
            let sum = OuterProducts { m, n, a: &a, a_rows: &a_rows, b: &b, b_rows: &b_rows, c: &mut c };
            on_threads(threads, || kernels.add_outer_products(sum, &mut OuterScratch::new(), threads)).expect("fits");
            assert_bits("C", &c, &expected);
        }
    }
}

/// Packing again in the room of a larger operand leaves nothing of it behind.
#[test]
fn repacking_forgets_the_larger_operand() {
    for kernels in available() {
        let large = vec![f32::NAN; 70 * 70];
        let mut packed = kernels.pack_b(70, 70, Matrix::row_major(&large, 70)).expect("fits");
        let (a, b) = ([2.0; 6], [3.0; 15]);
        kernels.repack_b(&mut packed, 3, 5, Matrix::row_major(&b, 5)).expect("fits");
        assert_eq!((packed.depth(), packed.columns()), (3, 5));
        let mut c = [f32::NAN; 10];
        let (a, c_out) = (Matrix::row_major(&a, 3), MatrixMut::row_major(&mut c, 5));
        kernels.matmul_packed(2, a, &packed, 0.0, c_out, 1).expect("fits");
        assert_eq!(c, [18.0; 10]);
    }
}

/// Room that held something larger serves a sum with no rows of C.
#[test]
fn outer_scratch_serves_an_empty_sum_after_a_larger_one() {
    for kernels in available() {
        let mut scratch = OuterScratch::new();
        for (m, n) in [(3, 2), (0, 2), (3, 0), (0, 0)] {
            let mut c = vec![1.0; m * n];
            let (a, b) = ([2.0; 5], [3.0; 5]);
            let sum = OuterProducts { m, n, a: &a, a_rows: &[0, 2], b: &b, b_rows: &[1, 3], c: &mut c };
            kernels.add_outer_products(sum, &mut scratch, 1).expect("fits");
            assert_eq!(c, vec![13.0; m * n]);
        }
    }
}
