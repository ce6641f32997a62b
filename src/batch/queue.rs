//! Which video is next, and which one may have caused a death.

use std::collections::VecDeque;

/// The videos that no worker has yet.
///
/// A video that was being processed when an engine or a process died is a suspect. Suspects wait until all others
/// have been handed out, and each is then tried once more, alone: if the death repeats itself, it is the culprit.
/// So a poisoned video costs no other video, whenever it kills. An engine that one video has damaged may die of the
/// next one, so only the death of an engine that has processed nothing else proves that a video is the culprit.
#[derive(Debug)]
pub struct Queue {
    waiting: VecDeque<usize>,
    suspects: VecDeque<usize>,
    is_suspect: Vec<bool>,
}

impl Queue {
    /// Videos 0 to `videos` - 1.
    pub fn new(videos: usize) -> Self {
        Self { waiting: (0..videos).collect(), suspects: VecDeque::new(), is_suspect: vec![false; videos] }
    }

    /// How many videos are waiting.
    pub fn len(&self) -> usize {
        self.waiting.len() + self.suspects.len()
    }

    /// Whether no video is waiting.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a video is being tried for the second time, alone.
    pub fn is_suspect(&self, video: usize) -> bool {
        self.is_suspect[video]
    }

    /// The next video. Suspects are returned only if the worker is doing nothing else: `is_idle`.
    pub fn next(&mut self, is_idle: bool) -> Option<usize> {
        match self.waiting.pop_front() {
            None if is_idle => self.suspects.pop_front(),
            next => next,
        }
    }

    /// Takes back videos that were handed out and not started.
    pub fn put_back(&mut self, videos: impl DoubleEndedIterator<Item = usize>) {
        for video in videos.rev() {
            match self.is_suspect[video] {
                true => self.suspects.push_front(video),
                false => self.waiting.push_front(video),
            }
        }
    }

    /// Takes back videos one of which has caused a death. Returns the culprit, if it is known. `is_proof` says
    /// whether the engine had processed nothing else before, which might have damaged it.
    pub fn suspect(&mut self, videos: &[usize], is_proof: bool) -> Option<usize> {
        if let &[alone] = videos
            && self.is_suspect[alone]
        {
            if is_proof {
                return Some(alone);
            }
            // It is next, in the engine that replaces the dead one.
            self.suspects.push_front(alone);
            return None;
        }
        for &video in videos {
            self.is_suspect[video] = true;
            self.suspects.push_back(video);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suspects_are_tried_last_and_alone() {
        let mut queue = Queue::new(5);
        let first: Vec<usize> = (0..4).filter_map(|_| queue.next(false)).collect();
        assert_eq!(first, [0, 1, 2, 3]);
        // 0 and 1 were being processed, 2 and 3 waited.
        assert_eq!(queue.suspect(&[0, 1], true), None);
        queue.put_back([2, 3].into_iter());
        let rest: Vec<usize> = (0..3).filter_map(|_| queue.next(true)).collect();
        assert_eq!(rest, [2, 3, 4]);
        assert_eq!(queue.next(false), None, "not beside others");
        assert_eq!(queue.next(true), Some(0));
        assert!(queue.is_suspect(0));
        assert_eq!(queue.suspect(&[0], false), None, "the engine was damaged before");
        assert_eq!(queue.next(true), Some(0));
        assert_eq!(queue.suspect(&[0], true), Some(0), "the second time, alone");
        assert_eq!(queue.next(true), Some(1));
        assert!(queue.is_empty());
    }
}
