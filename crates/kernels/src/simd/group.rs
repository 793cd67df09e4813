//! Several registers as one value: their chains of instructions stand side by side in the code, so that the latency of one is
//! hidden by the work of the others. A core looks ahead for that itself, but not as far as from one gate update to the next.

use super::{Arithmetic, Sealed};

/// `N` registers.
#[derive(Clone, Copy)]
pub(crate) struct Group<V, const N: usize>(pub(crate) [V; N]);

impl<V: Arithmetic, const N: usize> Sealed for Group<V, N> {}

/// One method: the same operation on each register.
macro_rules! each {
    ($(fn $name:ident(self $(, $operand:ident)*);)*) => {
        $(
            #[inline(always)]
            fn $name(self $(, $operand: Self)*) -> Self {
                let mut all = self.0;
                for n in 0..N {
                    all[n] = self.0[n].$name($($operand.0[n]),*);
                }
                Group(all)
            }
        )*
    };
}

impl<V: Arithmetic, const N: usize> Arithmetic for Group<V, N> {
    type Token = V::Token;

    #[inline(always)]
    fn splat(token: V::Token, x: f32) -> Self {
        Group([V::splat(token, x); N])
    }
    each! {
        fn add(self, other);
        fn sub(self, other);
        fn mul(self, other);
        fn div(self, other);
        fn mul_add(self, b, c);
        fn min(self, other);
        fn max(self, other);
        fn abs(self);
        fn copysign(self, sign);
        fn select_lt(self, other, then, otherwise);
        fn exp2_of_magic(self);
    }
}
