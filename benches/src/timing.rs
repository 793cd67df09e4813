//! How times are taken.

use std::time::{Duration, Instant};

/// Times of one call, in microseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Times {
    /// One mean per repetition.
    pub all: Vec<f64>,
}

impl Times {
    /// The middle one.
    pub fn median(&self) -> f64 {
        median(&self.all)
    }

    /// The shortest.
    pub fn min(&self) -> f64 {
        self.all.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// The longest.
    pub fn max(&self) -> f64 {
        self.all.iter().copied().fold(0.0, f64::max)
    }
}

/// The middle value, or the mean of the two middle ones; NaN of nothing.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => 0.5 * (sorted[n / 2 - 1] + sorted[n / 2]),
    }
}

/// The value that a quarter of the others lie below; NaN of nothing.
pub fn lower_quartile(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(values.len() / 4).copied().unwrap_or(f64::NAN)
}

/// How many calls take at least `least`, after a warm-up of a tenth of that.
pub fn calibrate(least: Duration, mut call: impl FnMut()) -> usize {
    let (mut calls, warm_up) = (1, least / 10);
    call();
    loop {
        let time = time(calls, &mut call);
        if time >= warm_up.max(Duration::from_micros(50)) {
            let per_call = time.as_secs_f64() / calls as f64;
            return (least.as_secs_f64() / per_call).ceil().max(1.0) as usize;
        }
        calls *= 2;
    }
}

fn time(calls: usize, call: &mut impl FnMut()) -> Duration {
    let start = Instant::now();
    for _ in 0..calls {
        call();
    }
    start.elapsed()
}

/// The mean time of a call over that many calls, in microseconds.
pub fn repetition(calls: usize, mut call: impl FnMut()) -> f64 {
    time(calls, &mut call).as_secs_f64() * 1e6 / calls as f64
}

/// Warm-up, then `reps` repetitions of at least `least` each.
pub fn measure(reps: usize, least: Duration, mut call: impl FnMut()) -> Times {
    let calls = calibrate(least, &mut call);
    Times { all: (0..reps).map(|_| repetition(calls, &mut call)).collect() }
}
