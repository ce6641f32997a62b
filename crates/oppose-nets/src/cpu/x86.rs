//! AVX-512 and AVX2.
// Intrinsics may only run on CPUs that have them, which the compiler cannot know.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::instructions::{Available, Instructions, Work};
use super::vector::{Lanes, Vector};

/// Does the work with AVX-512.
pub fn run_avx512(available: Available, work: impl Work) {
    assert_eq!(available.get(), Instructions::Avx512);
    // SAFETY: an `Available` exists only after the processor was found to have its instructions; every
    // processor with AVX-512 has AVX2 and FMA.
    unsafe { avx512(work) }
}

/// Does the work with AVX2 and FMA.
pub fn run_avx2(available: Available, work: impl Work) {
    assert_eq!(available.get(), Instructions::Avx2);
    // SAFETY: an `Available` exists only after the processor was found to have its instructions.
    unsafe { avx2(work) }
}

#[target_feature(enable = "avx512f,avx2,fma")]
#[inline(never)] // As `Vector::outlined` requires.
fn avx512(work: impl Work) {
    work.run::<Avx512>();
}

#[target_feature(enable = "avx2,fma")]
#[inline(never)] // As `Vector::outlined` requires.
fn avx2(work: impl Work) {
    work.run::<Avx2>();
}

/// One register of sixteen.
#[derive(Clone, Copy)]
struct Avx512(__m512);

/// Two registers of eight.
#[derive(Clone, Copy)]
struct Avx2(__m256, __m256);

/// Prefetches a cache line.
#[inline(always)]
fn fetch(line: &Lanes) {
    // SAFETY: every x86-64 processor has the instruction, and it does nothing but fetch.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(line.0.as_ptr().cast()) }
}

/// Implements methods of two vectors by one intrinsic per register.
macro_rules! by_intrinsics {
    ($($name:ident = $intrinsic:ident of $($register:tt),+;)+) => {
        $(
            #[inline(always)]
            fn $name(self, other: Self) -> Self {
                // SAFETY: vectors are made and used only in `Work` run by the functions above.
                unsafe { Self($($intrinsic(self.$register, other.$register)),+) }
            }
        )+
    };
}

impl Vector for Avx512 {
    // 24 sums, 2 weights and the value they are multiplied with.
    const TILES: usize = 12;
    const BLOCKS: usize = 2;

    #[inline(always)]
    fn outlined(work: impl Work) {
        // SAFETY: vectors are used only in `Work` run by `run_avx512` above.
        unsafe { avx512(work) }
    }

    #[inline(always)]
    fn load(from: &Lanes) -> Self {
        // SAFETY: vectors are used only in `Work` run by `run_avx512` above; `Lanes` are sixteen values at a multiple of 64 bytes.
        unsafe { Self(_mm512_load_ps(from.0.as_ptr())) }
    }

    #[inline(always)]
    fn store(self, to: &mut Lanes) {
        // SAFETY: vectors are used only in `Work` run by `run_avx512` above; `Lanes` are sixteen values at a multiple of 64 bytes.
        unsafe { _mm512_store_ps(to.0.as_mut_ptr(), self.0) }
    }

    #[inline(always)]
    fn fetch(line: &Lanes) {
        fetch(line);
    }

    #[inline(always)]
    fn splat(value: f32) -> Self {
        // SAFETY: vectors are made and used only in `Work` run by `run_avx512` above.
        unsafe { Self(_mm512_set1_ps(value)) }
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        // SAFETY: vectors are made and used only in `Work` run by `run_avx512` above.
        unsafe { Self(_mm512_fmadd_ps(self.0, factor.0, addend.0)) }
    }

    by_intrinsics! {
        add = _mm512_add_ps of 0;
        sub = _mm512_sub_ps of 0;
        mul = _mm512_mul_ps of 0;
        min = _mm512_min_ps of 0;
        max = _mm512_max_ps of 0;
    }
}

impl Vector for Avx2 {
    // 12 registers of sums, 2 of weights and the value they are multiplied with.
    const TILES: usize = 6;
    const BLOCKS: usize = 1;

    #[inline(always)]
    fn outlined(work: impl Work) {
        // SAFETY: vectors are used only in `Work` run by `run_avx2` above.
        unsafe { avx2(work) }
    }

    #[inline(always)]
    fn load(from: &Lanes) -> Self {
        let (low, high) = from.0.split_at(8);
        // SAFETY: vectors are used only in `Work` run by `run_avx2` above; both halves are eight values at a multiple of 32 bytes.
        unsafe { Self(_mm256_load_ps(low.as_ptr()), _mm256_load_ps(high.as_ptr())) }
    }

    #[inline(always)]
    fn store(self, to: &mut Lanes) {
        let (low, high) = to.0.split_at_mut(8);
        // SAFETY: vectors are used only in `Work` run by `run_avx2` above; both halves are eight values at a multiple of 32 bytes.
        unsafe {
            _mm256_store_ps(low.as_mut_ptr(), self.0);
            _mm256_store_ps(high.as_mut_ptr(), self.1);
        }
    }

    #[inline(always)]
    fn fetch(line: &Lanes) {
        fetch(line);
    }

    #[inline(always)]
    fn splat(value: f32) -> Self {
        // SAFETY: vectors are made and used only in `Work` run by `run_avx2` above.
        unsafe { Self(_mm256_set1_ps(value), _mm256_set1_ps(value)) }
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        // SAFETY: vectors are made and used only in `Work` run by `run_avx2` above.
        unsafe {
            Self(_mm256_fmadd_ps(self.0, factor.0, addend.0), _mm256_fmadd_ps(self.1, factor.1, addend.1))
        }
    }

    by_intrinsics! {
        add = _mm256_add_ps of 0, 1;
        sub = _mm256_sub_ps of 0, 1;
        mul = _mm256_mul_ps of 0, 1;
        min = _mm256_min_ps of 0, 1;
        max = _mm256_max_ps of 0, 1;
    }
}
