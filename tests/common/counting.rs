//! An allocator that reports every block.
#![allow(unsafe_code)] // It calls the system's allocator.

use std::alloc::{GlobalAlloc, Layout, System};

/// Calls these functions with the size in bytes of every block.
pub struct Counting {
    pub allocated: fn(usize),
    pub freed: fn(usize),
}

// SAFETY: every call is passed on to the system's allocator unchanged.
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
