//! The engine: batches of frames in flight on the GPU.
//!
//! A thread of its own feeds the GPU. While the bodies of one batch are looked for, so are the faces and hands of
//! the batch before, whose bodies have been assembled in between: the GPU always has work.

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
use super::{CudaError, CudaOptions, info, open};
use crate::assemble::Keypoint;
use crate::assemble::body::{BODY_25, Thresholds};
use crate::assemble::people::{Assembly, People};
use crate::assemble::size::{Size, net_size};
use crate::assemble::top;
use crate::model::Net;
use crate::points::{BODY_POINTS, Crop, FACE_POINTS, HAND_POINTS, Points};
use crate::{BackendInfo, NativeError, Options};
use oppose_core::{Engine, EngineError, EngineInfo};
use oppose_core::{Frame, VideoInfo};
use oppose_pose::{FramePose, Skeleton, openpose_137};

/// The most frames of a batch.
pub const MAX_BATCH: usize = 128;
/// Batches that are worked on: bodies of one, faces and hands of the one before, and one whose results are
/// taken.
const BATCHES: usize = 3;

/// OpenPose's nets and all that is around them, on a GPU; follows the results of OpenPose's build for GPUs.
pub struct Cuda {
    options: Options,
    capacity: usize,
    in_flight: usize,
    messages: Option<Sender<Message>>,
    results: Receiver<Result<FramePose, NativeError>>,
    spares: Sender<FramePose>,
    thread: Option<JoinHandle<()>>,
    memory: FrameMemory,
    /// Whether the frames in flight are processed without waiting for a batch to fill.
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

/// How much of the GPU's memory frames of a size need.
struct FrameMemory {
    context: Arc<Context>,
    footprint: Footprint,
    batch: usize,
    /// What frames have now.
    held: Arc<AtomicU64>,
}

impl FrameMemory {
    fn bytes(&self, frame: Size, net: Size, options: &Options, batch: usize) -> u64 {
        // Once more in planes, of which a pixel has 1.5 bytes.
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
    /// Reads the nets from OpenPose's model folder and brings them to the GPU.
    ///
    /// # Errors
    /// An option cannot be used, there is no GPU that could be used, a file is missing or damaged, or there is too
    /// little memory.
    pub fn read(model_folder: &Path, cuda: CudaOptions, options: Options) -> Result<Self, NativeError> {
        options.check()?;
        let gpu = open(cuda)?;
        let read = |net: Net| net.read(model_folder).map_err(CudaError::from);
        let body = read(Net::Body25)?;
        let bodies = Bodies::new(&gpu, &body, cuda.batch, &options)?;
        let crops =
            |net: Net, side: usize, points: usize| Crops::new(&gpu, &read(net)?, cuda.batch, side, points);
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

    /// Bytes of the GPU's memory that frames of this size need, beside the nets themselves and what
    /// faces and hands need, which [`read`](Self::read) has asked for already.
    ///
    /// # Errors
    /// The net does not take frames of this size.
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
        // The thread says why it ended before it does.
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
                // With as many in flight as there may be, a batch is full. With fewer, the thread waits for more.
                if !self.is_flushed && self.in_flight < self.capacity {
                    self.flush()?;
                }
                self.results.recv().unwrap_or(Err(CudaError::Ended.into()))
            }
        }?;
        self.in_flight -= 1;
        // Its memory is used again. That nobody needs it is no error.
        let _ = self.spares.try_send(mem::replace(pose, result));
        Ok(true)
    }
}

impl Drop for Cuda {
    fn drop(&mut self) {
        self.messages = None;
        if let Some(thread) = self.thread.take() {
            // It ends after the batches that the GPU is working on. A panic there has been seen as an error.
            let _ = thread.join();
        }
    }
}

/// A batch on its way.
struct Slot {
    bodies: BodyBatch,
    faces: CropBatch,
    hands: CropBatch,
    /// A frame each.
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

/// What the thread has.
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
    /// A frame of another kind, which begins a batch.
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
    /// Nothing any more.
    End,
}

impl Worker {
    fn run(mut self) {
        if let Err(error) = self.work() {
            // Whoever waits for a result reads it; nobody waits after the engine was dropped.
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

    /// Waits for frames of one kind.
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

    /// From the bodies of a batch to its faces and hands; the batch before is finished meanwhile.
    fn advance(&mut self, slot: Option<Slot>) -> Result<(), NativeError> {
        let Some(mut slot) = slot else { return Ok(()) };
        slot.bodies.wait(&self.bodies)?;
        let thresholds = Thresholds::new(self.options.maximize_positives);
        let most = usize::try_from(self.options.number_people_max).unwrap_or(0);
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
            top::keep(&mut self.people, BODY_POINTS, most, &mut self.ranks);
            points.start(&self.people.keypoints, &self.options);
        }
        let points = &slot.points[..slot.bodies.count];
        self.faces.start(&mut slot.faces, &slot.bodies, Slot::crops(points, |points| &points.faces))?;
        self.hands.start(&mut slot.hands, &slot.bodies, Slot::crops(points, |points| &points.hands))?;
        self.finish()?;
        self.in_crops = Some(slot);
        Ok(())
    }

    /// Waits for the faces and hands of the batch that is there, and hands its people out.
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
            // Nobody wants it where the engine was dropped; the end is seen when the next frames are gathered.
            let _ = self.outbox.send(Ok(pose));
        }
        self.free.push(slot);
        Ok(())
    }
}

/// Takes the points of a frame's faces or hands in; `index` counts the crops of the batch.
fn put(
    points: &mut Points,
    part: fn(&mut Points) -> &mut Vec<Crop>,
    crops: &Crops,
    batch: &CropBatch,
    index: &mut usize,
    found: &mut Vec<Keypoint>,
) -> Result<(), CudaError> {
    let looked_for = mem::take(part(points));
    for crop in &looked_for {
        crops.points(batch, *index, crop, found)?;
        points.put(*crop, found);
        *index += 1;
    }
    *part(points) = looked_for;
    Ok(())
}
