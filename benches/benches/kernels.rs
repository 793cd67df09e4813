//! The kernels alone, on each instruction set of this machine: every cell and pass, those made for a hidden size beside those
//! for any; activations; the matmul. `GATEWISE_BENCH=all`, or a filter, reaches all sizes; a plain run takes three.

use benches::points::{INPUT, Point, is_all, points};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use gatewise_kernels::plan::{BackwardPlan, ForwardPlan, Sizes};
use gatewise_kernels::{
    Backward, Caches, Forward, Kernels, Matrix, MatrixMut, PackedCell, Pass, Seq, SeqMut, Step, Weights,
    registry,
};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// A group with times so short that a plain run stays within minutes.
fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(20).nresamples(2000);
    group.warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_millis(400));
    group
}

/// Numbers that neither saturate a gate nor vanish.
fn numbers(len: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 37 % 101) as f32 - 50.0) / 400.0).collect()
}

fn pack(point: &Point) -> PackedCell {
    let (gates, hidden) = (point.cell.gates(), point.hidden);
    let (w_ih, w_hh) = (numbers(gates * hidden * INPUT), numbers(gates * hidden * hidden));
    let weights = Weights { w_ih: &w_ih, w_hh: &w_hh, b_ih: None, b_hh: None, w_hr: None };
    let mut packed = point.kernels.pack_cell(point.cell, INPUT, hidden, weights).expect("the weights fit");
    if point.row.pass == Pass::Backward {
        packed.prepare_training(weights).expect("the weights fit");
    }
    packed
}

/// One chunk of time for a batch of rows, forward or backward, or a step of one row. An element is a floating-point operation
/// of the recurrent product.
fn cells(criterion: &mut Criterion) {
    let mut group = group(criterion, "cells");
    for point in points(is_all()).expect("the ceiling names an instruction set") {
        let recurrent = 2 * point.cell.gates() * point.hidden * point.hidden;
        group.throughput(Throughput::Elements((recurrent * point.batch() * point.steps()) as u64));
        group.bench_function(point.id(), |bencher| {
            let mut run = Run::new(point);
            bencher.iter_custom(|calls| (0..calls).map(|_| run.call()).sum());
        });
    }
}

/// The arrays of a point.
struct Run {
    point: Point,
    packed: PackedCell,
    x: Vec<f32>,
    h: Vec<f32>,
    c: Vec<f32>,
    y: Vec<f32>,
    c_steps: Vec<f32>,
    saved: Vec<f32>,
    gates: Vec<f32>,
    scratch: Vec<f32>,
}

impl Run {
    fn new(point: Point) -> Run {
        let (state, rows) = (point.batch() * point.hidden, point.batch() * point.steps());
        let cells = if point.cell.has_cell_state() { rows * point.hidden } else { 0 };
        let mut run = Run {
            point,
            packed: pack(&point),
            x: numbers(rows * INPUT),
            h: vec![0.0; state],
            c: vec![0.0; if cells > 0 { state } else { 0 }],
            y: vec![0.0; rows * point.hidden],
            c_steps: vec![0.0; cells],
            saved: vec![0.0; rows * point.hidden * point.cell.saved()],
            gates: Vec::new(),
            scratch: Vec::new(),
        };
        if point.row.pass == Pass::Backward {
            run.forward(true);
            run.gates = run.saved.clone();
        }
        run
    }

    fn call(&mut self) -> Duration {
        match self.point.row.pass {
            Pass::Step => self.step(),
            Pass::Backward => self.backward(),
            _ => self.forward(false),
        }
    }

    fn step(&mut self) -> Duration {
        let start = Instant::now();
        let (batch, h_0, h_1, c) = (self.point.batch(), &self.h[..], &mut self.y[..], &mut self.c[..]);
        let step = Step { batch, x: black_box(&self.x), h_0, h_1, c };
        self.point.kernels.step(&self.packed, step, 1).expect("the arguments fit");
        start.elapsed()
    }

    fn forward(&mut self, is_saved: bool) -> Duration {
        let Point { kernels, cell, hidden, .. } = self.point;
        let (steps, batch) = (self.point.steps(), self.point.batch());
        let sizes = Sizes { cell, steps, batch, input: INPUT, hidden };
        let plan = ForwardPlan::new(sizes, self.packed.lanes(), Caches::detect(), 1);
        self.scratch.resize(plan.scratch(), 0.0);
        let has_c = cell.has_cell_state();
        let saved = SeqMut::time_major(&mut self.saved, batch, cell.saved() * hidden);
        let args = Forward {
            steps,
            batch,
            x: Seq::time_major(black_box(&self.x), batch, INPUT),
            h_0: None,
            c_0: has_c.then_some(&self.h[..]),
            y: SeqMut::time_major(&mut self.y, batch, hidden),
            c: has_c.then_some(SeqMut::time_major(&mut self.c_steps, batch, hidden)),
            gates: is_saved.then_some(saved),
            active: None,
            resets: None,
            reset_h: None,
            reset_c: None,
            scratch: &mut self.scratch,
        };
        let start = Instant::now();
        kernels.forward(&self.packed, &plan, args).expect("the arguments fit");
        start.elapsed()
    }

    /// The gradients take the place of what forward saved, so that is put back before each call, untimed.
    fn backward(&mut self) -> Duration {
        let Point { kernels, cell, hidden, .. } = self.point;
        let (steps, batch) = (self.point.steps(), self.point.batch());
        self.gates.copy_from_slice(&self.saved);
        self.h.fill(0.0);
        self.c.fill(0.0);
        let has_c = cell.has_cell_state();
        let args = Backward {
            begin: 0,
            end: steps,
            batch,
            dy: Some(Seq::time_major(&self.y, batch, hidden)),
            gates: SeqMut::time_major(&mut self.gates, batch, cell.saved() * hidden),
            y: Seq::time_major(&self.y, batch, hidden),
            h_0: None,
            c: has_c.then_some(Seq::time_major(&self.c_steps, batch, hidden)),
            c_0: None,
            dh: &mut self.h,
            dc: has_c.then_some(&mut self.c[..]),
            dh_steps: None,
            dc_steps: None,
            active: None,
            resets: None,
            reset_h: None,
            reset_c: None,
        };
        let sizes = Sizes { cell, steps, batch, input: INPUT, hidden };
        let plan = BackwardPlan::new(sizes, 1);
        let start = Instant::now();
        kernels.backward(&self.packed, steps, &plan, args).expect("the arguments fit");
        start.elapsed()
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
