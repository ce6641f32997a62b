//! The threads that the nets share, and the memory in which they work.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::CpuError;
use super::instructions::{Available, Instructions};
use super::winograd::Scratch;

/// Threads and instructions with which nets are run. Several nets can share one, and be run at the same time from
/// threads of their callers': where one net has no more work for a thread, it goes on with another's. Where there are as
/// many callers with a frame each as there are threads, each does its frame alone: nobody waits for anybody.
#[derive(Debug)]
pub struct Processor {
    pool: rayon::ThreadPool,
    scratch: Vec<Mutex<Scratch>>,
    /// Of callers that work alone, when they do not.
    spares: Mutex<Vec<Scratch>>,
    /// Frames that are worked on.
    frames: AtomicUsize,
    available: Available,
}

impl Processor {
    /// So many threads, 0 for one on each core, with the fastest instructions there are.
    ///
    /// # Errors
    /// The threads cannot be started.
    pub fn new(threads: usize) -> Result<Self, CpuError> {
        Self::with_instructions(threads, Instructions::best())
    }

    /// With chosen instructions: for tests and comparisons.
    ///
    /// # Errors
    /// The processor has not these instructions, or the threads cannot be started.
    pub fn with_instructions(threads: usize, instructions: Instructions) -> Result<Self, CpuError> {
        let available = Available::check(instructions).ok_or(CpuError::Instructions(instructions))?;
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("net-{index}"))
            .build()
            .map_err(|source| CpuError::Threads { threads, source })?;
        let scratch = (0..pool.current_num_threads()).map(|_| Mutex::default()).collect();
        Ok(Self { pool, scratch, spares: Mutex::default(), frames: AtomicUsize::new(0), available })
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.scratch.len()
    }

    /// What it computes with.
    pub fn instructions(&self) -> Instructions {
        self.available.get()
    }

    pub(super) fn available(&self) -> Available {
        self.available
    }

    /// Output blocks that the products do together.
    pub(super) fn group(&self) -> usize {
        if self.instructions() == Instructions::Avx512 { 2 } else { 1 }
    }

    /// Runs something that splits itself over the threads.
    pub(super) fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.pool.install(work)
    }

    /// Says that a frame is begun, or done.
    pub(super) fn count_frame(&self, is_begun: bool) {
        // Only how work is shared out hangs on it, never what comes out.
        match is_begun {
            true => self.frames.fetch_add(1, Ordering::Relaxed),
            false => self.frames.fetch_sub(1, Ordering::Relaxed),
        };
    }

    /// On how many threads the items of a caller should be done at the moment: all, or its own.
    pub(super) fn threads_at_once(&self) -> usize {
        if self.frames.load(Ordering::Relaxed) >= self.threads() { 1 } else { self.threads() }
    }

    /// Does all items on the caller's thread.
    pub(super) fn for_each_here<T>(
        &self,
        items: impl Iterator<Item = T>,
        prepare: impl Fn(&mut Scratch),
        work: impl Fn(T, &mut Scratch),
    ) {
        let spares = || self.spares.lock().unwrap_or_else(|lock| lock.into_inner());
        let mut scratch = spares().pop().unwrap_or_default();
        prepare(&mut scratch);
        items.for_each(|item| work(item, &mut scratch));
        spares().push(scratch);
    }

    /// Does all items on all threads; each thread takes the next when it has done one. Before that, every
    /// thread prepares its memory, whether or not there will be an item left for it: so that the first run
    /// shows how much is needed, and no later one asks for more because the items fall to other threads.
    pub(super) fn for_each<T: Send>(
        &self,
        items: impl Iterator<Item = T> + Send,
        prepare: impl Fn(&mut Scratch) + Sync,
        work: impl Fn(T, &mut Scratch) + Sync,
    ) {
        let items = Mutex::new(items);
        self.pool.broadcast(|context| {
            // A thread that panicked left nothing half done that the next use would read.
            let mut scratch = self.scratch[context.index()].lock().unwrap_or_else(|lock| lock.into_inner());
            prepare(&mut scratch);
            loop {
                let item = items.lock().unwrap_or_else(|lock| lock.into_inner()).next();
                let Some(item) = item else { break };
                work(item, &mut scratch);
            }
        });
    }
}
