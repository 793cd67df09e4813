//! matrixmultiply, which packs within its calls.

use crate::{Ready, Result};
use benches::machine::pin_current_thread;
use benches::matmul::{Matmul, Operands};

pub fn prepare(matmul: &Matmul) -> Result<Ready> {
    matmul.check()?;
    let Matmul { m, n, k, threads } = *matmul;
    if std::env::var("MATMUL_NUM_THREADS").as_deref() != Ok(&threads.to_string()) {
        return Err(format!("matrixmultiply reads MATMUL_NUM_THREADS: expected {threads}").into());
    }
    // It starts threads of its own, which inherit where this one may run.
    if threads == 1 {
        pin_current_thread(0);
    }
    let Operands { a, b } = Operands::new(matmul);
    let multiply = move |c: &mut Vec<f32>| {
        let row = |columns: usize| columns as isize;
        let (a, b, c) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr());
        // SAFETY: all three are in rows, A of m x k, B of k x n and C of m x n elements, and C is borrowed alone.
        unsafe { ::matrixmultiply::sgemm(m, k, n, 1.0, a, row(k), 1, b, row(n), 1, 0.0, c, row(n), 1) };
    };
    let mut c = vec![0.0; m * n];
    multiply(&mut c);
    let outputs = vec![("y".to_string(), c.clone())];
    let call = Box::new(move || {
        multiply(&mut c);
        Ok(())
    });
    Ok(Ready { package: "matrixmultiply", note: "packs in the call", outputs, call })
}
