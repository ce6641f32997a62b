//! A clock for waits that a suspension must not end.

use std::time::{Duration, Instant};

/// The most that one tick counts. A longer one means that this process itself was suspended, together with the
/// processes that it waits for.
const MAX_ROUND: Duration = Duration::from_secs(1);

/// A clock that stops while this process is suspended. Call [`tick`](Self::tick) at least once a second.
pub struct Clock {
    now: Duration,
    last_round: Instant,
}

impl Clock {
    /// A clock that shows zero.
    pub fn new() -> Self {
        Self { now: Duration::ZERO, last_round: Instant::now() }
    }

    /// The time since the clock was started, up to the last [`tick`](Self::tick).
    pub fn now(&self) -> Duration {
        self.now
    }

    /// Advances the clock.
    pub fn tick(&mut self) {
        let round = self.last_round.elapsed();
        self.last_round = Instant::now();
        self.now += round.min(MAX_ROUND);
    }
}
