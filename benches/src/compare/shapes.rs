//! The cases, by who uses them, and their short form: `lstm forward B=32 T=100 I=256 H=256`.

use crate::case::{Case, CellName, Lengths, Pass};
use clap::ValueEnum;

/// A case and the group it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Who uses it.
    pub group: &'static str,
    /// The case.
    pub case: Case,
}

/// A dozen that show the range.
const QUICK: [(&str, &str); 12] = [
    ("audio", "lstm step I=1 H=16"),
    ("audio", "gru step I=1 H=40"),
    ("voice", "lstm step I=128 H=128"),
    ("voice", "gru forward B=1 T=100 I=256 H=256"),
    ("grid", "lstm forward B=1 T=100 I=512 H=512"),
    ("grid", "lstm forward B=32 T=100 I=64 H=64"),
    ("grid", "lstm forward B=32 T=100 I=256 H=256"),
    ("grid", "gru forward B=32 T=100 I=256 H=256"),
    ("grid", "rnn_tanh forward B=32 T=100 I=256 H=256"),
    ("grid", "lstm train B=32 T=100 I=256 H=256"),
    ("grid", "gru train B=32 T=100 I=128 H=128"),
    ("language", "lstm train B=50 T=50 I=128 H=128 L=2"),
];

/// Those of real uses.
const USES: [(&str, &str); 24] = [
    ("audio", "lstm step I=1 H=8"),
    ("audio", "lstm step I=1 H=16"),
    ("audio", "lstm step I=1 H=32"),
    ("audio", "lstm step I=1 H=64"),
    ("audio", "gru step I=1 H=8"),
    ("audio", "gru step I=1 H=40"),
    ("voice", "lstm step I=128 H=128"),
    ("voice", "gru forward B=1 T=100 I=256 H=256"),
    ("tagging", "lstm forward B=32 T=100 I=256 H=256 L=2 dir=2"),
    ("hydrology", "lstm train B=256 T=365 I=10 H=128"),
    ("forecasting", "lstm train B=32 T=100 I=40 H=40 L=2"),
    ("forecasting", "lstm forward B=3200 T=30 I=40 H=40 L=2"),
    ("policies", "lstm train B=128 T=128 I=256 H=256"),
    ("language", "lstm train B=20 T=35 I=650 H=650 L=2"),
    ("language", "lstm train B=50 T=50 I=128 H=128 L=2"),
    ("language", "lstm train B=50 T=50 I=512 H=512 L=2"),
    ("deepbench", "lstm forward B=1 T=25 I=512 H=512"),
    ("deepbench", "lstm forward B=4 T=25 I=1024 H=1024"),
    ("deepbench", "lstm forward B=2 T=50 I=1536 H=1536"),
    ("deepbench", "lstm forward B=1 T=150 I=256 H=256"),
    ("deepbench", "gru forward B=1 T=187 I=1536 H=1536"),
    ("deepbench", "lstm train B=16 T=25 I=512 H=512"),
    ("deepbench", "lstm train B=32 T=150 I=256 H=256"),
    ("deepbench", "rnn_relu train B=16 T=50 I=1760 H=1760"),
];

/// The dozen.
pub fn quick(threads: usize) -> Vec<Shape> {
    QUICK.iter().map(|&(group, text)| named(group, text, threads)).collect()
}

/// Everything: the uses, then the grid of cells, hidden sizes and batches.
pub fn full(threads: usize) -> Vec<Shape> {
    let mut all: Vec<Shape> = USES.iter().map(|&(group, text)| named(group, text, threads)).collect();
    for pass in ["forward", "train"] {
        for cell in ["lstm", "gru", "rnn_tanh"] {
            for hidden in [64, 128, 256, 512, 1024] {
                for batch in [1, 32] {
                    let text = format!("{cell} {pass} B={batch} T=100 I={hidden} H={hidden}");
                    all.push(named("grid", &text, threads));
                }
            }
        }
    }
    all
}

fn named(group: &'static str, text: &str, threads: usize) -> Shape {
    Shape { group, case: parse(text, threads).expect("the lists above are well-formed") }
}

/// Reads the short form.
///
/// # Errors
/// One line that names the word.
pub fn parse(text: &str, threads: usize) -> Result<Case, String> {
    let wrong = |word: &str| {
        format!("--shape {text:?}: {word:?}: expected e.g. \"lstm forward B=32 T=100 I=256 H=256\"")
    };
    let mut words = text.split_whitespace();
    let mut next = || words.next().unwrap_or("");
    let cell = CellName::from_str(next(), false).map_err(|word| wrong(&word))?;
    let pass = Pass::from_str(next(), false).map_err(|word| wrong(&word))?;
    let mut case = Case {
        cell,
        pass,
        input: 0,
        hidden: 0,
        batch: 1,
        seq: 1,
        layers: 1,
        bidirectional: false,
        proj: None,
        lengths: Lengths::Full,
        threads,
    };
    let mut has_input = false;
    for word in words {
        let (key, value) = word.split_once('=').ok_or_else(|| wrong(word))?;
        let value: usize = value.parse().map_err(|_| wrong(word))?;
        match key {
            "B" => case.batch = value,
            "T" => case.seq = value,
            "I" => (case.input, has_input) = (value, true),
            "H" => case.hidden = value,
            "L" => case.layers = value,
            "dir" => case.bidirectional = value == 2,
            "threads" => case.threads = value,
            _ => return Err(wrong(word)),
        }
    }
    if !has_input {
        case.input = case.hidden;
    }
    Ok(case)
}

/// The short form of a case.
pub fn text(case: &Case) -> String {
    let mut text = format!("{} {:?}", case.cell.cell().name(), case.pass).to_lowercase();
    text += &match case.pass {
        Pass::Step => format!(" B={} I={} H={}", case.batch, case.input, case.hidden),
        _ => format!(" B={} T={} I={} H={}", case.batch, case.seq, case.input, case.hidden),
    };
    if case.layers > 1 {
        text += &format!(" L={}", case.layers);
    }
    if case.bidirectional {
        text += " dir=2";
    }
    if case.threads > 1 {
        text += &format!(" threads={}", case.threads);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_form_reads_back() {
        for shape in quick(1).into_iter().chain(full(2)) {
            assert_eq!(parse(&text(&shape.case), shape.case.threads), Ok(shape.case));
        }
        assert!(parse("lstm forward B=x", 1).is_err());
        assert!(parse("lstm", 1).is_err());
        assert!(parse("elman forward H=3", 1).is_err());
    }
}
