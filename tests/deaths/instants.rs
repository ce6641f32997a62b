//! Engines that die at every possible moment: in this process, in their own process, and in workers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use common::{Need, trial};
use oppose::batch::journal::{self, Journal};
use oppose::batch::{self, Ended, Event, Job, Limits, VideoUpdate};
use oppose::engine::isolated::Isolated;
use oppose::engine::{Engine, EngineError};
use oppose::pipeline::{self, Cancel};
use oppose::pose::openpose_137;
use oppose::video;

use crate::common;
use crate::dying::{
    DEVICE, Dying, FRAMES, Instant, Plan, Way, as_worker, engine_process, fault, videos, worker,
};

pub fn trials() -> Vec<libtest_mimic::Trial> {
    let ffmpeg = || [Need::Program("ffmpeg")];
    vec![
        trial("any frame, in this process", &ffmpeg(), any_frame_in_this_process),
        trial("any frame, isolated", &ffmpeg(), any_frame_isolated),
        trial("any frame, in two workers", &ffmpeg(), any_frame_in_two_workers),
        trial("between frames", &ffmpeg(), between_frames),
        trial("damage that shows later blames no other video", &ffmpeg(), damage_that_shows_later),
        trial("all ways to die, isolated", &ffmpeg(), all_ways_isolated),
        trial("all ways to die, in two workers", &ffmpeg(), all_ways_in_two_workers),
        trial("opening an engine", &ffmpeg(), opening_an_engine),
        trial("an engine that hangs after it has failed", &ffmpeg(), hangs_after_it_has_failed),
        trial("a death after a failed write", &ffmpeg(), a_death_after_a_failed_write),
        trial("the journal names the right worker", &ffmpeg(), the_journal_names_the_right_worker),
        trial("a restart that fails", &ffmpeg(), a_restart_that_fails),
    ]
}

/// What the events of a batch reported.
#[derive(Debug, Default)]
struct BatchEvents {
    /// How each video ended: done, or the reason for its failure and whether that counts as a crash.
    ends: [Vec<Result<(), (String, bool)>>; FRAMES.len()],
    /// The reason and the suspects of each death.
    deaths: Vec<(String, Vec<usize>)>,
    notes: Vec<String>,
    workers_ready: Vec<usize>,
}

impl BatchEvents {
    fn record(&mut self, event: &Event<'_>) {
        match *event {
            Event::Video { video, update, .. } if update.is_end() => self.ends[video].push(match update {
                VideoUpdate::Failed { reason, is_crash } => Err((reason.clone(), *is_crash)),
                VideoUpdate::Done(report) if report.frames == FRAMES[video] => Ok(()),
                other => Err((format!("{other:?}"), false)),
            }),
            Event::Died { reason, suspects, .. } => self.deaths.push((reason.into(), suspects.into())),
            Event::Note { text, .. } => self.notes.push(text.into()),
            Event::Ready { worker, .. } => self.workers_ready.push(worker),
            _ => {}
        }
    }

    /// Asserts that all videos are done, with the right files and no others. `guilty` may have failed; the reason is then
    /// returned.
    fn assert_all_done(&self, jobs: &[Job], guilty: Option<usize>, plan: &Plan) -> Option<&str> {
        let mut reason = None;
        for (video, job) in jobs.iter().enumerate() {
            match self.ends[video].as_slice() {
                [Ok(())] => {
                    let fault = fault(&job.output, video);
                    assert!(fault.is_none(), "{plan:?}: video {video} is {}: {self:#?}", fault.unwrap());
                }
                [Err((why, true))] if Some(video) == guilty => {
                    assert!(why.contains("failed twice, the second time alone: "), "{plan:?}: {why}");
                    assert!(!job.output.exists(), "{plan:?}: {why}");
                    reason = Some(why.as_str());
                }
                ends => panic!("{plan:?}: video {video} ended as {ends:?}: {self:#?}"),
            }
        }
        let folder = jobs[0].output.parent().unwrap();
        let names = common::names(folder);
        let left = names.iter().filter(|name| name.starts_with('.')).collect::<Vec<_>>();
        assert!(left.is_empty(), "{plan:?}: {left:?} left behind");
        reason
    }
}

/// Videos, and a fresh folder for each run.
struct Scene {
    folder: tempfile::TempDir,
    jobs: Vec<Job>,
    runs: usize,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let jobs = videos(folder.path());
        Self { folder, jobs, runs: 0 }
    }

    /// The jobs, with an empty folder for their outputs, and a flag that does not exist yet.
    fn next(&mut self) -> (Vec<Job>, PathBuf) {
        self.runs += 1;
        let folder = self.folder.path().join(format!("poses{}", self.runs));
        fs::create_dir(&folder).unwrap();
        let mut jobs = self.jobs.clone();
        for job in &mut jobs {
            job.output = folder.join(job.output.file_name().unwrap());
        }
        let flag = self.folder.path().join(format!("flag{}", self.runs));
        (jobs, flag)
    }

    /// Runs the plan once only, and then each time: no video fails but the guilty one, and that only if it kills again.
    /// Returns why it failed.
    fn check(
        &mut self,
        plan: &Plan,
        guilty: Option<usize>,
        run: &dyn Fn(&[Job], &Plan) -> BatchEvents,
    ) -> Option<String> {
        let (jobs, flag) = self.next();
        let once = plan.clone().once(&flag);
        let events = run(&jobs, &once);
        assert_eq!(events.assert_all_done(&jobs, None, &once), None);
        let (jobs, _) = self.next();
        let events = run(&jobs, plan);
        events.assert_all_done(&jobs, guilty, plan).map(str::to_owned)
    }
}

fn in_process(jobs: &[Job], open: &dyn Fn() -> Result<Box<dyn Engine>, EngineError>) -> BatchEvents {
    let mut events = BatchEvents::default();
    let (options, video_options) = (pipeline::Options::default(), video::Options::default());
    let ended =
        batch::run_in_process(jobs, open, &options, &video_options, &mut |event| events.record(&event));
    assert_eq!(ended.unwrap(), Ended::Completed);
    events
}

fn in_this_process(jobs: &[Job], plan: &Plan) -> BatchEvents {
    in_process(jobs, &|| Dying::open(Some(plan.clone())))
}

fn isolated(jobs: &[Job], plan: &Plan) -> BatchEvents {
    let events = in_process(jobs, &|| {
        let started = Isolated::start(engine_process(Some(plan)), "dying", openpose_137(), None);
        Ok(Box::new(started?) as Box<dyn Engine>)
    });
    assert_no_child_is_left();
    events
}

fn in_workers(workers: usize, limits: Limits, jobs: &[Job], plan: &Plan) -> BatchEvents {
    let mut events = BatchEvents::default();
    let mut commands: Vec<_> = (0..workers).map(|_| worker(Some(plan))).collect();
    let ended =
        batch::supervise(jobs, &mut commands, limits, &Cancel::default(), &mut |event| events.record(&event));
    assert!(matches!(ended, Ok(Ended::Completed)), "{plan:?}: {ended:?}: {events:#?}");
    assert_no_child_is_left();
    events
}

fn in_two_workers(jobs: &[Job], plan: &Plan) -> BatchEvents {
    in_workers(2, Limits::default(), jobs, plan)
}

/// Asserts that no process started by this one is left, not even as a zombie. Tests run one at a time.
fn assert_no_child_is_left() {
    let mut left = Vec::new();
    for task in fs::read_dir("/proc/self/task").unwrap() {
        let children = fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default();
        for child in children.split_whitespace() {
            left.push(fs::read_to_string(Path::new("/proc").join(child).join("stat")).unwrap_or_default());
        }
    }
    assert!(left.is_empty(), "{left:?}");
}

/// Every frame of every video.
fn every_frame() -> impl Iterator<Item = (usize, u64)> {
    FRAMES.into_iter().enumerate().flat_map(|(video, frames)| (0..frames).map(move |frame| (video, frame)))
}

/// The frame that a reason names.
fn named_frame(reason: &str) -> u64 {
    let rest = reason.split_once("the engine failed at frame ").unwrap_or_else(|| panic!("{reason}")).1;
    rest.split(':').next().unwrap().parse().unwrap_or_else(|_| panic!("{reason}"))
}

/// Asserts that the reason names the right frame. If a death is noticed late, it names the oldest frame in flight, and the
/// frame of the plan is in flight too.
fn assert_names_frame(reason: Option<String>, plan: &Plan) {
    let reason = reason.unwrap_or_else(|| panic!("{plan:?}: it did not fail"));
    let named = named_frame(&reason);
    match plan.instant {
        Instant::Result(_, frame) => assert_eq!(named, frame, "{plan:?}: {reason}"),
        Instant::Frame(_, frame) => {
            assert!(named <= frame && frame < named + 4, "{plan:?}: {reason}");
        }
        _ => panic!("no frame"),
    }
}

fn any_frame_in_this_process() {
    let mut scene = Scene::new();
    for (video, frame) in every_frame() {
        for noticed_after in [0, 1, 3, 7, 12] {
            let plan = Plan::always(Instant::Frame(video, frame), Way::Error).noticed_after(noticed_after);
            let reason = scene.check(&plan, Some(video), &in_this_process);
            assert_names_frame(reason, &plan);
        }
        let plan = Plan::always(Instant::Result(video, frame), Way::Error);
        let reason = scene.check(&plan, Some(video), &in_this_process);
        assert_names_frame(reason, &plan);
    }
}

fn any_frame_isolated() {
    let mut scene = Scene::new();
    for (number, (video, frame)) in every_frame().enumerate() {
        let plan = match number % 2 {
            0 => Plan::always(Instant::Result(video, frame), Way::Abort),
            _ => Plan::always(Instant::Frame(video, frame), Way::Abort).noticed_after(number % 5),
        };
        let reason = scene.check(&plan, Some(video), &isolated);
        assert!(reason.as_ref().is_some_and(|reason| reason.contains("SIGABRT")), "{plan:?}: {reason:?}");
        assert_names_frame(reason, &plan);
    }
}

fn any_frame_in_two_workers() {
    let mut scene = Scene::new();
    for (number, (video, frame)) in every_frame().enumerate() {
        let (way, word) = match number % 2 {
            0 => (Way::Abort, "the worker process was ended by SIGABRT"),
            _ => (Way::Error, "the engine failed at frame "),
        };
        let plan = Plan::always(Instant::Frame(video, frame), way).noticed_after(number % 5);
        let reason = scene.check(&plan, Some(video), &in_two_workers);
        assert!(reason.as_ref().is_some_and(|reason| reason.contains(word)), "{plan:?}: {reason:?}");
        if way == Way::Error {
            assert_names_frame(reason, &plan);
        }
    }
}

fn between_frames() {
    let mut scene = Scene::new();
    for video in 0..FRAMES.len() {
        for noticed_after in [0, 1, 2, 6] {
            let start = Plan::always(Instant::Start(video), Way::Error).noticed_after(noticed_after);
            let reason = scene.check(&start, Some(video), &in_this_process);
            assert!(reason.is_some(), "{start:?}: it did not fail");
        }
        // Whether there is a flush while a video is in flight depends on timing, except for the last one.
        let flush = Plan::always(Instant::Flush(video), Way::Error);
        let reason = scene.check(&flush, Some(video), &in_this_process);
        assert!(reason.is_some() || video + 1 < FRAMES.len(), "{flush:?}: it did not fail");
        // All its results have come out, so no video may fail.
        let idle = Plan::always(Instant::Idle(video), Way::Error);
        assert_eq!(scene.check(&idle, None, &in_this_process), None);
    }
    for instant in [Instant::Start(2), Instant::Flush(5), Instant::Idle(1), Instant::Idle(5)] {
        let guilty = match instant {
            Instant::Start(video) | Instant::Flush(video) => Some(video),
            _ => None,
        };
        let plan = Plan::always(instant, Way::Abort);
        for run in [&isolated as &dyn Fn(&[Job], &Plan) -> BatchEvents, &in_two_workers] {
            let reason = scene.check(&plan, guilty, run);
            assert_eq!(reason.is_some(), guilty.is_some(), "{plan:?}: {reason:?}");
        }
    }
}

/// A video whose results all come out, but that leaves behind an engine that dies during the next one.
fn damage_that_shows_later() {
    let mut scene = Scene::new();
    for (video, frames) in FRAMES.into_iter().enumerate() {
        for noticed_after in 1..=9 {
            let plan = Plan::always(Instant::Frame(video, frames - 1), Way::Error);
            let plan = plan.noticed_after(noticed_after).delivering();
            scene.check(&plan, Some(video), &in_this_process);
        }
        for noticed_after in [5, 7] {
            let way = if noticed_after == 5 { Way::Abort } else { Way::Error };
            let plan = Plan::always(Instant::Frame(video, frames - 1), way);
            let plan = plan.noticed_after(noticed_after).delivering();
            scene.check(&plan, Some(video), &|jobs, plan| in_workers(1, Limits::default(), jobs, plan));
        }
    }
}

const SIGKILL: i32 = rustix::process::Signal::KILL.as_raw();
const SIGSEGV: i32 = rustix::process::Signal::SEGV.as_raw();

fn all_ways_isolated() {
    let mut scene = Scene::new();
    for (way, word) in [
        (Way::Error, "the engine has died as planned"),
        (Way::Signal(SIGKILL), "was ended by SIGKILL (as the system does when memory runs out)"),
        (Way::Signal(SIGSEGV), "was ended by SIGSEGV"),
        (Way::Overflow, "was ended by SIGABRT; its last words: "),
        (Way::Exit, "ended unexpectedly (exit status: 0)"),
        (Way::Panic, "the engine panics as planned"),
    ] {
        let plan = Plan::always(Instant::Frame(2, 1), way);
        let reason = scene.check(&plan, Some(2), &isolated).unwrap();
        assert!(reason.contains(word), "{plan:?}: {reason}");
    }
}

fn all_ways_in_two_workers() {
    let mut scene = Scene::new();
    let stall = Limits::stall(Duration::from_secs(4));
    for (way, word, limits) in [
        (
            Way::Signal(SIGKILL),
            "was ended by SIGKILL (as the system does when memory runs out)",
            Limits::default(),
        ),
        (Way::Signal(SIGSEGV), "was ended by SIGSEGV", Limits::default()),
        (Way::Overflow, "was ended by SIGABRT; its last words: ", Limits::default()),
        (Way::Exit, "ended unexpectedly (exit status: 0)", Limits::default()),
        (Way::Panic, "the engine panics as planned", Limits::default()),
        (Way::Hang, "reported no progress for 4 s and was killed", stall),
    ] {
        let plan = Plan::always(Instant::Frame(2, 1), way);
        let run = |jobs: &[Job], plan: &Plan| in_workers(2, limits, jobs, plan);
        let reason = scene.check(&plan, Some(2), &run).unwrap();
        assert!(reason.contains(word), "{plan:?}: {reason}");
    }
}

fn opening_an_engine() {
    let mut scene = Scene::new();
    // A process that dies once while it opens its engine proves nothing about the next one.
    for (workers, way) in [(1, Way::Abort), (1, Way::Signal(SIGKILL)), (1, Way::Exit), (2, Way::Abort)] {
        let (jobs, flag) = scene.next();
        let plan = Plan::always(Instant::Open, way).once(&flag);
        let events = in_workers(workers, Limits::default(), &jobs, &plan);
        assert_eq!(events.assert_all_done(&jobs, None, &plan), None);
    }
    for (way, word) in [
        (Way::Error, "the engine has died as planned"),
        (Way::Abort, "the worker process was ended by SIGABRT (while it opened its engine)"),
        (
            Way::Hang,
            "the worker process reported no progress for 2 s and was killed (while it opened its engine)",
        ),
    ] {
        let (jobs, _) = scene.next();
        let plan = Plan::always(Instant::Open, way);
        let mut events = BatchEvents::default();
        let mut commands = [worker(Some(&plan)), worker(Some(&plan))];
        let limits = Limits::stall(Duration::from_secs(2));
        let ended = batch::supervise(&jobs, &mut commands, limits, &Cancel::default(), &mut |event| {
            events.record(&event);
        });
        assert!(ended.as_ref().is_err_and(|error| error.to_string() == word), "{ended:?}");
        assert!(events.ends.iter().all(Vec::is_empty), "{events:?}");
        assert_no_child_is_left();
    }
    // If one of two workers cannot open its engine, the other does the work, and a note says so.
    let (jobs, _) = scene.next();
    let plan = Plan::always(Instant::Open, Way::Error);
    let mut events = BatchEvents::default();
    let mut commands = [worker(None), worker(Some(&plan))];
    let (limits, cancel) = (Limits::default(), Cancel::default());
    let ended = batch::supervise(&jobs, &mut commands, limits, &cancel, &mut |event| events.record(&event));
    assert!(matches!(ended, Ok(Ended::Completed)), "{ended:?}");
    assert_eq!(events.assert_all_done(&jobs, None, &plan), None);
    assert_eq!(events.notes, ["gave up: the engine has died as planned"]);
    // Isolated: the caller gets an error, and no process is left.
    for (way, word) in [(Way::Error, "the engine has died as planned"), (Way::Abort, "was ended by SIGABRT")]
    {
        let plan = Plan::always(Instant::Open, way);
        let error = Isolated::start(engine_process(Some(&plan)), "dying", openpose_137(), None).unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
        assert_no_child_is_left();
    }
    let mut command = Command::new("echo");
    command.arg("no reply");
    assert!(Isolated::start(command, "dying", openpose_137(), None).is_err());
    assert_no_child_is_left();
}

/// Waits are bounded: if an engine has failed and hangs when it is dropped, and if a process that a killed worker had
/// started keeps the worker's pipe open.
fn hangs_after_it_has_failed() {
    let mut scene = Scene::new();
    let (jobs, flag) = scene.next();
    let plan = Plan::always(Instant::Frame(2, 1), Way::HangWhenDropped).once(&flag);
    let events = in_workers(2, Limits::default(), &jobs, &plan);
    assert_eq!(events.assert_all_done(&jobs, None, &plan), None);
    assert!(events.deaths[0].0.contains("the engine has died as planned"), "{events:?}");

    let (jobs, flag) = scene.next();
    let plan = Plan::always(Instant::Frame(2, 1), Way::HangWithChild).once(&flag);
    let events = in_workers(2, Limits::stall(Duration::from_secs(4)), &jobs, &plan);
    assert_eq!(events.assert_all_done(&jobs, None, &plan), None);
    assert!(events.deaths[0].0.contains("reported no progress for 4 s"), "{events:?}");
}

/// A worker whose restart fails at first does not end the run, and is started later.
fn a_restart_that_fails() {
    let mut scene = Scene::new();
    let (jobs, flag) = scene.next();
    let plan = Plan::always(Instant::Frame(0, 1), Way::Abort).once(&flag);
    let program = std::env::current_exe().unwrap();
    // The worker's program is a link, which is missing during the first attempt to restart it.
    let link = scene.folder.path().join("program");
    std::os::unix::fs::symlink(&program, &link).unwrap();
    let mut commands = [as_worker(Command::new(&link), Some(&plan))];
    let mut events = BatchEvents::default();
    let (mut is_gone, away) = (false, link.with_extension("away"));
    let ended = batch::supervise(&jobs, &mut commands, Limits::default(), &Cancel::default(), &mut |event| {
        match event {
            Event::Ready { .. } if !is_gone => {
                is_gone = true;
                fs::rename(&link, &away).unwrap();
            }
            Event::Died { .. } => {
                let (link, away) = (link.clone(), away.clone());
                // After the first attempt, which follows immediately.
                thread::spawn(move || {
                    thread::sleep(Duration::from_millis(500));
                    fs::rename(away, link).unwrap();
                });
            }
            _ => {}
        }
        events.record(&event);
    });
    assert!(matches!(ended, Ok(Ended::Completed)), "{ended:?}");
    assert_eq!(events.assert_all_done(&jobs, None, &plan), None);
    assert_eq!(events.workers_ready, [0, 0], "{events:?}");
    assert_no_child_is_left();
}

/// A video whose file cannot be written fails once, for that reason, and affects no other, wherever the engine dies.
fn a_death_after_a_failed_write() {
    let mut scene = Scene::new();
    let full = Path::new("/dev/full");
    for ((video, frame), unwritable) in
        every_frame().flat_map(|at| (0..FRAMES.len()).map(move |video| (at, video)))
    {
        let (mut jobs, flag) = scene.next();
        let expected = jobs[unwritable].output.clone();
        jobs[unwritable].output = full.into();
        let plan = Plan::always(Instant::Frame(video, frame), Way::Error).noticed_after(2).once(&flag);
        let mut events = BatchEvents::default();
        let options = pipeline::Options::default().with_overwrite(true);
        let video_options = video::Options::default();
        let open = || Dying::open(Some(plan.clone()));
        let ended =
            batch::run_in_process(&jobs, open, &options, &video_options, &mut |event| events.record(&event));
        assert_eq!(ended.unwrap(), Ended::Completed);
        assert!(
            matches!(&events.ends[unwritable][..], [Err((why, false))] if why.contains("No space left")),
            "{plan:?}: {events:#?}"
        );
        for (video, job) in jobs.iter().enumerate().filter(|&(video, _)| video != unwritable) {
            assert_eq!(events.ends[video], [Ok(())], "{plan:?}: video {video}: {events:#?}");
            assert_eq!(fault(&job.output, video), None, "{plan:?}: video {video}");
        }
        assert!(!expected.exists());
    }
}

/// Each entry names the engine of the worker that wrote the file, not that of the worker that was ready last.
fn the_journal_names_the_right_worker() {
    let mut scene = Scene::new();
    let (jobs, flag) = scene.next();
    // One worker is replaced during the run.
    let plan = Plan::always(Instant::Frame(3, 1), Way::Abort).once(&flag);
    let devices = ["cuda:0 A", "cuda:1 B"];
    let mut commands = devices.map(|device| {
        let mut command = worker(Some(&plan));
        command.env(DEVICE, device);
        command
    });
    let path = scene.folder.path().join(journal::NAME);
    let mut journal = Journal::open(&path).unwrap();
    let mut worker_of = [None; FRAMES.len()];
    let (limits, cancel) = (Limits::default(), Cancel::default());
    let ended = batch::supervise(&jobs, &mut commands, limits, &cancel, &mut |event| match event {
        Event::Ready { worker, engine } => {
            assert_eq!(engine.device, devices[worker]);
            journal.set_engine(worker, engine.clone());
        }
        Event::Video { worker, video, update: VideoUpdate::Done(report) } => {
            worker_of[video] = Some(worker);
            let Job { video, output, .. } = &jobs[video];
            journal.add(worker, video, output, journal::Outcome::done(report)).unwrap();
        }
        _ => {}
    });
    assert!(matches!(ended, Ok(Ended::Completed)), "{ended:?}");
    let entries = journal::read(&path).unwrap();
    assert_eq!(entries.len(), FRAMES.len());
    for entry in entries {
        let video = jobs.iter().position(|job| job.output == entry.output).unwrap();
        assert_eq!(entry.engine.device, devices[worker_of[video].unwrap()], "{entry:?}");
    }
    assert_no_child_is_left();
}
