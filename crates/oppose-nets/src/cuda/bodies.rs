//! From frames to the peaks of their body parts, and to the pairs of peaks that limbs may join.

use std::sync::Arc;

use super::CudaError;
use super::driver::{DeviceBuffer, Event, Pinned, Stream};
use super::kernels::{
    Candidate, Colors, FindPeaks, Limb, Output, Outputs, PEAK_THREADS, Peak, Picture, ScoreLimbs, THREADS,
    Warp,
};
use super::net::{Footprint, Gpu, Net};
use crate::assemble::Keypoint;
use crate::assemble::body::{BODY_25, Thresholds};
use crate::assemble::heat_maps::MAX_SCALES;
use crate::assemble::peaks::MAX_PEAKS;
use crate::assemble::people::ScoredPair;
use crate::assemble::size::{Scale, Size, net_size, net_to_frame, scales};
use crate::assemble::warp::{BICUBIC, Interpolation, Placement};
use crate::model::Graph;
use crate::points::BODY_POINTS;
use crate::{NativeError, Options};
use oppose_core::{ColorMatrix, Frame};

/// Number of pairs that are always copied to the host; if there are more, they are copied afterwards.
const USUAL_PAIRS: usize = 4096;
/// Number of blocks per limb.
const LIMB_BLOCKS: usize = 4;

/// Number of words of a peak.
const PEAK_WORDS: usize = size_of::<Peak>() / size_of::<u32>();

/// Number of words for the results of `frames` frames: number of candidates, numbers of peaks, peaks.
fn found_words(frames: usize) -> usize {
    1 + frames * BODY_POINTS * (1 + PEAK_WORDS * MAX_PEAKS)
}

/// The body net and the stages before and after it.
#[derive(Debug)]
pub struct Bodies {
    gpu: Arc<Gpu>,
    net: Net,
    stream: Stream,
    copies: Stream,
    limbs: DeviceBuffer,
    bicubic: DeviceBuffer,
    /// The net's output for each scale; grows on demand.
    outputs: Vec<DeviceBuffer>,
    /// Luma and chroma of the last frames that were uploaded; grows on demand.
    planes: DeviceBuffer,
    thresholds: Thresholds,
}

/// What the frames of a batch have in common: their size, and their colour matrix if they come in planes.
pub type Kind = (u32, u32, Option<ColorMatrix>);

/// The kind of a frame.
pub fn kind(frame: &Frame) -> Kind {
    (frame.width(), frame.height(), frame.planes().map(|planes| planes.matrix))
}

/// The frames of a batch, and the results.
#[derive(Debug)]
pub struct BodyBatch {
    frames: Pinned<u8>,
    device_frames: DeviceBuffer,
    pictures: Pinned<Picture>,
    device_pictures: DeviceBuffer,
    /// Number of candidates, numbers of peaks, peaks.
    device_found: DeviceBuffer,
    found: Pinned<u32>,
    device_candidates: DeviceBuffer,
    candidates: Pinned<Candidate>,
    /// Reached when the frames have been copied to the GPU.
    uploaded: Event,
    /// Reached when the results have been copied to the host.
    done: Event,
    /// Size of each frame.
    pub size: Size,
    /// Number of frames.
    pub count: usize,
    scales: Vec<Scale>,
    /// From heat map pixels to frame pixels.
    pub net_to_frame: f32,
}

impl Bodies {
    /// Copies the body net to the GPU, for up to `frames` frames at once.
    ///
    /// # Errors
    /// There is too little memory, or the driver refuses.
    pub fn new(gpu: &Arc<Gpu>, graph: &Graph, batch: usize, options: &Options) -> Result<Self, CudaError> {
        let limbs: Vec<Limb> = (BODY_25.limbs.iter().enumerate())
            .map(|(limb, &(from, to))| {
                let plane = BODY_25.affinity_plane(limb) as i32;
                Limb { from: from as i32, to: to as i32, plane }
            })
            .collect();
        Ok(Self {
            gpu: Arc::clone(gpu),
            net: Net::new(gpu, graph, batch)?,
            stream: Stream::new(&gpu.context)?,
            copies: Stream::new(&gpu.context)?,
            limbs: DeviceBuffer::with(&gpu.context, &limbs)?,
            bicubic: DeviceBuffer::with(&gpu.context, BICUBIC.as_flattened())?,
            outputs: Vec::new(),
            planes: DeviceBuffer::new(&gpu.context, 0)?,
            thresholds: Thresholds::new(options.maximize_positives),
        })
    }

    /// Allocates the memory of a batch.
    ///
    /// # Errors
    /// There is too little memory, or the driver refuses.
    pub fn batch(&self) -> Result<BodyBatch, CudaError> {
        let context = &self.gpu.context;
        let frames = self.net.images();
        let candidates = frames * BODY_25.limbs.len() * MAX_PEAKS * MAX_PEAKS;
        let found = found_words(frames);
        Ok(BodyBatch {
            frames: Pinned::new(context, 0)?,
            device_frames: DeviceBuffer::new(context, 0)?,
            pictures: Pinned::new(context, MAX_SCALES * frames)?,
            device_pictures: DeviceBuffer::new(context, MAX_SCALES * frames * size_of::<Picture>())?,
            device_found: DeviceBuffer::new(context, found * size_of::<u32>())?,
            found: Pinned::new(context, found)?,
            device_candidates: DeviceBuffer::new(context, candidates * size_of::<Candidate>())?,
            candidates: Pinned::new(context, USUAL_PAIRS)?,
            uploaded: Event::new(context)?,
            done: Event::new(context)?,
            size: Size::default(),
            count: 0,
            scales: Vec::new(),
            net_to_frame: 1.0,
        })
    }

    /// How much memory the net needs, depending on the size of inputs.
    pub fn footprint(&self) -> Footprint {
        self.net.footprint()
    }

    /// Bytes in use at the moment that depend on the size of frames, without the frames themselves.
    pub fn held_bytes(&self) -> u64 {
        let outputs: u64 = self.outputs.iter().map(|output| output.bytes() as u64).sum();
        self.net.held_bytes() + outputs + self.planes.bytes() as u64
    }

    /// Starts work on frames of one size; [`wait`](BodyBatch::wait) blocks until it is done.
    ///
    /// # Errors
    /// The frames are too small or too large for the net, there is too little memory, or the driver refuses.
    ///
    /// # Panics
    /// There are no frames, more than fit into a batch, or they differ in [kind](Kind).
    pub fn start(
        &mut self,
        batch: &mut BodyBatch,
        frames: &[Frame],
        options: &Options,
    ) -> Result<(), NativeError> {
        let first = frames.first().expect("at least one frame");
        let size = Size { width: first.width() as usize, height: first.height() as usize };
        let net = net_size(options.net_resolution, size)?;
        scales(net, size, options.scale_number, options.scale_gap, &mut batch.scales)?;
        batch.size = size;
        batch.count = frames.len();
        batch.net_to_frame = net_to_frame(size, net);
        self.launch(batch, frames, net)?;
        Ok(())
    }

    fn launch(&mut self, batch: &mut BodyBatch, frames: &[Frame], net: Size) -> Result<(), CudaError> {
        let room = self.net.images() * batch.size.pixels() * 3;
        if batch.frames.len() < room {
            batch.frames = Pinned::new(&self.gpu.context, 0)?;
            batch.device_frames = DeviceBuffer::new(&self.gpu.context, room)?;
            batch.frames = Pinned::new(&self.gpu.context, room)?;
        }
        for (index, scale) in batch.scales.iter().enumerate() {
            let (placement, _) = Placement::of_net_input(*scale);
            for frame in 0..batch.count {
                let picture = batch.picture(frame, placement);
                batch.pictures.write()?[index * batch.count + frame] = picture;
            }
        }
        let pictures = batch.scales.len() * batch.count;
        self.upload(batch, frames)?;
        self.copies.upload(&mut batch.pictures, pictures, &batch.device_pictures)?;
        batch.uploaded.record(&self.copies)?;

        let largest = self.net.images() * self.net.planes() * net.pixels() / 64 * size_of::<f32>();
        if self.outputs.len() < batch.scales.len()
            || self.outputs.iter().any(|output| output.bytes() < largest)
        {
            self.outputs.clear();
            for _ in &batch.scales {
                self.outputs.push(DeviceBuffer::new(&self.gpu.context, largest)?);
            }
        }
        self.stream.wait(&batch.uploaded)?;
        for (index, scale) in batch.scales.iter().enumerate() {
            self.net.prepare(scale.size)?;
            let (_, interpolation) = Placement::of_net_input(*scale);
            let bicubic = if interpolation == Interpolation::Bicubic { self.bicubic.address() } else { 0 };
            let first = index * batch.count * size_of::<Picture>();
            let pictures = batch.device_pictures.address() + first as u64;
            warp(&self.gpu, &self.stream, pictures, bicubic, &self.net, scale.size, batch.count)?;
            self.net.run(&self.stream, batch.count, scale.size, &self.outputs[index])?;
        }
        self.assemble(batch, net)?;
        batch.done.record(&self.stream)
    }

    /// Copies frames to the GPU, and converts them to pixels there if they come in planes.
    #[expect(unsafe_code, reason = "launches a kernel")]
    fn upload(&mut self, batch: &mut BodyBatch, frames: &[Frame]) -> Result<(), CudaError> {
        let Some(first) = frames.first() else { return Ok(()) };
        let bytes = first.bytes().len();
        for (frame, place) in frames.iter().zip(batch.frames.write()?.chunks_exact_mut(bytes)) {
            place.copy_from_slice(frame.bytes());
        }
        let Some(matrix) = first.planes().map(|planes| planes.matrix) else {
            return self.copies.upload(&mut batch.frames, batch.count * bytes, &batch.device_frames);
        };
        let room = self.net.images() * bytes;
        if self.planes.bytes() < room {
            self.planes = DeviceBuffer::new(&self.gpu.context, room)?;
        }
        self.copies.upload(&mut batch.frames, batch.count * bytes, &self.planes)?;
        let ColorMatrix { black, luma, blue_u, green_u, green_v, red_v } = matrix;
        let Size { width, height } = batch.size;
        let work = Colors {
            planes: self.planes.address(),
            pixels: batch.device_frames.address(),
            width: width as i32,
            height: height as i32,
            matrix: [black, luma, blue_u, green_u, green_v, red_v],
            unused: 0,
        };
        let blocks = (width.div_ceil(2) * (height / 2)).div_ceil(THREADS);
        // SAFETY: both buffers hold that many frames of this size.
        unsafe {
            self.gpu.kernels.convert_colors.launch(&self.copies, [blocks, batch.count, 1], THREADS, &work)
        }
    }

    /// Peaks and pairs.
    #[expect(unsafe_code, reason = "launches kernels")]
    fn assemble(&self, batch: &mut BodyBatch, net: Size) -> Result<(), CudaError> {
        let mut maps = Outputs {
            count: batch.scales.len() as i32,
            channels: self.net.planes() as i32,
            width: net.width as i32,
            height: net.height as i32,
            ..Outputs::default()
        };
        for ((to, scale), output) in maps.scales.iter_mut().zip(&batch.scales).zip(&self.outputs) {
            *to = output_of(output, scale.size, batch.scales[0].factor, scale.factor);
        }
        let counts = batch.device_found.address() + size_of::<u32>() as u64;
        let peaks = counts + (batch.count * BODY_POINTS * size_of::<u32>()) as u64;
        let find = FindPeaks {
            maps,
            peaks,
            counts,
            threshold: self.thresholds.peak,
            offset: (0.5 / f64::from(batch.net_to_frame)) as f32,
        };
        let score = ScoreLimbs {
            maps,
            limbs: self.limbs.address(),
            peaks,
            counts,
            candidates: batch.device_candidates.address(),
            candidate_count: batch.device_found.address(),
            parts: BODY_POINTS as i32,
            least_sample: self.thresholds.limb_sample,
            least_share: self.thresholds.limb_share,
            close_score: (f64::from(self.thresholds.peak) + 1e-6) as f32,
        };
        self.stream.fill(&batch.device_found, 0, size_of::<u32>())?;
        // SAFETY: the addresses are those of memory for that many frames, and of outputs of these sizes.
        unsafe {
            self.gpu.kernels.find_peaks.launch(
                &self.stream,
                [BODY_POINTS, batch.count, 1],
                PEAK_THREADS,
                &find,
            )?;
            let grid = [LIMB_BLOCKS, BODY_25.limbs.len(), batch.count];
            self.gpu.kernels.score_limbs.launch(&self.stream, grid, THREADS, &score)?;
        }
        let found = found_words(batch.count);
        self.stream.download(&batch.device_found, 0, found, &mut batch.found)?;
        self.stream.download(&batch.device_candidates, 0, USUAL_PAIRS, &mut batch.candidates)
    }
}

impl BodyBatch {
    /// Blocks until peaks and pairs are on the host.
    ///
    /// # Errors
    /// Work on the GPU failed.
    pub fn wait(&mut self, bodies: &Bodies) -> Result<(), CudaError> {
        self.done.synchronize()?;
        let candidates = self.candidate_count()?;
        if candidates > USUAL_PAIRS {
            if candidates > self.candidates.len() {
                self.candidates = Pinned::new(&bodies.gpu.context, candidates.next_power_of_two())?;
            }
            bodies.copies.download(&self.device_candidates, 0, candidates, &mut self.candidates)?;
        }
        Ok(())
    }

    fn candidate_count(&self) -> Result<usize, CudaError> {
        Ok(self.found.read()?[0] as usize)
    }

    /// The peaks of a frame's parts, in heat map pixels.
    ///
    /// # Errors
    /// Work on the GPU failed.
    pub fn peaks(&self, frame: usize, peaks: &mut [Vec<Keypoint>]) -> Result<(), CudaError> {
        let (counts, values) = self.found.read()?[1..].split_at(self.count * BODY_POINTS);
        for (part, peaks) in peaks.iter_mut().enumerate() {
            let index = frame * BODY_POINTS + part;
            let count = (counts[index] as usize).min(MAX_PEAKS);
            let found = &values[index * MAX_PEAKS * PEAK_WORDS..][..count * PEAK_WORDS];
            peaks.clear();
            peaks.extend(found.chunks_exact(PEAK_WORDS).map(|peak| {
                let [x, y, score] = [peak[0], peak[1], peak[2]].map(f32::from_bits);
                Keypoint { x, y, score }
            }));
        }
        Ok(())
    }

    /// The pairs of a frame's peaks that limbs may join, in any order.
    ///
    /// # Errors
    /// Work on the GPU failed.
    pub fn pairs(&self, frame: usize) -> Result<impl Iterator<Item = ScoredPair>, CudaError> {
        let candidates = &self.candidates.read()?[..self.candidate_count()?.min(self.candidates.len())];
        Ok(candidates
            .iter()
            .filter(move |candidate| usize::from(candidate.frame) == frame)
            .map(|&Candidate { score, limb, from, to, .. }| ScoredPair { limb, from, to, score }))
    }

    /// A picture of one of the frames.
    pub fn picture(&self, frame: usize, placement: Placement) -> Picture {
        let Placement { scale_x, shift_x, scale_y, shift_y } = placement;
        Picture {
            frame: self.device_frames.address() + (frame * self.size.pixels() * 3) as u64,
            frame_width: self.size.width as i32,
            frame_height: self.size.height as i32,
            scale_x,
            shift_x,
            scale_y,
            shift_y,
        }
    }
}

/// The net's output for an input, as one of the scales of a heat map.
pub fn output_of(memory: &DeviceBuffer, input: Size, first_factor: f64, factor: f64) -> Output {
    Output {
        values: memory.address(),
        width: (input.width / 8) as i32,
        height: (input.height / 8) as i32,
        // Scales are aligned by the frame in them, not by their borders.
        factor: 8.0 / (factor as f32 / first_factor as f32),
        unused: 0,
    }
}

/// Makes a net's input from the pictures whose descriptions are at `pictures`.
///
/// # Errors
/// The driver refuses.
#[expect(unsafe_code, reason = "launches a kernel")]
pub fn warp(
    gpu: &Gpu,
    stream: &Stream,
    pictures: u64,
    bicubic: u64,
    net: &Net,
    size: Size,
    count: usize,
) -> Result<(), CudaError> {
    let (width, height) = (size.width as i32, size.height as i32);
    let work = Warp { pictures, bicubic, to: net.input().address(), width, height };
    // SAFETY: the net's input has been prepared for this size and number of pictures; the caller's descriptions
    // are of frames in memory of their size.
    unsafe { gpu.kernels.warp.launch(stream, [size.pixels().div_ceil(THREADS), count, 1], THREADS, &work) }
}
