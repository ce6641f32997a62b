//! Computes with sixteen channels of a pixel at once, with any set of instructions.

use super::instructions::Work;

/// Number of channels that are adjacent in memory.
pub const WIDTH: usize = 16;

/// Sixteen adjacent channels of one pixel: a cache line, and with AVX-512 a register.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub struct Lanes(pub [f32; WIDTH]);

/// Arithmetic on sixteen values. All methods of an implementation must be inlined into a function for
/// which its instructions are enabled: [`super::instructions::dispatch`] calls none other.
pub trait Vector: Copy {
    /// Number of pixels whose sums fit into the registers, together with ...
    const TILES: usize;
    /// ... this many blocks of sixteen output channels.
    const BLOCKS: usize;

    /// Does the work in a separate, never-inlined function, so that it gets its own register allocation.
    fn outlined(work: impl Work);
    fn load(from: &Lanes) -> Self;
    fn store(self, to: &mut Lanes);
    /// Prefetches a cache line, if the CPU can do so.
    fn fetch(line: &Lanes);
    /// Sixteen times the same value.
    fn splat(value: f32) -> Self;
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    /// `self * factor + addend`.
    fn mul_add(self, factor: Self, addend: Self) -> Self;
    fn min(self, other: Self) -> Self;
    fn max(self, other: Self) -> Self;
}

/// Plain arrays: correct everywhere, and fast if the compiler uses vector instructions.
#[derive(Clone, Copy)]
pub struct Portable([f32; WIDTH]);

impl Portable {
    #[inline(always)]
    fn zip(self, other: Self, of: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|lane| of(self.0[lane], other.0[lane])))
    }
}

impl Vector for Portable {
    const TILES: usize = 2;
    const BLOCKS: usize = 1;

    #[inline(never)]
    fn outlined(work: impl Work) {
        work.run::<Self>();
    }

    #[inline(always)]
    fn load(from: &Lanes) -> Self {
        Self(from.0)
    }

    #[inline(always)]
    fn store(self, to: &mut Lanes) {
        to.0 = self.0;
    }

    #[inline(always)]
    fn fetch(_: &Lanes) {}

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self([value; WIDTH])
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }

    // Rounds twice, because `f32::mul_add` calls a function if there is no such instruction.
    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        self.mul(factor).add(addend)
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self.zip(other, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }
}
