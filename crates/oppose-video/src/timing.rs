//! The timestamps of frames, and the frame rate that follows from them.

use std::time::Duration;

use ffmpeg_next::Rational;

use super::{FrameRate, Note, RateSource};

/// How far frames may be from their place at a constant rate, as a share of the interval between two.
const TOLERANCE: f64 = 0.1;

/// The same in ticks: a container that counts in milliseconds rounds.
const ROUNDING_TICKS: f64 = 1.5;

/// An interval that is this close to a whole number of ticks needs no rounding.
const WHOLE: f64 = 1e-6;

/// With fewer ticks per interval than this, timestamps cannot show a frame rate that the header does not announce.
const MIN_TICKS: f64 = 2.0;

/// Frame rates that differ by a smaller share than this count as equal if ticks are coarse.
const SAME_RATE: f64 = 2e-4;

/// Frames that wobble by less than this share of an interval, and do not drift, still have a constant rate.
const WOBBLE: f64 = 0.5;

/// The frames of a telecined film wobble too, and the last one may be out of step.
const TELECINE_DRIFT: f64 = 0.25;

/// How far a gap may be from the usual one, as a share of it, before the frame rate is reported as variable.
const VARIABLE: f64 = 0.05;

/// Number of intervals that must fit a frame rate that the header does not announce.
const MIN_INTERVALS: u64 = 20;

/// Timestamps that go back by more than this have jumped; less is damage. The ffmpeg program's number.
const MAX_STEP_BACK: f64 = 0.1;

/// Timestamps that may jump and go forward by more than this have jumped. The ffmpeg program's number.
const MAX_GAP: f64 = 10.0;

/// In no file do timestamps go forward by more than this between two frames. The ffmpeg program's number.
const MAX_GAP_ANYWHERE: f64 = 30.0 * 3600.0;

/// Up to this many times the usual gap is never a jump: a film may have one frame per minute.
const USUAL_GAPS: f64 = 10.0;

/// A gap that is longer than [`MAX_GAP`] and this many times the usual one counts as time, but not for the frame rate,
/// in any file: copies of a stream whose timestamps jumped have such gaps.
const PAUSE_GAPS: f64 = 100.0;

/// One in this many gaps may be out of step in a stream that is made to survive lost data.
const GAPS_PER_LOSS: u64 = 10;

/// The frame rates of cameras and films, for files whose header announces none.
const STANDARD: [(u32, u32); 16] = [
    (25, 1),
    (30_000, 1001),
    (30, 1),
    (24_000, 1001),
    (24, 1),
    (50, 1),
    (60_000, 1001),
    (60, 1),
    (15, 1),
    (15_000, 1001),
    (25, 2),
    (10, 1),
    (20, 1),
    (12, 1),
    (100, 1),
    (120, 1),
];

/// What a file says about its frame rate before its frames are read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Announced {
    /// The average.
    pub average: Option<FrameRate>,
    /// FFmpeg's guess of the lowest frame rate of whose interval all timestamps are multiples.
    pub base: Option<FrameRate>,
    /// Whether `average` was computed from an index of all frames.
    pub is_indexed: bool,
    /// Whether both are FFmpeg's guesses from the first frames, because the format does not store a frame rate.
    pub is_guessed: bool,
}

/// A constant frame rate that the frames may have.
#[derive(Debug)]
struct Candidate {
    rate: FrameRate,
    kind: Kind,
    /// In ticks.
    interval: f64,
    /// Index and ticks of the frame from which the rate is counted: the first, or the first after a jump.
    origin: (u64, i64),
    /// How far frames since then were too early and too late, in ticks.
    early: f64,
    late: f64,
    /// How far the last one was off.
    last: f64,
    /// The largest distance between the two before the last jump.
    widest: f64,
    /// Number of intervals without a frame.
    losses: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Announced,
    Telecine,
    Standard,
}

impl Candidate {
    fn new(rate: FrameRate, kind: Kind, tick: f64) -> Self {
        let interval = 1.0 / rate.as_f64() / tick;
        Self {
            rate,
            kind,
            interval,
            origin: (0, 0),
            early: 0.0,
            late: 0.0,
            last: 0.0,
            widest: 0.0,
            losses: 0,
        }
    }

    /// Starts counting again from this frame.
    fn restart(&mut self, frame: u64, ticks: i64) {
        self.widest = self.widest.max(self.late - self.early);
        self.origin = (frame, ticks);
        (self.early, self.late, self.last) = (0.0, 0.0, 0.0);
    }

    fn add(&mut self, frame: u64, ticks: i64, gap: f64, steps: f64, may_lose: bool) {
        if may_lose && gap - steps * self.interval > WOBBLE * self.interval {
            self.losses += 1;
            return self.restart(frame, ticks);
        }
        let expected = (frame - self.origin.0) as f64 * self.interval;
        self.last = (ticks - self.origin.1) as f64 - expected;
        self.early = self.early.min(self.last);
        self.late = self.late.max(self.last);
    }

    fn fits(&self, intervals: u64, has_repeats: bool) -> bool {
        let spread = self.widest.max(self.late - self.early);
        let is_whole = (self.interval - self.interval.round()).abs() < WHOLE * self.interval;
        let rounding = if is_whole { 0.0 } else { ROUNDING_TICKS };
        let strict = rounding.max(TOLERANCE * self.interval);
        let wobbles = |drift: f64| spread <= WOBBLE * self.interval && self.last.abs() <= drift;
        let fits = match self.kind {
            Kind::Announced => spread <= strict || wobbles(strict),
            Kind::Telecine => {
                has_repeats && intervals >= MIN_INTERVALS && wobbles(TELECINE_DRIFT * self.interval)
            }
            // Nobody announces it, so only rounding is tolerated.
            Kind::Standard => {
                intervals >= MIN_INTERVALS
                    && self.interval >= MIN_TICKS
                    && spread <= 1.01 + 0.001 * self.interval
            }
        };
        fits && self.losses * GAPS_PER_LOSS <= intervals
    }
}

/// Follows the timestamps of a video.
#[derive(Debug)]
pub(super) struct Timing {
    time_base: Rational,
    announced: Announced,
    candidates: Vec<Candidate>,
    /// Whether timestamps may jump and data may be lost.
    may_jump: bool,
    /// Index and ticks of the last frame that had a timestamp.
    last: Option<(u64, i64)>,
    /// Ticks from the first frame to that one, without jumps.
    elapsed: i64,
    /// Ticks of the gaps that count, and the number of intervals in them.
    span: i64,
    intervals: u64,
    gaps: Option<(i64, i64)>,
    /// Whether the stream says that some frames are to be shown longer than others.
    has_repeats: bool,
    jump: Option<(u64, f64)>,
    jumps: u64,
}

impl Timing {
    pub(super) fn new(time_base: Rational, announced: Announced, may_jump: bool) -> Self {
        let tick = f64::from(time_base);
        let mut candidates = Vec::new();
        if tick > 0.0 {
            let of = |kind| move |rate: FrameRate| Candidate::new(rate, kind, tick);
            let kind = if announced.is_guessed { Kind::Standard } else { Kind::Announced };
            candidates.extend(announced.average.map(of(kind)));
            candidates.extend(announced.base.map(of(kind)));
            // Film of 24 frames per second in video of 30 or 60, and of 25 or 50.
            for rate in announced.base.into_iter().chain(announced.average) {
                let slower = [(2, 5), (4, 5), (12, 25), (24, 25)];
                let slower = slower.into_iter().filter_map(|(above, below)| rate.times(above, below));
                candidates.extend(slower.map(of(Kind::Telecine)));
            }
            let standard = STANDARD.into_iter().filter_map(|(above, below)| FrameRate::new(above, below));
            candidates.extend(standard.map(of(Kind::Standard)));
        }
        Self {
            time_base,
            announced,
            candidates,
            may_jump,
            last: None,
            elapsed: 0,
            span: 0,
            intervals: 0,
            gaps: None,
            has_repeats: false,
            jump: None,
            jumps: 0,
        }
    }

    /// Takes the timestamp of the next frame into account. Returns the time since the first one.
    pub(super) fn add(&mut self, frame: u64, ticks: Option<i64>, is_repeated: bool) -> Option<Duration> {
        self.has_repeats |= is_repeated;
        let ticks = ticks?;
        let Some((last_frame, last_ticks)) = self.last else {
            self.last = Some((frame, ticks));
            self.candidates.iter_mut().for_each(|candidate| candidate.restart(frame, ticks));
            return Some(Duration::ZERO);
        };
        let steps = frame.saturating_sub(last_frame).max(1);
        let gap = ticks.saturating_sub(last_ticks);
        let seconds = gap as f64 * f64::from(self.time_base);
        if self.is_jump(seconds, steps) {
            self.jumps += 1;
            self.jump.get_or_insert((frame, seconds));
            let usual = self.usual_interval() * steps as f64 / f64::from(self.time_base);
            self.elapsed = self.elapsed.saturating_add((usual.round() as i64).max(1));
            self.candidates.iter_mut().for_each(|candidate| candidate.restart(frame, ticks));
        } else if gap < 0 {
            // A step back is damage, which says nothing about the frame rate.
            return self.time(self.elapsed.saturating_add(gap));
        } else {
            self.elapsed = self.elapsed.saturating_add(gap);
            if gap > 0 {
                let (shortest, longest) = self.gaps.unwrap_or((gap, gap));
                self.gaps = Some((shortest.min(gap), longest.max(gap)));
            }
            if seconds > MAX_GAP.max(PAUSE_GAPS * steps as f64 * self.usual_interval()) {
                self.candidates.iter_mut().for_each(|candidate| candidate.restart(frame, ticks));
            } else {
                self.span = self.span.saturating_add(gap);
                self.intervals += steps;
                for candidate in &mut self.candidates {
                    candidate.add(frame, ticks, gap as f64, steps as f64, self.may_jump);
                }
            }
        }
        self.last = Some((frame, ticks));
        self.time(self.elapsed)
    }

    fn time(&self, ticks: i64) -> Option<Duration> {
        // In whole numbers, so that frames of a constant rate are exact to the nanosecond.
        let nanoseconds = i128::from(ticks) * 1_000_000_000 * i128::from(self.time_base.numerator());
        let denominator = i128::from(self.time_base.denominator().max(1));
        let rounded = (nanoseconds + denominator / 2).div_euclid(denominator);
        u64::try_from(rounded).ok().map(Duration::from_nanos)
    }

    fn is_jump(&self, seconds: f64, steps: u64) -> bool {
        let usual = USUAL_GAPS * steps as f64 * self.usual_interval();
        let longest = if self.may_jump { MAX_GAP } else { MAX_GAP_ANYWHERE };
        seconds < -MAX_STEP_BACK || seconds > longest.max(usual)
    }

    /// Seconds from one frame to the next, as far as they are known.
    fn usual_interval(&self) -> f64 {
        if self.intervals > 0 && self.span > 0 {
            return self.span as f64 * f64::from(self.time_base) / self.intervals as f64;
        }
        1.0 / self.announced.average.or(self.announced.base).unwrap_or(FrameRate::DEFAULT).as_f64()
    }

    /// The frame rate of the frames so far, and where it comes from; `None` if they do not tell.
    pub(super) fn rate(&self) -> Option<(FrameRate, RateSource)> {
        if self.intervals == 0 || self.span <= 0 {
            // A single frame, or a file without timestamps: its header is all there is.
            return self.announced.average.map(|rate| (rate, RateSource::Constant));
        }
        let fits = |candidate: &&Candidate| candidate.fits(self.intervals, self.has_repeats);
        if let Some(candidate) = self.candidates.iter().find(fits) {
            return Some((self.exact(candidate.rate), RateSource::Constant));
        }
        if let Some(average) = self.announced.average.filter(|_| self.announced.is_indexed)
            && self.is_average(average)
        {
            return Some((average, RateSource::Average));
        }
        let time_base = (self.time_base.numerator(), self.time_base.denominator());
        FrameRate::measured(self.intervals, self.span, time_base).map(|rate| (rate, RateSource::Measured))
    }

    /// A frame rate that a header stores as a decimal fraction, or that FFmpeg turned into a fraction of small numbers (in FLV,
    /// 983/41 for 23.976), becomes that of film and television if both fit. Finer ticks show which is meant.
    fn exact(&self, rate: FrameRate) -> FrameRate {
        let is_same = |exact: &FrameRate| (exact.as_f64() / rate.as_f64() - 1.0).abs() < SAME_RATE;
        let standard = STANDARD.into_iter().filter_map(|(above, below)| FrameRate::new(above, below));
        let near = self.announced.base.into_iter().chain(standard).find(is_same);
        near.filter(|_| self.time_base.denominator() <= 1000).unwrap_or(rate)
    }

    /// Whether the frames can have this frame rate on average: the last is then shown for as long as others.
    fn is_average(&self, rate: FrameRate) -> bool {
        let tick = f64::from(self.time_base);
        let last = (self.intervals + 1) as f64 / rate.as_f64() - self.span as f64 * tick;
        let (shortest, longest) = self.gaps.unwrap_or_default();
        let bound = |gap: i64, ticks: f64| (gap as f64 + ticks) * tick;
        (bound(shortest, -ROUNDING_TICKS)..=bound(longest, ROUNDING_TICKS)).contains(&last)
    }

    /// Shortest and longest gap, if they differ from those of `rate` by more than rounding explains.
    pub(super) fn variable(&self, rate: FrameRate) -> Option<(Duration, Duration)> {
        let (shortest, longest) = self.gaps?;
        let tick = f64::from(self.time_base);
        let usual = 1.0 / rate.as_f64();
        let allowed = (VARIABLE * usual).max((ROUNDING_TICKS * tick).min(WOBBLE * usual));
        let far = |gap: i64| (gap as f64 * tick - usual).abs() > allowed;
        let times = (self.time(shortest)?, self.time(longest)?);
        (far(shortest) || far(longest)).then_some(times)
    }

    /// Notes that timestamps jumped, if they did.
    pub(super) fn note(&self) -> Option<Note> {
        self.jump.map(|(frame, seconds)| Note::ClockJump { frame, seconds, count: self.jumps })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECONDS: Rational = Rational(1, 1000);

    fn rate(above: u32, below: u32) -> Option<FrameRate> {
        FrameRate::new(above, below)
    }

    fn watched(
        ticks: impl IntoIterator<Item = i64>,
        time_base: Rational,
        announced: Announced,
        may_jump: bool,
    ) -> Timing {
        let mut timing = Timing::new(time_base, announced, may_jump);
        for (frame, ticks) in (0..).zip(ticks) {
            timing.add(frame, Some(ticks), false);
        }
        timing
    }

    fn average(above: u32, below: u32) -> Announced {
        Announced { average: rate(above, below), ..Announced::default() }
    }

    #[test]
    fn rounding_to_milliseconds_is_no_variable_rate() {
        let variable = |times: &[i64], announced| {
            let timing = watched(times.iter().copied(), MILLISECONDS, announced, false);
            timing.variable(timing.rate().unwrap().0).is_some()
        };
        assert!(!variable(&[0, 33, 67, 100, 133, 167], average(30, 1)));
        assert!(!variable(&[0, 17, 33, 50, 67], average(60, 1)));
        assert!(variable(&[0, 33, 67, 133, 167], average(30, 1)));
    }

    #[test]
    fn milliseconds_confirm_an_exact_rate() {
        for (above, below) in [(24_000, 1001), (30_000, 1001), (60, 1), (1000, 1), (2000, 1), (25, 2)] {
            let instants = |frame: i64| (frame * 1000 * i64::from(below)) / i64::from(above);
            let timing = watched((0..500).map(instants), MILLISECONDS, average(above, below), false);
            assert_eq!(timing.rate(), Some((rate(above, below).unwrap(), RateSource::Constant)));
            if STANDARD.contains(&(above, below)) {
                // The header does not announce it, but the frames show it.
                let timing = watched((0..500).map(instants), MILLISECONDS, Announced::default(), false);
                assert_eq!(timing.rate(), Some((rate(above, below).unwrap(), RateSource::Constant)));
            }
        }
    }

    #[test]
    fn a_wrong_header_is_not_believed() {
        let timing = watched((0..50).map(|frame| 80 * frame), MILLISECONDS, average(25, 1), false);
        assert_eq!(timing.rate(), Some((rate(25, 2).unwrap(), RateSource::Constant)));
        // Every fifth frame is missing.
        let kept = (0..50).filter(|frame| frame % 5 != 4).map(|frame| 40 * frame);
        let timing = watched(kept, MILLISECONDS, average(25, 1), false);
        assert_eq!(timing.rate(), Some((rate(325, 16).unwrap(), RateSource::Measured)));
    }

    #[test]
    fn decimal_fractions_of_a_coarse_clock_are_made_exact() {
        let instants = |frame: i64| frame * 1001 / 24;
        let timing = watched((0..96).map(instants), MILLISECONDS, average(983, 41), false);
        assert_eq!(timing.rate(), Some((rate(24_000, 1001).unwrap(), RateSource::Constant)));
    }

    #[test]
    fn a_single_frame_that_is_missing_is_noticed() {
        // The ticks of AVI are frames.
        let kept = (0..100).filter(|frame| *frame != 50);
        let timing = watched(kept, Rational(1, 25), average(25, 1), false);
        assert_eq!(timing.rate(), Some((rate(98 * 25, 99).unwrap(), RateSource::Measured)));
        let twice = (0..100).filter(|frame| frame % 5 != 4);
        let timing = watched(twice, Rational(1, 25), average(25, 1), false);
        assert_eq!(timing.rate().unwrap().1, RateSource::Measured);
    }

    #[test]
    fn an_average_by_an_index_is_that_of_the_frames() {
        let tick = Rational(1, 1000);
        let times = [0, 33, 100, 133, 233];
        let indexed = |above, below| Announced { is_indexed: true, ..average(above, below) };
        // The last one lasts for 33 ms, or for an hour.
        let timing = watched(times, tick, indexed(5000, 266), false);
        assert_eq!(timing.rate(), Some((rate(5000, 266).unwrap(), RateSource::Average)));
        let timing = watched(times, tick, indexed(5000, 3_600_233), false);
        assert_eq!(timing.rate(), Some((rate(4000, 233).unwrap(), RateSource::Measured)));
    }

    #[test]
    fn a_clock_that_jumps_is_left_out() {
        let tick = Rational(1, 90_000);
        for jump in [450_000_000, -90_000] {
            let times = (0..50).map(|frame| 3600 * frame + if frame < 25 { 0 } else { jump });
            let timing = watched(times, tick, average(25, 1), true);
            assert_eq!(timing.rate(), Some((rate(25, 1).unwrap(), RateSource::Constant)));
            assert_eq!(timing.time(timing.elapsed), Some(Duration::from_millis(49 * 40)));
            let Some(Note::ClockJump { frame: 25, count: 1, .. }) = timing.note() else { panic!("{jump}") };
        }
        // One frame in 200 seconds is not a jump.
        let times = (0..5).map(|frame| 18_000_000 * frame);
        let timing = watched(times, tick, average(1, 200), true);
        assert_eq!((timing.rate().unwrap().0, timing.note()), (rate(1, 200).unwrap(), None));
    }

    #[test]
    fn a_long_pause_is_left_out_of_the_rate_but_not_of_the_time() {
        let times = (0..50).map(|frame| 40 * frame + if frame < 25 { 0 } else { 5_000_000 });
        let announced = Announced { average: rate(125, 20_834), base: rate(25, 1), ..Announced::default() };
        let timing = watched(times, MILLISECONDS, announced, false);
        assert_eq!(timing.rate(), Some((rate(25, 1).unwrap(), RateSource::Constant)));
        assert_eq!(timing.time(timing.elapsed), Some(Duration::from_millis(5_001_960)));
        assert_eq!(timing.note(), None);
        let (_, longest) = timing.variable(rate(25, 1).unwrap()).unwrap();
        assert_eq!(longest, Duration::from_millis(5_000_040));
    }

    #[test]
    fn a_rate_that_wobbles_is_constant_and_one_that_drifts_is_not() {
        let tick = Rational(1, 90_000);
        let wobbling = (0..300).map(|frame| 3000 * frame + [0, 300, -200][frame as usize % 3]);
        let timing = watched(wobbling, tick, average(30, 1), false);
        assert_eq!(timing.rate(), Some((rate(30, 1).unwrap(), RateSource::Constant)));
        let drifting = (0..3000).map(|frame| 2990 * frame);
        let timing = watched(drifting, tick, average(30, 1), false);
        assert_eq!(timing.rate(), Some((rate(9000, 299).unwrap(), RateSource::Measured)));
    }

    #[test]
    fn a_telecined_film_has_24_frames_a_second() {
        let times = (0..60).map(|frame| 3750 * frame + if frame % 2 == 1 { 750 } else { 0 });
        let announced =
            Announced { average: rate(119, 4), base: rate(60, 1), is_indexed: false, is_guessed: false };
        let mut timing = Timing::new(Rational(1, 90_000), announced, true);
        for (frame, ticks) in (0..).zip(times) {
            timing.add(frame, Some(ticks), frame % 2 == 0);
        }
        assert_eq!(timing.rate(), Some((rate(24, 1).unwrap(), RateSource::Constant)));
    }
}
