//! What proves the models: against the f64 oracle, against themselves bit for bit, against what must hold whatever the numbers
//! are, and with everything that can be wrong with a call.

mod models {
    mod dropout;
    mod edges;
    mod errors;
    #[cfg(target_arch = "x86_64")]
    mod flushing;
    mod init;
    mod laws;
    mod losses;
    mod optimizers;
    mod oracle;
    mod promises;
    mod refusals;
    mod start;
    mod threads;
    mod tokens;
    mod training;
    mod weights;
}
