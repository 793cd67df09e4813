//! The same for the matmul, the sums, the activations, buffers, plans and the instruction set itself.

use super::errors::named;
use super::support::{assert_bits, available};
use gatewise_kernels::plan::{self, BackwardPlan, ForwardPlan, Sizes};
use gatewise_kernels::{
    AlignedBuf, CEILING_VARIABLE, Caches, Cell, Error, Isa, Kernels, Matrix, MatrixMut, OuterProducts,
    OuterScratch, Seq,
};

/// m, n, k of the products below: A is 3 x 5, B is 5 x 4, C is 3 x 4.
const MNK: (usize, usize, usize) = (3, 4, 5);

#[test]
fn matmul_refuses_operands_that_do_not_hold_their_elements() {
    let (data, before) = ([1.0_f32; 20], [7.0_f32; 12]);
    let (a, b) = (Matrix::row_major(&data[..15], 5), Matrix::row_major(&data, 4));
    let (m, n, k) = MNK;
    for kernels in available() {
        let refuse =
            |arg: &str, (m, n, k): (usize, usize, usize), a: Matrix<'_>, b: Matrix<'_>, (row, col)| {
                let mut c = before;
                let c_out = MatrixMut { data: &mut c, row, col };
                assert_eq!(named(kernels.matmul(m, n, k, a, b, 0.0, c_out, 2)), arg);
                assert_bits("C", &c, &before);
            };
        for wrong in [
            Matrix { data: &data[..14], ..a },
            Matrix { row: 6, ..a },
            Matrix { col: 2, ..a },
            Matrix { row: usize::MAX, ..a },
            Matrix { col: usize::MAX, ..a },
            Matrix { row: usize::MAX, col: usize::MAX, ..a },
        ] {
            refuse("a", (m, n, k), wrong, b, (4, 1));
        }
        for wrong in [
            Matrix { data: &data[..19], ..b },
            Matrix { row: 5, ..b },
            Matrix { col: usize::MAX, ..b },
            Matrix { row: 1, col: 6, ..b },
        ] {
            let wrong = Matrix { data: &wrong.data[..19], ..wrong };
            refuse("b", (m, n, k), a, wrong, (4, 1));
            assert_eq!(named(kernels.pack_b(k, n, wrong).map(drop)), "b");
        }
        for strides in
            [(5, 1), (4, 2), (3, 1), (0, 1), (1, 1), (4, 0), (1, 2), (usize::MAX, 1), (1, usize::MAX)]
        {
            refuse("c", (m, n, k), a, b, strides);
        }
        refuse("a", (m + 1, n, k), a, b, (4, 1));
        refuse("a", (usize::MAX, n, k), a, b, (4, 1));
        refuse("a", (m, n, usize::MAX), a, b, (4, 1));
        refuse("c", (m, usize::MAX, k), a, b, (4, 1));
    }
}

/// A packed operand is refused by other kernels, and stays as it was when packing another fails.
#[test]
fn packed_operands_are_checked() {
    let (m, n, k) = MNK;
    let data = [1.0_f32; 20];
    let (a, b) = (Matrix::row_major(&data[..15], 5), Matrix::row_major(&data, 4));
    let all = available();
    for &own in &all {
        let mut packed = own.pack_b(k, n, b).expect("fits");
        assert_eq!(named(own.repack_b(&mut packed, k + 1, n, b)), "b");
        let huge = Matrix { data: &data, row: 0, col: 0 };
        assert_eq!(named(own.repack_b(&mut packed, usize::MAX / 8, 8, huge)), "b");
        assert!(own.repack_b(&mut packed, 1 << 50, 8, huge).is_err());
        assert_eq!((packed.depth(), packed.columns()), (k, n));
        for &other in &all {
            let mut c = [7.0; 12];
            let result = other.matmul_packed(m, a, &packed, 0.0, MatrixMut::row_major(&mut c, n), 1);
            if other.isa() == own.isa() {
                result.expect("its own packing");
                assert_eq!(c, [5.0; 12]);
            } else {
                assert_eq!(named(result), "b");
                assert_eq!(c, [7.0; 12]);
            }
        }
    }
}

#[test]
fn sums_refuse_rows_that_do_not_lie_within_their_operands() {
    let data = [1.0_f32; 10];
    for kernels in available() {
        let mut out = [7.0; 4];
        for rows in [&[7][..], &[0, 10], &[usize::MAX], &[1, usize::MAX - 2]] {
            assert_eq!(named(kernels.sum_rows(&data, rows, &mut out)), "data");
            assert_eq!(out, [7.0; 4]);
        }
        for count in [0, 3, 11] {
            let mut out = vec![7.0; count];
            assert_eq!(named(kernels.sum_squares(&data, &mut out)), "data");
            assert_eq!(out, vec![7.0; count]);
        }
        let mut scratch = OuterScratch::new();
        let mut refuse = |arg: &str, a_rows: &[usize], b_rows: &[usize], (m, n): (usize, usize)| {
            let mut c = [7.0; 12];
            let sum = OuterProducts { m, n, a: &data, a_rows, b: &data, b_rows, c: &mut c };
            assert_eq!(named(kernels.add_outer_products(sum, &mut scratch, 1)), arg);
            assert_eq!(c, [7.0; 12]);
        };
        refuse("a", &[8], &[0], (3, 4));
        refuse("a", &[usize::MAX], &[0], (3, 4));
        refuse("b", &[0], &[7], (3, 4));
        refuse("b", &[0], &[usize::MAX], (3, 4));
        refuse("b_rows", &[0], &[0, 1], (3, 4));
        refuse("c", &[0], &[0], (3, 3));
        refuse("c", &[], &[], (usize::MAX, 2));
    }
}

#[test]
fn activations_refuse_slices_of_unequal_length() {
    for kernels in available() {
        for map in [Kernels::exp, Kernels::sigmoid, Kernels::tanh] {
            let mut out = [7.0; 4];
            for len in [0, 3, 5] {
                assert_eq!(named(map(&kernels, &[1.0; 5][..len], &mut out)), "out");
                assert_eq!(out, [7.0; 4]);
            }
        }
    }
}

/// A product without columns, or over no k, takes no time however many rows or values of k it is said to have.
#[test]
fn empty_products_are_done_at_once() {
    let none = Matrix { data: &[], row: 1, col: 1 };
    for kernels in available() {
        for threads in [1, 2, usize::MAX] {
            for (m, n, k) in
                [(usize::MAX, 0, 0), (0, 0, usize::MAX), (0, usize::MAX >> 1, 0), (1, 0, 0), (0, 1, 0)]
            {
                let c = MatrixMut { data: &mut [], row: 1, col: 1 };
                match kernels.matmul(m, n, k, none, none, 0.0, c, threads) {
                    Ok(()) => {}
                    Err(error) => assert_eq!(error, Error::SizeOverflow { what: "b" }),
                }
            }
            let sum =
                OuterProducts { m: usize::MAX, n: 0, a: &[], a_rows: &[], b: &[], b_rows: &[], c: &mut [] };
            match kernels.add_outer_products(sum, &mut OuterScratch::new(), threads) {
                Ok(()) => {}
                Err(error) => assert_eq!(error, Error::SizeOverflow { what: "a" }),
            }
        }
    }
}

#[test]
fn buffers_that_cannot_be_had_are_errors() {
    for len in [usize::MAX, usize::MAX / 4, isize::MAX as usize / 4] {
        assert!(matches!(AlignedBuf::zeroed(len), Err(Error::SizeOverflow { .. })), "{len}");
    }
    let mut buffer = AlignedBuf::zeroed(3).expect("fits");
    buffer.copy_from_slice(&[1.0, 2.0, 3.0]);
    assert!(buffer.reserve(usize::MAX).is_err());
    assert_eq!(buffer[..], [1.0, 2.0, 3.0]);
    assert_eq!(buffer.as_ptr() as usize % 64, 0);
}

/// A plan is arithmetic on sizes: sizes beyond any memory give a plan that no call will accept, not a panic.
#[test]
fn plans_of_any_sizes_can_be_made() {
    let values = [0, 1, 7, 1 << 20, usize::MAX / 2, usize::MAX];
    for steps in values {
        for batch in values {
            for input in values {
                for hidden in values {
                    for threads in [0, 1, usize::MAX] {
                        let sizes = Sizes { cell: Cell::Lstm, steps, batch, input, hidden };
                        for lanes in [0, 8] {
                            let made = ForwardPlan::new(sizes, lanes, Caches::ASSUMED, threads);
                            let made = made.with_chunk(sizes, lanes, threads);
                            assert!(made.shards >= 1 && made.scratch() >= made.shard_scratch);
                        }
                        assert!(BackwardPlan::new(sizes, threads).chunk >= 1);
                        assert!(plan::matmul_threads(steps, batch, input, threads) >= 1);
                    }
                }
            }
        }
    }
    let _ = Seq::time_major(&[], usize::MAX, usize::MAX);
}

#[test]
fn instruction_sets_that_are_not_there_are_refused() {
    for isa in Isa::ALL {
        match Kernels::with_isa(isa) {
            Ok(kernels) => assert!(isa.is_available() && kernels.isa() == isa),
            Err(error) => assert!(!isa.is_available() && error == Error::IsaUnavailable { isa }),
        }
    }
}

/// Runs a test of this file, one that reads the environment, in a process of its own.
fn in_child(test: &str, ceiling: &str) {
    let this = std::env::current_exe().expect("a test knows its program");
    let name = format!("kernels::errors_gemm::{test}");
    let status = std::process::Command::new(this)
        .args(["--ignored", "--exact", &name])
        .env(CEILING_VARIABLE, ceiling)
        .output()
        .expect("a test can start itself");
    let output = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(status.status.success() && output.contains("1 passed"), "{output}");
}

#[test]
fn the_ceiling_is_kept_and_an_unknown_one_refused() {
    in_child("child_with_an_unknown_ceiling", "sse9");
    in_child("child_with_a_portable_ceiling", "portable");
    in_child("child_without_a_ceiling", "");
}

#[test]
#[ignore = "runs in a process of its own, started by the test above"]
fn child_with_an_unknown_ceiling() {
    let unknown = || Error::UnknownIsa { name: "sse9".to_owned() };
    assert_eq!(Kernels::auto().map(drop), Err(unknown()));
    assert_eq!(Kernels::available().map(drop), Err(unknown()));
    assert!(unknown().to_string().contains(CEILING_VARIABLE));
}

#[test]
#[ignore = "runs in a process of its own, started by the test above"]
fn child_with_a_portable_ceiling() {
    assert_eq!(Kernels::auto().map(|kernels| kernels.isa()), Ok(Isa::Portable));
    assert_eq!(Kernels::available().map(|all| all.len()), Ok(1));
}

#[test]
#[ignore = "runs in a process of its own, started by the test above"]
fn child_without_a_ceiling() {
    assert_eq!(Kernels::auto().map(|kernels| kernels.isa()), Ok(Isa::best_up_to(Isa::Avx512)));
}
