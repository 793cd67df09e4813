//! Cell options: projections of every cell, the GRU's reset gate before the product, all activations, clips, in all combinations.

mod options {
    mod case;
    mod clips;
    mod errors;
    mod finite;
    mod model;
    mod tokens;
}
