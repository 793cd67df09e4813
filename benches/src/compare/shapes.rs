//! What is compared, by who uses it, and its short form: `lstm forward B=32 T=100 I=256 H=256`, `matmul m=64 n=64 k=64`.

use crate::case::{Case, CellName, Lengths, Pass};
use crate::matmul::Matmul;
use clap::ValueEnum;

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// A recurrent network.
    Network(Case),
    /// A product of matrices.
    Matmul(Matmul),
}

impl Work {
    /// Threads, each on a core of its own.
    pub fn threads(&self) -> usize {
        match self {
            Work::Network(case) => case.threads,
            Work::Matmul(matmul) => matmul.threads,
        }
    }
}

/// Work and the group it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Who uses it.
    pub group: &'static str,
    /// What is done.
    pub work: Work,
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

/// Those of real uses; DeepBench's are a dozen of its inference and training sets.
const USES: [(&str, &str); 36] = [
    ("audio", "lstm step I=1 H=8"),
    ("audio", "lstm step I=1 H=16"),
    ("audio", "lstm step I=1 H=24"),
    ("audio", "lstm step I=1 H=32"),
    ("audio", "lstm step I=1 H=40"),
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
    ("deepbench", "lstm forward B=4 T=25 I=2048 H=2048"),
    ("deepbench", "lstm forward B=2 T=50 I=1536 H=1536"),
    ("deepbench", "lstm forward B=1 T=150 I=256 H=256"),
    ("deepbench", "gru forward B=1 T=1 I=512 H=512"),
    ("deepbench", "gru forward B=1 T=187 I=1536 H=1536"),
    ("deepbench", "lstm train B=16 T=25 I=512 H=512"),
    ("deepbench", "lstm train B=16 T=25 I=1024 H=1024"),
    ("deepbench", "lstm train B=32 T=150 I=256 H=256"),
    ("deepbench", "gru train B=32 T=1 I=512 H=512"),
    ("deepbench", "rnn_relu train B=16 T=50 I=1760 H=1760"),
    // Squares; one step of a batch; the input projection of a sequence; the gradient of its weights.
    ("matmul", "matmul m=64 n=64 k=64"),
    ("matmul", "matmul m=256 n=256 k=256"),
    ("matmul", "matmul m=1024 n=1024 k=1024"),
    ("matmul", "matmul m=32 n=1024 k=256"),
    ("matmul", "matmul m=3200 n=1024 k=256"),
    ("matmul", "matmul m=1024 n=256 k=3200"),
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
    Shape { group, work: work(text, threads).expect("the lists above are well-formed") }
}

/// Reads the short form.
///
/// # Errors
/// One line that names the word.
pub fn work(text: &str, threads: usize) -> Result<Work, String> {
    let Some(sizes) = text.trim().strip_prefix("matmul ") else {
        return Ok(Work::Network(parse(text, threads)?));
    };
    let mut matmul = Matmul { m: 0, n: 0, k: 0, threads };
    for word in sizes.split_whitespace() {
        match size(word).ok_or_else(|| wrong(text, word))? {
            ("m", value) => matmul.m = value,
            ("n", value) => matmul.n = value,
            ("k", value) => matmul.k = value,
            ("threads", value) => matmul.threads = value,
            _ => return Err(wrong(text, word)),
        }
    }
    matmul.check().map_err(|error| format!("--shape {text:?}: {error}"))?;
    Ok(Work::Matmul(matmul))
}

/// Reads the short form of a network.
///
/// # Errors
/// One line that names the word.
pub fn parse(text: &str, threads: usize) -> Result<Case, String> {
    let mut words = text.split_whitespace();
    let mut next = || words.next().unwrap_or("");
    let (cell, pass) = (next(), next());
    let cell = CellName::from_str(cell, false).map_err(|_| wrong(text, cell))?;
    let pass = Pass::from_str(pass, false).map_err(|_| wrong(text, pass))?;
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
        match size(word).ok_or_else(|| wrong(text, word))? {
            ("B", value) => case.batch = value,
            ("T", value) => case.seq = value,
            ("I", value) => (case.input, has_input) = (value, true),
            ("H", value) => case.hidden = value,
            ("L", value) => case.layers = value,
            ("dir", value @ 1..=2) => case.bidirectional = value == 2,
            ("threads", value) => case.threads = value,
            _ => return Err(wrong(text, word)),
        }
    }
    if !has_input {
        case.input = case.hidden;
    }
    Ok(case)
}

fn wrong(text: &str, word: &str) -> String {
    let examples = "\"lstm forward B=32 T=100 I=256 H=256\" or \"matmul m=256 n=256 k=256\"";
    format!("--shape {text:?}: {word:?}: expected e.g. {examples}")
}

/// `B=32` as its name and its number.
fn size(word: &str) -> Option<(&str, usize)> {
    let (name, value) = word.split_once('=')?;
    Some((name, value.parse().ok()?))
}

/// The short form.
pub fn text(work: &Work) -> String {
    let mut text = match work {
        Work::Matmul(Matmul { m, n, k, .. }) => format!("matmul m={m} n={n} k={k}"),
        Work::Network(case) => text_of_network(case),
    };
    if work.threads() > 1 {
        text += &format!(" threads={}", work.threads());
    }
    text
}

fn text_of_network(case: &Case) -> String {
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
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_form_reads_back() {
        for shape in quick(1).into_iter().chain(full(2)) {
            assert_eq!(work(&text(&shape.work), shape.work.threads()), Ok(shape.work));
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (text, word) in [
            ("lstm forward B=x", "B=x"),
            ("lstm", "\"\""),
            ("elman forward H=3", "elman"),
            ("lstm sideways H=3", "sideways"),
            ("lstm forward H=3 dir=3", "dir=3"),
            ("matmul m=2 n=2 p=2", "p=2"),
            ("matmul m=2 n=2", "--k 0"),
        ] {
            let error = work(text, 1).unwrap_err();
            assert!(error.contains(word) && error.lines().count() == 1, "{error}");
        }
    }
}
