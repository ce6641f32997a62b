//! What SIGINT and SIGTERM do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use oppose::pipeline::Cancel;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::Outcome;

/// SIGINT and SIGTERM end the run between two frames; a second one ends it at once.
pub struct Signals {
    /// What they set.
    pub cancel: Cancel,
    received: Arc<AtomicUsize>,
}

impl Signals {
    /// From now on.
    pub fn listen() -> std::io::Result<Self> {
        let cancel = Cancel::default();
        let received = Arc::new(AtomicUsize::new(0));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, cancel.flag())?;
            signal_hook::flag::register_usize(signal, Arc::clone(&received), signal as usize)?;
            signal_hook::flag::register(signal, cancel.flag())?;
        }
        Ok(Self { cancel, received })
    }

    /// How the program ends after one.
    pub fn outcome(&self) -> Outcome {
        // Only 2 and 15 are ever stored.
        Outcome::Signal(self.received.load(Ordering::Relaxed) as u8)
    }
}
