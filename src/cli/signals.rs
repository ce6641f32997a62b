//! What SIGINT and SIGTERM do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use oppose::pipeline::Cancel;
use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};

use super::Outcome;

/// Makes a file that grows beyond the limit of `ulimit -f` an error of the write (EFBIG), not the end of the process:
/// one video fails and leaves no temporary file. A handler and not SIG_IGN, so that child programs get the default.
pub fn survive_file_size_limit() {
    // Without the handler everything else still works.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
}

/// How long this process may take to end after a signal. It may be waiting for a file system, a pipe or a library
/// that never answers.
const PATIENCE: Duration = Duration::from_secs(5);
/// The same for a process that gives its workers time to end.
pub const SUPERVISOR_PATIENCE: Duration = Duration::from_secs(20);

/// How often to look for a signal.
const INTERVAL: Duration = Duration::from_millis(200);

/// SIGINT and SIGTERM end the run between two frames, or after some seconds if there is no next frame; a second
/// signal ends it at once.
pub struct Signals {
    /// What they set.
    pub cancel: Cancel,
    received: Arc<AtomicUsize>,
}

impl Signals {
    /// Listens from now on.
    pub fn listen() -> std::io::Result<Self> {
        Self::listen_with(PATIENCE)
    }

    /// Like [`listen`](Self::listen), with this much time to end.
    pub fn listen_with(patience: Duration) -> std::io::Result<Self> {
        let cancel = Cancel::default();
        let received = Arc::new(AtomicUsize::new(0));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, cancel.flag())?;
            signal_hook::flag::register_usize(signal, Arc::clone(&received), signal as usize)?;
            signal_hook::flag::register(signal, cancel.flag())?;
        }
        let (flag, signal) = (cancel.clone(), Arc::clone(&received));
        thread::Builder::new().name("signals".into()).spawn(move || {
            while !flag.is_cancelled() {
                thread::sleep(INTERVAL);
            }
            thread::sleep(patience);
            // A run may also be cancelled without a signal; it ends by itself.
            let signal = signal.load(Ordering::Relaxed);
            if signal != 0 {
                signal_hook::low_level::exit(128 + signal as i32);
            }
        })?;
        Ok(Self { cancel, received })
    }

    /// How the program ends after a signal.
    pub fn outcome(&self) -> Outcome {
        // Only 2 and 15 are ever stored.
        Outcome::Signal(self.received.load(Ordering::Relaxed) as u8)
    }
}
