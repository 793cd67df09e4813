//! What proves the observer: against the f64 oracle, against passes that nobody looks at, bit for bit, and with everything that can be
//! wrong with a call.

mod observe {
    mod flow;
    mod plots;
}
