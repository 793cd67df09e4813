//! Copying memory (Hochreiter and Schmidhuber, 1997, in the form of Arjovsky, Shah and Bengio, 2016): ten symbols are read, then
//! nothing for a long time, and after a signal they are to be said again.
//!
//! ```text
//! time    0 .. 9     10 .. T+8    T+9       T+10 .. T+19
//! read    symbols    blank        signal    blank
//! say     blank      blank        blank     symbols
//! ```

use super::{Batch, Target, below};
use gatewise::Philox;

/// Symbols to remember.
pub(super) const SYMBOLS: usize = 10;
/// Different ones.
const KINDS: usize = 8;
const BLANK: usize = KINDS;
const SIGNAL: usize = KINDS + 1;
/// Symbols, blank, signal.
pub(super) const FEATURES: usize = KINDS + 2;
/// Symbols, blank.
pub(super) const CLASSES: usize = KINDS + 1;

/// Saying blanks, and at the end any symbol.
pub(super) fn baseline(length: usize) -> f64 {
    SYMBOLS as f64 * (KINDS as f64).ln() / (length + 2 * SYMBOLS) as f64
}

/// What is read at a time is one-hot.
pub(super) fn draw(length: usize, rows: usize, random: &mut Philox) -> Batch {
    let steps = length + 2 * SYMBOLS;
    let mut input = vec![0.0; steps * rows * FEATURES];
    let mut classes = vec![BLANK; steps * rows];
    for row in 0..rows {
        let symbols = [(); SYMBOLS].map(|()| below(KINDS, random));
        for t in 0..steps {
            let read = match t {
                t if t < SYMBOLS => symbols[t],
                t if t + 1 == steps - SYMBOLS => SIGNAL,
                _ => BLANK,
            };
            input[(t * rows + row) * FEATURES + read] = 1.0;
        }
        for (i, symbol) in symbols.into_iter().enumerate() {
            classes[(steps - SYMBOLS + i) * rows + row] = symbol;
        }
    }
    Batch { input, target: Target::Classes(classes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout() {
        for length in [1, 2, 30] {
            let rows = 20;
            let Batch { input, target } = draw(length, rows, &mut Philox::new(1, length as u64));
            let Target::Classes(classes) = target else { panic!("symbols are classes") };
            let mut kinds = [false; KINDS];
            for row in 0..rows {
                let read = |t: usize| {
                    let x = &input[(t * rows + row) * FEATURES..][..FEATURES];
                    assert_eq!(x.iter().sum::<f32>(), 1.0);
                    x.iter().position(|&x| x == 1.0).unwrap()
                };
                let say = |t: usize| classes[t * rows + row];
                for t in 0..10 {
                    assert!(read(t) < KINDS);
                    kinds[read(t)] = true;
                    assert_eq!(say(length + 10 + t), read(t), "symbol {t}");
                    assert_eq!(read(length + 10 + t), BLANK);
                }
                assert!((10..length + 9).all(|t| read(t) == BLANK));
                assert_eq!(read(length + 9), SIGNAL);
                assert!((0..length + 10).all(|t| say(t) == BLANK));
            }
            assert_eq!(kinds, [true; KINDS]);
        }
        assert!((baseline(100) - 10.0 * 8.0_f64.ln() / 120.0).abs() < 1e-15);
    }
}
