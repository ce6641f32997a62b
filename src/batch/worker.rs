//! A worker: one engine, and videos as they are handed to it.

use std::cell::RefCell;
use std::io::{self, BufRead, Write};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{TryRecvError, bounded};

use super::message::{News, Order, Told};
use crate::engine::{Description, Engine};
use crate::pipeline::{self, Event, Next, PipelineError, Stop, Video};
use crate::pose::PoseError;
use crate::video;

/// How often progress is told.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);

/// Orders that wait.
const ORDERS: usize = 64;

/// Works on the videos that come in on `orders` until that ends, and tells what becomes of them on `news`. `open`
/// loads the engine, says what it is, and may pass remarks for the user on.
///
/// # Errors
/// Nobody listens any more. Whatever else goes wrong is told.
pub fn serve<E: std::fmt::Display>(
    open: impl FnOnce(&dyn Fn(&str)) -> Result<(Box<dyn Engine>, Description), E>,
    options: &pipeline::Options,
    video_options: &video::Options,
    orders: impl BufRead + Send + 'static,
    news: impl Write,
) -> io::Result<Result<(), Stop>> {
    let news = RefCell::new(news);
    let deaf: RefCell<Option<io::Error>> = RefCell::new(None);
    let tell = |words: News| {
        let told = serde_json::to_vec(&words).map_err(io::Error::from).and_then(|mut line| {
            line.push(b'\n');
            let mut news = news.borrow_mut();
            news.write_all(&line)?;
            news.flush()
        });
        if let Err(error) = told {
            // Without a supervisor there is nothing to work for.
            options.cancel.cancel();
            deaf.borrow_mut().get_or_insert(error);
        }
    };
    let (mut engine, description) = match open(&|text| tell(News::Note(text.into()))) {
        Ok(opened) => opened,
        Err(error) => {
            tell(News::Unusable(error.to_string()));
            return Ok(Ok(()));
        }
    };
    tell(News::Ready(description));

    // Read on a thread of its own: while no order comes, the frames in flight are finished.
    let (sender, received) = bounded(ORDERS);
    thread::Builder::new().name("orders".into()).spawn(move || {
        for line in orders.lines().map_while(Result::ok) {
            let Ok(order) = serde_json::from_str::<Order>(&line) else { break };
            if sender.send(order).is_err() {
                break;
            }
        }
    })?;
    let video_options = &video::Options { keep_planes: engine.takes_planes(), ..video_options.clone() };
    let numbers = RefCell::new(Vec::new());
    let mut next = |waits: bool| {
        let order = match received.try_recv() {
            Err(TryRecvError::Empty) if waits => received.recv().map_err(|_| TryRecvError::Disconnected),
            other => other,
        };
        let (number, job) = match order {
            Ok(order) => order.job(),
            Err(TryRecvError::Empty) => return Next::Later,
            Err(TryRecvError::Disconnected) => return Next::End,
        };
        numbers.borrow_mut().push(number);
        let (video, video_options) = (job.video, video_options.clone());
        Next::Video(Video { open: Box::new(move || video::open(&video, &video_options)), output: job.output })
    };
    let mut last_progress = Instant::now();
    let stopped = pipeline::run_as_they_come(&mut next, engine.as_mut(), options, &mut |index, event| {
        let told = match event {
            Event::Started { info } => Told::Started { announced_frames: info.announced_frames },
            Event::Progress(progress) => {
                if last_progress.elapsed() < PROGRESS_INTERVAL {
                    return;
                }
                last_progress = Instant::now();
                let pipeline::Progress { frames, announced_frames, elapsed } = progress;
                Told::Progress { frames, announced_frames, seconds: elapsed.as_secs_f64() }
            }
            Event::Done(report) => Told::Done((&report).into()),
            // Somebody else asked this process alone to end: another one goes on.
            Event::Failed(PipelineError::Cancelled) => return,
            Event::Failed(PipelineError::Write(PoseError::Exists(_))) => Told::Exists,
            Event::Failed(error @ PipelineError::Engine { .. }) => Told::EngineFailed(error.to_string()),
            Event::Failed(error) => Told::Failed(error.to_string()),
        };
        let number = numbers.borrow()[index];
        tell(News::Video { number, told });
    });
    match deaf.into_inner() {
        Some(error) => Err(error),
        None => Ok(stopped),
    }
}
