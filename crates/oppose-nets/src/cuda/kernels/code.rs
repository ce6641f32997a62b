//! The files of kernels, and how each is compiled.

use std::fmt;
use std::fmt::Write as _;

use super::parameters::{
    Candidate, Colors, FindLargest, FindPeaks, FirstConvolution, HopperConvolution, Largest, Layer, Layout,
    Limb, MAX_SOURCES, Output, Outputs, Peak, Picture, PlainConvolution, Pooling, PoolingConvolution,
    ScoreLimbs, Source, Warp,
};
use super::path::KernelPath;
use super::shapes::{EXTRA_PIXELS, Shapes, WRITTEN, hopper_threads, shapes, step_vectors};
use super::{
    FEW_CHANNELS, FIRST_INPUTS, FIRST_TILE, PEAK_THREADS, POOLING_LOADS, POOLING_THREADS, SINGLE_TILE,
    THREADS,
};
use crate::assemble::heat_maps::MAX_SCALES;
use crate::assemble::peaks::MAX_PEAKS;
use crate::cuda::Precision;
use crate::cuda::cache;
use crate::cuda::driver::{Nvrtc, NvrtcError, TensorMap};
use crate::gpu::ComputeCapability;

/// Files that the others include.
const HEADERS: [(&str, &str); 6] = [
    ("element.cuh", include_str!("element.cuh")),
    ("heat_maps.cuh", include_str!("heat_maps.cuh")),
    ("hopper.cuh", include_str!("hopper.cuh")),
    ("layer.cuh", include_str!("layer.cuh")),
    ("source.cuh", include_str!("source.cuh")),
    ("tiles.cuh", include_str!("tiles.cuh")),
];

/// A file of kernels, and how it is compiled.
pub struct Code {
    name: &'static str,
    source: &'static str,
    /// Those of its structs that are also declared in this file.
    layouts: &'static [Layout],
    /// Threads per block, if all have the same number.
    threads: Option<usize>,
    /// Whether it computes as the CPU does, to the last bit.
    is_exact: bool,
    /// Whether it uses instructions that only this kind of GPU has.
    is_specific: bool,
    /// Whether it depends on the precision of the nets.
    has_precision: bool,
    shapes: Option<Shapes>,
    step_vectors: Option<usize>,
    /// Whether it is limited to Turing's instructions.
    is_for_turing: bool,
    /// Whether it is limited to Volta's instructions.
    is_portable: bool,
}

/// A file of kernels.
macro_rules! code {
    ($name:literal, $($layout:ident),*) => {
        Code {
            name: $name,
            source: include_str!($name),
            layouts: &[$($layout::LAYOUT),*],
            threads: Some(THREADS),
            is_exact: false,
            is_specific: false,
            has_precision: true,
            shapes: None,
            step_vectors: None,
            is_for_turing: false,
            is_portable: false,
        }
    };
}

impl Code {
    fn exact(self) -> Self {
        Self { is_exact: true, ..self }
    }

    fn without_precision(self) -> Self {
        Self { has_precision: false, ..self }
    }

    pub fn convolution(path: KernelPath, precision: Precision, gpu: ComputeCapability) -> Self {
        let shapes = Some(shapes(path, precision, gpu));
        let step_vectors = Some(step_vectors(path, precision));
        match path {
            _ if is_single(path, precision) => {
                code!("convolution.cu", Source, PlainConvolution, Layer)
            }
            KernelPath::Portable => Self {
                threads: None,
                shapes,
                step_vectors,
                ..code!("convolution_volta.cu", Source, PlainConvolution, Layer)
            },
            KernelPath::Turing | KernelPath::Ampere => Self {
                threads: None,
                shapes,
                step_vectors,
                is_for_turing: path == KernelPath::Turing,
                ..code!("convolution_mma.cu", Source, PlainConvolution, Layer)
            },
            KernelPath::Hopper => Self {
                threads: Some(hopper_threads(precision)),
                shapes,
                is_specific: true,
                ..code!("convolution_hopper.cu", HopperConvolution, TensorMap, Layer)
            },
        }
    }

    pub fn pooling_convolution(path: KernelPath, precision: Precision) -> Option<Self> {
        (path == KernelPath::Hopper && precision == Precision::Fp16).then_some(Self {
            threads: Some(POOLING_THREADS),
            is_specific: true,
            ..code!("convolution_pooling.cu", PoolingConvolution, TensorMap, Layer)
        })
    }

    pub fn first(path: KernelPath, precision: Precision) -> Option<Self> {
        // Without `mma`, two parts of each value would take too much shared memory.
        let is_portable = path == KernelPath::Portable;
        let is_known = precision == Precision::Fp16 || (precision == Precision::Fp16x3 && !is_portable);
        let is_for_turing = path == KernelPath::Turing;
        is_known.then_some(Self { is_for_turing, is_portable, ..code!("first.cu", FirstConvolution, Layer) })
    }

    pub fn pool() -> Self {
        code!("pooling.cu", Pooling)
    }

    pub fn colors() -> Self {
        code!("colors.cu", Colors).exact().without_precision()
    }

    pub fn warp() -> Self {
        code!("warp.cu", Warp, Picture).exact()
    }

    pub fn peaks() -> Self {
        let code = code!("peaks.cu", FindPeaks, Outputs, Output, Peak);
        Self { threads: Some(PEAK_THREADS), ..code }.exact().without_precision()
    }

    pub fn limbs() -> Self {
        code!("limbs.cu", ScoreLimbs, Outputs, Output, Peak, Limb, Candidate).exact().without_precision()
    }

    pub fn largest() -> Self {
        code!("largest.cu", FindLargest, Outputs, Output, Largest).exact().without_precision()
    }

    /// All files that are used together.
    pub fn all(path: KernelPath, precision: Precision, gpu: ComputeCapability) -> Vec<Self> {
        let mut all = vec![
            Self::convolution(path, precision, gpu),
            Self::pool(),
            Self::colors(),
            Self::warp(),
            Self::peaks(),
            Self::limbs(),
            Self::largest(),
        ];
        all.extend(Self::pooling_convolution(path, precision));
        all.extend(Self::first(path, precision));
        all
    }

    /// The source, with assertions for the compiler to check. NVRTC has no `offsetof`.
    fn text(&self) -> String {
        let mut text = self.source.to_owned();
        text.push('\n');
        for Layout { name, bytes, fields } in self.layouts {
            let _ = writeln!(text, "static_assert(sizeof({name}) == {bytes}, \"the size of {name}\");");
            for (field, place) in *fields {
                let _ = writeln!(
                    text,
                    "static_assert(__INTADDR__(&(({name}*)0)->{field}) == {place}, \"the place of {name}::{field}\");"
                );
            }
        }
        text
    }

    fn options(&self, precision: Precision) -> Vec<String> {
        let mut options = Vec::new();
        let mut define = |name: &str, value: &dyn fmt::Display| {
            options.push(format!("--define-macro={name}={value}"));
        };
        if self.has_precision {
            let name = match precision {
                Precision::Fp16 => "HALF",
                Precision::Fp16x3 => "SPLIT",
                Precision::Tf32 => "TF32",
                Precision::Fp32 => "SINGLE",
            };
            define(name, &1);
        }
        define("MAX_SOURCES", &MAX_SOURCES);
        define("MAX_SCALES", &MAX_SCALES);
        define("MAX_PEAKS", &MAX_PEAKS);
        define("FEW_CHANNELS", &FEW_CHANNELS);
        define("LOADED_WIDTH", &POOLING_LOADS.0);
        define("LOADED_HEIGHT", &POOLING_LOADS.1);
        define("FIRST_TILE_WIDTH", &FIRST_TILE.0);
        define("FIRST_TILE_HEIGHT", &FIRST_TILE.1);
        define("FIRST_INPUTS", &FIRST_INPUTS);
        define("EXTRA_PIXELS", &EXTRA_PIXELS);
        define("WRITTEN_PIXELS", &WRITTEN.0);
        define("WRITTEN_CHANNELS", &WRITTEN.1);
        define("SINGLE_TILE_PIXELS", &SINGLE_TILE.0);
        define("SINGLE_TILE_CHANNELS", &SINGLE_TILE.1);
        if let Some(threads) = self.threads {
            define("THREADS", &threads);
        }
        if let Some(vectors) = self.step_vectors {
            define("STEP_VECTORS", &vectors);
        }
        if let Some(Shapes { wide, narrow, small, thin }) = self.shapes {
            for (name, shape) in [("WIDE", wide), ("NARROW", narrow), ("SMALL", small), ("THIN", thin)] {
                define(name, &shape.macro_value());
            }
        }
        if self.is_for_turing {
            define("TURING", &1);
        }
        if self.is_portable {
            define("PORTABLE", &1);
        }
        if self.is_exact {
            options.push("--fmad=false".into());
        }
        options
    }

    /// The name under which its machine code for a GPU is stored.
    fn key(&self, text: &str, options: &[String], gpu: ComputeCapability) -> String {
        let gpu = gpu.to_string();
        let mut texts = vec![gpu.as_str(), if self.is_specific { "specific" } else { "" }, self.name, text];
        texts.extend(HEADERS.iter().flat_map(|(name, text)| [*name, *text]));
        texts.extend(options.iter().map(String::as_str));
        cache::name(&texts)
    }

    /// The names of machine code that runs on a GPU: its own, and those for earlier revisions of its architecture.
    pub fn keys(&self, precision: Precision, gpu: ComputeCapability) -> Vec<String> {
        let (text, options) = (self.text(), self.options(precision));
        let oldest = if self.is_specific { gpu.minor } else { 0 };
        let gpus = (oldest..=gpu.minor).rev().map(|minor| ComputeCapability { minor, ..gpu });
        gpus.map(|gpu| self.key(&text, &options, gpu)).collect()
    }

    pub fn compile(
        &self,
        compiler: &Nvrtc,
        precision: Precision,
        gpu: ComputeCapability,
    ) -> Result<Vec<u8>, NvrtcError> {
        let (text, options) = (self.text(), self.options(precision));
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        compiler.compile(self.name, &text, &HEADERS, &options, gpu, self.is_specific)
    }
}

/// Whether the kernel without tensor cores is used: in single precision, and in TF32 without Ampere's instructions, which
/// only tests request.
pub fn is_single(path: KernelPath, precision: Precision) -> bool {
    let is_old = matches!(path, KernelPath::Portable | KernelPath::Turing);
    precision == Precision::Fp32 || (precision == Precision::Tf32 && is_old)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cuda::kernels::path::HOPPER;

    fn gpu(major: u32, minor: u32) -> ComputeCapability {
        ComputeCapability { major, minor }
    }

    #[test]
    fn code_for_a_card_runs_on_its_later_revisions() {
        let code = Code::convolution(KernelPath::Ampere, Precision::Fp16, gpu(8, 7));
        let keys = code.keys(Precision::Fp16, gpu(8, 7));
        assert_eq!(keys.last(), code.keys(Precision::Fp16, gpu(8, 0)).first());
        assert_eq!(keys.len(), 8);
        // Code that only one kind of GPU runs is not used for another.
        assert_eq!(
            Code::convolution(KernelPath::Hopper, Precision::Fp16, HOPPER)
                .keys(Precision::Fp16, HOPPER)
                .len(),
            1
        );
        let (half, split) = (Precision::Fp16, Precision::Fp16x3);
        assert_ne!(Code::warp().keys(half, gpu(8, 0)), Code::warp().keys(split, gpu(8, 0)));
        assert_eq!(Code::limbs().keys(half, gpu(8, 0)), Code::limbs().keys(split, gpu(8, 0)));
    }
}
