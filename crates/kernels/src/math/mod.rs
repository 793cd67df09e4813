//! The exponential and the activations, over any [`Vector`](crate::simd::Vector).
//!
//! This floor knows no pointer and names no instruction set. It uses operations of the trait only, in one order and
//! with true division, so two instruction sets that both fuse multiply-add give the same bits, and a lane depends on
//! nothing but its input. Error bounds are the largest |result - exact| / ulp(exact) over all 2^32 inputs, against
//! f64; ulp(exact) is the spacing of floats in the binade of the exact value.

pub(crate) mod activation;
pub(crate) mod exp;
pub(crate) mod flush;
pub(crate) mod map;
pub(crate) mod norms;
pub(crate) mod sigmoid;
pub(crate) mod softplus;
pub(crate) mod tanh;
