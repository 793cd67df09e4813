//! The kernels alone, on each instruction set of this machine: every cell and pass, those made for a hidden size beside those
//! for any; activations; the matmul. `GATEWISE_BENCH=all`, or a filter, reaches all sizes; a plain run takes three.

use benches::calls::{Calls, numbers};
use benches::points::{is_all, points};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use gatewise_kernels::{Kernels, Matrix, MatrixMut, Pass, registry};
use std::hint::black_box;
use std::time::Duration;

/// A group with times so short that a plain run stays within minutes.
fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(20).nresamples(2000);
    group.warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_millis(400));
    group
}

/// One chunk of time for a batch of rows, forward or backward, or a step of one row. An element is a floating-point operation
/// of the recurrent product.
fn cells(criterion: &mut Criterion) {
    let mut group = group(criterion, "cells");
    for point in points(is_all()).expect("the ceiling names an instruction set") {
        let recurrent = 2 * point.cell.gates() * point.hidden * point.hidden;
        group.throughput(Throughput::Elements((recurrent * point.batch() * point.steps()) as u64));
        group.bench_function(point.id(), |bencher| {
            let mut calls = Calls::new(point).expect("the weights fit");
            bencher.iter_custom(|n| calls.time(n as usize).expect("the arguments fit"));
        });
    }
}

/// Elementwise functions, per element.
fn activations(criterion: &mut Criterion) {
    let mut group = group(criterion, "activations");
    let x: Vec<f32> = (0..4096).map(|i| (i as f32 - 2048.0) / 256.0).collect();
    let mut y = vec![0.0; x.len()];
    group.throughput(Throughput::Elements(x.len() as u64));
    for kernels in Kernels::available().expect("the ceiling names an instruction set") {
        for row in registry(kernels.isa()) {
            type Function = fn(&Kernels, &[f32], &mut [f32]) -> Result<(), gatewise_kernels::Error>;
            let function: Function = match row.pass {
                Pass::Exp => Kernels::exp,
                Pass::Sigmoid => Kernels::sigmoid,
                Pass::Tanh => Kernels::tanh,
                _ => continue,
            };
            group.bench_function(format!("{}/{}", row.id, x.len()), |bencher| {
                bencher.iter(|| function(&kernels, black_box(&x), black_box(&mut y)));
            });
        }
    }
}

/// n x n x n with B packed before, and the packing of B. An element is a floating-point operation, or a float.
fn matmul(criterion: &mut Criterion) {
    let sizes: &[usize] = if is_all() { &[16, 64, 128, 256, 512, 1024] } else { &[64, 256, 512] };
    let mut group = group(criterion, "matmul");
    for kernels in Kernels::available().expect("the ceiling names an instruction set") {
        let plain = |row: &&gatewise_kernels::Row| row.pass == Pass::Matmul;
        let id = registry(kernels.isa()).iter().find(plain).expect("every instruction set has it").id;
        for &n in sizes {
            let b = numbers(n * n);
            let mut packed = kernels.pack_b(n, n, Matrix::row_major(&b, n)).expect("b holds n x n");
            group.throughput(Throughput::Elements(2 * (n as u64).pow(3)));
            group.bench_function(format!("{id}/{n}x{n}x{n}"), |bencher| {
                let (a, mut c) = (numbers(n * n), vec![0.0; n * n]);
                bencher.iter(|| {
                    let (a, c) = (Matrix::row_major(black_box(&a), n), MatrixMut::row_major(&mut c, n));
                    kernels.matmul_packed(n, a, &packed, 0.0, c, 1)
                });
            });
            group.throughput(Throughput::Elements((n * n) as u64));
            group.bench_function(format!("{id}/pack-{n}x{n}"), |bencher| {
                bencher.iter(|| kernels.repack_b(&mut packed, n, n, Matrix::row_major(black_box(&b), n)));
            });
        }
    }
}

criterion_group!(benches, cells, activations, matmul);
criterion_main!(benches);
