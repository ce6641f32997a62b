//! Stages that every job passes through, spread over a few threads.
//!
//! A stage works on its jobs one after the other, in order, because it remembers the last one; different stages
//! work at the same time on different jobs. Which thread does what never changes what comes out.

use std::any::Any;
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use rayon::{ThreadPoolBuilder, Yield};

/// What a stage does with a job.
type Work<J, E> = Box<dyn FnMut(&J) -> Result<(), E> + Send>;

/// One step that every job passes through.
pub struct Stage<J, E> {
    work: Work<J, E>,
    /// The stage that must have finished with a job before this one takes it.
    after: Option<usize>,
    /// Idle threads help with this stage's work, which is divided by rayon.
    is_divided: bool,
}

impl<J, E> Stage<J, E> {
    /// A stage that takes jobs as they come.
    pub fn first(work: impl FnMut(&J) -> Result<(), E> + Send + 'static) -> Self {
        Self { work: Box::new(work), after: None, is_divided: false }
    }

    /// A stage that takes a job when stage number `after` has finished with it.
    pub fn after(after: usize, work: impl FnMut(&J) -> Result<(), E> + Send + 'static) -> Self {
        Self { work: Box::new(work), after: Some(after), is_divided: false }
    }

    /// The same stage, but idle threads help with what it divides with rayon.
    pub fn divided(self) -> Self {
        Self { is_divided: true, ..self }
    }
}

/// Why no more jobs come out.
#[derive(Debug)]
pub enum Failure<E> {
    /// A stage failed.
    Stage(E),
    /// A stage panicked, with this message.
    Panic(String),
    /// A failure has been reported before.
    Stopped,
}

/// Jobs on their way through the stages.
pub struct Schedule<J, E> {
    shared: Arc<Shared<J, E>>,
    /// Of a rayon pool, so that what one thread divides is taken up by the others.
    threads: Vec<JoinHandle<()>>,
}

struct Shared<J, E> {
    board: Mutex<Board<J, E>>,
    /// Something on the board has changed.
    changed: Condvar,
}

/// Where everything stands.
struct Board<J, E> {
    /// The jobs in flight, oldest first.
    jobs: VecDeque<Arc<J>>,
    /// Number of the oldest job in flight.
    oldest: u64,
    stages: Vec<Progress<J, E>>,
    failure: Option<Failure<E>>,
    closing: bool,
}

struct Progress<J, E> {
    /// Number of the job this stage does, or will do, next.
    next: u64,
    after: Option<usize>,
    is_divided: bool,
    /// Absent while a thread works on job `next`.
    work: Option<Work<J, E>>,
}

impl<J: Send + Sync + 'static, E: Send + 'static> Schedule<J, E> {
    /// Starts `threads` threads (at least one) for the stages.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub fn start(threads: usize, stages: Vec<Stage<J, E>>) -> io::Result<Self> {
        let progress = |stage: Stage<J, E>| Progress {
            next: 0,
            after: stage.after,
            is_divided: stage.is_divided,
            work: Some(stage.work),
        };
        let board = Board {
            jobs: VecDeque::new(),
            oldest: 0,
            stages: stages.into_iter().map(progress).collect(),
            failure: None,
            closing: false,
        };
        let shared = Arc::new(Shared { board: Mutex::new(board), changed: Condvar::new() });
        let mut schedule = Self { shared, threads: Vec::new() };
        let pool = ThreadPoolBuilder::new().num_threads(threads.max(1)).spawn_handler(|thread| {
            let name = format!("estimate-{}", thread.index());
            schedule.threads.push(thread::Builder::new().name(name).spawn(|| thread.run())?);
            Ok(())
        });
        let pool = pool.build().map_err(io::Error::other)?;
        let shared = Arc::clone(&schedule.shared);
        pool.spawn_broadcast(move |_| shared.work());
        Ok(schedule)
    }

    /// Number of jobs in flight.
    pub fn len(&self) -> usize {
        self.shared.lock().jobs.len()
    }

    /// Hands over the next job. How many may be in flight is the caller's to limit.
    pub fn push(&self, job: J) {
        self.shared.lock().jobs.push_back(Arc::new(job));
        self.shared.changed.notify_all();
    }

    /// Waits for the oldest job in flight; `None` where there is none.
    ///
    /// # Errors
    /// A stage has failed before this job was finished.
    pub fn pop(&self) -> Result<Option<Arc<J>>, Failure<E>> {
        let mut board = self.shared.lock();
        loop {
            if board.jobs.is_empty() && board.failure.is_none() {
                return Ok(None);
            }
            // Jobs that were running when the failure was reported may have finished since: still, nothing follows it.
            if let Some(Failure::Stopped) = board.failure {
                return Err(Failure::Stopped);
            }
            if let Some(job) = board.take_finished() {
                return Ok(Some(job));
            }
            if let Some(failure) = &mut board.failure {
                return Err(std::mem::replace(failure, Failure::Stopped));
            }
            board = self.shared.wait(board);
        }
    }
}

impl<J, E> Drop for Schedule<J, E> {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..) {
            // What a stage does wrong is caught in the thread: nothing is lost here.
            let _ = thread.join();
        }
    }
}

impl<J, E> Board<J, E> {
    /// The oldest job, if all stages have finished with it.
    fn take_finished(&mut self) -> Option<Arc<J>> {
        if self.stages.iter().any(|stage| stage.next <= self.oldest) {
            return None;
        }
        let job = self.jobs.pop_front()?;
        self.oldest += 1;
        Some(job)
    }

    /// A stage that is free and has a job waiting. Stages that others wait for come first, so that these never
    /// run dry; then the stage that is furthest behind.
    fn choose(&self) -> Option<usize> {
        let end = self.oldest + self.jobs.len() as u64;
        let ready = |stage: &Progress<J, E>| {
            stage.work.is_some()
                && stage.next < end
                && stage.after.is_none_or(|before| self.stages[before].next > stage.next)
        };
        let ready = self.stages.iter().enumerate().filter(|(_, stage)| ready(stage));
        ready.min_by_key(|(_, stage)| (stage.after.is_some(), stage.next)).map(|(i, _)| i)
    }

    /// Whether a thread is at work that others can help with.
    fn needs_help(&self) -> bool {
        self.stages.iter().any(|stage| stage.is_divided && stage.work.is_none())
    }

    fn take(&mut self) -> Option<(usize, Arc<J>, Work<J, E>)> {
        let i = self.choose()?;
        let job = self.jobs.get((self.stages[i].next - self.oldest) as usize)?;
        Some((i, Arc::clone(job), self.stages[i].work.take()?))
    }
}

impl<J, E> Shared<J, E> {
    fn lock(&self) -> MutexGuard<'_, Board<J, E>> {
        // Nothing panics while the board is locked.
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, board: MutexGuard<'a, Board<J, E>>) -> MutexGuard<'a, Board<J, E>> {
        self.changed.wait(board).unwrap_or_else(PoisonError::into_inner)
    }

    /// What a thread does until the schedule is dropped or a stage fails.
    fn work(&self) {
        let mut board = self.lock();
        while !board.closing && board.failure.is_none() {
            let Some((i, job, mut work)) = board.take() else {
                if board.needs_help() {
                    drop(board);
                    help();
                    board = self.lock();
                } else {
                    board = self.wait(board);
                }
                continue;
            };
            drop(board);
            let result = catch_unwind(AssertUnwindSafe(|| work(&job)));
            // Drop the job first, so that its memory is free when its result is popped.
            drop(job);
            board = self.lock();
            match result {
                Ok(Ok(())) => {
                    board.stages[i].next += 1;
                    board.stages[i].work = Some(work);
                }
                Ok(Err(error)) => board.failure = Some(Failure::Stage(error)),
                Err(panic) => board.failure = Some(Failure::Panic(message(panic.as_ref()))),
            }
            self.changed.notify_all();
        }
    }
}

/// Takes up one part of what another thread has divided, or waits for it a few microseconds.
fn help() {
    for _ in 0..16 {
        if let Some(Yield::Executed) = rayon::yield_now() {
            return;
        }
        std::hint::spin_loop();
    }
    thread::yield_now();
}

/// The text of a panic.
pub fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    /// A number, and what each stage made of it.
    struct Job {
        number: u64,
        results: [Mutex<Option<u64>>; 3],
    }

    fn job(number: u64) -> Job {
        Job { number, results: std::array::from_fn(|_| Mutex::new(None)) }
    }

    /// Three stages, each of which adds up what it has seen; the last two need the result of the first, which is divided.
    fn stages() -> Vec<Stage<Job, String>> {
        let mut sums = [0u64; 3];
        let mut sum = |i: usize, input: fn(&Job) -> u64| {
            let mut sum = std::mem::take(&mut sums[i]);
            move |job: &Job| {
                let wait =
                    || thread::sleep(Duration::from_micros((job.number * 7919 + i as u64 * 104_729) % 300));
                rayon::join(wait, || sum += input(job));
                *job.results[i].lock().unwrap() = Some(sum);
                Ok(())
            }
        };
        let first = |job: &Job| job.results[0].lock().unwrap().expect("the first stage is done");
        vec![
            Stage::first(sum(0, |job| job.number)).divided(),
            Stage::after(0, sum(1, first)),
            Stage::after(0, sum(2, first)),
        ]
    }

    /// The results of `count` jobs with at most `capacity` in flight.
    fn run(threads: usize, capacity: usize, count: u64) -> Vec<[u64; 3]> {
        let schedule = Schedule::start(threads, stages()).unwrap();
        let mut found = Vec::new();
        let mut pop = |schedule: &Schedule<Job, String>| {
            let job = schedule.pop().unwrap().unwrap();
            assert_eq!(job.number, found.len() as u64, "jobs come out in order");
            found.push(std::array::from_fn(|i| job.results[i].lock().unwrap().unwrap()));
        };
        for number in 0..count {
            if schedule.len() == capacity {
                pop(&schedule);
            }
            schedule.push(job(number));
        }
        while schedule.len() > 0 {
            pop(&schedule);
        }
        assert!(schedule.pop().unwrap().is_none());
        found
    }

    #[test]
    fn results_do_not_depend_on_the_number_of_threads() {
        let expected = run(1, 1, 100);
        assert_eq!(expected[99][0], 99 * 100 / 2);
        for (threads, capacity) in [(1, 8), (2, 8), (4, 3), (7, 20)] {
            assert_eq!(run(threads, capacity, 100), expected);
        }
    }

    #[test]
    fn an_error_comes_out_once_and_then_nothing() {
        let mut stages = stages();
        stages.push(Stage::after(
            0,
            |job: &Job| {
                if job.number == 3 { Err("three".to_owned()) } else { Ok(()) }
            },
        ));
        let schedule = Schedule::start(2, stages).unwrap();
        (0..6).for_each(|number| schedule.push(job(number)));
        let mut finished = 0;
        let failure = loop {
            match schedule.pop() {
                Ok(job) => finished += u64::from(job.is_some()),
                Err(failure) => break failure,
            }
        };
        assert!(finished <= 3);
        assert!(matches!(failure, Failure::Stage(text) if text == "three"));
        assert!(matches!(schedule.pop(), Err(Failure::Stopped)));
    }

    #[test]
    fn a_panic_is_an_error() {
        let stage = Stage::<Job, String>::first(|job| panic!("job {}", job.number));
        let schedule = Schedule::start(3, vec![stage]).unwrap();
        schedule.push(job(5));
        assert!(matches!(schedule.pop(), Err(Failure::Panic(text)) if text == "job 5"));
    }

    #[test]
    fn idle_threads_help_with_divided_work() {
        let stage = Stage::<Job, String>::first(|job| {
            // Two parts that wait for each other: one thread alone would never finish.
            let both = std::sync::Barrier::new(2);
            let work = || both.wait().is_leader();
            let (one, other) = rayon::join(work, work);
            *job.results[0].lock().unwrap() = Some(u64::from(one) + u64::from(other));
            Ok(())
        });
        let schedule = Schedule::start(2, vec![stage.divided()]).unwrap();
        schedule.push(job(0));
        let job = schedule.pop().unwrap().unwrap();
        assert_eq!(*job.results[0].lock().unwrap(), Some(1));
    }

    #[test]
    fn a_panic_in_a_part_is_an_error() {
        let stage = Stage::<Job, String>::first(|_| {
            rayon::join(|| thread::sleep(Duration::from_millis(1)), || panic!("a part"));
            Ok(())
        });
        let schedule = Schedule::start(2, vec![stage.divided()]).unwrap();
        schedule.push(job(0));
        assert!(matches!(schedule.pop(), Err(Failure::Panic(text)) if text == "a part"));
    }

    #[test]
    fn dropping_gives_up_what_is_in_flight() {
        let done = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&done);
        let stage = Stage::<Job, String>::first(move |_| {
            thread::sleep(Duration::from_millis(5));
            count.fetch_add(1, Ordering::Relaxed);
            Ok(())
        });
        let schedule = Schedule::start(1, vec![stage]).unwrap();
        (0..1000).for_each(|number| schedule.push(job(number)));
        drop(schedule);
        assert!(done.load(Ordering::Relaxed) < 1000);
    }
}
