//! The embedded Reber grammar (Hochreiter and Schmidhuber, 1997): after a long string of another grammar, the second symbol comes
//! again. Which one it was has to be remembered all the way; everything between says nothing of it.
//!
//! ```text
//! string   B (T|P) inner (T|P) E        both choices the same
//! inner    B .. E                       a walk through the grammar below
//! ```

use super::{Batch, Target, below};
use gatewise::Philox;

/// The symbols; a class is the place among them.
pub(super) const SYMBOLS: [char; 7] = ['B', 'T', 'S', 'X', 'P', 'V', 'E'];

/// The shortest string: an inner one of five symbols, and four around it.
pub(super) const SHORTEST: usize = 9;

/// From each state, the symbols that may come and the states they lead to. State 0 is behind the B, state 5 before the E.
const GRAMMAR: [[(char, usize); 2]; 5] = [
    [('T', 1), ('P', 2)],
    [('S', 1), ('X', 3)],
    [('T', 2), ('V', 4)],
    [('X', 2), ('S', 5)],
    [('P', 3), ('V', 5)],
];
const LAST: usize = 5;

/// All rows have strings of `length` symbols; each step is one-hot, and the next symbol is asked for.
pub(super) fn draw(length: usize, rows: usize, random: &mut Philox) -> Batch {
    let ways = Ways::of(length - 6);
    let mut input = vec![0.0; (length - 1) * rows * SYMBOLS.len()];
    let mut classes = vec![0; (length - 1) * rows];
    for row in 0..rows {
        let string: Vec<usize> = ways.string(random).into_iter().map(class).collect();
        for (t, symbols) in string.windows(2).enumerate() {
            input[(t * rows + row) * SYMBOLS.len() + symbols[0]] = 1.0;
            classes[t * rows + row] = symbols[1];
        }
    }
    Batch { input, target: Target::Classes(classes) }
}

fn class(symbol: char) -> usize {
    SYMBOLS.iter().position(|&other| other == symbol).expect("the grammar has no other symbols")
}

/// The probability that a walk whose every choice is a fair coin's reaches the last state after exactly so many symbols: what a walk
/// of a given length is drawn by.
struct Ways(Vec<[f64; 6]>);

impl Ways {
    fn of(length: usize) -> Ways {
        let mut ways = vec![[0.0, 0.0, 0.0, 0.0, 0.0, 1.0]];
        for n in 0..length {
            let mut next = [0.0; 6];
            for (state, choices) in GRAMMAR.iter().enumerate() {
                next[state] = choices.iter().map(|&(_, to)| 0.5 * ways[n][to]).sum();
            }
            // Long walks are unlikely: only the ratios within a length matter.
            let sum: f64 = next.iter().sum();
            ways.push(next.map(|way| way / sum));
        }
        Ways(ways)
    }

    /// A whole string around a walk of that length.
    fn string(&self, random: &mut Philox) -> Vec<char> {
        let outer = ['T', 'P'][below(2, random)];
        let mut string = vec!['B', outer, 'B'];
        let mut state = 0;
        for left in (0..self.0.len() - 1).rev() {
            let [first, second] = GRAMMAR[state];
            let (a, b) = (self.0[left][first.1], self.0[left][second.1]);
            let is_first = f64::from(random.uniform()) * (a + b) < a;
            let (symbol, next) = if is_first { first } else { second };
            string.push(symbol);
            state = next;
        }
        debug_assert_eq!(state, LAST);
        string.extend(['E', outer, 'E']);
        string
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a string by the grammar as it is drawn in the literature: another form than the table above.
    fn is_valid(string: &str) -> bool {
        let Some(rest) = string.strip_prefix('B').and_then(|rest| rest.strip_suffix('E')) else {
            return false;
        };
        let outer = |symbol| rest.strip_prefix(symbol).and_then(|rest: &str| rest.strip_suffix(symbol));
        let Some(inner) = outer('T').or_else(|| outer('P')) else { return false };
        let mut state = "start";
        for symbol in inner.chars() {
            state = match (state, symbol) {
                ("start", 'B') => "fork",
                ("fork", 'T') | ("upper", 'S') => "upper",
                ("fork", 'P') | ("lower", 'T') | ("cross", 'X') => "lower",
                ("upper", 'X') | ("back", 'P') => "cross",
                ("lower", 'V') => "back",
                ("cross", 'S') | ("back", 'V') => "close",
                ("close", 'E') => "end",
                _ => return false,
            };
        }
        state == "end"
    }

    #[test]
    fn strings_are_valid_and_as_long_as_asked_for() {
        for length in [9, 10, 11, 12, 13, 30, 100, 1000] {
            let mut random = Philox::new(1, length as u64);
            let ways = Ways::of(length - 6);
            let strings: Vec<String> =
                (0..200).map(|_| ways.string(&mut random).into_iter().collect()).collect();
            for string in &strings {
                assert_eq!(string.len(), length);
                assert!(is_valid(string), "{string}");
            }
            assert!(strings.iter().any(|string| string.starts_with("BT")));
            assert!(strings.iter().any(|string| string.starts_with("BP")));
            let different: std::collections::HashSet<&String> = strings.iter().collect();
            assert!(different.len() >= if length < 12 { 2 } else { 10 }, "{length}: {different:?}");
        }
        for string in ["BTBTXSEPE", "BTBTXSET", "BTBTSSXSETE.", "BPBPVVEPEE", "BTBTXXETE"] {
            assert!(!is_valid(string), "{string}");
        }
    }

    #[test]
    fn a_row_asks_for_the_next_symbol() {
        let (length, rows) = (12, 5);
        let Batch { input, target } = draw(length, rows, &mut Philox::new(1, 1));
        let Target::Classes(classes) = target else { panic!("symbols are classes") };
        for row in 0..rows {
            let mut string: String = (0..length - 1)
                .map(|t| {
                    let x = &input[(t * rows + row) * 7..][..7];
                    assert_eq!(x.iter().sum::<f32>(), 1.0);
                    SYMBOLS[x.iter().position(|&x| x == 1.0).unwrap()]
                })
                .collect();
            let said: String = (0..length - 1).map(|t| SYMBOLS[classes[t * rows + row]]).collect();
            assert_eq!(string[1..], said[..length - 2]);
            string.push('E');
            assert!(is_valid(&string) && said.ends_with('E'), "{string}");
            assert_eq!(said.chars().nth(length - 3), string.chars().nth(1), "the second one comes again");
        }
    }
}
