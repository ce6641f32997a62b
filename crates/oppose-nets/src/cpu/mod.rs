//! Runs the nets on a CPU in single precision; nothing is rounded to fewer bits.
//!
//! | file | what |
//! | --- | --- |
//! | `processor` | the threads, shared by the nets |
//! | `instructions` | AVX-512, AVX2 or neither, detected when the program runs |
//! | `nets` | OpenPose's three nets as one back end |
//! | `layout` | the layout of tensors in memory |
//! | `winograd`, `transform` | convolutions of 3 × 3 and more |
//! | `pointwise`, `pooling` | the other layers |
//! | `product` | the matrix product in all convolutions |
//! | `vector`, `x86` | sixteen channels at once |
//!
//! All code is written once, over a vector of sixteen channels, and compiled per set of instructions.
//! The results do not depend on the number of threads, nor on the other images in a batch.

mod epilogue;
mod instructions;
mod layout;
mod nets;
mod pointwise;
mod pooling;
mod processor;
mod product;
mod transform;
mod vector;
mod winograd;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::sync::Arc;
use std::{io, mem};

pub use instructions::Instructions;
pub use nets::{Cpu, MAX_FRAMES};
// With `Net`, for tests and benchmarks that run single nets.
#[doc(hidden)]
pub use processor::Processor;
use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::model::{Graph, Operation};
use super::plan::{Place, Plan, Results};
use instructions::{Work, dispatch};
use layout::{Planes, Source};
use pointwise::Pointwise;
use transform::SIDE;
use vector::{Lanes, Vector};
use winograd::{Scratch, Winograd};

/// Tiles that are transformed together: the weights are read once for all of them, but they should stay
/// in the cache.
const TILES: usize = 160;
/// Number of rows of 1 × 1 convolutions and of pooling that a thread takes at once.
const ROWS: usize = 2;

/// Why a net cannot be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CpuError {
    /// The processor does not have the requested instructions.
    #[error("this processor has no {0:?} instructions; its best are {best:?}", best = Instructions::best())]
    Instructions(Instructions),
    /// The operating system cannot start threads.
    #[error("cannot start {threads} threads (ask for fewer)")]
    Threads {
        /// How many were requested; 0 stands for one per core.
        threads: usize,
        /// Why not.
        source: io::Error,
    },
    /// The input's size is not a multiple of the net's stride.
    #[error("net input of {width}x{height} pixels; width and height must be multiples of {multiple}, not 0")]
    Size {
        /// The requested width.
        width: usize,
        /// The requested height.
        height: usize,
        /// The net's largest stride.
        multiple: usize,
    },
    /// The input has the wrong number of values.
    #[error("net input of {found} values; batch, channels and size make {expected}")]
    Input {
        /// Number of values.
        found: usize,
        /// Batch × channels × height × width.
        expected: usize,
    },
}

/// A net, ready to run. Runs do not allocate memory once a size has been run.
#[derive(Debug)]
#[doc(hidden)]
pub struct Net {
    processor: Arc<Processor>,
    layers: Arc<Layers>,
    /// The memory of the tensors.
    slots: Vec<Vec<Lanes>>,
}

/// The parts of a net that do not change, its weights among them.
#[derive(Debug)]
struct Layers {
    steps: Vec<Step>,
    output: Vec<Source>,
    /// For each slot, the tensors that it holds, one after another.
    slots: Vec<Vec<Place>>,
    input_channels: usize,
    output_channels: usize,
    output_stride: usize,
    /// The largest net stride.
    multiple: usize,
}

#[derive(Debug)]
struct Step {
    operation: Kernel,
    /// Net stride of the tensors that it reads.
    stride: usize,
    target: Place,
}

#[derive(Debug)]
enum Kernel {
    Winograd(Winograd),
    Pointwise(Pointwise),
    Pooling(Vec<Source>),
}

impl Net {
    /// Prepares a net: the weights are transformed, which makes them four times as large, and the graph's own are dropped
    /// layer by layer.
    pub fn new(mut graph: Graph, processor: Arc<Processor>) -> Self {
        let plan = Plan::new(&graph, Results::Collected, |convolution| convolution.kernel > 1);
        let mut steps = Vec::with_capacity(plan.steps.len());
        for step in plan.steps {
            // A result that is not in a slot is read by nothing.
            let Some(target) = step.target else { continue };
            let (sources, stride) = (Source::of(&step.sources), step.stride());
            let operation = mem::replace(&mut graph.layers[step.layer].operation, Operation::Concatenation);
            let operation = match operation {
                Operation::Convolution(convolution) if convolution.kernel == 1 => {
                    Kernel::Pointwise(Pointwise::new(&convolution, sources, processor.group()))
                }
                Operation::Convolution(convolution) => Kernel::Winograd(Winograd::new(
                    &convolution,
                    sources,
                    step.pools,
                    processor.available(),
                    processor.group(),
                    |groups| {
                        processor.install(|| {
                            groups.into_par_iter().for_each(winograd::WeightGroup::transform);
                        });
                    },
                )),
                Operation::MaxPooling | Operation::Concatenation => Kernel::Pooling(sources),
            };
            steps.push(Step { operation, stride, target });
        }
        let layers = Layers {
            steps,
            output: Source::of(&plan.results),
            slots: plan.slots,
            input_channels: graph.input_channels(),
            output_channels: graph.output_channels(),
            output_stride: graph.tensors[graph.output].stride,
            multiple: graph.largest_stride(),
        };
        Self { processor, slots: vec![Vec::new(); layers.slots.len()], layers: Arc::new(layers) }
    }

    /// Another instance of the net, which can be run at the same time: it shares weights and threads with this one,
    /// and has tensors of its own.
    pub fn another(&self) -> Self {
        let (processor, layers) = (Arc::clone(&self.processor), Arc::clone(&self.layers));
        Self { processor, slots: vec![Vec::new(); layers.slots.len()], layers }
    }

    /// Number of channels of the result; its planes are `1 / stride` of the input's size.
    pub fn output_channels(&self) -> usize {
        self.layers.output_channels
    }

    /// Net stride of the result, in each direction.
    pub fn output_stride(&self) -> usize {
        self.layers.output_stride
    }

    /// Runs the net on a batch of images of one size.
    ///
    /// `inputs` are image × channel × row × column; `outputs` get the same layout, with the net's channels and the
    /// size divided by its stride.
    ///
    /// # Errors
    /// The size is not a multiple of the net's stride, or `inputs` has the wrong number of values.
    pub fn run(
        &mut self,
        inputs: &[f32],
        batch: usize,
        width: usize,
        height: usize,
        outputs: &mut Vec<f32>,
    ) -> Result<(), CpuError> {
        let Self { processor, layers, slots } = self;
        let multiple = layers.multiple;
        if width == 0 || height == 0 || !width.is_multiple_of(multiple) || !height.is_multiple_of(multiple) {
            return Err(CpuError::Size { width, height, multiple });
        }
        let expected =
            [batch, layers.input_channels, height, width].into_iter().fold(1, usize::saturating_mul);
        if inputs.len() != expected {
            return Err(CpuError::Input { found: inputs.len(), expected });
        }
        let planes = Planes { width, height };
        for (slot, tensors) in slots.iter_mut().zip(&layers.slots) {
            let lanes = tensors.iter().map(|tensor| batch * planes.lanes(tensor)).max().unwrap_or(0);
            if slot.len() < lanes {
                slot.resize(lanes, Lanes::default());
            }
        }
        planes.read_planes(inputs, layers.input_channels, &mut slots[0]);
        // Not on one of the pool's threads: while waiting for the others, it would start work of another net.
        for step in &layers.steps {
            let mut out = mem::take(&mut slots[step.target.slot]);
            step.run(processor, slots, batch, planes.at(step.stride), &mut out);
            slots[step.target.slot] = out;
        }
        let planes = planes.at(layers.output_stride);
        outputs.resize(batch * layers.output_channels * planes.width * planes.height, 0.0);
        planes.write_planes(slots, &layers.output, outputs);
        Ok(())
    }
}

impl Step {
    fn run(
        &self,
        processor: &Processor,
        slots: &[Vec<Lanes>],
        batch: usize,
        planes: Planes,
        out: &mut [Lanes],
    ) {
        let threads = processor.threads_at_once();
        let (halved, rows) = match &self.operation {
            Kernel::Winograd(winograd) => {
                let tiles = (planes.width.div_ceil(SIDE), planes.height.div_ceil(SIDE));
                let mut items = (tiles.0 * tiles.1).div_ceil(TILES);
                // Enough for all threads, and the same number for each.
                while items < tiles.1 && !(items * batch).is_multiple_of(threads) {
                    items += 1;
                }
                (winograd.pools(), tiles.1.div_ceil(items))
            }
            Kernel::Pointwise(_) => (false, ROWS),
            Kernel::Pooling(_) => (true, ROWS),
        };
        let result = if halved { planes.at(2) } else { planes };
        let row = layout::blocks(self.target.channels) * result.width;
        let rows_out = match &self.operation {
            Kernel::Winograd(_) if halved => rows * SIDE / 2,
            Kernel::Winograd(_) => rows * SIDE,
            _ => rows,
        };
        let images = out[..batch * result.height * row].chunks_exact_mut(result.height * row).enumerate();
        let items = images.flat_map(|(image, out)| {
            let items = out.chunks_mut(rows_out * row).enumerate();
            items.map(move |(index, out)| (image, index * rows, out))
        });
        let prepare = |scratch: &mut Scratch| {
            if let Kernel::Winograd(winograd) = &self.operation {
                winograd.prepare(scratch, planes, rows);
            }
        };
        let work = |(image, first_row, out), scratch: &mut Scratch| {
            let part = Part { step: self, slots, image, planes, first_row, rows, out, scratch };
            dispatch(processor.available(), part);
        };
        match threads {
            1 => processor.for_each_here(items, prepare, work),
            _ => processor.for_each(items, prepare, work),
        }
    }
}

/// Some rows of a step's result.
struct Part<'a> {
    step: &'a Step,
    slots: &'a [Vec<Lanes>],
    image: usize,
    planes: Planes,
    first_row: usize,
    rows: usize,
    out: &'a mut [Lanes],
    scratch: &'a mut Scratch,
}

impl Work for Part<'_> {
    #[inline(always)]
    fn run<V: Vector>(self) {
        let Self { step, slots, image, planes, first_row, rows, out, scratch } = self;
        match &step.operation {
            Kernel::Winograd(winograd) => {
                winograd.run::<V>(winograd::Item { slots, image, planes, first_row, rows, out, scratch });
            }
            Kernel::Pointwise(pointwise) => {
                let terms = scratch.terms();
                pointwise.run::<V>(pointwise::Item { slots, image, planes, first_row, out, terms });
            }
            Kernel::Pooling(sources) => {
                pooling::run::<V>(sources, pooling::Item { slots, image, planes, first_row, out });
            }
        }
    }
}
