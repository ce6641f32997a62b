//! Measures how long the nets alone take on the GPU, for benchmarks.

use super::CudaError;
use super::backend::CudaNets;
use super::driver::{DeviceBuffer, Event, Stream};
use crate::assemble::size::Size;
use crate::model::Net;

/// Inputs of one size for a net.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// The net.
    pub net: Net,
    /// Size of each input.
    pub size: Size,
    /// Number of inputs; more than a batch are processed batch by batch.
    pub images: usize,
}

impl CudaNets {
    /// Milliseconds from the start of all jobs to their end, each on a stream of its own, repeated
    /// `rounds` times. The inputs are noise.
    ///
    /// # Errors
    /// There is too little memory, or the driver refuses.
    pub fn measure(&mut self, jobs: &[Job], rounds: usize) -> Result<f32, CudaError> {
        let context = self.context();
        let (start, end) = (Event::new(&context)?, Event::new(&context)?);
        let mut running = Vec::new();
        for job in jobs {
            let outputs = self.make_noise(*job)?;
            running.push((*job, outputs, Stream::new(&context)?, Event::new(&context)?));
        }
        let Some((_, _, first, _)) = running.first() else { return Ok(0.0) };
        start.record(first)?;
        for (job, outputs, stream, done) in &running {
            stream.wait(&start)?;
            for _ in 0..rounds {
                self.run_job(*job, stream, outputs)?;
            }
            done.record(stream)?;
        }
        for (_, _, _, done) in &running {
            first.wait(done)?;
        }
        end.record(first)?;
        end.synchronize()?;
        end.milliseconds_since(&start)
    }

    /// For each layer that computes something: its name, the multiplications and additions of a convolution, and its
    /// time in milliseconds, the minimum of `rounds` runs.
    ///
    /// # Errors
    /// There is too little memory, or the driver refuses.
    pub fn measure_layers(&mut self, job: Job, rounds: usize) -> Result<Vec<(String, u64, f32)>, CudaError> {
        let context = self.context();
        let outputs = self.make_noise(job)?;
        let stream = Stream::new(&context)?;
        let net = self.net(job.net);
        let mut layers = net.layers(job.size);
        let events = (0..=layers.len()).map(|_| Event::new(&context)).collect::<Result<Vec<_>, _>>()?;
        let images = job.images.min(net.images());
        let mut fastest = vec![f32::MAX; layers.len()];
        for _ in 0..rounds {
            events[0].record(&stream)?;
            net.run_step_by_step(&stream, images, job.size, &outputs, |step| {
                events[step + 1].record(&stream)
            })?;
            stream.synchronize()?;
            for (fastest, pair) in fastest.iter_mut().zip(events.windows(2)) {
                *fastest = fastest.min(pair[1].milliseconds_since(&pair[0])?);
            }
        }
        let images = images as u64;
        Ok(layers.drain(..).zip(fastest).map(|((name, work), time)| (name, work * images, time)).collect())
    }

    fn run_job(&mut self, job: Job, stream: &Stream, outputs: &DeviceBuffer) -> Result<(), CudaError> {
        let net = self.net_mut(job.net);
        for first in (0..job.images).step_by(net.images()) {
            net.run(stream, net.images().min(job.images - first), job.size, outputs)?;
        }
        Ok(())
    }
}
