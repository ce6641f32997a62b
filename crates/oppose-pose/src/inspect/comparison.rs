//! How far two `.pose` files of the same video are apart.

use std::collections::{HashMap, HashSet, VecDeque};

use serde::Serialize;

use super::motion::{moved, ranges_in_pixels, shoulder_width, shoulders};
use super::shares::{median, quantile, share};
use crate::people::distance::{Detection, Locations, distance, same_people};
use crate::{Component, Pose, Skeleton};

/// The longest offset that is looked for, in seconds.
const MAX_OFFSET: f32 = 2.0;

/// About how many detections are used to find the offset: a few frames of a crowd tell as much as many frames of one person.
const OFFSET_DETECTIONS: usize = 500;

/// An offset is accepted only if it reduces the distance of the bodies to less than this share of the distance without it:
/// the frames of a person at rest are all alike.
const CLEARLY_NEARER: f32 = 0.9;

/// Why two files cannot be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompareError {
    /// The files have no point in common.
    #[error(
        "the first file has the components {first}, the second {second}: no point has the same name in a component of \
         the same name, and only files of the same points can be compared"
    )]
    Skeletons {
        /// Components and points of the first.
        first: String,
        /// Components and points of the second.
        second: String,
    },
    /// The files are for frames of different sizes.
    #[error(
        "the first file is for frames of {}x{} pixels, the second for {}x{}: they are not of the same video",
        .first.0, .first.1, .second.0, .second.1
    )]
    Sizes {
        /// Width and height of the first.
        first: (u16, u16),
        /// Width and height of the second.
        second: (u16, u16),
    },
}

/// What [`compare`] measures of two files.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Comparison {
    /// Number of frames of each file.
    pub frames: [usize; 2],
    /// Frames per second of each file.
    pub fps: [f32; 2],
    /// The number of frames by which the second file is late: its frame i + offset shows the same as frame i of the first.
    pub offset: i64,
    /// Number of frames that both files have, given the offset.
    pub compared_frames: usize,
    /// Number of people that are in both files, over all frames.
    pub people_in_both: usize,
    /// Number of people that are in only one of the files, over all frames.
    pub people_in_one: [usize; 2],
    /// The components that are in pixels and in both files.
    pub components: Vec<ComponentComparison>,
    /// The points in pixels that only one of the files has, and that were therefore not compared.
    pub not_shared: [Vec<ComponentCount>; 2],
    #[serde(skip)]
    distances: Vec<Vec<f32>>,
}

/// Some points of a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ComponentCount {
    /// The component's name.
    pub name: String,
    /// Number of points.
    pub points: usize,
}

/// What [`compare`] measures of one component.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ComponentComparison {
    /// Its name.
    pub name: String,
    /// Number of points that were found in both files.
    pub in_both: usize,
    /// Number of points that were found in only one of the files.
    pub in_one: [usize; 2],
    /// 50th, 90th, 99th and 100th percentile of the distance in pixels of points found in both; `None` if there are none.
    pub pixels: Option<[f32; 4]>,
    /// The same in shoulder widths; `None` without shoulders.
    pub shoulders: Option<[f32; 4]>,
}

impl Comparison {
    /// Share of the points, 0 to 1, that were found in both files and are at most `pixels` pixels apart. Points that only
    /// one file has count as too far. 1 if neither file has any.
    pub fn within(&self, pixels: f32) -> f64 {
        let near = self.distances.iter().flatten().filter(|&&distance| distance <= pixels).count();
        let all = self.components.iter().map(|part| part.in_both + part.in_one[0] + part.in_one[1]).sum();
        if all == 0 { 1.0 } else { share(near, all) }
    }
}

/// Compares two files. The people of a frame are paired, the nearest first; a person who is farther than half their own size
/// from everybody counts as being in only one file. If the skeletons differ, points are compared that have the same name in
/// a component of the same name.
///
/// # Errors
/// The files have no point in common, or are for frames of different sizes.
pub fn compare(first: &Pose, second: &Pose) -> Result<Comparison, CompareError> {
    let shared = comparable(first, second)?;
    let files =
        [File { pose: first, points: &shared.points[0] }, File { pose: second, points: &shared.points[1] }];
    let offset = offset(&files, &shared.skeleton);
    let mut tally = Tally::new(&shared.skeleton);
    let mut compared_frames = 0;
    for (a, b) in shared_frames(first, second, offset) {
        tally.add(&files[0].people(a), &files[1].people(b));
        compared_frames += 1;
    }
    let shoulder = median(&mut tally.widths).filter(|&width| width > 0.0);
    let components = &shared.skeleton.components;
    let parts = components.iter().zip(tally.in_one).zip(&mut tally.distances);
    let parts = parts.map(|((component, in_one), distances)| {
        let pixels = spread(distances);
        ComponentComparison {
            name: component.name.clone(),
            in_both: distances.len(),
            in_one,
            pixels,
            shoulders: pixels.zip(shoulder).map(|(pixels, shoulder)| pixels.map(|pixels| pixels / shoulder)),
        }
    });
    Ok(Comparison {
        frames: [first.frames(), second.frames()],
        fps: [first.fps, second.fps],
        offset,
        compared_frames,
        people_in_both: tally.people_in_both,
        people_in_one: tally.people_in_one,
        components: parts.collect(),
        not_shared: shared.others,
        distances: tally.distances,
    })
}

/// How far two files are apart in each frame of the first: the mean distance in pixels of the points found in both, over all
/// people who are in both; `None` if nobody is. Frame i of the first is compared with frame i + `offset` of the second:
/// [`Comparison::offset`] is a good choice.
///
/// # Errors
/// The files have no point in common, or are for frames of different sizes.
pub fn distance_over_time(
    first: &Pose,
    second: &Pose,
    offset: i64,
) -> Result<Vec<Option<f32>>, CompareError> {
    let shared = comparable(first, second)?;
    let files =
        [File { pose: first, points: &shared.points[0] }, File { pose: second, points: &shared.points[1] }];
    let mut distances = vec![None; first.frames()];
    for (a, b) in shared_frames(first, second, offset) {
        let (ours, theirs) = (files[0].people(a), files[1].people(b));
        let (mut sum, mut count) = (0.0, 0_usize);
        for (one, other) in same_people(&ours, &theirs) {
            for (one, other) in ours[one].points.iter().zip(&theirs[other].points) {
                if let Some(distance) = moved(*one, *other) {
                    sum += f64::from(distance);
                    count += 1;
                }
            }
        }
        distances[a] = (count > 0).then(|| (sum / count as f64) as f32);
    }
    Ok(distances)
}

/// What two files have in common.
fn comparable(first: &Pose, second: &Pose) -> Result<Shared, CompareError> {
    let shared = Shared::of(&first.header.skeleton, &second.header.skeleton);
    if shared.skeleton.points() == 0 {
        let parts = |skeleton: &Skeleton| -> String {
            let names =
                skeleton.components.iter().map(|part| format!("{} ({})", part.name, part.points.len()));
            names.collect::<Vec<_>>().join(", ")
        };
        let (first, second) = (parts(&first.header.skeleton), parts(&second.header.skeleton));
        return Err(CompareError::Skeletons { first, second });
    }
    let size = |pose: &Pose| (pose.header.width, pose.header.height);
    if size(first) != size(second) {
        return Err(CompareError::Sizes { first: size(first), second: size(second) });
    }
    Ok(shared)
}

/// The points in pixels that two skeletons have in common.
struct Shared {
    /// The shared points, in the order of the first.
    skeleton: Skeleton,
    /// For each file, the indices of these points among a person's points in pixels.
    points: [Vec<usize>; 2],
    /// The points that are in only one of the skeletons.
    others: [Vec<ComponentCount>; 2],
}

impl Shared {
    /// Points with the same name are paired in their order.
    fn of(first: &Skeleton, second: &Skeleton) -> Self {
        let mut theirs: HashMap<(&str, &str), VecDeque<usize>> = HashMap::new();
        for (place, name) in points_in_pixels(second).enumerate() {
            theirs.entry(name).or_default().push_back(place);
        }
        let mut shared =
            Self { skeleton: Skeleton::default(), points: Default::default(), others: Default::default() };
        let mut place = 0;
        for component in first.components.iter().filter(|component| component.is_in_pixels()) {
            let mut points = Vec::new();
            for point in &component.points {
                let other = theirs.get_mut(&(component.name.as_str(), point.as_str()));
                if let Some(other) = other.and_then(VecDeque::pop_front) {
                    shared.points[0].push(place);
                    shared.points[1].push(other);
                    points.push(point.clone());
                }
                place += 1;
            }
            if points.len() < component.points.len() {
                let points = component.points.len() - points.len();
                shared.others[0].push(ComponentCount { name: component.name.clone(), points });
            }
            if !points.is_empty() {
                shared.skeleton.components.push(Component {
                    name: component.name.clone(),
                    format: component.format.clone(),
                    points,
                    ..Component::default()
                });
            }
        }
        let taken: HashSet<usize> = shared.points[1].iter().copied().collect();
        for (_, (name, _)) in points_in_pixels(second).enumerate().filter(|(place, _)| !taken.contains(place))
        {
            match shared.others[1].last_mut() {
                Some(part) if part.name == name => part.points += 1,
                _ => shared.others[1].push(ComponentCount { name: name.to_owned(), points: 1 }),
            }
        }
        shared
    }
}

/// The component and name of each point in pixels, in the order of the file.
fn points_in_pixels(skeleton: &Skeleton) -> impl Iterator<Item = (&str, &str)> {
    let components = skeleton.components.iter().filter(|component| component.is_in_pixels());
    components.flat_map(|part| part.points.iter().map(|point| (part.name.as_str(), point.as_str())))
}

/// The 50th, 90th, 99th and 100th percentile.
fn spread(distances: &mut [f32]) -> Option<[f32; 4]> {
    let mut at = |share| quantile(distances, share);
    Some([at(0.5)?, at(0.9)?, at(0.99)?, at(1.0)?])
}

/// One of the files that are compared.
struct File<'a> {
    pose: &'a Pose,
    /// Which of a person's points in pixels are compared.
    points: &'a [usize],
}

impl File<'_> {
    /// The people of a frame with at least one of the points to be compared, and only with these points.
    fn people(&self, frame: usize) -> Vec<Detection> {
        let mut people = Detection::all(self.pose.frame(frame));
        for person in &mut people {
            person.points = self.points.iter().map(|&point| person.points[point]).collect();
        }
        people.retain(|person| person.points.iter().any(Option::is_some));
        people
    }
}

/// Pairs of frames that show the same moment.
fn shared_frames(first: &Pose, second: &Pose, offset: i64) -> impl Iterator<Item = (usize, usize)> {
    let frames = second.frames();
    (0..first.frames()).filter_map(move |frame| {
        let other = usize::try_from(frame as i64 + offset).ok()?;
        (other < frames).then_some((frame, other))
    })
}

/// What is counted over the frames.
struct Tally {
    parts: Vec<std::ops::Range<usize>>,
    shoulders: Option<(usize, usize)>,
    widths: Vec<f32>,
    distances: Vec<Vec<f32>>,
    in_one: Vec<[usize; 2]>,
    people_in_both: usize,
    people_in_one: [usize; 2],
}

impl Tally {
    fn new(skeleton: &Skeleton) -> Self {
        let parts: Vec<_> = ranges_in_pixels(skeleton).into_iter().flatten().collect();
        Self {
            shoulders: shoulders(skeleton),
            widths: Vec::new(),
            distances: vec![Vec::new(); parts.len()],
            in_one: vec![[0; 2]; parts.len()],
            people_in_both: 0,
            people_in_one: [0; 2],
            parts,
        }
    }

    fn add(&mut self, first: &[Detection], second: &[Detection]) {
        let pairs = same_people(first, second);
        let (mut alone, mut other_alone) = (vec![true; first.len()], vec![true; second.len()]);
        for (a, b) in pairs {
            (alone[a], other_alone[b]) = (false, false);
            self.people_in_both += 1;
            let (a, b) = (&first[a].points, &second[b].points);
            self.widths.extend(shoulder_width(a, self.shoulders));
            for (index, part) in self.parts.iter().enumerate() {
                for (a, b) in a[part.clone()].iter().zip(&b[part.clone()]) {
                    self.distances[index].extend(moved(*a, *b));
                    self.in_one[index][0] += usize::from(a.is_some() && b.is_none());
                    self.in_one[index][1] += usize::from(a.is_none() && b.is_some());
                }
            }
        }
        for (file, (people, alone)) in [(first, alone), (second, other_alone)].into_iter().enumerate() {
            for (person, _) in people.iter().zip(alone).filter(|(_, alone)| *alone) {
                self.people_in_one[file] += 1;
                for (index, part) in self.parts.iter().enumerate() {
                    self.in_one[index][file] += person.points[part.clone()].iter().flatten().count();
                }
            }
        }
    }
}

/// The number of frames by which the second file is late. Only bodies are compared, because every person has one.
fn offset(files: &[File<'_>; 2], shared: &Skeleton) -> i64 {
    let [first, second] = files.each_ref().map(|file| file.pose);
    let body = ranges_in_pixels(shared).into_iter().flatten().next().unwrap_or(0..0);
    let bodies = |file: &File<'_>| -> Vec<Vec<Locations>> {
        let of = |person: Detection| person.points[body.clone()].to_vec();
        (0..file.pose.frames()).map(|frame| file.people(frame).into_iter().map(of).collect()).collect()
    };
    let [ours, theirs] = files.each_ref().map(bodies);
    let max_offset = (first.fps.clamp(1.0, 120.0) * MAX_OFFSET).ceil() as i64;
    let mean_distance = |offset: i64| -> Option<f32> {
        let frames: Vec<_> = shared_frames(first, second, offset).collect();
        // At least half of the frames must remain, or a few that happen to fit would decide.
        if frames.len() * 2 < first.frames().min(second.frames()) {
            return None;
        }
        let detections: usize = frames.iter().map(|&(frame, _)| ours[frame].len()).sum();
        let step = (detections / OFFSET_DETECTIONS).max(1);
        let nearest = |people: &[Locations], person: &Locations| {
            people.iter().filter_map(|other| distance(person, other)).min_by(f32::total_cmp)
        };
        let mut each: Vec<f32> = frames
            .iter()
            .step_by(step)
            .flat_map(|&(a, b)| ours[a].iter().map(move |person| (person, b)))
            .filter_map(|(person, b)| nearest(&theirs[b], person))
            .collect();
        // Without the farthest tenth: people who are in only one file must not decide.
        each.sort_by(f32::total_cmp);
        each.truncate(each.len().div_ceil(10) * 9);
        (!each.is_empty()).then(|| each.iter().sum::<f32>() / each.len() as f32)
    };
    let Some(without) = mean_distance(0) else { return 0 };
    let offsets = (-max_offset..=max_offset).filter_map(|offset| Some((offset, mean_distance(offset)?)));
    let best = offsets.min_by(|a, b| a.1.total_cmp(&b.1).then(a.0.abs().cmp(&b.0.abs())));
    best.filter(|&(_, distance)| distance < CLEARLY_NEARER * without).map_or(0, |(offset, _)| offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FramePose, openpose_137};

    /// A person who moves along a curve: `frames` frames, from frame `start` of the curve.
    fn clip(start: usize, frames: usize, error: f32) -> Pose {
        let frames: Vec<FramePose> = (start..start + frames)
            .map(|frame| {
                let mut pose = FramePose::new(1, 137, 2);
                let x = 300.0 + 100.0 * (frame as f32 * 0.31).sin() + 2.0 * frame as f32 + error;
                for point in 0..137 {
                    let at = [x + (point % 12) as f32 * 10.0, (point / 12) as f32 * 10.0];
                    pose.coordinates_mut()[2 * point..][..2].copy_from_slice(&at);
                    pose.confidences_mut()[point] = 1.0;
                }
                pose
            })
            .collect();
        Pose::from_frames(openpose_137(), 640, 480, 25.0, &frames).unwrap()
    }

    #[test]
    fn equal_files_are_0_apart() {
        let comparison = compare(&clip(0, 40, 0.0), &clip(0, 40, 0.0)).unwrap();
        assert_eq!((comparison.offset, comparison.compared_frames), (0, 40));
        assert_eq!(comparison.components[0].pixels, Some([0.0; 4]));
        assert_eq!(comparison.within(0.0), 1.0);
    }

    #[test]
    fn an_offset_is_found_and_distances_are_measured_with_it() {
        let comparison = compare(&clip(0, 60, 0.0), &clip(7, 60, 0.5)).unwrap();
        assert_eq!((comparison.offset, comparison.compared_frames), (-7, 53));
        assert_eq!(comparison.components[3].in_both, 53 * 21);
        let [median, .., most] = comparison.components[0].pixels.unwrap();
        assert!((0.499..0.501).contains(&median) && most < 0.501, "{median} {most}");
        assert_eq!((comparison.within(0.4), comparison.within(0.6)), (0.0, 1.0));
    }

    #[test]
    fn distances_are_given_for_each_frame() {
        let (first, second) = (clip(0, 60, 0.0), clip(7, 60, 0.5));
        let curve = distance_over_time(&first, &second, -7).unwrap();
        assert_eq!(curve.len(), 60);
        assert!(curve[..7].iter().all(Option::is_none), "{curve:?}");
        assert!(curve[7..].iter().flatten().filter(|&&apart| (apart - 0.5).abs() < 1e-3).count() == 53);
    }

    /// A file with some of another file's points, and perhaps others.
    fn with_points(pose: &Pose, keep: impl Fn(&str, usize) -> bool, more: &[&str]) -> Pose {
        let mut skeleton = Skeleton::default();
        let mut places = Vec::new();
        let mut place = 0;
        for component in &pose.header.skeleton.components {
            let mut kept = Component { points: Vec::new(), limbs: Vec::new(), ..component.clone() };
            for (index, point) in component.points.iter().enumerate() {
                if keep(&component.name, index) {
                    kept.points.push(point.clone());
                    places.push(Some(place));
                }
                place += 1;
            }
            if !kept.points.is_empty() {
                skeleton.components.push(kept);
            }
        }
        for name in more {
            let points = vec!["A".to_owned(), "B".to_owned()];
            let (name, format) = ((*name).to_owned(), "XYC".to_owned());
            skeleton.components.push(Component { name, format, points, ..Component::default() });
            places.extend([None; 2]);
        }
        let mut whole = FramePose::default();
        let frames: Vec<FramePose> = (0..pose.frames())
            .map(|index| {
                pose.copy_frame(index, &mut whole);
                let mut frame = FramePose::new(1, places.len(), 2);
                for (point, place) in places.iter().enumerate() {
                    let at: &[f32] =
                        place.map_or(&[7.0, 7.0], |place| &whole.coordinates()[2 * place..][..2]);
                    frame.coordinates_mut()[2 * point..][..2].copy_from_slice(at);
                    frame.confidences_mut()[point] = 1.0;
                }
                frame
            })
            .collect();
        Pose::from_frames(&skeleton, 640, 480, 25.0, &frames).unwrap()
    }

    #[test]
    fn shared_points_of_different_skeletons_are_compared() {
        let whole = clip(0, 40, 0.0);
        // Without face and legs, and with a component of its own.
        let other = with_points(
            &whole,
            |name, index| name != "face_keypoints_2d" && !(name == "pose_keypoints_2d" && index > 8),
            &["extra"],
        );
        let comparison = compare(&whole, &other).unwrap();
        let names: Vec<&str> = comparison.components.iter().map(|part| part.name.as_str()).collect();
        assert_eq!(names, ["pose_keypoints_2d", "hand_left_keypoints_2d", "hand_right_keypoints_2d"]);
        let in_both: Vec<usize> = comparison.components.iter().map(|part| part.in_both).collect();
        assert_eq!(in_both, [40 * 9, 40 * 21, 40 * 21]);
        assert!(comparison.components.iter().all(|part| part.in_one == [0, 0]));
        let part = |name: &str, points| ComponentCount { name: name.into(), points };
        let missing = vec![part("pose_keypoints_2d", 16), part("face_keypoints_2d", 70)];
        assert_eq!(comparison.not_shared, [missing.clone(), vec![part("extra", 2)]]);
        assert_eq!((comparison.within(0.0), comparison.people_in_one), (1.0, [0, 0]));
        // The other way round it is the same.
        let back = compare(&other, &whole).unwrap();
        assert_eq!((back.not_shared[1].clone(), back.within(0.0)), (missing, 1.0));
        // The offset is found from the shared points.
        let late =
            compare(&clip(0, 60, 0.0), &with_points(&clip(7, 60, 0.0), |name, _| name.contains("hand"), &[]));
        assert_eq!(late.unwrap().offset, -7);
    }

    #[test]
    fn points_are_paired_by_name_and_not_by_index() {
        let whole = clip(0, 5, 0.0);
        let mut turned = with_points(&whole, |name, index| name == "pose_keypoints_2d" && index < 3, &[]);
        turned.header.skeleton.components[0].points.reverse();
        let comparison = compare(&whole, &turned).unwrap();
        // Nose and RShoulder have changed places, 20 pixels apart; Neck is where it was.
        assert_eq!(comparison.components[0].pixels, Some([20.0, 20.0, 20.0, 20.0]));
        assert_eq!(comparison.within(1.0), 1.0 / 3.0);
    }

    #[test]
    fn nothing_in_common_is_an_error() {
        let holistic = Pose::from_frames(crate::holistic_576(), 640, 480, 25.0, &[]).unwrap();
        let error = compare(&clip(0, 1, 0.0), &holistic).unwrap_err().to_string();
        assert!(
            error.contains("no point has the same name") && error.contains("POSE_LANDMARKS (33)"),
            "{error}"
        );
    }

    #[test]
    fn points_of_only_one_file_are_counted() {
        let mut frame = FramePose::default();
        clip(0, 1, 0.0).copy_frame(0, &mut frame);
        let whole = Pose::from_frames(openpose_137(), 640, 480, 25.0, &[frame.clone()]).unwrap();
        frame.confidences_mut()[25..95].fill(0.0);
        let faceless = Pose::from_frames(openpose_137(), 640, 480, 25.0, &[frame]).unwrap();
        let comparison = compare(&whole, &faceless).unwrap();
        assert_eq!((comparison.components[1].in_both, comparison.components[1].in_one), (0, [70, 0]));
        assert_eq!(comparison.within(0.0), 67.0 / 137.0);
        let nobody = Pose::from_frames(openpose_137(), 640, 480, 25.0, &[FramePose::new(0, 137, 2)]).unwrap();
        let comparison = compare(&nobody, &whole).unwrap();
        assert_eq!((comparison.people_in_one, comparison.components[0].in_one), ([0, 1], [0, 25]));
    }
}
