//! The kernels alone, on each instruction set of this machine: activations, and the matmul beside the FLOPs it does.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gatewise_kernels::{Kernels, Matrix, MatrixMut};
use std::hint::black_box;

fn activations(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("activations");
    let x: Vec<f32> = (0..4096).map(|i| (i as f32 - 2048.0) / 256.0).collect();
    let mut y = vec![0.0; x.len()];
    group.throughput(Throughput::Elements(x.len() as u64));
    for kernels in Kernels::available().expect("the ceiling names an instruction set") {
        type Function = fn(&Kernels, &[f32], &mut [f32]) -> Result<(), gatewise_kernels::Error>;
        let functions: [(&str, Function); 3] =
            [("exp", Kernels::exp), ("sigmoid", Kernels::sigmoid), ("tanh", Kernels::tanh)];
        for (name, function) in functions {
            group.bench_function(BenchmarkId::new(name, kernels.isa()), |bencher| {
                bencher.iter(|| function(&kernels, black_box(&x), black_box(&mut y)));
            });
        }
    }
}

fn matmul(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("matmul");
    for n in [64, 256, 512] {
        let (a, b, mut c) = (vec![0.5; n * n], vec![0.25; n * n], vec![0.0; n * n]);
        // One element is one floating-point operation.
        group.throughput(Throughput::Elements(2 * (n as u64).pow(3)));
        for kernels in Kernels::available().expect("the ceiling names an instruction set") {
            let packed = kernels.pack_b(n, n, Matrix::row_major(&b, n)).expect("b holds n x n");
            group.bench_function(BenchmarkId::new(format!("packed-{n}"), kernels.isa()), |bencher| {
                bencher.iter(|| {
                    let (a, c) = (Matrix::row_major(black_box(&a), n), MatrixMut::row_major(&mut c, n));
                    kernels.matmul_packed(n, a, &packed, 0.0, c, 1)
                });
            });
        }
    }
}

criterion_group!(benches, activations, matmul);
criterion_main!(benches);
