//! What this machine can do: the ceilings that every figure is held against. Measured in the same run as the figure.

mod pin;
mod vector;

use crate::timing::{self, median};
use gatewise_kernels::{Isa, Kernels};
use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

pub use pin::{pin_current_thread, pool};

/// How long one repetition of a ceiling takes.
const LEAST: Duration = Duration::from_millis(20);
const REPS: usize = 5;

/// The processor's own name.
pub fn name() -> String {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or("an unknown processor", |(_, name)| name).to_string()
}

/// Runs a job on that many threads, each pinned to a core, all at once; answers the sum of what they answer.
fn on_threads(threads: usize, job: impl Fn() -> f64 + Sync) -> f64 {
    let barrier = Barrier::new(threads);
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads)
            .map(|core| {
                let (barrier, job) = (&barrier, &job);
                scope.spawn(move || {
                    pin_current_thread(core);
                    barrier.wait();
                    job()
                })
            })
            .collect();
        handles.into_iter().map(|handle| handle.join().expect("a ceiling does not panic")).sum()
    })
}

/// GFLOP/s of multiply-adds on registers (portable: a product and a sum), an FMA counting as two.
pub fn fma_peak(isa: Isa, threads: usize) -> f64 {
    const ROUNDS: usize = 4096;
    on_threads(threads, || {
        let times = timing::measure(REPS, LEAST, || {
            black_box(vector::multiply_adds(isa, ROUNDS));
        });
        vector::flops(isa, ROUNDS) / times.median() / 1e3
    })
}

/// GB/s of reads from a buffer of that many bytes, over and over; with more threads each reads its own part.
pub fn read_bandwidth(isa: Isa, bytes: usize, threads: usize) -> f64 {
    let floats = (bytes / 4 / threads).next_multiple_of(128).max(128);
    on_threads(threads, || {
        let buffer = gatewise_kernels::AlignedBuf::zeroed(floats).expect("the buffer fits in memory");
        // A small buffer several times a call, so that the call does not count.
        let passes = ((256 << 10) / floats).max(1);
        let times = timing::measure(REPS, LEAST, || {
            black_box(vector::read(isa, &buffer, passes));
        });
        4.0 * (floats * passes) as f64 / times.median() / 1e3
    })
}

/// An activation's cost on one vector, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Per vector, many in a row.
    pub throughput: f64,
    /// From its input to its output.
    pub latency: f64,
}

/// The function of a slice that `Kernels` offers.
type Map = fn(&Kernels, &[f32], &mut [f32]) -> Result<(), gatewise_kernels::Error>;

/// The cost of an activation.
pub fn activation(kernels: Kernels, map: Map) -> Cost {
    let lanes = kernels.lanes();
    let (x, mut y) = (vec![0.5; 128 * lanes], vec![0.0; 128 * lanes]);
    let many = timing::measure(REPS, LEAST, || {
        map(&kernels, black_box(&x), &mut y).expect("the slices have one length");
    });
    // One vector whose output is the next input. The call and the way through memory cost as much around a sum of rows, which
    // is one load, one addition and one store.
    let (mut a, mut b) = (vec![0.5; lanes], vec![0.5; lanes]);
    let chain = timing::measure(REPS, LEAST, || {
        for _ in 0..32 {
            map(&kernels, &a, &mut b).expect("the slices have one length");
            map(&kernels, &b, &mut a).expect("the slices have one length");
        }
    });
    let zeros = vec![0.0; lanes];
    let around = timing::measure(REPS, LEAST, || {
        for _ in 0..64 {
            kernels.sum_rows(&zeros, &[0], &mut a).expect("the row lies within the slice");
        }
    });
    Cost {
        throughput: many.median() * 1e3 / 128.0,
        latency: (chain.median() - around.median()).max(0.0) * 1e3 / 64.0,
    }
}

/// exp, sigmoid and tanh by name.
pub const ACTIVATIONS: [(&str, Map); 3] =
    [("exp", Kernels::exp), ("sigmoid", Kernels::sigmoid), ("tanh", Kernels::tanh)];

/// The latency of one multiply-add, and of a float's way from a store through a broadcast load, in nanoseconds.
pub fn latencies(isa: Isa) -> (f64, f64) {
    const ROUNDS: usize = 4096;
    let chain = timing::measure(REPS, LEAST, || {
        black_box(vector::chain(isa, ROUNDS));
    });
    let forward = timing::measure(REPS, LEAST, || {
        black_box(vector::store_and_broadcast(isa, ROUNDS));
    });
    let fma = chain.median() * 1e3 / ROUNDS as f64;
    (fma, (forward.median() * 1e3 / ROUNDS as f64 - fma).max(0.0))
}

/// Cycles a nanosecond, from a chain of integer products (3 cycles) and exclusive ors (1 cycle).
pub fn gigahertz() -> f64 {
    const ROUNDS: usize = 10_000;
    let times = timing::measure(REPS, LEAST, || {
        let mut x = black_box(1_u64);
        for _ in 0..black_box(ROUNDS) {
            x = x.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 1;
        }
        black_box(x);
    });
    4.0 * ROUNDS as f64 / (times.median() * 1e3)
}

/// What passing work between threads costs, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HandOff {
    /// `rayon::join` of two empty closures from within the pool.
    pub join: f64,
    /// `ThreadPool::install` of an empty closure from outside.
    pub pool_entry: f64,
    /// One way of a cache line between two cores.
    pub cache_line: f64,
}

/// Measures all of them on two threads.
pub fn hand_off() -> HandOff {
    let pool = pool(2).expect("two threads start");
    let join = pool.install(|| {
        timing::measure(REPS, LEAST, || {
            rayon::join(|| black_box(()), || black_box(()));
        })
    });
    let pool_entry = timing::measure(REPS, LEAST, || pool.install(|| black_box(())));
    HandOff { join: join.median() * 1e3, pool_entry: pool_entry.median() * 1e3, cache_line: ping_pong() }
}

fn ping_pong() -> f64 {
    const ROUNDS: usize = 20_000;
    let turn = AtomicUsize::new(0);
    let wait_for = |value| {
        while turn.load(Ordering::Acquire) != value {
            std::hint::spin_loop();
        }
    };
    let mut all = Vec::new();
    for _ in 0..REPS {
        turn.store(0, Ordering::Release);
        let elapsed = std::thread::scope(|scope| {
            scope.spawn(|| {
                pin_current_thread(1);
                for i in 0..ROUNDS {
                    wait_for(2 * i + 1);
                    turn.store(2 * i + 2, Ordering::Release);
                }
            });
            let first = scope.spawn(|| {
                pin_current_thread(0);
                let start = Instant::now();
                for i in 0..ROUNDS {
                    turn.store(2 * i + 1, Ordering::Release);
                    wait_for(2 * i + 2);
                }
                start.elapsed()
            });
            first.join().expect("a ceiling does not panic")
        });
        all.push(elapsed.as_secs_f64() * 1e9 / (2 * ROUNDS) as f64);
    }
    median(&all)
}
