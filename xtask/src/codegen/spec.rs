//! What is generated, on one screen: cells x passes x hidden sizes x instruction sets.

/// Hidden sizes with a step kernel of their own, and who uses them.
pub(crate) const HIDDEN_SIZES: [usize; 19] = [
    8,    // guitar amplifier models, the smallest
    12,   // guitar amplifier models
    16,   // guitar amplifier models; signals for trading
    20,   // NeuralPi's fixed size
    24,   // guitar amplifier models; RNNoise's voice activity
    32,   // trading, device benchmarks
    40,   // guitar amplifier models; DeepAR forecasting
    48,   // RNNoise's noise estimate
    64,   // OCR, language models of the smallest kind
    80,   // the largest real-time audio models
    96,   // RNNoise's denoiser; OCR
    128,  // Silero voice detection, DTLN, hydrology
    192,  // OCR
    256,  // DeepFilterNet, recurrent policies, OCR; the default of most tutorials
    320,  // RNN transducers
    384,  // LPCNet
    512,  // OCR, speech
    640,  // transducer predictors
    1024, // speech, translation
];

/// Hidden sizes at which the way back through sequences is tried with a kernel of its own too; `gains.txt` says where that is worth
/// it. Below, the compiler unrolls the whole loop over k and runs out of registers in it. The way forward is not tried: 20 steps of 8
/// rows gained 5 % on AVX2+FMA, and nothing on AVX-512.
pub(crate) const FIXED_BACK: std::ops::RangeInclusive<usize> = 16..=64;

/// A recurrent cell: its name, the type of its arithmetic, its gates, the values it saves per unit, and its passes.
pub(crate) struct Cell {
    pub(crate) name: &'static str,
    pub(crate) variant: &'static str,
    pub(crate) form: Form,
    pub(crate) body: &'static str,
    pub(crate) gates: usize,
    pub(crate) saved: usize,
    pub(crate) passes: &'static [&'static str],
}

/// Which loops run a cell; all but plain ones take any hidden size only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Plain,
    With,
    ResetBefore,
}

const ALL_PASSES: &[&str] = &["step", "fwd", "bwd"];
/// Of cells that always multiply the input in the recurrent kernel.
const FUSED_PASSES: &[&str] = &["step", "bwd"];

const fn plain(name: &'static str, body: &'static str, gates: usize, saved: usize) -> Cell {
    Cell { name, variant: body, form: Form::Plain, body, gates, saved, passes: ALL_PASSES }
}

pub(crate) const CELLS: [Cell; 8] = [
    plain("rnn_tanh", "RnnTanh", 1, 1),
    plain("rnn_relu", "RnnRelu", 1, 1),
    plain("lstm", "Lstm", 4, 4),
    plain("gru", "Gru", 3, 4),
    Cell {
        name: "rnn_with",
        variant: "RnnTanh",
        form: Form::With,
        body: "RnnWith",
        gates: 1,
        saved: 1,
        passes: FUSED_PASSES,
    },
    // Projected LSTMs are what speech recognizers are made of: they project whole sequences at a time.
    Cell {
        name: "lstm_with",
        variant: "Lstm",
        form: Form::With,
        body: "LstmWith",
        gates: 4,
        saved: 4,
        passes: ALL_PASSES,
    },
    Cell {
        name: "gru_with",
        variant: "Gru",
        form: Form::With,
        body: "GruWith",
        gates: 3,
        saved: 4,
        passes: FUSED_PASSES,
    },
    Cell {
        name: "gru_reset_before",
        variant: "Gru",
        form: Form::ResetBefore,
        body: "GruResetBefore",
        gates: 3,
        saved: 4,
        passes: FUSED_PASSES,
    },
];

/// An instruction set: its names, its vector, the features that the entry functions carry, and its registers.
pub(crate) struct Isa {
    pub(crate) name: &'static str,
    pub(crate) variant: &'static str,
    pub(crate) vector: &'static str,
    /// The expression that makes the capability token.
    pub(crate) token: &'static str,
    pub(crate) features: Option<&'static str>,
    pub(crate) lanes: usize,
    pub(crate) registers: usize,
    /// Without a fused multiply-add the product needs a register of its own.
    pub(crate) fused: bool,
    /// The least hidden size that it gets a kernel of its own for; `None`: for none. What is less takes the kernels of a set whose
    /// vectors it fills better (`Kernels::narrowed_to`).
    pub(crate) least_size: Option<usize>,
}

pub(crate) const ISAS: [Isa; 3] = [
    Isa {
        name: "portable",
        variant: "Portable",
        vector: "F32x4",
        token: "Portable",
        features: None,
        lanes: 4,
        registers: 16,
        fused: false,
        least_size: None,
    },
    Isa {
        name: "avx2_fma",
        variant: "Avx2Fma",
        vector: "F32x8",
        token: "Avx2Fma::assume()",
        features: Some("avx2,fma"),
        lanes: 8,
        registers: 16,
        fused: true,
        least_size: Some(1),
    },
    Isa {
        name: "avx512",
        variant: "Avx512",
        vector: "F32x16",
        token: "Avx512::assume()",
        features: Some("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma"),
        lanes: 16,
        registers: 32,
        fused: true,
        least_size: Some(9),
    },
];

/// The elementwise kernels: pass in the id, variant of `Pass`, and body in `math::map`.
pub(crate) const MAPS: [(&str, &str); 3] = [("exp", "Exp"), ("sigmoid", "Sigmoid"), ("tanh", "Tanh")];
