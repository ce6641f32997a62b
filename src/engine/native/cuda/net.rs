//! A net on the GPU.

use std::sync::Arc;

use super::driver::{Context, Element, Memory, Pictures, Stream, TensorMap};
use super::kernels::{
    Convolve, FEW_CHANNELS, FIRST_TILE, FirstConvolution, HOPPER_THREADS, HopperConvolution, HopperTile,
    Kernels, Layer, POOLING_LOADS, PORTABLE_TILE, Pooling, PoolingConvolution, PortableConvolution, Source,
    THREADS,
};
use super::plan::{Place, Plan, Step, plan};
use super::weights::{VECTOR_BYTES, Weights, chunk, filled};
use super::{CudaError, Precision};
use crate::engine::native::assemble::size::Size;
use crate::engine::native::model::{Graph, Operation};

/// Chunks of input channels from which on a long block's start and end do not count.
const LONG: usize = 24;

/// The kernels and the GPU they were compiled for.
#[derive(Debug)]
pub struct Gpu {
    /// The GPU.
    pub context: Arc<Context>,
    /// What runs on it.
    pub kernels: Kernels,
    /// In which numbers.
    pub precision: Precision,
}

/// A net whose weights are on the GPU. Its memory is for a number of images; once warm, it asks for none.
#[derive(Debug)]
pub struct Net {
    gpu: Arc<Gpu>,
    plan: Plan,
    layers: Vec<Option<Weights>>,
    /// Of the layers.
    names: Vec<String>,
    /// The most images at once.
    images: usize,
    slots: Vec<Memory>,
    /// What is to be launched for inputs of each size that was seen since the memory was last enlarged.
    prepared: Vec<(Size, Vec<Call>)>,
}

#[derive(Clone, Debug)]
enum Call {
    Hopper { wide: Box<HopperConvolution>, narrow: Box<HopperConvolution>, chunks: usize },
    Thin(Box<HopperConvolution>),
    Pooling(Box<PoolingConvolution>),
    First(Box<FirstConvolution>),
    Portable(Box<PortableConvolution>),
    Pool(Pooling),
}

impl Net {
    /// Brings a net to the GPU, for up to so many `images` at once.
    ///
    /// # Errors
    /// The net has layers that are not run on a GPU, or there is too little memory.
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
        })
    }

    /// Number of planes of the result.
    pub fn planes(&self) -> usize {
        self.plan.planes
    }

    /// The most images at once.
    pub fn images(&self) -> usize {
        self.images
    }

    /// Names of the layers that do work, and the multiplications and additions of the convolutions among them for
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

    /// How much memory it needs for inputs of which size.
    pub fn footprint(&self) -> Footprint {
        let element = self.gpu.precision.element();
        Footprint { slots: self.plan.slots.clone(), planes: self.plan.planes, element }
    }

    /// Bytes that inputs have on the GPU at the moment.
    pub fn held_bytes(&self) -> u64 {
        self.slots.iter().map(|slot| slot.bytes() as u64).sum()
    }

    /// Makes ready for inputs of this size. The memory of the input is [`input`](Self::input).
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
            // What was prepared points into the old memory, which is freed before the new is asked for.
            self.prepared.clear();
            self.slots.clear();
            for bytes in sizes {
                self.slots.push(Memory::new(&self.gpu.context, bytes)?);
            }
        }
        let calls = self.plan.steps.iter().map(|step| self.call(step, size)).collect::<Result<_, _>>()?;
        self.prepared.push((size, calls));
        Ok(())
    }

    /// Where the input belongs: images × height × width × one vector of 16 bytes, of which the first three
    /// elements are blue, green and red, and the others 0.
    ///
    /// # Panics
    /// Nothing has been [prepared](Self::prepare).
    pub fn input(&self) -> &Memory {
        &self.slots[0]
    }

    fn call(&self, step: &Step, size: Size) -> Result<Call, CudaError> {
        let element = self.gpu.precision.element();
        let Some(weights) = &self.layers[step.layer] else { return Ok(Call::Pool(self.pooling(step, size))) };
        let stride = step.sources.first().map_or(1, |source| source.stride);
        let (width, height) = (size.width / stride, size.height / stride);
        let target = step.target.map(|target| (&self.slots[target.slot], filled(target.channels, element)));
        let mut layer = Layer {
            bias: weights.bias.address(),
            slope: weights.slope.address(),
            pixels_out: target.map_or(0, |(memory, _)| memory.address()),
            pixel_stride: target.map_or(0, |(_, channels)| channels as i32),
            channels_out: target.map_or(0, |(_, channels)| channels as i32),
            planes: self.plan.planes as i32,
            first_plane: step.first_plane.unwrap_or(0) as i32,
            used_planes: step.first_plane.map_or(0, |_| weights.channels_out as i32),
            width: width as i32,
            height: height as i32,
            weight_rows: weights.rows as i32,
            kernel: weights.kernel as i32,
            source_count: step.sources.len() as i32,
            ..Layer::default()
        };
        for ((chunks, last_steps), source) in
            layer.chunks.iter_mut().zip(&mut layer.last_steps).zip(&step.sources)
        {
            let chunk = chunk(element);
            *chunks = source.channels.div_ceil(chunk) as i32;
            // A chunk takes four multiplications.
            *last_steps = (source.channels - (*chunks as usize - 1) * chunk).div_ceil(chunk / 4) as i32;
        }
        let map = |source: &Place, pixels: usize| {
            let channels = filled(source.channels, element);
            let shape = Pictures { images: self.images, height, width, channels };
            TensorMap::of_pictures(&self.slots[source.slot], element, shape, weights.kernel, pixels)
        };
        let hopper = |tile: &HopperTile| -> Result<Box<HopperConvolution>, CudaError> {
            let rows = weights.chunks * weights.rows;
            let mut call = HopperConvolution {
                weights: TensorMap::of_rows(&weights.packed, element, rows, tile.channels)?,
                layer,
                ..HopperConvolution::default()
            };
            for (to, source) in call.sources.iter_mut().zip(&step.sources) {
                *to = map(source, tile.pixels)?;
            }
            Ok(Box::new(call))
        };
        let first_source = step.sources.first();
        if let (true, Some(source)) = (weights.is_first, first_source) {
            let (from, weights) = (self.slots[source.slot].address(), weights.packed.address());
            return Ok(Call::First(Box::new(FirstConvolution {
                from,
                weights,
                layer,
                images: 0,
                unused: 0,
            })));
        }
        if let (true, Some(source)) = (step.pools, first_source) {
            let shape =
                Pictures { images: self.images, height, width, channels: filled(source.channels, element) };
            let (tile_width, tile_height) = POOLING_LOADS;
            return Ok(Call::Pooling(Box::new(PoolingConvolution {
                pixels: TensorMap::of_tiles(
                    &self.slots[source.slot],
                    element,
                    shape,
                    tile_width,
                    tile_height,
                )?,
                weights: TensorMap::of_rows(
                    &weights.packed,
                    element,
                    weights.chunks * weights.rows,
                    FEW_CHANNELS,
                )?,
                layer,
                images: 0,
                unused: 0,
            })));
        }
        Ok(match &self.gpu.kernels.convolve {
            Convolve::Hopper { thin, .. } if weights.channels_out <= FEW_CHANNELS => {
                Call::Thin(hopper(thin)?)
            }
            Convolve::Hopper { wide, narrow, .. } => {
                Call::Hopper { wide: hopper(wide)?, narrow: hopper(narrow)?, chunks: weights.chunks }
            }
            Convolve::Portable(_) => {
                let mut call =
                    PortableConvolution { weights: weights.packed.address(), layer, ..Default::default() };
                for (to, source) in call.sources.iter_mut().zip(&step.sources) {
                    let stride = filled(source.channels, element) as i32;
                    *to = Source { values: self.slots[source.slot].address(), stride, unused: 0 };
                }
                Call::Portable(Box::new(call))
            }
        })
    }

    fn pooling(&self, step: &Step, size: Size) -> Pooling {
        let address = |place: Option<&Place>| place.map_or(0, |place| self.slots[place.slot].address());
        let source = step.sources.first();
        let (channels, stride) = source.map_or((0, 1), |source| (source.channels, source.stride));
        Pooling {
            from: address(source),
            to: address(step.target.as_ref()),
            width: (size.width / stride / 2) as i32,
            height: (size.height / stride / 2) as i32,
            channels: filled(channels, self.gpu.precision.element()) as i32,
            images: 0,
        }
    }

    /// Runs the net, later, on the first `images` of the [`input`](Self::input); `size` has been
    /// [prepared](Self::prepare). `outputs` gets images × planes × height / 8 × width / 8 values in single
    /// precision.
    ///
    /// # Errors
    /// The driver refuses.
    ///
    /// # Panics
    /// There are too many images, too little memory for the outputs, or the size was not prepared.
    pub fn run(&self, stream: &Stream, images: usize, size: Size, outputs: &Memory) -> Result<(), CudaError> {
        self.run_step_by_step(stream, images, size, outputs, |_| Ok(()))
    }

    /// As [`run`](Self::run), with a call after each layer that does work.
    ///
    /// # Errors
    /// As [`run`](Self::run), or those of `after`.
    ///
    /// # Panics
    /// As [`run`](Self::run).
    pub fn run_step_by_step(
        &self,
        stream: &Stream,
        images: usize,
        size: Size,
        outputs: &Memory,
        mut after: impl FnMut(usize) -> Result<(), CudaError>,
    ) -> Result<(), CudaError> {
        let result = images * self.plan.planes * size.pixels() / 64 * size_of::<f32>();
        assert!(images <= self.images && result <= outputs.bytes(), "images and results within their memory");
        let calls = self.prepared.iter().find(|(prepared, _)| *prepared == size);
        let (_, calls) = calls.expect("a size that was prepared");
        let kernels = &self.gpu.kernels;
        let fill = |layer: &mut Layer| {
            layer.pixels = images as i32 * layer.width * layer.height;
            layer.planes_out = if layer.used_planes > 0 { outputs.address() } else { 0 };
            layer.pixels as usize
        };
        let launch = |tile: &HopperTile, call: &HopperConvolution| {
            let mut call = *call;
            let pixels = fill(&mut call.layer);
            let blocks = pixels.div_ceil(tile.pixels) * (call.layer.weight_rows as usize / tile.channels);
            // SAFETY: the addresses are those of this net's memory, prepared for this size and so many images,
            // and of the outputs, whose size was checked.
            unsafe { tile.kernel.launch(stream, [blocks, 1, 1], HOPPER_THREADS, &call) }
        };
        for (step, call) in calls.iter().enumerate() {
            match (call, &kernels.convolve) {
                (
                    Call::Hopper { wide, narrow, chunks },
                    Convolve::Hopper { wide: wide_tile, narrow: narrow_tile, .. },
                ) => {
                    let pixels = images * (wide.layer.width * wide.layer.height) as usize;
                    let blocks = pixels.div_ceil(wide_tile.pixels)
                        * (wide.layer.weight_rows as usize / wide_tile.channels);
                    // Long blocks need less of the cache, short ones share out better.
                    match *chunks >= LONG && blocks >= self.gpu.context.multiprocessors {
                        true => launch(wide_tile, wide)?,
                        false => launch(narrow_tile, narrow)?,
                    }
                }
                (Call::Thin(call), Convolve::Hopper { thin, .. }) => launch(thin, call)?,
                (Call::Portable(call), Convolve::Portable(kernel)) => {
                    let mut call = **call;
                    let pixels = fill(&mut call.layer);
                    let blocks = pixels.div_ceil(PORTABLE_TILE.0)
                        * (call.layer.weight_rows as usize / PORTABLE_TILE.1);
                    // SAFETY: as above.
                    unsafe { kernel.launch(stream, [blocks, 1, 1], THREADS, &call) }?;
                }
                (Call::Pooling(call), Convolve::Hopper { pooling: Some(kernel), .. }) => {
                    let call = PoolingConvolution { images: images as i32, ..**call };
                    // Each goes through many tiles.
                    let blocks = self.gpu.context.multiprocessors;
                    // SAFETY: as above.
                    unsafe { kernel.launch(stream, [blocks, 1, 1], HOPPER_THREADS, &call) }?;
                }
                (Call::First(call), _) => {
                    let call = FirstConvolution { images: images as i32, ..**call };
                    let across = (call.layer.width as usize).div_ceil(FIRST_TILE.0);
                    let down = (call.layer.height as usize).div_ceil(FIRST_TILE.1);
                    let Some(kernel) = &kernels.first else { continue };
                    // SAFETY: as above.
                    unsafe { kernel.launch(stream, [across * down, images, 1], THREADS, &call) }?;
                }
                (Call::Pool(call), _) => {
                    let call = Pooling { images: images as i32, ..*call };
                    let vectors =
                        call.channels as usize * self.gpu.precision.element().bytes() / VECTOR_BYTES;
                    let pixels = images * (call.width * call.height) as usize;
                    let blocks = (pixels * vectors).div_ceil(THREADS);
                    // SAFETY: as above.
                    unsafe { kernels.pool.launch(stream, [blocks, 1, 1], THREADS, &call) }?;
                }
                _ => unreachable!("calls are prepared for the kernels that there are"),
            }
            after(step)?;
        }
        Ok(())
    }
}

/// How much of the GPU's memory a net needs, beside its weights.
#[derive(Clone, Debug)]
pub struct Footprint {
    slots: Vec<Vec<(usize, usize)>>,
    planes: usize,
    element: Element,
}

impl Footprint {
    /// Bytes of each buffer.
    fn slot_bytes(&self, size: Size, images: usize) -> Vec<usize> {
        let bytes = |&(channels, stride): &(usize, usize)| {
            let pixels = (size.width / stride) * (size.height / stride);
            images * pixels * filled(channels, self.element) * self.element.bytes()
        };
        self.slots.iter().map(|held| held.iter().map(bytes).max().unwrap_or(0)).collect()
    }

    /// Bytes for what lies between the layers, for so many inputs of this size.
    pub fn working_bytes(&self, size: Size, images: usize) -> u64 {
        self.slot_bytes(size, images).into_iter().map(|bytes| bytes as u64).sum()
    }

    /// Bytes of the result for so many inputs of this size.
    pub fn output_bytes(&self, size: Size, images: usize) -> u64 {
        (images * self.planes * size.pixels() / 64 * size_of::<f32>()) as u64
    }
}
