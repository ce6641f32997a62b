//! A net on the GPU.

mod calls;

use std::sync::Arc;

use self::calls::Call;
use super::driver::{self, Context, DeviceBuffer, Stream};
use super::kernels::{Convolve, FEW_CHANNELS, Kernels};
use super::plan::{Plan, Step, plan};
use super::weights::{Weights, padded_channels};
use super::{CudaError, Precision};
use crate::assemble::size::Size;
use crate::model::{Graph, Operation};

/// Number of recordings that are kept: one per number of images in a batch, for a few sizes.
const RECORDINGS: usize = 64;

/// The kernels and the GPU they were compiled for.
#[derive(Debug)]
pub struct Gpu {
    /// The GPU.
    pub context: Arc<Context>,
    /// The kernels.
    pub kernels: Kernels,
    /// The precision.
    pub precision: Precision,
}

/// A net whose weights are on the GPU. It has memory for a number of images; after the first runs it allocates no more.
#[derive(Debug)]
pub struct Net {
    gpu: Arc<Gpu>,
    plan: Plan,
    layers: Vec<Option<Weights>>,
    /// Names of the layers.
    names: Vec<String>,
    /// Largest number of images at once.
    images: usize,
    slots: Vec<DeviceBuffer>,
    /// The launches for inputs of each size seen since the memory was last enlarged.
    prepared: Vec<(Size, Vec<Call>)>,
    /// Recordings of earlier runs, the most recently used last.
    recordings: Vec<(Run, driver::Graph)>,
}

/// What distinguishes one recording from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    images: usize,
    size: Size,
    /// Address of the outputs.
    outputs: u64,
}

impl Net {
    /// Copies a net to the GPU, for up to `images` images at once.
    ///
    /// # Errors
    /// The net has layers that cannot run on a GPU, or there is too little memory.
    pub fn new(gpu: &Arc<Gpu>, graph: &Graph, images: usize) -> Result<Self, CudaError> {
        let pools = matches!(gpu.kernels.convolve, Convolve::Hopper { pooling: Some(_), .. });
        let plan = plan(graph, |convolution, channels| {
            pools
                && convolution.kernel == 3
                && channels <= FEW_CHANNELS
                && convolution.bias.len() <= FEW_CHANNELS
        })?;
        let mut layers: Vec<Option<Weights>> = (0..graph.layers.len()).map(|_| None).collect();
        for step in &plan.steps {
            if let Operation::Convolution(convolution) = &graph.layers[step.layer].operation {
                layers[step.layer] = Some(Weights::new(gpu, convolution, &step.sources)?);
            }
        }
        let names = graph.layers.iter().map(|layer| layer.name.clone()).collect();
        Ok(Self {
            gpu: Arc::clone(gpu),
            plan,
            layers,
            names,
            images,
            slots: Vec::new(),
            prepared: Vec::new(),
            recordings: Vec::new(),
        })
    }

    /// Number of planes of the result.
    pub fn planes(&self) -> usize {
        self.plan.planes
    }

    /// Largest number of images at once.
    pub fn images(&self) -> usize {
        self.images
    }

    /// Names of the layers that compute something, and the multiplications and additions of the convolutions among them for
    /// one input of this size.
    pub fn layers(&self, size: Size) -> Vec<(String, u64)> {
        let layer = |step: &Step| {
            let channels: usize = step.sources.iter().map(|source| source.channels).sum();
            let stride = step.sources.first().map_or(1, |source| source.stride);
            let operations = self.layers[step.layer].as_ref().map_or(0, |weights| {
                2 * channels * weights.channels_out * weights.kernel * weights.kernel * size.pixels()
                    / (stride * stride)
            });
            (self.names[step.layer].clone(), operations as u64)
        };
        self.plan.steps.iter().map(layer).collect()
    }

    /// How much memory it needs, depending on the size of inputs.
    pub fn footprint(&self) -> Footprint {
        let precision = self.gpu.precision;
        Footprint { slots: self.plan.slots.clone(), planes: self.plan.planes, precision }
    }

    /// Bytes of GPU memory that inputs use at the moment.
    pub fn held_bytes(&self) -> u64 {
        self.slots.iter().map(|slot| slot.bytes() as u64).sum()
    }

    /// Prepares for inputs of this size. The memory of the input is [`input`](Self::input).
    ///
    /// # Errors
    /// There is too little memory, or the driver refuses.
    pub fn prepare(&mut self, size: Size) -> Result<(), CudaError> {
        if self.prepared.iter().any(|(prepared, _)| *prepared == size) {
            return Ok(());
        }
        let sizes = self.footprint().slot_bytes(size, self.images);
        let has_room = self.slots.len() == sizes.len()
            && self.slots.iter().zip(&sizes).all(|(slot, bytes)| slot.bytes() >= *bytes);
        if !has_room {
            // Prepared launches point into the old memory, which is freed before new memory is allocated.
            // Freeing blocks until nothing is running any more.
            self.prepared.clear();
            self.slots.clear();
            self.recordings.clear();
            for bytes in sizes {
                self.slots.push(DeviceBuffer::new(&self.gpu.context, bytes)?);
            }
        }
        let calls = self.plan.steps.iter().map(|step| self.call(step, size)).collect::<Result<_, _>>()?;
        self.prepared.push((size, calls));
        Ok(())
    }

    /// The memory of the input: images × height × width × one vector of 16 bytes per part of a value, of which
    /// the first three elements are blue, green and red, and the others 0.
    ///
    /// # Panics
    /// Nothing has been [prepared](Self::prepare).
    pub fn input(&self) -> &DeviceBuffer {
        &self.slots[0]
    }

    /// Enqueues a run of the net on the first `images` of the [`input`](Self::input); `size` has been
    /// [prepared](Self::prepare). `outputs` gets images × planes × height / 8 × width / 8 values in single
    /// precision. From the second run on, this is one call of the driver.
    ///
    /// # Errors
    /// The driver refuses.
    ///
    /// # Panics
    /// There are too many images, too little memory for the outputs, or the size was not prepared.
    #[expect(unsafe_code, reason = "launches kernels")]
    pub fn run(
        &mut self,
        stream: &Stream,
        images: usize,
        size: Size,
        outputs: &DeviceBuffer,
    ) -> Result<(), CudaError> {
        if !self.gpu.context.has_graphs {
            return self.run_step_by_step(stream, images, size, outputs, |_| Ok(()));
        }
        let run = Run { images, size, outputs: outputs.address() };
        let recording = match self.recordings.iter().position(|(recorded, _)| *recorded == run) {
            Some(index) => self.recordings.remove(index),
            None => {
                if self.recordings.len() == RECORDINGS {
                    self.recordings.remove(0);
                }
                let work = || self.run_step_by_step(stream, images, size, outputs, |_| Ok(()));
                (run, driver::Graph::record(stream, work)?)
            }
        };
        self.check(images, size, outputs);
        // SAFETY: it was recorded for memory of this net that still exists, since recordings are dropped with it, and
        // for outputs at this address, whose size was checked.
        unsafe { recording.1.launch(stream) }?;
        self.recordings.push(recording);
        Ok(())
    }

    /// Like [`run`](Self::run), and calls `after` after each layer that computes something.
    ///
    /// # Errors
    /// As [`run`](Self::run), or those of `after`.
    ///
    /// # Panics
    /// As [`run`](Self::run).
    #[expect(unsafe_code, reason = "launches kernels")]
    pub fn run_step_by_step(
        &self,
        stream: &Stream,
        images: usize,
        size: Size,
        outputs: &DeviceBuffer,
        mut after: impl FnMut(usize) -> Result<(), CudaError>,
    ) -> Result<(), CudaError> {
        self.check(images, size, outputs);
        let calls = self.prepared.iter().find(|(prepared, _)| *prepared == size);
        let (_, calls) = calls.expect("a size that was prepared");
        for (step, call) in calls.iter().enumerate() {
            // SAFETY: prepared for this net's memory; images and outputs were checked.
            unsafe { self.launch(call, stream, images, outputs) }?;
            after(step)?;
        }
        Ok(())
    }

    fn check(&self, images: usize, size: Size, outputs: &DeviceBuffer) {
        let result = images * self.plan.planes * size.pixels() / 64 * size_of::<f32>();
        assert!(images <= self.images && result <= outputs.bytes(), "images and results within their memory");
    }
}

/// How much GPU memory a net needs in addition to its weights.
#[derive(Clone, Debug)]
pub struct Footprint {
    slots: Vec<Vec<(usize, usize)>>,
    planes: usize,
    precision: Precision,
}

impl Footprint {
    /// Bytes of each buffer.
    fn slot_bytes(&self, size: Size, images: usize) -> Vec<usize> {
        let bytes = |&(channels, stride): &(usize, usize)| {
            let pixels = (size.width / stride) * (size.height / stride);
            let element = self.precision.element();
            images * pixels * padded_channels(channels, element) * element.bytes() * self.precision.parts()
        };
        self.slots.iter().map(|held| held.iter().map(bytes).max().unwrap_or(0)).collect()
    }

    /// Bytes of the tensors between the layers, for a number of inputs of this size.
    pub fn working_bytes(&self, size: Size, images: usize) -> u64 {
        self.slot_bytes(size, images).into_iter().map(|bytes| bytes as u64).sum()
    }

    /// Bytes of the result, for a number of inputs of this size.
    pub fn output_bytes(&self, size: Size, images: usize) -> u64 {
        (images * self.planes * size.pixels() / 64 * size_of::<f32>()) as u64
    }
}
