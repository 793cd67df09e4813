//! g2p-en 2.1.0: English spelling to ARPAbet phonemes, a GRU that reads and a GRU that writes.
//!
//! ```text
//! x_t      = encoder.embedding[letter]         the letters of a word, then </s>
//! h        = encoder(x), from zeros            its final state starts the decoder
//! h_t      = decoder(decoder.embedding[p])     p = <s>, then what was written last
//! logits_t = fc(h_t)                           the largest is written, until </s> or 20 are
//! ```

use super::support::{Fixture, assert_near, check_gradients, check_sums, fill, rounding};
use gatewise::{
    Embedding, Gru, IGNORE, Input, Kernels, Linear, LinearRoom, State, Upstream, View, cross_entropy,
};

const WORDS: usize = 20;
const FEATURES: usize = 256;
const GRAPHEMES: usize = 29;
const PHONEMES: usize = 74;
/// Steps of the padded batches.
const ENCODED: usize = 29;
const DECODED: usize = 21;
/// Ids of phonemes.
const START: usize = 2;
const END: usize = 3;

/// An embedding and the GRU on it.
struct Side {
    embedding: Embedding,
    gru: Gru,
}

impl Side {
    fn load(fixture: &Fixture, prefix: &str, symbols: usize, kernels: Kernels) -> Side {
        let weights = fixture.weights.take(prefix).unwrap();
        let mut embedding = Embedding::new(symbols, FEATURES, 0).unwrap();
        let table = embedding.params_mut().get_mut("weight").unwrap();
        table.data_mut().copy_from_slice(weights.get("embedding").unwrap().data());
        let mut gru = Gru::builder(FEATURES, FEATURES).batch_first(true).kernels(kernels).build().unwrap();
        fill(&mut gru.params_mut(), &weights);
        Side { embedding, gru }
    }

    /// The vectors of a padded batch of ids, NaN where a row has ended.
    fn embed(&self, ids: &[usize], lengths: &[usize]) -> Vec<f32> {
        let mut x = vec![0.0; ids.len() * FEATURES];
        self.embedding.forward(ids, &mut x).unwrap();
        let steps = ids.len() / lengths.len();
        for (row, length) in x.chunks_mut(steps * FEATURES).zip(lengths) {
            row[length * FEATURES..].fill(f32::NAN);
        }
        x
    }
}

struct G2p {
    kernels: Kernels,
    encoder: Side,
    decoder: Side,
    fc: Linear,
}

/// A padded batch of words and their phonemes.
struct Batch {
    enc_len: Vec<usize>,
    dec_len: Vec<usize>,
    enc_x: Vec<f32>,
    dec_x: Vec<f32>,
}

impl G2p {
    fn load(fixture: &Fixture, kernels: Kernels) -> G2p {
        let mut fc = Linear::with_kernels(FEATURES, PHONEMES, 0, kernels).unwrap();
        fixture.weights.load("fc.", &mut fc.params_mut()).unwrap();
        let encoder = Side::load(fixture, "encoder.", GRAPHEMES, kernels);
        G2p { kernels, encoder, decoder: Side::load(fixture, "decoder.", PHONEMES, kernels), fc }
    }

    fn batch(&self, fixture: &Fixture) -> Batch {
        let (enc_len, dec_len) = (fixture.sizes("enc_len"), fixture.sizes("dec_len"));
        let enc_x = self.encoder.embed(&fixture.sizes("enc_ids"), &enc_len);
        let dec_x = self.decoder.embed(&fixture.sizes("dec_ids"), &dec_len);
        Batch { enc_len, dec_len, enc_x, dec_x }
    }

    /// The phonemes of one word from the state that reading it left.
    fn write(&self, state: &mut State) -> Vec<usize> {
        let (mut written, mut last) = (Vec::new(), START);
        let (mut x, mut h, mut logits) = ([0.0; FEATURES], [0.0; FEATURES], [0.0_f32; PHONEMES]);
        while written.len() < 20 {
            self.decoder.embedding.forward(&[last], &mut x).unwrap();
            self.decoder.gru.step(&x, state, &mut h).unwrap();
            self.fc.forward(1, &h, &mut logits).unwrap();
            last = (0..PHONEMES).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
            if last == END {
                break;
            }
            written.push(last);
        }
        written
    }
}

impl Batch {
    fn enc_input(&self) -> Input<'_> {
        Input::from(View::new(&self.enc_x, [WORDS, ENCODED, FEATURES]).unwrap()).lengths(&self.enc_len)
    }

    fn dec_input(&self) -> Input<'_> {
        Input::from(View::new(&self.dec_x, [WORDS, DECODED, FEATURES]).unwrap()).lengths(&self.dec_len)
    }
}

/// States and logits of a padded batch, whose pads are NaN; each word alone leaves the same bits.
#[test]
fn g2p_en_outputs() {
    let fixture = Fixture::read("g2p-en");
    for kernels in Kernels::available().unwrap() {
        let model = G2p::load(&fixture, kernels);
        let batch = model.batch(&fixture);
        let (_, read) = model.encoder.gru.forward(batch.enc_input(), None).unwrap();
        let allowed = fixture.allowed("enc_h_n_f32_vs_f64");
        assert_near("enc_h_n", read.h(), &fixture.f64("enc_h_n.f64"), allowed);
        assert_near("enc_h_n, original", read.h(), &fixture.f64("enc_h_n_original.f32"), allowed);
        for (word, &length) in batch.enc_len.iter().enumerate() {
            let x = &batch.enc_x[word * ENCODED * FEATURES..][..length * FEATURES];
            let (_, alone) =
                model.encoder.gru.forward(View::new(x, [1, length, FEATURES]).unwrap(), None).unwrap();
            assert_eq!(alone, read.gather(&[word]).unwrap(), "word {word} alone");
        }

        let (h, written) = model.decoder.gru.forward(batch.dec_input(), Some(&read)).unwrap();
        let allowed = fixture.allowed_by("dec_h_n.f32", "dec_h_n.f64");
        assert_near("dec_h_n", written.h(), &fixture.f64("dec_h_n.f64"), allowed);
        let mut logits = vec![0.0; WORDS * DECODED * PHONEMES];
        model.fc.forward(WORDS * DECODED, h.data(), &mut logits).unwrap();
        let allowed = fixture.allowed("logits_f32_vs_f64");
        for (name, width) in [("logits.f64", PHONEMES), ("logits_original.f32", PHONEMES)] {
            let expected = fixture.f64(name);
            for (word, &length) in batch.dec_len.iter().enumerate() {
                let of_word = word * DECODED * width..word * DECODED * width + length * width;
                assert_near(name, &logits[of_word.clone()], &expected[of_word], allowed);
            }
        }
    }
}

/// Letter by letter in, phoneme by phoneme out.
#[test]
fn g2p_en_phonemes() {
    let fixture = Fixture::read("g2p-en");
    let texts = |key: &str| -> Vec<String> {
        fixture.card[key].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_string()).collect()
    };
    let (graphemes, phonemes) = (texts("graphemes"), texts("phonemes"));
    for kernels in Kernels::available().unwrap() {
        let model = G2p::load(&fixture, kernels);
        for (word, expected) in texts("words").iter().zip(texts("phonemes_original")) {
            let id = |symbol: &str| {
                graphemes.iter().position(|of| of == symbol).or(graphemes.iter().position(|of| of == "<unk>"))
            };
            let letters = word.chars().map(|letter| id(&letter.to_string()).unwrap());
            let mut state = model.encoder.gru.zero_state(1).unwrap();
            let (mut x, mut h) = ([0.0; FEATURES], [0.0; FEATURES]);
            for letter in letters.chain(id("</s>")) {
                model.encoder.embedding.forward(&[letter], &mut x).unwrap();
                model.encoder.gru.step(&x, &mut state, &mut h).unwrap();
            }
            let written: Vec<&str> =
                model.write(&mut state).iter().map(|&id| phonemes[id].as_str()).collect();
            assert_eq!(written.join(" "), expected, "{word}");
        }
    }
}

/// The gradients of the summed cross-entropy, through the decoder into the encoder and out at the letters.
#[test]
fn g2p_en_gradients() {
    let fixture = Fixture::read("g2p-en");
    // The decoder's chains go on into the encoder's.
    let rounding = rounding((ENCODED + DECODED) * 2 * FEATURES);
    let of_target = |&target: &i64| usize::try_from(target).unwrap_or(IGNORE);
    let targets: Vec<usize> = fixture.i64("targets").iter().map(of_target).collect();
    let count = targets.iter().filter(|&&target| target != IGNORE).count() as f64;
    for kernels in Kernels::available().unwrap() {
        let model = G2p::load(&fixture, kernels);
        let batch = model.batch(&fixture);
        let mut enc_tape = model.encoder.gru.forward_train(batch.enc_input(), None).unwrap();
        let mut read = model.encoder.gru.zero_state(WORDS).unwrap();
        enc_tape.final_state(&mut read).unwrap();
        let mut dec_tape = model.decoder.gru.forward_train(batch.dec_input(), Some(&read)).unwrap();

        let rows = WORDS * DECODED;
        let h = dec_tape.output().data().to_vec();
        let (mut logits, mut d_logits) = (vec![0.0; rows * PHONEMES], vec![0.0; rows * PHONEMES]);
        model.fc.forward(rows, &h, &mut logits).unwrap();
        let loss = count * cross_entropy(model.kernels, &logits, PHONEMES, &targets, &mut d_logits).unwrap();
        let expected = fixture.f64("loss.f64");
        assert_near("loss", &[loss], &expected, rounding * expected[0]);
        d_logits.iter_mut().for_each(|d| *d *= count as f32);

        let (mut dh, mut d_fc) = (vec![0.0; rows * FEATURES], model.fc.params().zeros_like());
        model.fc.backward(rows, &h, &d_logits, Some(&mut dh), &mut d_fc, &mut LinearRoom::default()).unwrap();
        let mut d_decoder = model.decoder.gru.params().zeros_like();
        let upstream = Upstream::output(View::new(&dh, [WORDS, DECODED, FEATURES]).unwrap());
        model.decoder.gru.backward(&mut dec_tape, upstream, &mut d_decoder).unwrap();
        let mut d_encoder = model.encoder.gru.params().zeros_like();
        let upstream = Upstream { h_n: Some(dec_tape.grad_h_0()), ..Upstream::default() };
        model.encoder.gru.backward(&mut enc_tape, upstream, &mut d_encoder).unwrap();

        check_gradients(&fixture, "decoder.", &d_decoder, rounding);
        check_gradients(&fixture, "encoder.", &d_encoder, rounding);
        let dx = enc_tape.grad_input().unwrap();
        check_sums("input_grad", dx.data(), FEATURES, &fixture.f64("grad.input_grad.f64"), rounding);
    }
}
