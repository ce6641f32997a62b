//! Detects which instructions the CPU has, and is the only way to call code that uses them.

use super::vector::{Portable, Vector};
#[cfg(target_arch = "x86_64")]
use super::x86;

/// Sets of vector instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Instructions {
    /// Sixteen values at once, 32 registers.
    Avx512,
    /// Eight values at once with fused multiplication and addition, 16 registers.
    Avx2,
    /// Plain arrays, as the compiler translates them: any CPU.
    Portable,
}

impl Instructions {
    /// From the fastest to the one that every CPU has.
    pub const ALL: [Self; 3] = [Self::Avx512, Self::Avx2, Self::Portable];

    /// Their name, for people to read.
    pub fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "AVX-512",
            Self::Avx2 => "AVX2",
            Self::Portable => "no vector instructions in use",
        }
    }

    /// Whether this CPU has them.
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

    /// The fastest that this CPU has.
    pub fn best() -> Self {
        Self::ALL.into_iter().find(|found| found.is_available()).unwrap_or(Self::Portable)
    }
}

/// Proof that this CPU has certain instructions.
#[derive(Clone, Copy, Debug)]
pub struct Available(Instructions);

impl Available {
    /// `None` if the CPU does not have them.
    pub fn check(instructions: Instructions) -> Option<Self> {
        instructions.is_available().then_some(Self(instructions))
    }

    /// The instructions.
    pub fn get(self) -> Instructions {
        self.0
    }
}

/// Work that is compiled once per set of instructions. `run` and everything that it calls must be inlined.
pub trait Work {
    /// Does the work with these vectors.
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
