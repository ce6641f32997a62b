//! A net on the GPU.

mod calls;

use std::sync::Arc;

use self::calls::Call;
use super::driver::{self, Context, DeviceBuffer, Stream};
use super::kernels::{Convolve, FEW_CHANNELS, Kernels, MAX_SOURCES};
use super::weights::{Weights, padded_channels};
use super::{CudaError, Precision};
use crate::assemble::size::Size;
use crate::model::{Graph, Operation};
use crate::plan::{Place, Plan, Results, Step};

/// Kernels count the pixels of a batch in 32 bits, with some more between rows and in the last tile.
const MAX_PIXELS: usize = 1 << 30;
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
        let plan = Plan::new(graph, Results::Written, |convolution| {
            pools
                && convolution.kernel == 3
                && convolution.input_channels() <= FEW_CHANNELS
                && convolution.bias.len() <= FEW_CHANNELS
        });
        check(&plan, graph)?;
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
            let operations = self.layers[step.layer].as_ref().map_or(0, |weights| {
                2 * channels * weights.channels_out * weights.kernel * weights.kernel * size.pixels()
                    / (step.stride() * step.stride())
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
    /// There is too little memory, a batch has too many pixels, or the driver refuses.
    pub fn prepare(&mut self, size: Size) -> Result<(), CudaError> {
        if self.prepared.iter().any(|(prepared, _)| *prepared == size) {
            return Ok(());
        }
        check_size(size, self.images)?;
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

/// Whether the kernels can carry out a plan.
fn check(plan: &Plan, graph: &Graph) -> Result<(), CudaError> {
    let unsupported = |layer: &str, what| Err(CudaError::Net { layer: layer.into(), what });
    if let Some(step) = plan.steps.iter().find(|step| step.sources.len() > MAX_SOURCES) {
        return unsupported(&graph.layers[step.layer].name, "reads more than four concatenated tensors");
    }
    // Only convolutions write results, each its own, and not what is left of them after pooling.
    let written = |step: &Step| match &graph.layers[step.layer].operation {
        Operation::Convolution(convolution) if step.first_plane.is_some() && !step.pools => {
            convolution.bias.len()
        }
        _ => 0,
    };
    match plan.steps.iter().map(written).sum::<usize>() == plan.planes {
        true => Ok(()),
        false => unsupported(
            &graph.tensors[graph.output].name,
            "is something other than the results of different convolutions",
        ),
    }
}

/// Whether the kernels can count the pixels of that many inputs.
fn check_size(size: Size, images: usize) -> Result<(), CudaError> {
    match images.saturating_mul(size.pixels()) {
        0..=MAX_PIXELS => Ok(()),
        _ => Err(CudaError::Pixels {
            batch: images,
            width: size.width,
            height: size.height,
            limit: MAX_PIXELS,
        }),
    }
}

/// How much GPU memory a net needs in addition to its weights.
#[derive(Clone, Debug)]
pub struct Footprint {
    /// The tensors in each buffer, one after another.
    slots: Vec<Vec<Place>>,
    planes: usize,
    precision: Precision,
}

impl Footprint {
    /// Bytes of each buffer.
    fn slot_bytes(&self, size: Size, images: usize) -> Vec<usize> {
        let bytes = |tensor: &Place| {
            let pixels = (size.width / tensor.stride) * (size.height / tensor.stride);
            let element = self.precision.element();
            let channels = padded_channels(tensor.channels, element);
            images * pixels * channels * element.bytes() * self.precision.parts()
        };
        self.slots.iter().map(|tensors| tensors.iter().map(bytes).max().unwrap_or(0)).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::Builder;

    /// What is wrong with a net that consists of two convolutions of an image, and of what `add` adds to the three.
    fn error(can_pool: bool, add: impl Fn(&mut Builder, [usize; 3]) -> usize) -> Option<String> {
        let mut builder = Builder::new();
        let tensors = [0, builder.convolution(0, 8), builder.convolution(0, 4)];
        add(&mut builder, tensors);
        let Builder(graph) = builder;
        check(&Plan::new(&graph, Results::Written, |_| can_pool), &graph).err().map(|error| error.to_string())
    }

    #[test]
    fn batches_are_no_larger_than_kernels_can_count() {
        let size = Size { width: 4096, height: 4096 };
        assert!(check_size(size, 64).is_ok());
        let error = check_size(size, 65).unwrap_err().to_string();
        assert_eq!(
            error,
            "batches of 65 net inputs of 4096x4096 have more than 1073741824 pixels; choose a smaller batch or net resolution"
        );
        // The narrowest net inputs have the most positions per pixel.
        let positions = MAX_PIXELS / 16 * (16 + 1) + 1024;
        assert!(i32::try_from(positions).is_ok());
    }

    #[test]
    fn the_error_names_what_a_gpu_cannot_do() {
        let not_convolved = "layer 3 is something other than the results of different convolutions";
        for can_pool in [false, true] {
            assert_eq!(error(can_pool, |builder, [_, a, b]| builder.concatenation(&[b, a])), None);
            for wrong in [
                error(can_pool, |builder, [image, a, _]| builder.concatenation(&[a, image])),
                error(can_pool, |builder, [_, a, _]| builder.concatenation(&[a, a])),
                error(can_pool, |builder, [_, a, _]| builder.pooling(a)),
            ] {
                let wrong = wrong.unwrap();
                assert!(wrong.contains(not_convolved), "{wrong}");
            }
            let joined = error(can_pool, |builder, [image, a, b]| {
                let joined = builder.concatenation(&[image, a, b, a, b]);
                builder.convolution(joined, 2)
            });
            assert!(joined.unwrap().contains("layer 4 reads more than four concatenated tensors"));
            let pooled = error(can_pool, |builder, [image, a, b]| {
                let joined = builder.concatenation(&[image, a, b]);
                let pooled = builder.pooling(joined);
                builder.convolution(pooled, 2)
            });
            assert_eq!(pooled, None);
        }
    }
}
