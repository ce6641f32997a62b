//! From the faces or hands in a batch of frames to their points.

use std::sync::Arc;

use super::CudaError;
use super::bodies::{BodyBatch, output_of, warp};
use super::driver::{DeviceBuffer, Event, Pinned, Stream};
use super::kernels::{FindLargest, Largest, Outputs, Picture, THREADS};
use super::net::{Gpu, Net};
use crate::assemble::Keypoint;
use crate::assemble::size::Size;
use crate::model::Graph;
use crate::points::Crop;

/// The face or hand net, and the stages before and after it.
#[derive(Debug)]
pub struct Crops {
    gpu: Arc<Gpu>,
    net: Net,
    stream: Stream,
    size: Size,
    /// Number of points of a face or hand.
    points: usize,
    output: DeviceBuffer,
}

/// The faces or hands in a batch; its memory grows with their number.
#[derive(Debug)]
pub struct CropBatch {
    pictures: Pinned<Picture>,
    device_pictures: DeviceBuffer,
    largest: Pinned<Largest>,
    device_largest: DeviceBuffer,
    done: Event,
    count: usize,
}

impl Crops {
    /// Copies a net to the GPU, for a number of crops of `side` × `side` pixels at once.
    ///
    /// # Errors
    /// There is too little memory, or the driver refuses.
    pub fn new(
        gpu: &Arc<Gpu>,
        graph: &Graph,
        batch: usize,
        side: usize,
        points: usize,
    ) -> Result<Self, CudaError> {
        let size = Size { width: side, height: side };
        let mut net = Net::new(gpu, graph, batch)?;
        net.prepare(size)?;
        let output =
            DeviceBuffer::new(&gpu.context, batch * net.planes() * size.pixels() / 64 * size_of::<f32>())?;
        Ok(Self { gpu: Arc::clone(gpu), net, stream: Stream::new(&gpu.context)?, size, points, output })
    }

    /// Allocates the memory for the crops of a batch.
    ///
    /// # Errors
    /// The driver refuses.
    pub fn batch(&self) -> Result<CropBatch, CudaError> {
        let context = &self.gpu.context;
        Ok(CropBatch {
            pictures: Pinned::new(context, 0)?,
            device_pictures: DeviceBuffer::new(context, 0)?,
            largest: Pinned::new(context, 0)?,
            device_largest: DeviceBuffer::new(context, 0)?,
            done: Event::new(context)?,
            count: 0,
        })
    }

    /// Starts work on crops of the frames of a batch, each given with the index of its frame.
    ///
    /// # Errors
    /// There is too little memory, or the driver refuses.
    pub fn start<'a>(
        &mut self,
        batch: &mut CropBatch,
        frames: &BodyBatch,
        crops: impl Iterator<Item = (usize, &'a Crop)> + Clone,
    ) -> Result<(), CudaError> {
        batch.count = crops.clone().count();
        if batch.pictures.len() < batch.count {
            let count = batch.count.next_power_of_two();
            let context = &self.gpu.context;
            batch.pictures = Pinned::new(context, count)?;
            batch.device_pictures = DeviceBuffer::new(context, count * size_of::<Picture>())?;
            batch.largest = Pinned::new(context, count * self.points)?;
            batch.device_largest = DeviceBuffer::new(context, count * self.points * size_of::<Largest>())?;
        }
        for (picture, (frame, crop)) in batch.pictures.write()?.iter_mut().zip(crops) {
            *picture = frames.picture(frame, crop.placement);
        }
        self.stream.upload(&mut batch.pictures, batch.count, &batch.device_pictures)?;
        for first in (0..batch.count).step_by(self.net.images()) {
            self.launch(batch, first, self.net.images().min(batch.count - first))?;
        }
        self.stream.download(&batch.device_largest, 0, batch.count * self.points, &mut batch.largest)?;
        batch.done.record(&self.stream)
    }

    #[expect(unsafe_code, reason = "launches a kernel")]
    fn launch(&mut self, batch: &CropBatch, first: usize, count: usize) -> Result<(), CudaError> {
        let pictures = batch.device_pictures.address() + (first * size_of::<Picture>()) as u64;
        warp(&self.gpu, &self.stream, pictures, 0, &self.net, self.size, count)?;
        self.net.run(&self.stream, count, self.size, &self.output)?;
        let mut maps = Outputs {
            count: 1,
            channels: self.net.planes() as i32,
            width: self.size.width as i32,
            height: self.size.height as i32,
            ..Outputs::default()
        };
        maps.scales[0] = output_of(&self.output, self.size, 1.0, 1.0);
        let largest = batch.device_largest.address() + (first * self.points * size_of::<Largest>()) as u64;
        let work = FindLargest { maps, largest, used_channels: self.points as i32, unused: 0 };
        // SAFETY: the addresses are those of memory for that many crops, and of the net's output.
        unsafe { self.gpu.kernels.find_largest.launch(&self.stream, [self.points, count, 1], THREADS, &work) }
    }

    /// The points of a crop. Blocks until they are known.
    ///
    /// # Errors
    /// Work on the GPU failed.
    pub fn points(
        &self,
        batch: &CropBatch,
        index: usize,
        crop: &Crop,
        points: &mut Vec<Keypoint>,
    ) -> Result<(), CudaError> {
        let found = &batch.largest.read()?[index * self.points..][..self.points];
        points.clear();
        points.extend(found.iter().map(|largest| {
            let place = largest.place as usize;
            let (x, y) = ((place % self.size.width) as f64, (place / self.size.width) as f64);
            let (x, y) = crop.placement.to_source(x, y);
            Keypoint { x, y, score: largest.value }
        }));
        Ok(())
    }
}

impl CropBatch {
    /// Blocks until the points are on the host.
    ///
    /// # Errors
    /// Work on the GPU failed.
    pub fn wait(&self) -> Result<(), CudaError> {
        self.done.synchronize()
    }
}
