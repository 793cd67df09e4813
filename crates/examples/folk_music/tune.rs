//! A new tune, character by character.

use crate::corpus::Corpus;
use crate::model::Model;
use crate::options::Options;
use gatewise::{Error, Philox};

/// How every tune of the corpus begins: its number, and its title.
const OPENING: &str = "X:1\nT:";

/// Writes a tune: from the opening on, until an empty line ends it or it is long enough.
pub(crate) fn compose(model: &Model, corpus: &Corpus, options: &Options) -> Result<String, Error> {
    let mut random = Philox::new(options.seed, u64::MAX);
    let mut state = model.network.zero_state(1)?;
    let mut logits = vec![0.0; corpus.characters.len()];
    // A corpus that is not ABC notation may lack these characters: then it starts as the corpus does.
    let opening = corpus.encode(OPENING).unwrap_or_else(|| corpus.text[..1].to_vec());
    for &id in &opening {
        model.step(id, &mut state, &mut logits)?;
    }
    let mut tune: String = opening.iter().map(|&id| corpus.characters[id]).collect();
    for _ in opening.len()..options.sample {
        let id = draw(&logits, options.temperature, &mut random);
        tune.push(corpus.characters[id]);
        if tune.ends_with("\n\n") {
            break;
        }
        model.step(id, &mut state, &mut logits)?;
    }
    Ok(tune.trim_end().to_string() + "\n")
}

/// Draws a number with the probabilities softmax(logits / temperature).
fn draw(logits: &[f32], temperature: f64, random: &mut Philox) -> usize {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights = logits.iter().map(|&x| (f64::from(x - largest) / temperature).exp());
    let mut left = f64::from(random.uniform()) * weights.clone().sum::<f64>();
    for (id, weight) in weights.enumerate() {
        left -= weight;
        if left < 0.0 {
            return id;
        }
    }
    logits.len() - 1
}
