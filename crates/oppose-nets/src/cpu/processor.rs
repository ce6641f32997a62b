//! The threads that the nets share, and their working memory.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::CpuError;
use super::instructions::{Available, Instructions};
use super::winograd::Scratch;

/// Threads and instructions that run nets. Several nets can share them and be run at the same time from their
/// callers' threads: a thread for which one net has no more work continues with another. If there are as
/// many callers with a frame each as threads, each processes its frame alone, without waiting for others.
#[derive(Debug)]
pub struct Processor {
    pool: rayon::ThreadPool,
    scratch: Vec<Mutex<Scratch>>,
    /// Working memory of callers that work alone, while it is not in use.
    spares: Mutex<Vec<Scratch>>,
    /// Number of frames being processed.
    frames: AtomicUsize,
    available: Available,
}

impl Processor {
    /// This many threads, or one per core if 0, with the fastest instructions of the CPU.
    ///
    /// # Errors
    /// The threads cannot be started.
    pub fn new(threads: usize) -> Result<Self, CpuError> {
        Self::with_instructions(threads, Instructions::best())
    }

    /// Threads with the given instructions, for tests and comparisons.
    ///
    /// # Errors
    /// The CPU does not have these instructions, or the threads cannot be started.
    pub fn with_instructions(threads: usize, instructions: Instructions) -> Result<Self, CpuError> {
        let available = Available::check(instructions).ok_or(CpuError::Instructions(instructions))?;
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("net-{index}"))
            .build()
            .map_err(|error| CpuError::Threads { threads, source: io::Error::other(error) })?;
        let scratch = (0..pool.current_num_threads()).map(|_| Mutex::default()).collect();
        Ok(Self { pool, scratch, spares: Mutex::default(), frames: AtomicUsize::new(0), available })
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.scratch.len()
    }

    /// The instructions in use.
    pub fn instructions(&self) -> Instructions {
        self.available.get()
    }

    pub(super) fn available(&self) -> Available {
        self.available
    }

    /// Number of output blocks that the products compute together.
    pub(super) fn group(&self) -> usize {
        if self.instructions() == Instructions::Avx512 { 2 } else { 1 }
    }

    /// Runs work that distributes itself over the threads.
    pub(super) fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.pool.install(work)
    }

    /// Counts a frame that begins or has ended.
    pub(super) fn count_frame(&self, is_begun: bool) {
        // This decides only how work is distributed, never the results.
        match is_begun {
            true => self.frames.fetch_add(1, Ordering::Relaxed),
            false => self.frames.fetch_sub(1, Ordering::Relaxed),
        };
    }

    /// On how many threads a caller's items should be processed at the moment: all of them, or only the caller's own.
    pub(super) fn threads_at_once(&self) -> usize {
        if self.frames.load(Ordering::Relaxed) >= self.threads() { 1 } else { self.threads() }
    }

    /// Processes all items on the caller's thread.
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

    /// Processes all items on all threads; each thread takes the next item when it has finished one. Before that, every
    /// thread prepares its memory, whether or not there will be an item for it, so that the first run
    /// allocates all that is needed, and no later one allocates more because other threads get the items.
    pub(super) fn for_each<T: Send>(
        &self,
        items: impl Iterator<Item = T> + Send,
        prepare: impl Fn(&mut Scratch) + Sync,
        work: impl Fn(T, &mut Scratch) + Sync,
    ) {
        let items = Mutex::new(items);
        self.pool.broadcast(|context| {
            // A thread that panicked has left nothing behind that the next use would read.
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
