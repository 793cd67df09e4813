//! gemm, which packs within its calls.

use crate::{Ready, Result};
use ::gemm::Parallelism;
use benches::matmul::{Matmul, Operands};

pub fn prepare(matmul: &Matmul) -> Result<Ready> {
    matmul.check()?;
    let Matmul { m, n, k, threads } = *matmul;
    let Operands { a, b } = Operands::new(matmul);
    let parallelism = if threads > 1 { Parallelism::Rayon(threads) } else { Parallelism::None };
    let multiply = move |c: &mut Vec<f32>| {
        let row = |columns: usize| columns as isize;
        let (a, b, c) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr());
        let (alpha, beta, is_conjugate) = (0.0_f32, 1.0, false);
        // SAFETY: all three are in rows, A of m x k, B of k x n and C of m x n elements, and C is borrowed alone.
        unsafe {
            ::gemm::gemm(
                m,
                n,
                k,
                c,
                1,
                row(n),
                false,
                a,
                1,
                row(k),
                b,
                1,
                row(n),
                alpha,
                beta,
                is_conjugate,
                is_conjugate,
                is_conjugate,
                parallelism,
            );
        }
    };
    let mut c = vec![0.0; m * n];
    multiply(&mut c);
    let outputs = vec![("y".to_string(), c.clone())];
    let call = Box::new(move || {
        multiply(&mut c);
        Ok(())
    });
    Ok(Ready { package: "gemm", note: "packs in the call", outputs, call })
}
