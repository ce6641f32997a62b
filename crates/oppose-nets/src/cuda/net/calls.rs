//! The launches for the steps of a net.

use super::Net;
use crate::assemble::size::Size;
use crate::cuda::CudaError;
use crate::cuda::driver::{DeviceBuffer, Pictures, Stream, TensorMap};
use crate::cuda::kernels::{
    Convolve, EXTRA_PIXELS, FEW_CHANNELS, FIRST_TILE, FirstConvolution, HopperConvolution, Layer,
    POOLING_LOADS, POOLING_THREADS, PlainConvolution, Pooling, PoolingConvolution, SINGLE_TILE, Source,
    THREADS, Tile, Tiles,
};
use crate::cuda::weights::{VECTOR_BYTES, chunk, padded_channels};
use crate::plan::{Place, Step};

/// With at least this many steps (chunks of input channels × positions of the convolution kernel), Hopper's wide tiles are
/// fastest. A multiprocessor holds one such block,
/// and does little else while that block writes its results.
const LONG: usize = 18;
/// If there is less than one of Hopper's blocks per this many multiprocessors, smaller blocks are faster, although each
/// does less at a time. Measured with the other nets running at the same time, which use the remaining multiprocessors.
const HOPPER_FEW: usize = 2;
/// The same for the other kernels, whose small blocks are relatively faster.
const FEW: usize = 1;

/// A step, for inputs of one size.
#[derive(Clone, Debug)]
pub enum Call {
    /// Divided to suit the number of images.
    Hopper {
        wide: Box<HopperConvolution>,
        narrow: Box<HopperConvolution>,
        small: Box<HopperConvolution>,
        chunks: usize,
    },
    /// Divided to suit the number of images, with few output channels.
    Thin { thin: Box<HopperConvolution>, small: Box<HopperConvolution> },
    /// Together with the pooling after it.
    Pooling(Box<PoolingConvolution>),
    /// The first convolution, which reads the frame.
    First(Box<FirstConvolution>),
    /// With a kernel that loads its operands itself, whatever its tile.
    Plain { call: Box<PlainConvolution>, is_thin: bool },
    /// Pooling alone.
    Pool(Pooling),
}

impl Net {
    /// The launch for a step.
    ///
    /// # Errors
    /// The driver refuses.
    pub(super) fn call(&self, step: &Step, size: Size) -> Result<Call, CudaError> {
        let (element, parts) = (self.gpu.precision.element(), self.gpu.precision.parts());
        let Some(weights) = &self.layers[step.layer] else { return Ok(Call::Pool(self.pooling(step, size))) };
        let (width, height) = (size.width / step.stride(), size.height / step.stride());
        let target =
            step.target.map(|target| (&self.slots[target.slot], padded_channels(target.channels, element)));
        let mut layer = Layer {
            bias: weights.bias.address(),
            slope: weights.slope.address(),
            pixels_out: target.map_or(0, |(memory, _)| memory.address()),
            pixel_stride: target.map_or(0, |(_, channels)| (parts * channels) as i32),
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
        for (index, source) in step.sources.iter().enumerate() {
            let chunk = chunk(element);
            let (chunks, last_steps) = (&mut layer.chunks[index], &mut layer.last_steps[index]);
            layer.channels[index] = padded_channels(source.channels, element) as i32;
            *chunks = source.channels.div_ceil(chunk) as i32;
            // A chunk takes four multiplications.
            *last_steps = (source.channels - (*chunks as usize - 1) * chunk).div_ceil(chunk / 4) as i32;
        }
        let map = |source: &Place, pixels: usize| {
            let channels = parts * padded_channels(source.channels, element);
            let shape = Pictures { images: self.images, height, width, channels };
            TensorMap::of_pictures(&self.slots[source.slot], element, shape, weights.kernel, pixels)
        };
        let hopper = |tile: &Tile<HopperConvolution>| -> Result<Box<HopperConvolution>, CudaError> {
            let rows = weights.chunks * parts * weights.rows;
            let mut call = HopperConvolution {
                weights: TensorMap::of_rows(&weights.packed, element, rows, tile.channels)?,
                layer,
                ..HopperConvolution::default()
            };
            for (to, source) in call.sources.iter_mut().zip(&step.sources) {
                *to = map(source, tile.pixels + EXTRA_PIXELS)?;
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
            let shape = Pictures {
                images: self.images,
                height,
                width,
                channels: padded_channels(source.channels, element),
            };
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
            Convolve::Hopper { tiles, .. } if weights.channels_out <= FEW_CHANNELS => {
                Call::Thin { thin: hopper(&tiles.thin)?, small: hopper(&tiles.small)? }
            }
            Convolve::Hopper { tiles, .. } => Call::Hopper {
                wide: hopper(&tiles.wide)?,
                narrow: hopper(&tiles.narrow)?,
                small: hopper(&tiles.small)?,
                chunks: weights.chunks,
            },
            Convolve::Tensor(_) | Convolve::Single(_) => {
                let mut call =
                    PlainConvolution { weights: weights.packed.address(), layer, ..Default::default() };
                for (to, source) in call.sources.iter_mut().zip(&step.sources) {
                    let channels = padded_channels(source.channels, element);
                    let (stride, channels) = ((parts * channels) as i32, channels as i32);
                    *to = Source { values: self.slots[source.slot].address(), stride, channels };
                }
                let is_thin = weights.channels_out <= FEW_CHANNELS;
                Call::Plain { call: Box::new(call), is_thin }
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
            channels: padded_channels(channels, self.gpu.precision.element()) as i32,
            images: 0,
        }
    }

    /// Launches a step for `images` images.
    ///
    /// # Errors
    /// The driver refuses.
    ///
    /// # Safety
    /// `call` was prepared for this net's current memory, and both that and the outputs have room for `images` images.
    #[expect(unsafe_code, reason = "launches kernels")]
    pub(super) unsafe fn launch(
        &self,
        call: &Call,
        stream: &Stream,
        images: usize,
        outputs: &DeviceBuffer,
    ) -> Result<(), CudaError> {
        let kernels = &self.gpu.kernels;
        let fill = |layer: &mut Layer| {
            layer.pixels = images as i32 * layer.width * layer.height;
            layer.planes_out = if layer.used_planes > 0 { outputs.address() } else { 0 };
            layer.pixels as usize
        };
        let multiprocessors = self.gpu.context.multiprocessors;
        match (call, &kernels.convolve) {
            (Call::Hopper { wide, narrow, small, chunks }, Convolve::Hopper { tiles, .. }) => {
                let cut = self.choose(tiles, &wide.layer, images, *chunks >= LONG, HOPPER_FEW);
                let call = match cut {
                    Cut::Wide => wide,
                    Cut::Narrow => narrow,
                    Cut::Small => small,
                };
                let mut filled = **call;
                fill(&mut filled.layer);
                // SAFETY: guaranteed by the caller.
                unsafe { cut.of(tiles).launch(stream, &filled.layer, &filled) }
            }
            (Call::Thin { thin, small }, Convolve::Hopper { tiles, .. }) => {
                let is_small = tiles.thin.count(&thin.layer, images) * HOPPER_FEW < multiprocessors;
                let (tile, call) = if is_small { (&tiles.small, small) } else { (&tiles.thin, thin) };
                let mut filled = **call;
                fill(&mut filled.layer);
                // SAFETY: guaranteed by the caller.
                unsafe { tile.launch(stream, &filled.layer, &filled) }
            }
            (Call::Plain { call, is_thin }, Convolve::Tensor(tiles)) => {
                let tile = match is_thin {
                    true if tiles.thin.count(&call.layer, images) * FEW < multiprocessors => &tiles.small,
                    true => &tiles.thin,
                    false => self.choose(tiles, &call.layer, images, true, FEW).of(tiles),
                };
                let mut filled = **call;
                fill(&mut filled.layer);
                // SAFETY: guaranteed by the caller.
                unsafe { tile.launch(stream, &filled.layer, &filled) }
            }
            (Call::Plain { call, .. }, Convolve::Single(kernel)) => {
                let mut call = **call;
                let pixels = fill(&mut call.layer);
                let blocks =
                    pixels.div_ceil(SINGLE_TILE.0) * (call.layer.weight_rows as usize / SINGLE_TILE.1);
                // SAFETY: guaranteed by the caller.
                unsafe { kernel.launch(stream, [blocks, 1, 1], THREADS, &call) }
            }
            (Call::Pooling(call), Convolve::Hopper { pooling: Some(kernel), .. }) => {
                let call = PoolingConvolution { images: images as i32, ..**call };
                // Each block processes many tiles.
                // SAFETY: guaranteed by the caller.
                unsafe { kernel.launch(stream, [multiprocessors, 1, 1], POOLING_THREADS, &call) }
            }
            (Call::First(call), _) => {
                let call = FirstConvolution { images: images as i32, ..**call };
                let across = (call.layer.width as usize).div_ceil(FIRST_TILE.0);
                let down = (call.layer.height as usize).div_ceil(FIRST_TILE.1);
                let Some(kernel) = &kernels.first else { return Ok(()) };
                // SAFETY: guaranteed by the caller.
                unsafe { kernel.launch(stream, [across * down, images, 1], THREADS, &call) }
            }
            (Call::Pool(call), _) => {
                let call = Pooling { images: images as i32, ..*call };
                let vectors = call.channels as usize * self.gpu.precision.element().bytes() / VECTOR_BYTES;
                let pixels = images * (call.width * call.height) as usize;
                let blocks = (pixels * vectors).div_ceil(THREADS);
                // SAFETY: guaranteed by the caller.
                unsafe { kernels.pool.launch(stream, [blocks, 1, 1], THREADS, &call) }
            }
            _ => unreachable!("calls are prepared for the kernels in use"),
        }
    }

    /// `suits_wide` says whether wide blocks are faster if there are enough of them; `few` is these kernels' [`FEW`].
    fn choose<P>(&self, tiles: &Tiles<P>, layer: &Layer, images: usize, suits_wide: bool, few: usize) -> Cut {
        let multiprocessors = self.gpu.context.multiprocessors;
        if suits_wide && tiles.wide.count(layer, images) >= multiprocessors {
            Cut::Wide
        } else if tiles.narrow.count(layer, images) * few >= multiprocessors {
            Cut::Narrow
        } else {
            Cut::Small
        }
    }
}

/// A way of cutting a convolution into blocks.
#[derive(Clone, Copy)]
enum Cut {
    Wide,
    Narrow,
    Small,
}

impl Cut {
    fn of<P>(self, tiles: &Tiles<P>) -> &Tile<P> {
        match self {
            Self::Wide => &tiles.wide,
            Self::Narrow => &tiles.narrow,
            Self::Small => &tiles.small,
        }
    }
}

impl<P> Tile<P> {
    /// Number of tiles of a convolution of that many images.
    fn count(&self, layer: &Layer, images: usize) -> usize {
        let gap = if layer.kernel > 1 { self.row_gap } else { 0 };
        let positions = images * layer.height as usize * (layer.width as usize + gap);
        positions.div_ceil(self.pixels) * (layer.weight_rows as usize / self.channels)
    }
}

impl<P: Copy> Tile<P> {
    /// # Safety
    /// As for [`Kernel::launch`](crate::cuda::driver::Kernel::launch); `layer` is that of `parameter`, with the number of
    /// pixels that the buffers hold.
    #[expect(unsafe_code, reason = "launches a kernel")]
    unsafe fn launch(&self, stream: &Stream, layer: &Layer, parameter: &P) -> Result<(), CudaError> {
        let images = (layer.pixels / (layer.width * layer.height)) as usize;
        let blocks = self.count(layer, images).min(self.max_blocks.unwrap_or(usize::MAX));
        // SAFETY: guaranteed by the caller.
        unsafe { self.kernel.launch(stream, [blocks, 1, 1], self.threads, parameter) }
    }
}
