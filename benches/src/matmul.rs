//! A product of matrices as something to measure, beside libraries that do only that.

use crate::problem::{save_tensors, uniform};
use clap::Args;
use gatewise_kernels::{Error, Kernels, Matrix, MatrixMut, PackedB};
use std::path::Path;

/// C = A B for A of m x k and B of k x n, all in rows.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Matmul {
    /// Rows of A and C
    #[arg(long)]
    pub m: usize,
    /// Columns of B and C
    #[arg(long)]
    pub n: usize,
    /// Columns of A, rows of B
    #[arg(long)]
    pub k: usize,
    /// Threads, each on a core of its own
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
}

impl Matmul {
    /// Whether the sizes can be measured.
    ///
    /// # Errors
    /// One line that names the size.
    pub fn check(&self) -> Result<(), String> {
        let limit = 1 << 28;
        for (name, size) in [("m", self.m), ("n", self.n), ("k", self.k), ("threads", self.threads)] {
            if size == 0 {
                return Err(format!("--{name} 0: expected 1 at least"));
            }
        }
        for (name, rows, columns) in [("A", self.m, self.k), ("B", self.k, self.n), ("C", self.m, self.n)] {
            let floats = rows.saturating_mul(columns);
            if floats > limit {
                return Err(format!("{name} would take {floats} floats: expected {limit} at most"));
            }
        }
        Ok(())
    }
}

/// A and B, uniform in +-1, the same for every system.
#[derive(Clone, Debug)]
pub struct Operands {
    /// `[m, k]`
    pub a: Vec<f32>,
    /// `[k, n]`
    pub b: Vec<f32>,
}

impl Operands {
    /// Those of fixed seeds.
    pub fn new(matmul: &Matmul) -> Operands {
        let Matmul { m, n, k, .. } = *matmul;
        Operands { a: uniform(3000, m * k, 1.0), b: uniform(3001, k * n, 1.0) }
    }

    /// Writes `a` and `b` as a safetensors file.
    ///
    /// # Errors
    /// One line that names the file.
    pub fn save(&self, matmul: &Matmul, path: &Path) -> Result<(), String> {
        let Matmul { m, n, k, .. } = *matmul;
        save_tensors(path, &[("a", vec![m, k], &self.a), ("b", vec![k, n], &self.b)])
    }
}

/// Gatewise's product, ready to be called over and over.
#[derive(Debug)]
pub struct MatmulRunner {
    matmul: Matmul,
    kernels: Kernels,
    operands: Operands,
    packed: Option<PackedB>,
    c: Vec<f32>,
}

impl MatmulRunner {
    /// With B packed before the calls, or by each of them.
    ///
    /// # Errors
    /// The kernels' own.
    pub fn new(matmul: &Matmul, kernels: Kernels, packs_before: bool) -> Result<MatmulRunner, Error> {
        let Matmul { m, n, k, .. } = *matmul;
        let operands = Operands::new(matmul);
        let pack = || kernels.pack_b(k, n, Matrix::row_major(&operands.b, n));
        let packed = packs_before.then(pack).transpose()?;
        Ok(MatmulRunner { matmul: matmul.clone(), kernels, operands, packed, c: vec![0.0; m * n] })
    }

    /// One product; answers C.
    ///
    /// # Errors
    /// The kernels' own.
    pub fn call(&mut self) -> Result<&[f32], Error> {
        let Matmul { m, n, k, threads } = self.matmul;
        let (a, c) = (Matrix::row_major(&self.operands.a, k), MatrixMut::row_major(&mut self.c, n));
        match &self.packed {
            Some(packed) => self.kernels.matmul_packed(m, a, packed, 0.0, c, threads)?,
            None => {
                let b = Matrix::row_major(&self.operands.b, n);
                self.kernels.matmul(m, n, k, a, b, 0.0, c, threads)?;
            }
        }
        Ok(&self.c)
    }
}
