//! What there is to set, as the original has it.

use std::num::NonZeroUsize;
use std::sync::OnceLock;
use std::thread;

use super::STAGES;
use super::litert::MAX_THREADS;
use crate::pose::{Points, Selection, Skeleton, holistic_576, holistic_586};

/// Which of the three nets finds the body's landmarks: MediaPipe's `model_complexity`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Complexity {
    /// 0: the smallest and fastest net.
    Lite,
    /// 1: the net in the middle.
    #[default]
    Full,
    /// 2: the largest net, about four times as slow as the one in the middle.
    Heavy,
}

impl Complexity {
    /// From MediaPipe's number; `None` where there is no such net.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Lite, Self::Full, Self::Heavy].into_iter().find(|complexity| complexity.number() == number)
    }

    /// MediaPipe's number for it: 0, 1 or 2.
    pub fn number(self) -> u8 {
        self as u8
    }
}

/// How hard hands are looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Hands {
    /// As MediaPipe Holistic does.
    #[default]
    Standard,
    /// Where a wrist is seen and no hand was found, look again: in a region of another size, where the hand was in the
    /// last frame, and where a search for palms finds one.
    Thorough,
}

/// What there is to set. The default is what `solutions.holistic` and pose-format's `video_to_pose` do without
/// further options.
///
/// ```
/// use oppose::engine::holistic::{Complexity, Options};
///
/// // pose-format's `model_complexity=2,smooth_landmarks=false,refine_face_landmarks=true`
/// let options = Options::new().with_complexity(Complexity::Heavy).with_smooth_landmarks(false).with_refine_face(true);
/// assert!(options.refines_face());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    pub(super) threads: Option<NonZeroUsize>,
    pub(super) complexity: Complexity,
    pub(super) smooth_landmarks: bool,
    pub(super) refine_face: bool,
    pub(super) still_images: bool,
    pub(super) minimum_detection_confidence: f64,
    pub(super) minimum_tracking_confidence: f64,
    pub(super) points: Points,
    pub(super) hide_legs: bool,
    pub(super) max_people: usize,
    pub(super) hands: Hands,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            threads: None,
            complexity: Complexity::default(),
            smooth_landmarks: true,
            refine_face: false,
            still_images: false,
            minimum_detection_confidence: 0.5,
            minimum_tracking_confidence: 0.5,
            points: Points::All,
            hide_legs: false,
            max_people: 1,
            hands: Hands::default(),
        }
    }
}

impl Options {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of threads; by default, one for each core. Body, face and the two hands take one each, and the body's
    /// landmarks, which every next frame waits for, up to three more. The results do not depend on it.
    #[must_use]
    pub fn with_threads(self, threads: Option<NonZeroUsize>) -> Self {
        Self { threads, ..self }
    }

    /// Which net finds the body's landmarks.
    #[must_use]
    pub fn with_complexity(self, complexity: Complexity) -> Self {
        Self { complexity, ..self }
    }

    /// Whether the body's landmarks are smoothed over time.
    #[must_use]
    pub fn with_smooth_landmarks(self, smooth: bool) -> Self {
        Self { smooth_landmarks: smooth, ..self }
    }

    /// Whether the face gets finer lips and eyes, and ten more points for the irises: 478 instead of 468.
    #[must_use]
    pub fn with_refine_face(self, refine: bool) -> Self {
        Self { refine_face: refine, ..self }
    }

    /// Whether every frame is a picture of its own: nothing is smoothed, and nothing carries over from one frame
    /// to the next. MediaPipe's `static_image_mode` means the same, but there the face and the hands do carry over.
    #[must_use]
    pub fn with_still_images(self, still: bool) -> Self {
        Self { still_images: still, ..self }
    }

    /// How sure the search for a person must be, from 0 to 1.
    #[must_use]
    pub fn with_minimum_detection_confidence(self, confidence: f64) -> Self {
        Self { minimum_detection_confidence: confidence, ..self }
    }

    /// How sure the body's net must be that it sees a body, from 0 to 1. Below it the body is lost, and searched
    /// for in the next frame.
    #[must_use]
    pub fn with_minimum_tracking_confidence(self, confidence: f64) -> Self {
        Self { minimum_tracking_confidence: confidence, ..self }
    }

    /// Which points of a person are given.
    #[must_use]
    pub fn with_points(self, points: Points) -> Self {
        Self { points, ..self }
    }

    /// Whether the points of legs and hips are 0.
    #[must_use]
    pub fn with_hide_legs(self, hide: bool) -> Self {
        Self { hide_legs: hide, ..self }
    }

    /// How many people are followed at most, at least one. Each takes the time of the first one again.
    #[must_use]
    pub fn with_max_people(self, people: usize) -> Self {
        Self { max_people: people.max(1), ..self }
    }

    /// How hard hands are looked for.
    #[must_use]
    pub fn with_hands(self, hands: Hands) -> Self {
        Self { hands, ..self }
    }

    /// All points that are estimated: 576 of them, or 586 with a refined face.
    fn all_points(&self) -> &'static Skeleton {
        if self.refine_face { holistic_586() } else { holistic_576() }
    }

    /// What is given of all points; `None` for all of them as they are.
    pub(super) fn selection(&self) -> Option<Selection> {
        if self.points == Points::All && !self.hide_legs {
            return None;
        }
        // Holistic's legs are known.
        Selection::new(self.all_points(), self.points, self.hide_legs).ok()
    }

    /// What the points of a person are called, as in pose-format's files.
    pub fn skeleton(&self) -> &'static Skeleton {
        // Made once for each choice.
        static SELECTED: [[OnceLock<Skeleton>; 3]; 2] = [const { [const { OnceLock::new() }; 3] }; 2];
        let place = &SELECTED[usize::from(self.refine_face)][self.points as usize];
        match self.selection() {
            Some(selection) => place.get_or_init(|| selection.skeleton().clone()),
            None => self.all_points(),
        }
    }

    /// How many people are followed.
    pub fn followed_people(&self) -> usize {
        self.max_people
    }

    /// Whether the face has 478 points instead of 468.
    pub fn refines_face(&self) -> bool {
        self.refine_face
    }

    /// How many threads there are.
    pub(super) fn available_threads(&self) -> usize {
        self.threads.map_or_else(cores, NonZeroUsize::get)
    }

    /// How many of them run the stages: one each, and the others that the body's landmarks can use.
    pub(super) fn stage_threads(&self) -> usize {
        self.available_threads().min(STAGES - 1 + self.body_threads().kernels)
    }

    /// How many of them compute the body's landmarks.
    pub(super) fn body_threads(&self) -> Threads {
        body_threads(self.available_threads(), cores(), self.complexity)
    }

    /// Whether landmarks are smoothed: pictures of their own never are.
    pub(super) fn smooths(&self) -> bool {
        self.smooth_landmarks && !self.still_images
    }

    /// The settings that shape the result and differ from their defaults: their names, where it has them pose-format's,
    /// and their values. Results of different settings must not be mixed.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let default = Self::default();
        let mut settings = Vec::new();
        let mut add = |is_other: bool, name: &'static str, value: String| {
            if is_other {
                settings.push((name, value));
            }
        };
        add(self.still_images, "static_image_mode", "true".into());
        add(self.complexity != default.complexity, "model_complexity", self.complexity.number().to_string());
        add(!self.smooth_landmarks, "smooth_landmarks", "false".into());
        add(self.refine_face, "refine_face_landmarks", "true".into());
        for (name, confidence) in [
            ("min_detection_confidence", self.minimum_detection_confidence),
            ("min_tracking_confidence", self.minimum_tracking_confidence),
        ] {
            add(confidence != 0.5, name, confidence.to_string());
        }
        add(self.points != default.points, "points", self.points.as_str().into());
        add(self.hide_legs, "hide_legs", "true".into());
        add(self.max_people != default.max_people, "max_people", self.max_people.to_string());
        add(self.hands == Hands::Thorough, "hands", "thorough".into());
        settings
    }
}

/// How many cores this process may use.
fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// How many threads a net gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threads {
    /// With this program's kernels.
    pub kernels: usize,
    /// With LiteRT.
    pub runtime: usize,
}

impl Threads {
    /// One thread.
    pub(super) const ONE: Self = Self { kernels: 1, runtime: 1 };
}

/// The threads for the body's landmarks. This program's kernels are shared by whichever threads have nothing else to do;
/// LiteRT has threads of its own, which wait for one another in a busy loop, so there should be a core for each that no
/// other stage uses. Only the largest net takes so much longer than all other stages together that two threads are faster
/// although others use the same cores: on two cores without AVX-512, a video took 8.3 seconds instead of 9.5.
fn body_threads(threads: usize, cores: usize, complexity: Complexity) -> Threads {
    let available = threads.min(cores);
    let least = if complexity == Complexity::Heavy { available.clamp(1, 2) } else { 1 };
    let spare = (available + 1).saturating_sub(STAGES).clamp(least, MAX_THREADS);
    Threads { kernels: available.clamp(1, MAX_THREADS), runtime: spare }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_the_default_is_described() {
        let description = |options: Options| {
            let settings = options.settings().into_iter();
            settings.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
        };
        assert_eq!(description(Options::new().with_threads(NonZeroUsize::new(3))), "");
        let lab = Options::new()
            .with_complexity(Complexity::Heavy)
            .with_smooth_landmarks(false)
            .with_refine_face(true);
        assert_eq!(description(lab), "model_complexity=2,smooth_landmarks=false,refine_face_landmarks=true");
        let more = Options::new().with_max_people(3).with_hands(Hands::Thorough);
        assert_eq!(description(more), "max_people=3,hands=thorough");
        assert_eq!(description(Options::new().with_max_people(0)), "");
        let other = Options::new().with_still_images(true).with_minimum_tracking_confidence(0.25);
        assert_eq!(description(other), "static_image_mode=true,min_tracking_confidence=0.25");
    }

    #[test]
    fn threads_beyond_those_of_the_stages_go_to_the_body() {
        let full = |threads, cores| body_threads(threads, cores, Complexity::Full);
        assert_eq!([1, 2, 4, 5, 7, 64].map(|threads| full(threads, 64).runtime), [1, 1, 1, 2, 4, 4]);
        assert_eq!([1, 2, 4, 64].map(|threads| full(threads, 64).kernels), [1, 2, 4, 4]);
        assert_eq!(full(64, 2), Threads { kernels: 2, runtime: 1 }, "not more than there are cores");
        assert_eq!(body_threads(2, 2, Complexity::Heavy), Threads { kernels: 2, runtime: 2 });
        assert_eq!(body_threads(1, 2, Complexity::Heavy), Threads { kernels: 1, runtime: 1 });
    }

    #[test]
    fn skeletons_are_those_of_the_choice() {
        let refined = Options::new().with_refine_face(true);
        assert_eq!((Options::new().skeleton().points(), refined.skeleton().points()), (576, 586));
        assert_eq!(refined.with_points(Points::NoWorld).skeleton().points(), 553);
        assert_eq!(Options::new().with_points(Points::Reduced).with_hide_legs(true).skeleton().points(), 178);
        assert_eq!(Options::new().with_hide_legs(true).skeleton().points(), 576);
    }

    #[test]
    fn complexities_are_numbered_as_in_mediapipe() {
        assert_eq!(Complexity::from_number(2), Some(Complexity::Heavy));
        assert_eq!(Complexity::from_number(0).map(Complexity::number), Some(0));
        assert_eq!(Complexity::from_number(3), None);
    }
}
