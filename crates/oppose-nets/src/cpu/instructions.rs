//! Which instructions the processor has, and the one way to code that uses them.

use super::vector::{Portable, Vector};
#[cfg(target_arch = "x86_64")]
use super::x86;

/// Sets of vector instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instructions {
    /// Sixteen values at once, 32 registers.
    Avx512,
    /// Eight values at once with fused multiplication and addition, 16 registers.
    Avx2,
    /// What the compiler makes of arrays: any processor.
    Portable,
}

impl Instructions {
    /// From the fastest to the one that is always there.
    pub const ALL: [Self; 3] = [Self::Avx512, Self::Avx2, Self::Portable];

    /// Whether this processor has them.
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => is_x86_feature_detected!("avx512f"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx512 | Self::Avx2 => false,
            Self::Portable => true,
        }
    }

    /// The fastest that this processor has.
    pub fn best() -> Self {
        Self::ALL.into_iter().find(|found| found.is_available()).unwrap_or(Self::Portable)
    }
}

/// Instructions that this processor has been found to have.
#[derive(Clone, Copy, Debug)]
pub struct Available(Instructions);

impl Available {
    /// Nothing where the processor does not have them.
    pub fn check(instructions: Instructions) -> Option<Self> {
        instructions.is_available().then_some(Self(instructions))
    }

    /// Which they are.
    pub fn get(self) -> Instructions {
        self.0
    }
}

/// Work that is compiled once for each set of instructions. `run` must be inlined, as all that it calls.
pub trait Work {
    /// Does it with these vectors.
    fn run<V: Vector>(self);
}

/// Does the work with these instructions.
pub fn dispatch(available: Available, work: impl Work) {
    match available.0 {
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512 => x86::run_avx512(available, work),
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2 => x86::run_avx2(available, work),
        _ => work.run::<Portable>(),
    }
}
