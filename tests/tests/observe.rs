//! What proves the observer: against the f64 oracle, against passes that nobody looks at, bit for bit, and with everything that can be
//! wrong with a call.

mod observe {
    mod bias;
    mod export;
    mod finite;
    mod flow;
    mod gates;
    mod jacobian;
    mod lag;
    mod ledger;
    mod lyapunov;
    mod memory;
    mod plots;
    mod refusals;
    mod step_clip;
}
