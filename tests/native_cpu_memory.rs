//! A warm net on the CPU allocates nothing except the few small blocks with which rayon wakes its threads.
//! The only test of its program, because it counts the allocations of all threads.
#![allow(clippy::unwrap_used)] // A failed unwrap fails the test.

#[path = "common/counting.rs"]
mod counting;
#[path = "common/made_up_models.rs"]
mod made_up_models;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use counting::Counting;
use made_up_models::Size;
use oppose::engine::native::Backend;
use oppose::engine::native::assemble::size::Size as Pixels;
use oppose::engine::native::cpu::Cpu;
use oppose::engine::native::model::Net;

static BYTES: AtomicUsize = AtomicUsize::new(0);
static LARGEST: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting {
    allocated: |size| {
        BYTES.fetch_add(size, Relaxed);
        LARGEST.fetch_max(size, Relaxed);
    },
    freed: |_| {},
};

#[test]
fn a_warm_net_allocates_nothing() {
    let folder = tempfile::tempdir().unwrap();
    made_up_models::write(folder.path(), Size::Small);
    let threads = std::thread::available_parallelism().unwrap().get();
    let mut cpu = Cpu::read(folder.path(), None).unwrap();
    let size = Pixels { width: 176, height: 144 };
    let inputs = vec![0.25; 2 * 3 * size.pixels()];
    let mut outputs = Vec::new();
    for net in [Net::Body25, Net::Face, Net::Hand] {
        cpu.run(net, &inputs, size, &mut outputs).unwrap();
        BYTES.store(0, Relaxed);
        LARGEST.store(0, Relaxed);
        cpu.run(net, &inputs, size, &mut outputs).unwrap();
        let (bytes, largest) = (BYTES.load(Relaxed), LARGEST.load(Relaxed));
        println!("{net:?}: {bytes} bytes, largest block {largest}");
        // Even the activations of these small nets are larger. Each thread is woken once per layer.
        assert!(largest <= 2 << 10, "{net:?}: a block of {largest} bytes");
        assert!(bytes <= threads * (32 << 10), "{net:?}: {bytes} bytes in total");
    }
}
