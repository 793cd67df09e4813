//! New tunes, character by character.

use crate::abc;
use crate::corpus::Alphabet;
use crate::model::Model;
use crate::options::Options;
use gatewise::{Philox, ProjectedTable};
use std::error::Error;

/// How often a tune that is not well-formed is drawn again.
const TRIES: usize = 20;

/// Tunes, and what is wrong with some of them.
#[derive(Default)]
pub(crate) struct Tunes {
    pub(crate) texts: Vec<String>,
    /// (number of the tune from 1, problem).
    pub(crate) problems: Vec<(usize, String)>,
    /// Tunes drawn in vain.
    pub(crate) rejected: usize,
}

/// Writes as many tunes as asked for. A text that is no ABC notation is taken as it comes.
pub(crate) fn compose(
    model: &Model,
    alphabet: &Alphabet,
    options: &Options,
) -> Result<Tunes, Box<dyn Error>> {
    if options.check && !alphabet.is_abc {
        return Err("--check: the text of this model is not ABC notation".into());
    }
    let prime = options.prime.clone().unwrap_or_else(|| alphabet.opening());
    let prime = alphabet.encode(&prime).map_err(|error| format!("--prime: {error}"))?;
    let tries = if options.check || !alphabet.is_abc { 1 } else { TRIES };
    let (table, mut tunes) = (model.table()?, Tunes::default());
    for number in 1..=options.tunes {
        let mut problem = None;
        for attempt in 0..tries {
            // A stream of random numbers for each draw, from the last one downwards: the model's own are the first ones.
            let stream = u64::MAX - (TRIES * (number - 1) + attempt) as u64;
            let random = Philox::new(options.settings.seed, stream);
            let text = draw_tune(model, &table, alphabet, &prime, random, options)?;
            problem = if alphabet.is_abc { abc::check(&text).err() } else { None };
            if problem.is_none() || attempt + 1 == tries {
                tunes.texts.push(text.replacen("X:1\n", &format!("X:{number}\n"), 1));
                break;
            }
            tunes.rejected += 1;
        }
        tunes.problems.extend(problem.map(|problem| (number, problem)));
    }
    Ok(tunes)
}

/// One tune: from the opening on, until an empty line ends it or it is long enough.
fn draw_tune(
    model: &Model,
    table: &ProjectedTable,
    alphabet: &Alphabet,
    prime: &[usize],
    mut random: Philox,
    options: &Options,
) -> Result<String, gatewise::Error> {
    let mut state = model.network.zero_state(1)?;
    let mut logits = vec![0.0; alphabet.characters.len()];
    // What stands between two tunes of the corpus: after it comes a header, from a state of zeros anything may.
    let between = if alphabet.is_abc { alphabet.encode("\n\n").unwrap_or_default() } else { Vec::new() };
    for &id in between.iter().chain(prime) {
        model.step(table, id, &mut state, &mut logits)?;
    }
    let mut tune: String = prime.iter().map(|&id| alphabet.characters[id]).collect();
    let (mut is_cut, opening) = (true, tune.len());
    for _ in prime.len()..options.sample {
        let id = draw(&logits, options.temperature, &mut random);
        tune.push(alphabet.characters[id]);
        if alphabet.is_abc && tune.ends_with("\n\n") {
            is_cut = false;
            break;
        }
        model.step(table, id, &mut state, &mut logits)?;
    }
    // A tune that was cut off ends with its last whole bar; what it was asked to begin with stays.
    let bar = tune.rfind('|').filter(|&bar| bar >= opening);
    if let (true, true, Some(bar)) = (is_cut, alphabet.is_abc, bar) {
        tune.truncate(bar + 1);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::Corpus;
    use clap::Parser;

    /// The first character drawn is the likeliest one after an empty line and the opening, which is not always that after the opening.
    #[test]
    fn a_tune_begins_as_one_of_the_corpus_does() {
        let alphabet = Corpus::read(None).unwrap().alphabet;
        // A short one: what an untrained network has read fades fast.
        let opening = "X";
        let mut others = 0;
        for seed in 1..=20 {
            let words =
                format!("x --hidden 64 --seed {seed} --temperature 1e-9 --sample {}", opening.len() + 1);
            let options = Options::parse_from(words.split_whitespace());
            let model = Model::new(&options.settings, alphabet.characters.len()).unwrap();
            let likeliest = |text: &str| {
                let (table, mut state) = (model.table().unwrap(), model.network.zero_state(1).unwrap());
                let mut logits = vec![0.0; alphabet.characters.len()];
                for id in alphabet.encode(text).unwrap() {
                    model.step(&table, id, &mut state, &mut logits).unwrap();
                }
                let id = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
                alphabet.characters[id]
            };
            let prime = alphabet.encode(opening).unwrap();
            let (table, random) = (model.table().unwrap(), Philox::new(1, 1));
            let tune = draw_tune(&model, &table, &alphabet, &prime, random, &options).unwrap();
            let expected = likeliest(&format!("\n\n{opening}"));
            assert_eq!(tune.trim_end(), format!("{opening}{expected}").trim_end(), "seed {seed}");
            others += usize::from(likeliest(opening) != expected);
        }
        assert!(others > 0, "the empty line makes no difference in this test");
    }
}
