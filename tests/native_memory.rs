//! Reading a model takes no more memory than the model, whatever its bytes claim.
#![allow(unsafe_code)] // An allocator that counts; all it does is to hand on.

#[path = "common/made_up_models.rs"]
mod made_up_models;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use made_up_models::{Size, make, message};
use oppose::engine::native::model::{Graph, Net};

struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller keeps the allocator's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the pointer came from `alloc` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Names, shapes and the lists of layers; their numbers are limited.
const STRUCTURE: usize = 1 << 20;

fn assert_bounded(what: &str, prototxt: &[u8], caffemodel: &[u8]) {
    let before = NOW.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let _ = Graph::from_bytes(prototxt, caffemodel);
    let used = PEAK.load(Ordering::Relaxed) - before;
    let allowed = caffemodel.len() + 8 * prototxt.len() + STRUCTURE;
    assert!(used <= allowed, "{what}: {used} bytes, allowed {allowed}");
}

// One test: others at the same time would be counted with it.
#[test]
fn no_model_takes_more_memory_than_its_files() {
    let model = make(Net::Body25, Size::Full);
    assert_bounded("a real model", model.prototxt.as_bytes(), &model.caffemodel);

    let model = make(Net::Face, Size::Small);
    let (text, values) = (model.prototxt.as_bytes(), &model.caffemodel[..]);
    for place in (0..values.len().min(4000)).step_by(3) {
        let mut damaged = values.to_vec();
        damaged[place] ^= 0xff;
        assert_bounded("a damaged model", text, &damaged);
    }
    for place in (0..text.len()).step_by(5) {
        let mut damaged = text.to_vec();
        damaged[place] = b'9';
        assert_bounded("a damaged description", &damaged, values);
    }
    let empty_blob = message(7, &[]);
    let empty_layer = message(100, &empty_blob);
    assert_bounded("many layers", text, &empty_layer.repeat(100_000));
    assert_bounded("many blobs", text, &message(100, &empty_blob.repeat(100_000)));
    assert_bounded("a huge shape", text, &message(100, &message(7, &message(7, &message(1, &[0xff; 9])))));
    assert_bounded("many layers", "layer{}".repeat(100_000).as_bytes(), values);
    assert_bounded("many inputs", format!("layer{{{}}}", "bottom:''".repeat(100_000)).as_bytes(), values);
    assert_bounded("many messages in another", "a{".repeat(100_000).as_bytes(), values);
}
