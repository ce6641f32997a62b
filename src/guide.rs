//! How to use the library, by examples that run: [a video](#a-video), [a folder](#a-folder),
//! [frames of your own](#frames-of-your-own), [an engine of your own](#an-engine-of-your-own),
//! [what is in a file](#what-is-in-a-file), [a look at it](#a-look-at-it).
//!
//! # A video
//!
//! [`video::open`](crate::video::open) decodes, an [`Engine`](crate::engine::Engine) estimates,
//! [`pipeline::run`](crate::pipeline::run) joins the two and writes. The file appears when it is complete.
//!
//! ```
//! use oppose::engine::holistic::Holistic;
//! use oppose::people::{self, Person};
//! use oppose::{pipeline, video};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let output = folder.path().join("sample.pose");
//! let video = video::open("assets/sample.mp4".as_ref(), &video::Options::default())?;
//! let mut engine = Holistic::open("models".as_ref(), Default::default())?;
//! // The largest person, followed through the clip.
//! let people = people::Options::default().with_track(true).with_person(Person::Largest);
//! let options = pipeline::Options::default().with_people(people);
//! let report = pipeline::run(video, &mut engine, &output, &options, &mut |progress| {
//!     if progress.frames % 30 == 0 {
//!         println!("{} frames, {:.1} per second", progress.frames, progress.frames_per_second());
//!     }
//! })?;
//! assert_eq!((report.frames, report.frame_rate.to_string().as_str()), (90, "30000/1001"));
//! # Ok(())
//! # }
//! ```
//!
//! [`Native`](crate::engine::native::Native) takes the place of `Holistic` where OpenPose's models are. A second thread
//! may end a run between two frames: give it a clone of [`Options::cancel`](crate::pipeline::Options::cancel).
//!
//! # A folder
//!
//! This program does what `oppose-native clips -o poses` does, with the best engine that can run here. Videos whose files
//! are complete are skipped, a journal says what became of each, and the videos are processed in a process of its own:
//! the program starts itself again as a worker. A video that crashes the decoder or the engine costs no other video.
//!
//! ```standalone_crate
//! use oppose::batch::{self, Batch, Inputs, Limits, Plan};
//! use oppose::{engines, pipeline::Cancel};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     if batch::is_worker() {
//!         let mut selection = engines::Selection::default();
//!         selection.model_folder = Some("models".into());
//!         let open = |note: &dyn Fn(&str)| engines::open(&selection, &mut |notice| note(&notice.to_string()));
//!         return Ok(batch::serve_supervisor(open, &Default::default(), &Default::default())??);
//!     }
//!     # let folder = tempfile::tempdir()?;
//!     # let (clips, poses) = (folder.path().join("clips"), folder.path().join("poses"));
//!     # std::fs::create_dir(&clips)?;
//!     # for name in ["a.mp4", "b.mp4"] {
//!     #     std::fs::copy("assets/sample.mp4", clips.join(name))?;
//!     # }
//!     # /*
//!     let (clips, poses) = ("clips", "poses");
//!     # */
//!     let mut batch = Batch::new(Plan::new(&Inputs::new([clips]).with_output(&poses))?, Default::default())?;
//!     let mut workers = batch::worker_commands(1)?;
//!     batch.in_workers(&mut workers, Limits::default(), &Cancel::default(), &mut |event, _| println!("{event:?}"))?;
//!     let (summary, _) = batch.finish();
//!     println!("{} done, {} failed", summary.done, summary.failed);
//!     # assert_eq!((summary.done, summary.failed), (2, 0));
//!     # assert!(poses.join("b.pose").exists() && poses.join("oppose.jsonl").exists());
//!     Ok(())
//! }
//! ```
//!
//! One level below, [`pipeline::run_all`](crate::pipeline::run_all) processes videos one after another in this process, with
//! an engine that is already open. It neither skips existing files nor survives crashes.
//!
//! # Frames of your own
//!
//! From a camera, a renderer, another decoder: a [`Source`](crate::video::Source) says of what size and rate its frames
//! are and gives them one by one, 8-bit BGR in packed rows. Without the pipeline an engine takes them too:
//! [`push`](crate::engine::Engine::push) frames, [`pop`](crate::engine::Engine::pop) people.
//!
//! # An engine of your own
//!
//! An [`Engine`](crate::engine::Engine) says which [`Skeleton`](crate::pose::Skeleton) it speaks and how many frames it
//! wants in flight. This one follows the brightest pixel, of frames made up by a source of one bright pixel on its way
//! to the right:
//!
//! ```
//! use std::collections::VecDeque;
//! use std::sync::LazyLock;
//! use std::time::Duration;
//!
//! use oppose::engine::{Engine, EngineError, EngineInfo};
//! use oppose::pipeline;
//! use oppose::pose::{Component, FramePose, Pose, Skeleton};
//! use oppose::video::{DecodeSummary, Frame, FrameRate, Source, SourceError, VideoInfo};
//!
//! struct Camera {
//!     info: VideoInfo,
//!     frames: u64,
//! }
//!
//! impl Source for Camera {
//!     fn info(&self) -> &VideoInfo {
//!         &self.info
//!     }
//!
//!     fn next_frame(&mut self) -> Result<Option<Frame>, SourceError> {
//!         if self.frames == 10 {
//!             return Ok(None);
//!         }
//!         let mut bgr = vec![0; 64 * 48 * 3];
//!         let pixel = 20 * 64 + 5 + self.frames as usize;
//!         bgr[3 * pixel..][..3].fill(255);
//!         let time = Duration::from_millis(40 * self.frames);
//!         self.frames += 1;
//!         Ok(Some(Frame::new(self.frames - 1, Some(time), 64, 48, bgr)?))
//!     }
//!
//!     fn summary(&self) -> DecodeSummary {
//!         DecodeSummary::new(self.frames)
//!     }
//! }
//!
//! static SPOT: LazyLock<Skeleton> = LazyLock::new(|| Skeleton {
//!     components: vec![Component {
//!         name: "SPOT".into(),
//!         format: "XYC".into(),
//!         points: vec!["BRIGHTEST".into()],
//!         limbs: vec![],
//!         colors: vec![[255, 200, 0]],
//!     }],
//! });
//!
//! #[derive(Default)]
//! struct Brightest {
//!     in_flight: VecDeque<Frame>,
//! }
//!
//! impl Engine for Brightest {
//!     fn info(&mut self) -> Result<EngineInfo, EngineError> {
//!         Ok(EngineInfo::new("brightest", "cpu", "u8", 1))
//!     }
//!
//!     fn skeleton(&self) -> &'static Skeleton {
//!         &SPOT
//!     }
//!
//!     fn capacity(&self) -> usize {
//!         4
//!     }
//!
//!     fn start_video(&mut self, _info: &VideoInfo) -> Result<(), EngineError> {
//!         Ok(())
//!     }
//!
//!     fn push(&mut self, frame: Frame) -> Result<(), EngineError> {
//!         self.in_flight.push_back(frame);
//!         Ok(())
//!     }
//!
//!     fn flush(&mut self) -> Result<(), EngineError> {
//!         Ok(())
//!     }
//!
//!     fn pop(&mut self, pose: &mut FramePose) -> Result<bool, EngineError> {
//!         let Some(frame) = self.in_flight.pop_front() else { return Ok(false) };
//!         let light = |bgr: &[u8]| bgr.iter().map(|&value| u32::from(value)).sum::<u32>();
//!         let pixels = frame.pixels().chunks_exact(3).map(light).enumerate();
//!         let (pixel, light) = pixels.max_by_key(|&(_, light)| light).unwrap_or_default();
//!         let width = frame.width() as usize;
//!         // One person of one point with two coordinates.
//!         pose.reset(1, 1, 2);
//!         pose.coordinates_mut().copy_from_slice(&[(pixel % width) as f32, (pixel / width) as f32]);
//!         pose.confidences_mut()[0] = light as f32 / 765.0;
//!         Ok(true)
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let output = folder.path().join("spot.pose");
//! let frame_rate = FrameRate::DEFAULT;
//! let info = VideoInfo::new(64, 48, frame_rate);
//! let camera = Box::new(Camera { info, frames: 0 });
//! pipeline::run(camera, &mut Brightest::default(), &output, &Default::default(), &mut |_| {})?;
//! let pose = Pose::read_file(&output)?;
//! assert_eq!(pose.frames(), 10);
//! let spot = pose.frame(1).person(0).component("SPOT").and_then(|spot| spot.point("BRIGHTEST"));
//! assert_eq!(spot.map(|spot| spot.coordinates()), Some(&[6.0, 20.0][..]));
//! # Ok(())
//! # }
//! ```
//!
//! # What is in a file
//!
//! [`Pose`](crate::pose::Pose) is a file in memory: frames × people × points × dimensions. Views lead to single points by
//! name without copying: `pose.frame(0).person(0).component("POSE_LANDMARKS")`, or all of them with `pose.iter()`.
//! [`inspect`](crate::inspect::inspect) measures one, [`compare`](crate::inspect::compare) two.
//!
//! ```
//! use oppose::inspect::{compare, inspect};
//! use oppose::pose::{FramePose, Pose, openpose_137};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut frame = FramePose::new(1, 137, 2);
//! frame.coordinates_mut().iter_mut().enumerate().for_each(|(index, value)| *value = index as f32);
//! frame.confidences_mut()[..25].fill(0.9);
//! let seen = Pose::from_frames(openpose_137(), 640, 480, 25.0, &[frame.clone(), frame.clone()])?;
//! let inspection = inspect(&seen);
//! assert_eq!(inspection.components[0].present, 1.0);
//! assert_eq!((inspection.components[1].name.as_str(), inspection.components[1].present), ("face_keypoints_2d", 0.0));
//!
//! frame.coordinates_mut().iter_mut().for_each(|value| *value += 0.5);
//! let moved = Pose::from_frames(openpose_137(), 640, 480, 25.0, &[frame.clone(), frame])?;
//! assert_eq!(compare(&seen, &moved)?.within(1.0), 1.0);
//! # Ok(())
//! # }
//! ```
//!
//! # A look at it
//!
//! ```
//! use oppose::pose::{FramePose, Pose, openpose_137};
//! use oppose::render::{OverlayOptions, overlay};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let look = folder.path().join("look.gif");
//! let mut frame = FramePose::new(1, 137, 2);
//! frame.coordinates_mut()[..4].copy_from_slice(&[60.0, 20.0, 60.0, 50.0]);
//! frame.confidences_mut()[..2].fill(0.9);
//! let pose = Pose::from_frames(openpose_137(), 128, 96, 25.0, &[frame.clone(), frame])?;
//! // Over the video it was made from: `Some(video::open(…)?)`.
//! let drawn = overlay(None, &[&pose], &look, &OverlayOptions::default())?;
//! assert_eq!((drawn.frames, drawn.size), (2, (128, 96)));
//! # Ok(())
//! # }
//! ```
