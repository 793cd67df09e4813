//! Networks as users run them: a step, a sequence, a training pass; several layers; the packing of changed weights. Input as
//! wide as the state, one thread. An element is a floating-point operation of the products, 2 G H (I + H) per row and step,
//! three times that in training; of packing it is a float.

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gatewise::{Any, Cell, Error, Network, Tape, Upstream, View, Workspace};
use rayon::ThreadPool;
use std::fmt::Display;
use std::time::{Duration, Instant};

/// T and B of sequences.
const STEPS: usize = 100;
const BATCH: usize = 32;

struct Case<'a> {
    group: BenchmarkGroup<'a, WallTime>,
    pool: ThreadPool,
}

impl Case<'_> {
    fn new<'a>(criterion: &'a mut Criterion, name: &str) -> Case<'a> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread starts");
        let mut group = criterion.benchmark_group(name);
        group.sample_size(20).nresamples(2000);
        group.warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_millis(500));
        Case { group, pool }
    }

    /// Times a call inside the pool of one thread, so that entering the pool is not timed.
    fn run(
        &mut self,
        cell: Cell,
        size: impl Display,
        flops: usize,
        mut call: impl FnMut() -> Result<(), Error> + Send,
    ) {
        self.group.throughput(Throughput::Elements(flops as u64));
        let (group, pool) = (&mut self.group, &self.pool);
        group.bench_function(BenchmarkId::new(cell.name(), size), |bencher| {
            bencher.iter_custom(|calls| {
                pool.install(|| {
                    let start = Instant::now();
                    for _ in 0..calls {
                        call().expect("the arguments fit");
                    }
                    start.elapsed()
                })
            });
        });
    }
}

/// A network of one layer, and the operations of one step of one row.
fn network(cell: Cell, hidden: usize) -> (Network<Any>, usize) {
    layers(cell, hidden, 1)
}

fn layers(cell: Cell, hidden: usize, layers: usize) -> (Network<Any>, usize) {
    let network = Network::with_cell(cell, hidden, hidden).num_layers(layers).seed(1);
    (network.build().expect("the options make sense"), layers * 2 * cell.gates() * hidden * 2 * hidden)
}

fn step(criterion: &mut Criterion) {
    let mut case = Case::new(criterion, "step");
    for cell in Cell::ALL {
        for hidden in [16, 64, 256] {
            let (network, flops) = network(cell, hidden);
            let mut state = network.zero_state(1).expect("one row fits");
            let (x, mut y) = (vec![0.1; hidden], vec![0.0; hidden]);
            case.run(cell, hidden, flops, || network.step(&x, &mut state, &mut y));
        }
    }
}

fn forward(criterion: &mut Criterion) {
    let mut case = Case::new(criterion, "forward");
    for cell in Cell::ALL {
        for hidden in [64, 256] {
            let (network, flops) = network(cell, hidden);
            let mut state = network.zero_state(BATCH).expect("the batch fits");
            let (x, mut room) = (vec![0.1; STEPS * BATCH * hidden], Workspace::default());
            let mut y = x.clone();
            case.run(cell, hidden, STEPS * BATCH * flops, || {
                network.forward_into(View::new(&x, [STEPS, BATCH, hidden])?, &mut state, &mut y, &mut room)
            });
        }
    }
}

fn train(criterion: &mut Criterion) {
    let mut case = Case::new(criterion, "train");
    for cell in Cell::ALL {
        for hidden in [64, 256] {
            let (network, flops) = network(cell, hidden);
            let (x, mut tape) = (vec![0.1; STEPS * BATCH * hidden], Tape::default());
            let mut grads = network.params().zeros_like();
            case.run(cell, hidden, 3 * STEPS * BATCH * flops, || {
                let x = View::new(&x, [STEPS, BATCH, hidden])?;
                network.forward_train_into(x, None, &mut tape)?;
                network.backward(&mut tape, Upstream::output(x), &mut grads)
            });
        }
    }
}

fn stacked(criterion: &mut Criterion) {
    let mut case = Case::new(criterion, "layers");
    for cell in [Cell::Lstm, Cell::Gru] {
        for count in [2, 4] {
            let (network, flops) = layers(cell, 64, count);
            let mut state = network.zero_state(BATCH).expect("the batch fits");
            let (x, mut room) = (vec![0.1; STEPS * BATCH * 64], Workspace::default());
            let mut y = x.clone();
            case.run(cell, format!("{count}x64"), STEPS * BATCH * flops, || {
                network.forward_into(View::new(&x, [STEPS, BATCH, 64])?, &mut state, &mut y, &mut room)
            });
        }
    }
}

fn packing(criterion: &mut Criterion) {
    let mut case = Case::new(criterion, "packing");
    for cell in Cell::ALL {
        for hidden in [64, 256] {
            let (mut network, _) = network(cell, hidden);
            let floats = network.params().num_elements();
            case.run(cell, hidden, floats, || {
                // Dropping the guard packs.
                drop(network.params_mut());
                Ok(())
            });
        }
    }
}

criterion_group!(benches, step, forward, train, stacked, packing);
criterion_main!(benches);
