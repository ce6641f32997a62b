//! A page that plays a video with its poses over it.

use minijinja::context;
use serde::Serialize;

use super::encoding::{Area, PageSkeleton, base64, place, short};
use super::html::{Page, PageError, json};
use crate::inspect::{CompareError, compare, distance_over_time};
use crate::pose::{FramePose, Pose};

/// The largest size in bytes of points that a browser can be expected to hold: an hour of one person with 137
/// points has 62 million.
const MAX_BYTES: u64 = 256 << 20;

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ViewError {
    /// There are too many points for a page.
    #[error(
        "the points take {bytes} bytes in the page, more than the {limit} that a browser is expected to hold; \
         select fewer points or people"
    )]
    TooLarge {
        /// Bytes of the points.
        bytes: u64,
        /// The largest size that a page can hold.
        limit: u64,
    },
    /// The two files cannot be compared.
    #[error(transparent)]
    Compare(#[from] CompareError),
    /// The page cannot be rendered.
    #[error(transparent)]
    Page(#[from] PageError),
}

/// One `.pose` file, or two of the same video, to be played.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct View<'a> {
    /// What the page calls the video; by default the name of the first file.
    pub title: &'a str,
    /// The URL of the video, relative to the page; without one, the poses are drawn on an empty picture.
    pub video: Option<&'a str>,
    /// When each frame of the first file is shown, in seconds, as written with the table of timestamps; without it,
    /// frame index divided by frame rate. It is ignored if it is not in order, or does not have one time per frame.
    pub times: Option<&'a [f64]>,
    /// Name and contents of a file.
    pub first: (&'a str, &'a Pose),
    /// Name and contents of a second file to compare with it.
    pub second: Option<(&'a str, &'a Pose)>,
}

#[derive(Serialize)]
struct Data<'a> {
    video: Option<&'a str>,
    times: Option<&'a [f64]>,
    poses: Vec<PagePose>,
    /// By how many frames the second file is late.
    offset: i64,
    /// Mean distance in pixels for each frame of the first file.
    distance: Option<Vec<Option<f32>>>,
}

/// A file as the page's script reads it.
#[derive(Serialize)]
struct PagePose {
    name: String,
    width: u16,
    height: u16,
    fps: f32,
    frames: usize,
    people: usize,
    skeleton: PageSkeleton,
    area: [f32; 4],
    /// In base64: x and y of each frame, person and point that is drawn, two bytes each, little-endian; then their
    /// confidences, one byte each, 0 where the point was not found.
    data: String,
}

impl<'a> View<'a> {
    /// A file without its video: its name as the page shows it, and its contents.
    pub fn new(name: &'a str, pose: &'a Pose) -> Self {
        Self { title: name, video: None, times: None, first: (name, pose), second: None }
    }

    /// The same view with `title`.
    #[must_use]
    pub fn with_title(self, title: &'a str) -> Self {
        Self { title, ..self }
    }

    /// The same view with `video`.
    #[must_use]
    pub fn with_video(self, video: impl Into<Option<&'a str>>) -> Self {
        Self { video: video.into(), ..self }
    }

    /// The same view with `times`.
    #[must_use]
    pub fn with_times(self, times: impl Into<Option<&'a [f64]>>) -> Self {
        Self { times: times.into(), ..self }
    }

    /// The same view with a second file: its name and contents.
    #[must_use]
    pub fn with_second(self, second: impl Into<Option<(&'a str, &'a Pose)>>) -> Self {
        Self { second: second.into(), ..self }
    }

    /// The page.
    ///
    /// # Errors
    /// There are too many points, or the two files are not of the same video.
    pub fn to_html(&self) -> Result<String, ViewError> {
        let poses = [Some(self.first), self.second].into_iter().flatten();
        let poses = poses.map(|(name, pose)| PagePose::new(name, pose)).collect::<Result<_, _>>()?;
        let times = self.times.filter(|times| {
            times.len() == self.first.1.frames()
                && times.is_sorted()
                && times.iter().all(|time| time.is_finite())
        });
        let mut data = Data { video: self.video, times, poses, offset: 0, distance: None };
        if let Some((_, second)) = self.second {
            data.offset = compare(self.first.1, second)?.offset;
            data.distance = Some(distance_over_time(self.first.1, second, data.offset)?);
        }
        let data = json(&data)?;
        let page = Page {
            template: include_str!("assets/view.html"),
            style: include_str!("assets/view.css"),
            script: include_str!("assets/view.js"),
            data: &data,
            context: context! { title => short(self.title), is_pair => self.second.is_some() },
            media: "'self' file:",
        };
        Ok(page.to_html()?)
    }
}

impl PagePose {
    fn new(name: &str, pose: &Pose) -> Result<Self, ViewError> {
        let skeleton = PageSkeleton::new(&pose.header.skeleton);
        let drawn: usize = skeleton.components.iter().filter(|part| part.drawn).map(|part| part.points).sum();
        let all = (pose.frames() as u64).saturating_mul(pose.people() as u64).saturating_mul(drawn as u64);
        let bytes = all.saturating_mul(5);
        if bytes > MAX_BYTES {
            return Err(ViewError::TooLarge { bytes, limit: MAX_BYTES });
        }
        // The area first, then the points: both walk over all frames, so that no copy of them is kept.
        let mut area: Option<Area> = None;
        for_each_point(pose, &skeleton, |point, _| {
            let both = [
                point,
                area.map(|Area([left, top, ..])| [left, top]),
                area.map(|Area([.., right, bottom])| [right, bottom]),
            ];
            area = Area::around(both.iter().flatten());
        });
        let area = area.unwrap_or(Area([0.0; 4]));
        let mut data = Vec::with_capacity(bytes as usize);
        let mut confidences = Vec::with_capacity(all as usize);
        for_each_point(pose, &skeleton, |point, confidence| {
            let values = point.map_or([0; 2], |point| area.quantise(point, u16::MAX));
            data.extend(values.into_iter().flat_map(u16::to_le_bytes));
            // What was found is never 0.
            let byte = (confidence.clamp(0.0, 1.0) * 255.0).round().max(1.0) as u8;
            confidences.push(if point.is_some() { byte } else { 0 });
        });
        data.append(&mut confidences);
        Ok(Self {
            name: short(name),
            width: pose.header.width,
            height: pose.header.height,
            fps: pose.fps,
            frames: pose.frames(),
            people: pose.people(),
            skeleton,
            area: area.0,
            data: base64(&data),
        })
    }
}

/// Goes through the points that are drawn and their confidences: frame by frame, person by person.
fn for_each_point(pose: &Pose, skeleton: &PageSkeleton, mut each: impl FnMut(Option<[f32; 2]>, f32)) {
    let mut frame = FramePose::default();
    for index in 0..pose.frames() {
        pose.copy_frame(index, &mut frame);
        let mut first = 0;
        for _ in 0..frame.people() {
            for component in &skeleton.components {
                let points = first..first + component.points;
                first = points.end;
                if component.drawn {
                    for point in points {
                        each(place(&frame, point), frame.confidences().get(point).copied().unwrap_or(0.0));
                    }
                }
            }
        }
    }
}
