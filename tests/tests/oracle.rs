//! What proves the oracle: central differences check its gradients, files made by PyTorch its reading of the
//! equations, and rules that must hold exactly the meaning of its options.

mod oracle {
    mod finite;
    mod gradients;
    mod meaning;
    mod small;
    mod states;
    mod torch;
}
