//! The engine: batches of frames in flight on the GPU.
//!
//! A separate thread feeds the GPU. While it finds the bodies of one batch, it also finds the faces and hands of
//! the previous batch, whose bodies have been assembled in between, so the GPU always has work.

use std::fmt;
use std::mem;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::bodies::{Bodies, BodyBatch, kind};
use super::crops::{CropBatch, Crops};
use super::driver::Context;
use super::net::Footprint;
use super::{CudaError, CudaOptions, images, info, open};
use crate::assemble::Keypoint;
use crate::assemble::body::{BODY_25, Thresholds};
use crate::assemble::limit_people;
use crate::assemble::people::{Assembly, People};
use crate::assemble::size::{Size, net_size};
use crate::model::Net;
use crate::points::{BODY_POINTS, Crop, FACE_POINTS, HAND_POINTS, Points};
use crate::{BackendInfo, NativeError, Options};
use oppose_core::{Engine, EngineError, EngineInfo};
use oppose_core::{Frame, VideoInfo};
use oppose_pose::{FramePose, Skeleton, openpose_137};

/// Largest number of frames in a batch.
pub const MAX_BATCH: usize = 128;
/// Number of batches in progress: one whose bodies are sought, the previous one with its faces and hands, and one whose
/// results are being popped.
const BATCHES: usize = 3;

/// The engine `native` on a GPU: OpenPose's nets and everything around them. Its results are those of OpenPose's GPU build.
pub struct Cuda {
    options: Options,
    capacity: usize,
    in_flight: usize,
    messages: Option<Sender<Message>>,
    results: Receiver<Result<FramePose, NativeError>>,
    spares: Sender<FramePose>,
    thread: Option<JoinHandle<()>>,
    memory: FrameMemory,
    /// Whether the frames in flight have been flushed, so that they do not wait for a batch to fill.
    is_flushed: bool,
    backend: BackendInfo,
}

impl fmt::Debug for Cuda {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cuda").field("options", &self.options).finish_non_exhaustive()
    }
}

enum Message {
    Frame(Frame),
    Flush,
}

/// How much GPU memory frames of a size need.
struct FrameMemory {
    context: Arc<Context>,
    footprint: Footprint,
    batch: usize,
    /// Bytes that frames use now.
    held: Arc<AtomicU64>,
}

impl FrameMemory {
    fn bytes(&self, frame: Size, net: Size, options: &Options, batch: usize) -> u64 {
        // Frames may also be uploaded in planes, with 1.5 bytes per pixel.
        let frames = (BATCHES * batch * frame.pixels() * 3 + batch * frame.pixels() * 3 / 2) as u64;
        let outputs = self.footprint.output_bytes(net, batch) * u64::from(options.scale_number);
        frames + outputs + self.footprint.working_bytes(net, batch)
    }

    fn check(&self, frame: Size, net: Size, options: &Options) -> Result<(), CudaError> {
        let free = self.context.free_memory()? + self.held.load(Ordering::Relaxed);
        let needed = self.bytes(frame, net, options, self.batch);
        if needed <= free {
            return Ok(());
        }
        let fits = (1..self.batch).rev().find(|&batch| self.bytes(frame, net, options, batch) <= free);
        let (width, height) = (frame.width as u32, frame.height as u32);
        Err(CudaError::Batch { width, height, batch: self.batch, needed, free, fits: fits.unwrap_or(0) })
    }
}

impl Cuda {
    /// Reads the nets from OpenPose's models folder and copies them to the GPU. Takes seconds, longer if kernels are compiled.
    ///
    /// # Errors
    /// An option cannot be used, there is no usable GPU, a file is missing or damaged, or there is too
    /// little memory.
    pub fn read(model_folder: &Path, cuda: CudaOptions, options: Options) -> Result<Self, NativeError> {
        options.check()?;
        let gpu = open(cuda)?;
        let read = |net: Net| net.read(model_folder).map_err(CudaError::from);
        let body = read(Net::Body25)?;
        let bodies = Bodies::new(&gpu, &body, cuda.batch, &options)?;
        let crops = |net: Net, side: usize, points: usize| {
            Crops::new(&gpu, &read(net)?, images(net, cuda), side, points)
        };
        let faces = crops(Net::Face, options.face_net_resolution.side(), FACE_POINTS)?;
        let hands = crops(Net::Hand, options.hand_net_resolution.side(), HAND_POINTS)?;
        let slot = || -> Result<Slot, CudaError> {
            Ok(Slot {
                bodies: bodies.batch()?,
                faces: faces.batch()?,
                hands: hands.batch()?,
                points: (0..cuda.batch).map(|_| Points::default()).collect(),
            })
        };
        let free = (0..BATCHES).map(|_| slot()).collect::<Result<Vec<_>, _>>()?;
        let memory = FrameMemory {
            context: Arc::clone(&gpu.context),
            footprint: bodies.footprint(),
            batch: cuda.batch,
            held: Arc::default(),
        };

        let capacity = (BATCHES + 1) * cuda.batch;
        let (messages, inbox) = bounded(capacity + 1);
        let (outbox, results) = bounded(capacity + 1);
        let (spares, spare) = bounded(capacity);
        let worker = Worker {
            batch: cuda.batch,
            options: options.clone(),
            bodies,
            faces,
            hands,
            free,
            in_bodies: None,
            in_crops: None,
            inbox,
            outbox,
            spare,
            held: Arc::clone(&memory.held),
            next: None,
            peaks: vec![Vec::new(); BODY_POINTS],
            assembly: Assembly::default(),
            people: People::default(),
            ranks: Vec::new(),
            found: Vec::new(),
        };
        let thread = thread::Builder::new().name("gpu".into()).spawn(|| worker.run());
        let thread = Some(thread.map_err(CudaError::Thread)?);
        Ok(Self {
            options,
            capacity,
            in_flight: 0,
            is_flushed: true,
            backend: info(model_folder, cuda),
            messages: Some(messages),
            results,
            spares,
            thread,
            memory,
        })
    }

    /// Bytes of GPU memory that frames of this size need, in addition to the nets themselves and to what
    /// faces and hands need, which [`read`](Self::read) has allocated already.
    ///
    /// # Errors
    /// The net does not accept frames of this size.
    pub fn frame_memory(&self, width: u32, height: u32) -> Result<u64, NativeError> {
        let frame = Size { width: width as usize, height: height as usize };
        let net = net_size(self.options.net_resolution, frame)?;
        Ok(self.memory.bytes(frame, net, &self.options, self.memory.batch))
    }

    fn send(&self, message: Message) -> Result<(), NativeError> {
        let sent = self.messages.as_ref().is_some_and(|messages| messages.send(message).is_ok());
        if sent {
            return Ok(());
        }
        // The thread reports why it ends before it ends.
        let reason = self.results.try_iter().find_map(Result::err);
        Err(reason.unwrap_or_else(|| CudaError::Ended.into()))
    }
}

impl Engine for Cuda {
    fn info(&mut self) -> Result<EngineInfo, EngineError> {
        self.options.describe("native", &self.backend)
    }

    fn skeleton(&self) -> &'static Skeleton {
        openpose_137()
    }

    fn capacity(&self) -> usize {
        self.capacity
    }

    fn takes_planes(&self) -> bool {
        true
    }

    fn start_video(&mut self, info: &VideoInfo) -> Result<(), EngineError> {
        let (width, height) = (info.width, info.height);
        self.options.check_frame(width, height).map_err(NativeError::from)?;
        let frame = Size { width: width as usize, height: height as usize };
        let net = net_size(self.options.net_resolution, frame).map_err(NativeError::from)?;
        Ok(self.memory.check(frame, net, &self.options).map_err(NativeError::from)?)
    }

    fn push(&mut self, frame: Frame) -> Result<(), EngineError> {
        if self.in_flight == self.capacity {
            return Err(NativeError::Full(self.capacity).into());
        }
        self.send(Message::Frame(frame))?;
        self.in_flight += 1;
        self.is_flushed = false;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), EngineError> {
        self.is_flushed = true;
        Ok(self.send(Message::Flush)?)
    }

    fn pop(&mut self, pose: &mut FramePose) -> Result<bool, EngineError> {
        if self.in_flight == 0 {
            return Ok(false);
        }
        let result = match self.results.try_recv() {
            Ok(result) => result,
            Err(_) => {
                // With the full capacity in flight, a batch is full. With fewer frames, the thread waits for more.
                if !self.is_flushed && self.in_flight < self.capacity {
                    self.flush()?;
                }
                self.results.recv().unwrap_or(Err(CudaError::Ended.into()))
            }
        }?;
        self.in_flight -= 1;
        // Its memory is reused, unless the thread has ended.
        let _ = self.spares.try_send(mem::replace(pose, result));
        Ok(true)
    }
}

impl Drop for Cuda {
    fn drop(&mut self) {
        self.messages = None;
        if let Some(thread) = self.thread.take() {
            // It ends after the batches that the GPU is working on. If it panicked, the engine has returned an error.
            let _ = thread.join();
        }
    }
}

/// A batch in progress.
struct Slot {
    bodies: BodyBatch,
    faces: CropBatch,
    hands: CropBatch,
    /// One element per frame.
    points: Vec<Points>,
}

impl Slot {
    fn crops(
        points: &[Points],
        part: fn(&Points) -> &[Crop],
    ) -> impl Iterator<Item = (usize, &Crop)> + Clone {
        points
            .iter()
            .enumerate()
            .flat_map(move |(frame, points)| part(points).iter().map(move |crop| (frame, crop)))
    }
}

/// The state of the thread.
struct Worker {
    batch: usize,
    options: Options,
    bodies: Bodies,
    faces: Crops,
    hands: Crops,
    free: Vec<Slot>,
    in_bodies: Option<Slot>,
    in_crops: Option<Slot>,
    inbox: Receiver<Message>,
    outbox: Sender<Result<FramePose, NativeError>>,
    spare: Receiver<FramePose>,
    held: Arc<AtomicU64>,
    /// A frame of another kind, which begins the next batch.
    next: Option<Frame>,
    peaks: Vec<Vec<Keypoint>>,
    assembly: Assembly,
    people: People,
    ranks: Vec<f32>,
    found: Vec<Keypoint>,
}

/// What follows the frames of a batch.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    /// More frames.
    More,
    /// Nothing for now.
    Pause,
    /// Nothing: the engine was dropped.
    End,
}

impl Worker {
    fn run(mut self) {
        if let Err(error) = self.work() {
            // The caller that waits for a result receives it. If the engine was dropped, there is no receiver.
            let _ = self.outbox.send(Err(error));
        }
    }

    fn work(&mut self) -> Result<(), NativeError> {
        let mut frames = Vec::with_capacity(self.batch);
        loop {
            let then = self.gather(&mut frames);
            if then == Then::End {
                return Ok(());
            }
            if !frames.is_empty() {
                let mut slot = self.free.pop().expect("one of three batches is free");
                self.bodies.start(&mut slot.bodies, &frames, &self.options)?;
                self.held.store(self.bodies.held_bytes(), Ordering::Relaxed);
                frames.clear();
                let before = self.in_bodies.replace(slot);
                self.advance(before)?;
            }
            if then == Then::Pause {
                let last = self.in_bodies.take();
                self.advance(last)?;
                self.finish()?;
            }
        }
    }

    /// Blocks until there are frames of one kind.
    fn gather(&mut self, frames: &mut Vec<Frame>) -> Then {
        frames.extend(self.next.take());
        while frames.len() < self.batch {
            match self.inbox.recv() {
                Ok(Message::Frame(frame)) => {
                    let is_other = frames.first().is_some_and(|first: &Frame| kind(first) != kind(&frame));
                    if is_other {
                        self.next = Some(frame);
                        return Then::More;
                    }
                    frames.push(frame);
                }
                Ok(Message::Flush) => return Then::Pause,
                Err(_) => return Then::End,
            }
        }
        Then::More
    }

    /// Goes from the bodies of a batch to its faces and hands, and finishes the previous batch meanwhile.
    fn advance(&mut self, slot: Option<Slot>) -> Result<(), NativeError> {
        let Some(mut slot) = slot else { return Ok(()) };
        slot.bodies.wait(&self.bodies)?;
        let thresholds = Thresholds::new(self.options.maximize_positives);
        let max_people = usize::try_from(self.options.number_people_max).unwrap_or(0);
        for (frame, points) in slot.points[..slot.bodies.count].iter_mut().enumerate() {
            slot.bodies.peaks(frame, &mut self.peaks)?;
            self.assembly.assemble_pairs(
                slot.bodies.pairs(frame)?,
                &self.peaks,
                &BODY_25,
                thresholds,
                slot.bodies.net_to_frame,
                &mut self.people,
            );
            limit_people::limit_people(&mut self.people, BODY_POINTS, max_people, &mut self.ranks);
            points.start(&self.people.keypoints, &self.options);
        }
        let points = &slot.points[..slot.bodies.count];
        self.faces.start(&mut slot.faces, &slot.bodies, Slot::crops(points, |points| &points.faces))?;
        self.hands.start(&mut slot.hands, &slot.bodies, Slot::crops(points, |points| &points.hands))?;
        self.finish()?;
        self.in_crops = Some(slot);
        Ok(())
    }

    /// Blocks until the faces and hands of the current batch are known, and sends its people.
    fn finish(&mut self) -> Result<(), NativeError> {
        let Some(mut slot) = self.in_crops.take() else { return Ok(()) };
        slot.faces.wait()?;
        slot.hands.wait()?;
        let (mut face, mut hand) = (0, 0);
        for points in &mut slot.points[..slot.bodies.count] {
            put(points, |points| &mut points.faces, &self.faces, &slot.faces, &mut face, &mut self.found)?;
            put(points, |points| &mut points.hands, &self.hands, &slot.hands, &mut hand, &mut self.found)?;
            let mut pose = self.spare.try_recv().unwrap_or_default();
            points.write(&self.options, slot.bodies.size, slot.bodies.net_to_frame, &mut pose);
            // If the engine was dropped, there is no receiver; `gather` notices that.
            let _ = self.outbox.send(Ok(pose));
        }
        self.free.push(slot);
        Ok(())
    }
}

/// Adds the points of a frame's faces or hands; `index` counts the crops of the batch.
fn put(
    points: &mut Points,
    part: fn(&mut Points) -> &mut Vec<Crop>,
    crops: &Crops,
    batch: &CropBatch,
    index: &mut usize,
    found: &mut Vec<Keypoint>,
) -> Result<(), CudaError> {
    let wanted = mem::take(part(points));
    for crop in &wanted {
        crops.points(batch, *index, crop, found)?;
        points.put(*crop, found);
        *index += 1;
    }
    *part(points) = wanted;
    Ok(())
}
