//! An allocator that tells how much is asked for; all else it hands on.
#![allow(unsafe_code)] // The system's allocator is called.

use std::alloc::{GlobalAlloc, Layout, System};

/// Called with the bytes of every block.
pub struct Counting {
    pub allocated: fn(usize),
    pub freed: fn(usize),
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        (self.allocated)(layout.size());
        // SAFETY: the caller keeps the allocator's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        (self.freed)(layout.size());
        // SAFETY: the pointer came from `alloc` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}
