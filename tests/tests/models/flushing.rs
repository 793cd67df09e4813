//! Threads whose processor flushes subnormal numbers to zero, as audio hosts set them up. Nothing here sets that, and everything works
//! under it.

use std::arch::asm;
use tests::bounds::same_bits;
use tests::problem::{Arrays, Problem};
use tests::setup::Setup;

/// Runs a job on a thread of its own, with subnormal results and operands flushed to zero (FTZ and DAZ) or not.
fn on_a_thread(flushes: bool, job: impl FnOnce() -> Arrays<f32> + Send + 'static) -> Arrays<f32> {
    let with_control = move || {
        let mut before = 0_u32;
        // SAFETY: stores the control register; the thread ends with the value that it began with. Rust assumes that it never changes;
        // this is a test of what happens to those who change it all the same, and it reads no float in between but through the job.
        unsafe { asm!("stmxcsr [{}]", in(reg) &mut before, options(nostack)) };
        let during = if flushes { before | 0x8040 } else { before };
        // SAFETY: as above; the two bits are valid on every x86-64.
        unsafe { asm!("ldmxcsr [{}]", in(reg) &during, options(nostack)) };
        let result = job();
        // SAFETY: as above.
        unsafe { asm!("ldmxcsr [{}]", in(reg) &before, options(nostack)) };
        result
    };
    std::thread::spawn(with_control).join().expect("the job does not panic")
}

fn both(problem: &Problem) -> [Arrays<f32>; 2] {
    [false, true].map(|flushes| {
        let problem = problem.clone();
        on_a_thread(flushes, move || {
            let network = problem.network(gatewise::Kernels::auto().unwrap());
            problem.train(&network)
        })
    })
}

/// Ordinary numbers have the same bits; numbers that are subnormal are zero or themselves, and nothing else comes of them.
#[test]
fn a_thread_that_flushes_subnormals() {
    for cell in gatewise::Cell::ALL {
        let setup = Setup { cell, layers: 2, bidirectional: true, ragged: true, ..Setup::default() };
        let mut problem = setup.problem();
        let [kept, flushed] = both(&problem);
        same_bits(&kept, &flushed).unwrap_or_else(|error| panic!("{cell:?}: {error}"));

        for (_, values) in problem.stack.tensors_mut() {
            values.iter_mut().for_each(|value| *value = f64::from((*value * 1e-39) as f32));
        }
        // A relu of a sum that is flushed stands on its kink, and its gradient on the other side of it.
        if cell == gatewise::Cell::RnnRelu {
            continue;
        }
        let [kept, flushed] = both(&problem);
        for ((name, kept), (_, flushed)) in kept.list.iter().zip(&flushed.list) {
            for (kept, flushed) in kept.iter().zip(flushed) {
                let apart = (f64::from(*kept) - f64::from(*flushed)).abs();
                assert!(apart <= 1e-35, "{cell:?} {name}: {kept:e}, {flushed:e} where they are flushed");
            }
        }
    }
}
