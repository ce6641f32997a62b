//! What SIGINT and SIGTERM do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use oppose::pipeline::Cancel;
use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};

use super::Outcome;

/// Makes a file that grows beyond the limit of `ulimit -f` an error of the write (EFBIG), not the end of the process:
/// one video fails and leaves no temporary file. A handler and not SIG_IGN, so that child programs get the default.
pub fn survive_file_size_limit() {
    // Without the handler everything else still works.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
}

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
