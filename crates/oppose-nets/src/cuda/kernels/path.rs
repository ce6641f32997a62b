//! The instructions that convolutions use, and the GPUs that have them.

use std::fmt;
use std::str::FromStr;

use crate::OptionError;
use crate::cuda::Precision;
use crate::gpu::ComputeCapability;

/// The oldest supported GPUs, Volta: the first with tensor cores.
pub const OLDEST_GPU: ComputeCapability = ComputeCapability { major: 7, minor: 0 };
/// The first GPUs that load matrices from shared memory as the tensor cores need them.
pub const TURING: ComputeCapability = ComputeCapability { major: 7, minor: 5 };
/// The first GPUs whose tensor cores support TF32, with asynchronous copies.
pub const AMPERE: ComputeCapability = ComputeCapability { major: 8, minor: 0 };
/// Its instructions for matrices are not those of any other GPU.
pub const HOPPER: ComputeCapability = ComputeCapability { major: 9, minor: 0 };

/// The compute capabilities for which kernels are compiled in advance, from V100 to RTX 50.
pub const AHEAD: [ComputeCapability; 8] = [
    OLDEST_GPU,
    TURING,
    AMPERE,
    ComputeCapability { major: 8, minor: 6 },
    ComputeCapability { major: 8, minor: 9 },
    HOPPER,
    ComputeCapability { major: 10, minor: 0 },
    ComputeCapability { major: 12, minor: 0 },
];

/// The instructions that convolutions use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KernelPath {
    /// Instructions of every GPU since Volta.
    Portable,
    /// Products of smaller matrices, since Turing.
    Turing,
    /// Asynchronous copies and larger products, since Ampere.
    Ampere,
    /// Hopper's own.
    Hopper,
}

impl KernelPath {
    /// All, the fastest last.
    pub const ALL: [Self; 4] = [Self::Portable, Self::Turing, Self::Ampere, Self::Hopper];

    /// Whether a GPU with this compute capability runs such code.
    pub fn runs_on(self, gpu: ComputeCapability) -> bool {
        match self {
            Self::Portable => gpu >= OLDEST_GPU,
            Self::Turing => gpu >= TURING,
            Self::Ampere => gpu >= AMPERE,
            Self::Hopper => gpu == HOPPER,
        }
    }

    /// The fastest for a GPU and a precision.
    pub fn best(gpu: ComputeCapability, precision: Precision) -> Self {
        // With three products in one, the portable kernel was 9 % faster than Turing's, both on an H100.
        let is_slower = |path| path == Self::Turing && precision == Precision::Fp16x3;
        let fastest = Self::ALL.into_iter().rev().find(|&path| path.runs_on(gpu) && !is_slower(path));
        fastest.unwrap_or(Self::Portable)
    }
}

impl fmt::Display for KernelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Portable => "portable",
            Self::Turing => "turing",
            Self::Ampere => "ampere",
            Self::Hopper => "hopper",
        })
    }
}

impl FromStr for KernelPath {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, OptionError> {
        Self::ALL.into_iter().find(|path| path.to_string() == text).ok_or_else(|| OptionError {
            option: "kernels",
            found: text.into(),
            expected: "portable, turing, ampere or hopper",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpu(major: u32, minor: u32) -> ComputeCapability {
        ComputeCapability { major, minor }
    }

    #[test]
    fn each_card_gets_the_fastest_kernels() {
        let paths = AHEAD.map(|gpu| KernelPath::best(gpu, Precision::Fp16));
        use KernelPath::{Ampere, Hopper, Portable, Turing};
        assert_eq!(paths, [Portable, Turing, Ampere, Ampere, Ampere, Hopper, Ampere, Ampere]);
        assert!(
            !Hopper.runs_on(gpu(10, 0))
                && !Ampere.runs_on(gpu(7, 5))
                && !Turing.runs_on(gpu(7, 0))
                && !Portable.runs_on(gpu(6, 1))
        );
        for path in KernelPath::ALL {
            assert_eq!(path.to_string().parse::<KernelPath>().unwrap(), path);
        }
        assert!(
            "volta"
                .parse::<KernelPath>()
                .unwrap_err()
                .to_string()
                .contains("portable, turing, ampere or hopper")
        );
    }
}
