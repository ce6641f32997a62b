//! How much memory a piece of work takes. Each thread is counted by itself, so that tests may run side by side.

#[path = "counting.rs"]
mod counting;

use std::cell::Cell;

use counting::Counting;

thread_local! {
    /// Bytes in use; below 0 where this thread has freed what others allocated.
    static NOW: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
    static BLOCKS: Cell<usize> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting {
    allocated: |size| {
        NOW.set(NOW.get() + size as isize);
        PEAK.set(PEAK.get().max(NOW.get()));
        BLOCKS.set(BLOCKS.get() + 1);
    },
    freed: |size| NOW.set(NOW.get() - size as isize),
};

/// What some work of this thread asked the allocator for.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// The most bytes in use at once, beyond those in use before.
    pub peak: usize,
    /// Number of blocks.
    #[allow(dead_code)] // Not every test program counts them.
    pub blocks: usize,
}

/// Runs `work` on this thread and measures what it allocates here.
pub fn measured<T>(work: impl FnOnce() -> T) -> (T, Usage) {
    let (before, blocks) = (NOW.get(), BLOCKS.get());
    PEAK.set(before);
    let result = work();
    (result, Usage { peak: (PEAK.get() - before) as usize, blocks: BLOCKS.get() - blocks })
}
