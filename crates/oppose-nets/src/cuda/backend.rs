//! OpenPose's three nets on a GPU as a back end, with inputs and results in host memory.

use std::path::Path;
use std::sync::Arc;

use super::driver::{Context, DeviceBuffer, Pinned, Stream};
use super::measure::Job;
use super::net::Net;
use super::weights::{VECTOR_BYTES, split};
use super::{CudaError, CudaOptions, Precision, images, info, open};
use crate::assemble::size::Size;
use crate::{Backend, BackendError, BackendInfo, model};

/// The nets for body, face and hands as a back end that copies heat maps to the host. If only people are needed,
/// [`Cuda`](super::Cuda) is faster: it does everything on the GPU.
#[derive(Debug)]
pub struct CudaNets {
    nets: [Net; 3],
    stream: Stream,
    precision: Precision,
    batch: usize,
    /// Buffers that grow on demand: inputs as bytes, and outputs on the device and on the host.
    input: Pinned<u8>,
    result: DeviceBuffer,
    output: Pinned<f32>,
    info: BackendInfo,
}

impl CudaNets {
    /// Reads the nets from OpenPose's models folder.
    ///
    /// # Errors
    /// There is no usable GPU, a file is missing or damaged, or there is too little memory.
    pub fn read(model_folder: &Path, options: CudaOptions) -> Result<Self, CudaError> {
        let gpu = open(options)?;
        let read = |net: model::Net| Net::new(&gpu, &net.read(model_folder)?, images(net, options));
        let nets = [read(model::Net::Body25)?, read(model::Net::Face)?, read(model::Net::Hand)?];
        Ok(Self {
            nets,
            stream: Stream::new(&gpu.context)?,
            precision: options.precision,
            batch: options.batch,
            input: Pinned::new(&gpu.context, 0)?,
            result: DeviceBuffer::new(&gpu.context, 0)?,
            output: Pinned::new(&gpu.context, 0)?,
            info: info(model_folder, options),
        })
    }

    pub(super) fn context(&self) -> Arc<Context> {
        Arc::clone(self.stream.context())
    }

    pub(super) fn net(&self, net: model::Net) -> &Net {
        &self.nets[index(net)]
    }

    pub(super) fn net_mut(&mut self, net: model::Net) -> &mut Net {
        &mut self.nets[index(net)]
    }

    /// Fills a net's input with noise, and returns memory for its result.
    pub(super) fn make_noise(&mut self, job: Job) -> Result<DeviceBuffer, CudaError> {
        let net = &mut self.nets[index(job.net)];
        net.prepare(job.size)?;
        let images = net.images().min(job.images);
        let values = images * net.planes() * job.size.pixels() / 64;
        let noise =
            (0..images * 3 * job.size.pixels()).map(|place| (place * 7919 % 251) as f32 / 256.0 - 0.5);
        let inputs: Vec<f32> = noise.collect();
        self.run_batch(index(job.net), &inputs, job.size, &mut Vec::new())?;
        DeviceBuffer::new(&self.context(), values * size_of::<f32>())
    }

    fn run_batch(
        &mut self,
        net: usize,
        inputs: &[f32],
        size: Size,
        outputs: &mut Vec<f32>,
    ) -> Result<(), CudaError> {
        let net = &mut self.nets[net];
        net.prepare(size)?;
        let images = inputs.len() / (3 * size.pixels()).max(1);
        let vector = VECTOR_BYTES * self.precision.parts();
        let bytes = images * size.pixels() * vector;
        let values = images * net.planes() * size.pixels() / 64;
        let context = self.stream.context();
        if self.input.len() < bytes {
            self.input = Pinned::new(context, bytes)?;
        }
        if self.output.len() < values {
            self.output = Pinned::new(context, values)?;
            self.result = DeviceBuffer::new(context, values * size_of::<f32>())?;
        }
        // From planes to pixels of one vector per part.
        let places = self.input.write()?.chunks_exact_mut(size.pixels() * vector);
        for (planes, pixels) in inputs.chunks_exact(3 * size.pixels()).zip(places) {
            for (index, pixel) in pixels.chunks_exact_mut(vector).enumerate() {
                pixel.fill(0);
                let (upper, lower) = pixel.split_at_mut(VECTOR_BYTES);
                let element = self.precision.element().bytes();
                let upper = upper.chunks_exact_mut(element);
                let mut lower = lower.chunks_exact_mut(element);
                for (upper, plane) in upper.zip(planes.chunks_exact(size.pixels())) {
                    match self.precision {
                        Precision::Fp32 | Precision::Tf32 => {
                            upper.copy_from_slice(&plane[index].to_ne_bytes());
                        }
                        Precision::Fp16 | Precision::Fp16x3 => {
                            let (high, low) = split(plane[index]);
                            upper.copy_from_slice(&high.to_ne_bytes());
                            if let Some(lower) = lower.next() {
                                lower.copy_from_slice(&low.to_ne_bytes());
                            }
                        }
                    }
                }
            }
        }
        self.stream.upload(&mut self.input, bytes, net.input())?;
        // Poison the output, so that values that no layer writes are noticed.
        self.stream.fill(&self.result, 0xff, values * size_of::<f32>())?;
        net.run(&self.stream, images, size, &self.result)?;
        self.stream.download(&self.result, 0, values, &mut self.output)?;
        outputs.extend_from_slice(&self.output.read()?[..values]);
        Ok(())
    }
}

fn index(net: model::Net) -> usize {
    match net {
        model::Net::Body25 | model::Net::Coco => 0,
        model::Net::Face => 1,
        model::Net::Hand => 2,
    }
}

impl Backend for CudaNets {
    fn run(
        &mut self,
        net: model::Net,
        inputs: &[f32],
        size: Size,
        outputs: &mut Vec<f32>,
    ) -> Result<(), BackendError> {
        let net = index(net);
        outputs.clear();
        for inputs in inputs.chunks(self.batch * 3 * size.pixels()) {
            self.run_batch(net, inputs, size, outputs)?;
        }
        Ok(())
    }

    fn batch(&self) -> usize {
        self.batch
    }

    fn info(&self) -> BackendInfo {
        self.info.clone()
    }
}
