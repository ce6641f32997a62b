//! The pipeline with made-up sources and engines: order, limits, and what is kept after a failure.
#![allow(clippy::unwrap_used)] // A failed unwrap fails the test.

use crate::common;

use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::time::Duration;

use common::names;
use oppose::Chain;
use oppose::engine::{Engine, EngineError, EngineInfo};
use oppose::pipeline::{self, Cancel, Event, Options, PipelineError, Stop, Video};
use oppose::pose::{FramePose, Pose, Skeleton, openpose_137};
use oppose::video::{DecodeSummary, Frame, FrameRate, Source, SourceError, VideoError, VideoInfo};

/// Frames whose first bytes are their index; `breaks` makes the video end with an error.
struct Counting {
    info: VideoInfo,
    next: u64,
    frames: u64,
    breaks: bool,
}

fn counting(frames: u64, breaks: bool) -> Box<dyn Source> {
    let frame_rate = FrameRate::new(30000, 1001).unwrap();
    let info = VideoInfo::new(32, 16, frame_rate).with_announced_frames(frames);
    Box::new(Counting { info, next: 0, frames, breaks })
}

impl Source for Counting {
    fn info(&self) -> &VideoInfo {
        &self.info
    }

    fn next_frame(&mut self) -> Result<Option<Frame>, SourceError> {
        if self.next == self.frames {
            let error = VideoError::Truncated { frames: self.frames, announced: 2 * self.frames };
            return if self.breaks { Err(error.into()) } else { Ok(None) };
        }
        let mut pixels = vec![0; 32 * 16 * 3];
        pixels[..8].copy_from_slice(&self.next.to_le_bytes());
        self.next += 1;
        Ok(Some(Frame::new(self.next - 1, None, 32, 16, pixels)?))
    }

    fn summary(&self) -> DecodeSummary {
        DecodeSummary::new(self.next)
    }
}

/// Finds `index % 4` people in frame `index`, with the index in the pixels as their coordinates. Holds results back
/// until `flush`, like an engine that collects batches.
struct Gathering {
    waiting: VecDeque<Frame>,
    ready: VecDeque<Frame>,
    batch: usize,
    fails_at: Option<u64>,
    videos: usize,
    flushes: usize,
}

fn gathering(batch: usize) -> Gathering {
    Gathering {
        waiting: VecDeque::new(),
        ready: VecDeque::new(),
        batch,
        fails_at: None,
        videos: 0,
        flushes: 0,
    }
}

impl Engine for Gathering {
    fn info(&mut self) -> Result<EngineInfo, EngineError> {
        Ok(EngineInfo::new("gathering", "cpu", "none", 137))
    }

    fn skeleton(&self) -> &'static Skeleton {
        openpose_137()
    }

    fn capacity(&self) -> usize {
        2 * self.batch
    }

    fn start_video(&mut self, _info: &VideoInfo) -> Result<(), EngineError> {
        self.videos += 1;
        Ok(())
    }

    fn push(&mut self, frame: Frame) -> Result<(), EngineError> {
        let in_flight = self.waiting.len() + self.ready.len();
        assert!(in_flight < self.capacity(), "{in_flight} frames are in flight already");
        if self.fails_at == Some(frame.index()) {
            return Err(EngineError::failed("out of order"));
        }
        self.waiting.push_back(frame);
        if self.waiting.len() == self.batch {
            self.ready.append(&mut self.waiting);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), EngineError> {
        self.flushes += 1;
        self.ready.append(&mut self.waiting);
        Ok(())
    }

    fn pop(&mut self, pose: &mut FramePose) -> Result<bool, EngineError> {
        if self.ready.is_empty() {
            self.ready.append(&mut self.waiting);
        }
        let Some(frame) = self.ready.pop_front() else { return Ok(false) };
        let number = u64::from_le_bytes(frame.pixels()[..8].try_into().unwrap());
        pose.reset(number as usize % 4, 137, 2);
        pose.coordinates_mut().fill(number as f32);
        pose.confidences_mut().fill(1.0);
        Ok(true)
    }
}

fn run(
    source: Box<dyn Source>,
    engine: &mut Gathering,
    output: &Path,
    options: &Options,
) -> Result<pipeline::Report, PipelineError> {
    pipeline::run(source, engine, output, options, &mut |_| {})
}

/// Frames with timestamps, and a frame rate of 12.5 that is known only after decoding.
struct Timed(Box<dyn Source>);

impl Source for Timed {
    fn info(&self) -> &VideoInfo {
        self.0.info()
    }

    fn next_frame(&mut self) -> Result<Option<Frame>, SourceError> {
        let Some(frame) = self.0.next_frame()? else { return Ok(None) };
        let index = frame.index();
        let time = (index != 1).then(|| Duration::from_millis(80 * index));
        Ok(Some(Frame::new(index, time, 32, 16, frame.pixels().to_vec())?))
    }

    fn summary(&self) -> DecodeSummary {
        self.0.summary().with_frame_rate(FrameRate::new(25, 2).unwrap())
    }
}

#[test]
fn frame_rate_and_timestamps_come_from_the_frames() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("video.pose");
    let options = Options::default().with_timestamps(true);
    let report = run(Box::new(Timed(counting(5, false))), &mut gathering(2), &output, &options).unwrap();
    assert_eq!(report.frame_rate, FrameRate::new(25, 2).unwrap());
    assert_eq!(Pose::read_file(&output).unwrap().fps, 12.5);
    assert_eq!(names(folder.path()), ["video.pose", "video.timestamps.csv"]);
    let table = fs::read_to_string(folder.path().join("video.timestamps.csv")).unwrap();
    assert_eq!(table, "frame,time\n0,0.000000000\n1,\n2,0.160000000\n3,0.240000000\n4,0.320000000\n");
    // A table without its .pose file was left by a killed run and is replaced; any other file must not be lost.
    fs::remove_file(&output).unwrap();
    run(Box::new(Timed(counting(3, false))), &mut gathering(2), &output, &options).unwrap();
    let foreign = folder.path().join("other.timestamps.csv");
    fs::write(&foreign, "mine").unwrap();
    let output = folder.path().join("other.pose");
    let error = run(Box::new(Timed(counting(3, false))), &mut gathering(2), &output, &options).unwrap_err();
    assert!(Chain(&error).to_string().ends_with(": another file has this name"), "{error:?}");
    assert_eq!(fs::read_to_string(&foreign).unwrap(), "mine");
    assert!(!output.exists());
}

#[test]
fn a_partial_file_has_the_frame_rate_of_its_frames() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("video.pose");
    let options = Options::default().with_timestamps(true);
    run(Box::new(Timed(counting(5, true))), &mut gathering(2), &output, &options).unwrap_err();
    assert_eq!(names(folder.path()), ["video.partial.pose"]);
    assert_eq!(Pose::read_file(&folder.path().join("video.partial.pose")).unwrap().fps, 12.5);
}

/// The number in the first coordinate of each frame.
fn numbers(pose: &Pose) -> Vec<f32> {
    let mut frame = FramePose::default();
    (0..pose.frames())
        .map(|index| {
            pose.copy_frame(index, &mut frame);
            frame.coordinates()[0]
        })
        .collect()
}

#[test]
fn results_come_out_in_order_whatever_the_batch() {
    let folder = tempfile::tempdir().unwrap();
    for (batch, frames) in [(1, 1), (1, 50), (4, 50), (7, 50), (64, 50)] {
        let path = folder.path().join(format!("{batch}-{frames}.pose"));
        let mut engine = gathering(batch);
        let report = run(counting(frames, false), &mut engine, &path, &Options::default()).unwrap();
        assert_eq!((report.frames, engine.videos), (frames, 1));
        assert_eq!(report.people, frames.min(4) as usize - 1);
        let pose = Pose::read_file(&path).unwrap();
        let expected: Vec<f32> = match pose.people() {
            0 => continue,
            _ => (0..frames).map(|number| if number % 4 == 0 { 0.0 } else { number as f32 }).collect(),
        };
        assert_eq!(numbers(&pose), expected, "batches of {batch}");
        assert_eq!(pose.fps, 29.97003);
    }
}

#[test]
fn the_frames_before_a_broken_one_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.pose");
    let error = run(counting(23, true), &mut gathering(4), &path, &Options::default()).unwrap_err();
    let partial = folder.path().join("clip.partial.pose");
    assert!(matches!(&error, PipelineError::Video { .. }) && error.partial() == Some(&*partial), "{error:?}");
    let message = error.to_string();
    assert!(message.contains("announces 46 frames and holds 23"), "{message}");
    assert_eq!(Pose::read_file(&partial).unwrap().frames(), 23);
    assert_eq!(names(folder.path()), ["clip.partial.pose"], "nothing else is left");

    // A later run that succeeds replaces it.
    run(counting(23, false), &mut gathering(4), &path, &Options::default()).unwrap();
    assert_eq!(names(folder.path()), ["clip.pose"]);
}

#[test]
fn the_frames_before_an_engine_failure_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.pose");
    let mut engine = Gathering { fails_at: Some(20), ..gathering(4) };
    let error = run(counting(50, false), &mut engine, &path, &Options::default()).unwrap_err();
    assert!(matches!(error, PipelineError::Engine { partial: Some(_), .. }), "{error}");
    let kept = Pose::read_file(&folder.path().join("clip.partial.pose")).unwrap();
    assert!((1..=20).contains(&kept.frames()), "{} frames", kept.frames());
}

#[test]
fn a_video_without_frames_fails() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.pose");
    let error = run(counting(0, false), &mut gathering(4), &path, &Options::default()).unwrap_err();
    assert!(matches!(error, PipelineError::NoFrames));
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_cancelled_run_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.pose");
    let options = Options::default();
    let cancel = options.cancel.clone();
    let mut frames = 0;
    let mut progress = |_| {
        frames += 1;
        if frames == 10 {
            cancel.cancel();
        }
    };
    let source = counting(100_000, false);
    let error = pipeline::run(source, &mut gathering(1), &path, &options, &mut progress).unwrap_err();
    assert!(matches!(error, PipelineError::Cancelled));
    assert!(frames < 100, "{frames} frames, although the run was cancelled at the tenth");
    assert!(names(folder.path()).is_empty());
}

/// Frames that an aborted run leaves in the engine must not end up in the next video.
#[test]
fn an_engine_can_be_used_again_after_a_cancelled_run() {
    let folder = tempfile::tempdir().unwrap();
    let mut engine = gathering(4);
    let options = Options::default();
    let cancel = options.cancel.clone();
    let mut progress = |_| cancel.cancel();
    let first = folder.path().join("first.pose");
    let error =
        pipeline::run(counting(100, false), &mut engine, &first, &options, &mut progress).unwrap_err();
    assert!(matches!(error, PipelineError::Cancelled));
    assert!(engine.waiting.len() + engine.ready.len() > 0, "no frames are in flight");

    let second = folder.path().join("second.pose");
    run(counting(7, false), &mut engine, &second, &Options::default()).unwrap();
    let pose = Pose::read_file(&second).unwrap();
    assert_eq!(numbers(&pose), [0.0, 1.0, 2.0, 3.0, 0.0, 5.0, 6.0]);
}

/// Runs the videos, and returns their events in order, each as text that begins with the number of the video.
fn run_all(
    sources: Vec<Box<dyn Source>>,
    engine: &mut Gathering,
    folder: &Path,
) -> (Vec<String>, Result<(), Stop>) {
    let videos = sources.into_iter().enumerate().map(|(number, source)| {
        Video::new(folder.join(format!("{number}.pose")), move || Ok::<_, SourceError>(source))
    });
    let mut events = Vec::new();
    let stopped = pipeline::run_all(videos, engine, &Options::default(), &mut |number, event| match event {
        Event::Progress(_) => {}
        Event::Started { .. } => events.push(format!("{number} starts")),
        Event::Done(report) => events.push(format!("{number} has {}", report.frames)),
        Event::Failed(error) => events.push(format!("{number}: {error}")),
        other => panic!("{other:?}"),
    });
    (events, stopped)
}

#[test]
fn videos_follow_one_another_without_a_pause() {
    let folder = tempfile::tempdir().unwrap();
    let mut engine = gathering(8);
    let lengths = [3, 0, 20, 2, 6];
    let (events, stopped) =
        run_all(lengths.map(|frames| counting(frames, false)).into(), &mut engine, folder.path());
    assert!(stopped.is_ok(), "{stopped:?}");
    let starts = (0..5).map(|number| format!("{number} starts"));
    let ends = ["0 has 3", "1: no frame", "2 has 20", "3 has 2", "4 has 6"];
    for (pair, (start, end)) in events.chunks(2).zip(starts.zip(ends)) {
        assert!(pair[0] == start && pair[1].starts_with(end), "{events:?}");
    }
    // A flush before the first video, and one after the last.
    assert_eq!((engine.videos, engine.flushes), (5, 2));
    for (number, frames) in lengths.into_iter().enumerate().filter(|(_, frames)| *frames > 0) {
        let pose = Pose::read_file(&folder.path().join(format!("{number}.pose"))).unwrap();
        let expected: Vec<f32> =
            (0..frames).map(|frame| if frame % 4 == 0 { 0.0 } else { frame as f32 }).collect();
        assert_eq!(numbers(&pose), expected, "video {number}");
    }
}

#[test]
fn a_broken_video_does_not_disturb_its_neighbours() {
    let folder = tempfile::tempdir().unwrap();
    let sources = vec![counting(10, false), counting(5, true), counting(9, false)];
    let (events, stopped) = run_all(sources, &mut gathering(4), folder.path());
    assert!(stopped.is_ok(), "{stopped:?}");
    assert!(events[3].starts_with("1: ") && events[3].contains("holds 5"), "{events:?}");
    assert_eq!(names(folder.path()), ["0.pose", "1.partial.pose", "2.pose"]);
    let kept = Pose::read_file(&folder.path().join("1.partial.pose")).unwrap();
    assert_eq!(numbers(&kept), [0.0, 1.0, 2.0, 3.0, 0.0]);
}

#[test]
fn a_dead_engine_leaves_the_remaining_videos_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let mut engine = Gathering { fails_at: Some(12), ..gathering(4) };
    let sources = vec![counting(6, false), counting(11, false), counting(30, false), counting(3, false)];
    let (events, stopped) = run_all(sources, &mut engine, folder.path());
    let Err(Stop::Engine(death)) = stopped else { panic!("{stopped:?}") };
    assert_eq!(death.error.to_string(), "out of order");
    // Frames of the third video were being pushed; results of the second may still have been in flight.
    let suspects: Vec<usize> = death.suspects.iter().map(|suspect| suspect.video).collect();
    assert!(suspects.contains(&2) && !suspects.contains(&0) && !suspects.contains(&3), "{suspects:?}");
    assert!(
        events.contains(&"0 has 6".into()) && !events.iter().any(|event| event.starts_with('3')),
        "{events:?}"
    );
    assert!(!folder.path().join("2.pose").exists() && !folder.path().join("3.pose").exists());
}

/// A buffer of the wrong length makes the video fail; it does not end it.
#[test]
fn a_wrong_buffer_is_not_taken_for_the_end() {
    struct Wrong(Box<dyn Source>);
    impl Source for Wrong {
        fn info(&self) -> &VideoInfo {
            self.0.info()
        }
        fn next_frame(&mut self) -> Result<Option<Frame>, SourceError> {
            match self.0.next_frame()? {
                Some(frame) if frame.index() == 3 => Ok(Some(Frame::new(3, None, 32, 16, vec![0; 5])?)),
                // A size that the video did not announce.
                Some(frame) if frame.index() == 7 => Ok(Some(Frame::new(7, None, 16, 32, vec![0; 1536])?)),
                frame => Ok(frame),
            }
        }
        fn summary(&self) -> DecodeSummary {
            self.0.summary()
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.pose");
    let wrong = Box::new(Wrong(counting(100, false)));
    let error = run(wrong, &mut gathering(2), &path, &Options::default()).unwrap_err().to_string();
    assert!(error.contains("a frame of 32x16 pixels has 1536 bytes of BGR, but the buffer has 5"), "{error}");
    let mut late = Wrong(counting(100, false));
    for _ in 0..4 {
        let _ = late.next_frame();
    }
    let error = run(Box::new(late), &mut gathering(2), &path, &Options::default()).unwrap_err().to_string();
    assert!(error.contains("frame 7 is 16x32 pixels, but the video was announced as 32x16"), "{error}");
    assert!(!path.exists());
}

/// A bug in a decoder makes only one video fail.
#[test]
fn a_panic_in_opening_or_decoding_fails_only_that_video() {
    struct Panicking(Box<dyn Source>);
    impl Source for Panicking {
        fn info(&self) -> &VideoInfo {
            self.0.info()
        }
        fn next_frame(&mut self) -> Result<Option<Frame>, SourceError> {
            match self.0.next_frame()? {
                Some(frame) if frame.index() == 3 => panic!("a bug in the decoder"),
                frame => Ok(frame),
            }
        }
        fn summary(&self) -> DecodeSummary {
            self.0.summary()
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let video = |number: usize| {
        Video::new(
            folder.path().join(format!("{number}.pose")),
            move || -> Result<Box<dyn Source>, SourceError> {
                match number {
                    1 => Ok(Box::new(Panicking(counting(30, false)))),
                    2 => panic!("a bug in opening"),
                    _ => Ok(counting(30, false)),
                }
            },
        )
    };
    let mut failed = Vec::new();
    let mut done = Vec::new();
    let videos = (0..4).map(video);
    let stopped =
        pipeline::run_all(videos, &mut gathering(2), &Options::default(), &mut |number, event| match event {
            Event::Failed(error) => {
                failed.push((number, Chain(&error).to_string(), error.partial().is_some()));
            }
            Event::Done(report) => done.push((number, report.frames)),
            _ => {}
        });
    assert!(stopped.is_ok(), "{stopped:?}");
    // A video that cannot be opened fails at once, one that breaks only after its last results.
    failed.sort();
    assert_eq!(done, [(0, 30), (3, 30)]);
    assert!(
        matches!(&failed[..], [(1, first, true), (2, second, false)]
        if first.contains("a bug in the decoder") && second.contains("a bug in opening")),
        "{failed:?}"
    );
}

/// The death of an engine between two videos is not blamed on the second, which is not taken for unsuitable either.
#[test]
fn a_death_before_the_next_video_is_blamed_on_the_one_in_flight() {
    struct Dying {
        engine: Gathering,
        pushed: u64,
        dies_after: u64,
    }
    impl Dying {
        fn check(&self) -> Result<(), EngineError> {
            (self.pushed < self.dies_after).then_some(()).ok_or_else(|| EngineError::failed("it died"))
        }
    }
    impl Engine for Dying {
        fn info(&mut self) -> Result<EngineInfo, EngineError> {
            self.engine.info()
        }
        fn skeleton(&self) -> &'static Skeleton {
            self.engine.skeleton()
        }
        fn capacity(&self) -> usize {
            8
        }
        fn start_video(&mut self, info: &VideoInfo) -> Result<(), EngineError> {
            self.check()?;
            self.engine.start_video(info)
        }
        fn push(&mut self, frame: Frame) -> Result<(), EngineError> {
            self.check()?;
            self.pushed += 1;
            self.engine.push(frame)
        }
        fn flush(&mut self) -> Result<(), EngineError> {
            self.check()?;
            self.engine.flush()
        }
        fn pop(&mut self, pose: &mut FramePose) -> Result<bool, EngineError> {
            self.check()?;
            self.engine.pop(pose)
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let mut engine = Dying { engine: gathering(8), pushed: 0, dies_after: 5 };
    let videos = [5, 30, 30].into_iter().enumerate().map(|(number, frames)| {
        Video::new(folder.path().join(format!("{number}.pose")), move || {
            Ok::<_, SourceError>(counting(frames, false))
        })
    });
    let stopped = pipeline::run_all(videos, &mut engine, &Options::default(), &mut |number, event| {
        assert!(!matches!(event, Event::Failed(_) | Event::Done(_)), "{number}: {event:?}");
    });
    let Err(Stop::Engine(death)) = stopped else { panic!("{stopped:?}") };
    assert!(
        matches!(&death.suspects[..], [suspect] if suspect.video == 0 && suspect.frame == 0),
        "{death:?}"
    );
}

/// A source that never returns a frame, like a silent pipe.
struct Silent(VideoInfo);

impl Source for Silent {
    fn info(&self) -> &VideoInfo {
        &self.0
    }

    fn next_frame(&mut self) -> Result<Option<Frame>, SourceError> {
        loop {
            std::thread::sleep(Duration::from_secs(60));
        }
    }

    fn summary(&self) -> DecodeSummary {
        DecodeSummary::default()
    }
}

#[test]
fn waiting_for_a_silent_pipe_can_be_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let cancel = Cancel::default();
    cancel.cancel();
    let options = Options::default().with_cancel(cancel);
    let source = Box::new(Silent(counting(1, false).info().clone()));
    let error = run(source, &mut gathering(1), &folder.path().join("clip.pose"), &options).unwrap_err();
    assert!(matches!(error, PipelineError::Cancelled));
}

#[test]
fn people_can_be_limited() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.pose");
    let options = Options::default().with_people(oppose::people::Options::default().with_max_people(2));
    let report = run(counting(20, false), &mut gathering(3), &path, &options).unwrap();
    assert_eq!(report.people, 2);
    assert_eq!(Pose::read_file(&path).unwrap().people(), 2);
    assert_eq!(report.frames_with_people, 15);
}

#[test]
fn an_existing_file_is_replaced_only_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.pose");
    fs::write(&path, "precious").unwrap();
    let error = run(counting(3, false), &mut gathering(1), &path, &Options::default()).unwrap_err();
    assert!(error.to_string().contains("exists already"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    let options = Options::default().with_overwrite(true);
    run(counting(3, false), &mut gathering(1), &path, &options).unwrap();
    assert_eq!(Pose::read_file(&path).unwrap().frames(), 3);
}
