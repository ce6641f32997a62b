//! A look at one frame, person, component or point without copying its numbers.

use super::{Component, FramePose, Pose, PoseError, Skeleton};

/// One frame: the keypoints of its people, borrowed from a [`Pose`] or a [`FramePose`].
///
/// Views are as cheap to copy as a slice. Indices out of range panic, as those of slices do; names that are not in the
/// skeleton give `None`.
///
/// ```
/// use oppose_pose::{FramePose, Pose, holistic_576};
///
/// # fn main() -> Result<(), oppose_pose::PoseError> {
/// let mut person = FramePose::new(1, 576, 3);
/// person.coordinates_mut()[..3].copy_from_slice(&[320.0, 120.0, -5.0]);
/// person.confidences_mut()[0] = 0.9;
/// let pose = Pose::from_frames(holistic_576(), 640, 480, 25.0, &[person])?;
///
/// let body = pose.frame(0).person(0).component("POSE_LANDMARKS").expect("Holistic has a body");
/// let nose = body.point("NOSE").expect("a body has a nose");
/// assert_eq!((nose.coordinates(), nose.confidence()), (&[320.0, 120.0, -5.0][..], 0.9));
///
/// for (index, frame) in pose.iter().enumerate() {
///     for person in frame.people() {
///         let found = person.points().filter(|point| point.is_found()).count();
///         println!("frame {index}, row {}: {found} points", person.row());
///         # assert_eq!((index, person.row(), found), (0, 0, 1));
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FrameView<'a> {
    skeleton: &'a Skeleton,
    people: usize,
    points: usize,
    dimensions: usize,
    coordinates: &'a [f32],
    confidences: &'a [f32],
}

impl Pose {
    /// The frame with this index, from 0.
    ///
    /// # Panics
    /// The file has no such frame.
    pub fn frame(&self, index: usize) -> FrameView<'_> {
        assert!(index < self.frames(), "frame {index} of {} frames", self.frames());
        let skeleton = &self.header.skeleton;
        let (people, points, dimensions) = (self.people(), skeleton.points(), skeleton.dimensions());
        let confidences = people * points;
        let coordinates = confidences * dimensions;
        FrameView {
            skeleton,
            people,
            points,
            dimensions,
            coordinates: &self.coordinates()[index * coordinates..][..coordinates],
            confidences: &self.confidences()[index * confidences..][..confidences],
        }
    }

    /// All frames in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = FrameView<'_>> + DoubleEndedIterator + Clone {
        (0..self.frames()).map(|index| self.frame(index))
    }
}

impl FramePose {
    /// The frame with the names of its points.
    ///
    /// # Errors
    /// The frame has other numbers of points and dimensions than `skeleton` ([`PoseError::Shape`]).
    pub fn view<'a>(&'a self, skeleton: &'a Skeleton) -> Result<FrameView<'a>, PoseError> {
        let (points, dimensions) = (skeleton.points(), skeleton.dimensions());
        super::pose_file::check_shape(self, points, dimensions)?;
        let (people, coordinates, confidences) = (self.people(), self.coordinates(), self.confidences());
        Ok(FrameView { skeleton, people, points, dimensions, coordinates, confidences })
    }
}

impl<'a> FrameView<'a> {
    /// The person in this row, from 0.
    ///
    /// # Panics
    /// The frame has no such row.
    pub fn person(&self, row: usize) -> PersonView<'a> {
        assert!(row < self.people, "row {row} of {} people", self.people);
        let Self { skeleton, points, dimensions, .. } = *self;
        let values = points * dimensions;
        PersonView {
            row,
            skeleton,
            dimensions,
            coordinates: &self.coordinates[row * values..][..values],
            confidences: &self.confidences[row * points..][..points],
        }
    }

    /// All rows in order. In a [`Pose`] every frame has the same number of rows, and those of people who are absent hold
    /// only zeros: see [`PersonView::is_found`].
    pub fn people(
        &self,
    ) -> impl ExactSizeIterator<Item = PersonView<'a>> + DoubleEndedIterator + Clone + use<'a> {
        let frame = *self;
        (0..frame.people).map(move |row| frame.person(row))
    }

    /// All coordinates: people × points × dimensions.
    pub fn coordinates(&self) -> &'a [f32] {
        self.coordinates
    }

    /// All confidences: people × points.
    pub fn confidences(&self) -> &'a [f32] {
        self.confidences
    }
}

/// One person in one frame.
#[derive(Clone, Copy, Debug)]
pub struct PersonView<'a> {
    row: usize,
    skeleton: &'a Skeleton,
    dimensions: usize,
    coordinates: &'a [f32],
    confidences: &'a [f32],
}

impl<'a> PersonView<'a> {
    /// The row of the person in the frame, from 0.
    pub fn row(&self) -> usize {
        self.row
    }

    /// Whether any point was found. Rows of absent people have none.
    pub fn is_found(&self) -> bool {
        self.confidences.iter().any(|&confidence| confidence > 0.0)
    }

    /// The component of this name, `None` if the skeleton has none. Of several with one name, the first.
    pub fn component(&self, name: &str) -> Option<ComponentView<'a>> {
        self.components().find(|component| component.name() == name)
    }

    /// All components in the order of the skeleton.
    pub fn components(&self) -> impl Iterator<Item = ComponentView<'a>> + Clone + use<'a> {
        let person = *self;
        person.skeleton.components.iter().scan(0, move |next, component| {
            let (first, points, dimensions) = (*next, component.points.len(), person.dimensions);
            *next += points;
            Some(ComponentView {
                component,
                dimensions,
                coordinates: &person.coordinates[first * dimensions..][..points * dimensions],
                confidences: &person.confidences[first..][..points],
            })
        })
    }

    /// The points of all components in the order of the skeleton.
    pub fn points(&self) -> impl Iterator<Item = PointView<'a>> + Clone + use<'a> {
        self.components().flat_map(|component| component.points())
    }

    /// All coordinates: points × dimensions.
    pub fn coordinates(&self) -> &'a [f32] {
        self.coordinates
    }

    /// The confidence of each point; 0 where it was not found.
    pub fn confidences(&self) -> &'a [f32] {
        self.confidences
    }
}

/// One component of a person in one frame, such as the left hand.
#[derive(Clone, Copy, Debug)]
pub struct ComponentView<'a> {
    component: &'a Component,
    dimensions: usize,
    coordinates: &'a [f32],
    confidences: &'a [f32],
}

impl<'a> ComponentView<'a> {
    /// Its name, as in the file: `POSE_LANDMARKS`.
    pub fn name(&self) -> &'a str {
        &self.component.name
    }

    /// Its description: the names, limbs and colours of its points.
    pub fn description(&self) -> &'a Component {
        self.component
    }

    /// Whether any point was found.
    pub fn is_found(&self) -> bool {
        self.confidences.iter().any(|&confidence| confidence > 0.0)
    }

    /// The point of this name, `None` if the component has none. Of several with one name, the first.
    pub fn point(&self, name: &str) -> Option<PointView<'a>> {
        self.points().find(|point| point.name() == name)
    }

    /// All points in the order of the skeleton.
    pub fn points(
        &self,
    ) -> impl ExactSizeIterator<Item = PointView<'a>> + DoubleEndedIterator + Clone + use<'a> {
        let Self { component, dimensions, coordinates, confidences } = *self;
        component.points.iter().enumerate().map(move |(index, name)| PointView {
            name,
            coordinates: &coordinates[index * dimensions..][..dimensions],
            confidence: confidences[index],
        })
    }

    /// All coordinates: points × dimensions.
    pub fn coordinates(&self) -> &'a [f32] {
        self.coordinates
    }

    /// The confidence of each point; 0 where it was not found.
    pub fn confidences(&self) -> &'a [f32] {
        self.confidences
    }
}

/// One point of a person in one frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PointView<'a> {
    name: &'a str,
    coordinates: &'a [f32],
    confidence: f32,
}

impl<'a> PointView<'a> {
    /// Its name, as in the file: `NOSE`.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// x (to the right), y (down), and z if the skeleton has three dimensions; in pixels of the upright frame, except for
    /// components that are not [in pixels](Component::is_in_pixels). All 0 where the point was not found.
    pub fn coordinates(&self) -> &'a [f32] {
        self.coordinates
    }

    /// How certain the estimator was, usually 0 to 1; 0 where the point was not found.
    pub fn confidence(&self) -> f32 {
        self.confidence
    }

    /// Whether the point was found: its confidence is above 0.
    pub fn is_found(&self) -> bool {
        self.confidence > 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openpose_137;

    /// Two frames of two people; every coordinate and confidence is another number.
    fn numbered() -> Pose {
        let frames = [0, 1].map(|index| {
            let mut frame = FramePose::new(2, 137, 2);
            let first = 1000.0 * index as f32;
            frame.coordinates_mut().iter_mut().enumerate().for_each(|(i, value)| *value = first + i as f32);
            frame.confidences_mut().iter_mut().enumerate().for_each(|(i, value)| *value = first + i as f32);
            frame
        });
        Pose::from_frames(openpose_137(), 640, 480, 25.0, &frames).unwrap()
    }

    #[test]
    fn views_show_the_numbers_of_the_file() {
        let pose = numbered();
        let hand = pose.frame(1).person(1).component("hand_right_keypoints_2d").unwrap();
        // Behind the first person and behind body, face and left hand of the second.
        let first = 137 + 25 + 70 + 21;
        assert_eq!(hand.confidences()[0], 1000.0 + first as f32);
        assert_eq!(hand.coordinates()[..2], [1000.0 + 2.0 * first as f32, 1001.0 + 2.0 * first as f32]);
        assert_eq!((hand.points().len(), hand.description().limbs.len()), (21, 20));
        let last = hand.points().next_back().unwrap();
        assert_eq!((last.coordinates(), last.confidence()), (&[1546.0, 1547.0][..], 1273.0));
        let neck = pose.frame(0).person(1).component("pose_keypoints_2d").unwrap().point("Neck").unwrap();
        assert_eq!(
            (neck.name(), neck.coordinates(), neck.confidence()),
            ("Neck", &[276.0, 277.0][..], 138.0)
        );
    }

    #[test]
    fn iterators_see_everything_once() {
        let pose = numbered();
        assert_eq!(pose.iter().len(), 2);
        let points = pose.iter().flat_map(|frame| frame.people()).flat_map(|person| person.points());
        let (confidences, coordinates): (Vec<f32>, Vec<&[f32]>) =
            points.map(|point| (point.confidence(), point.coordinates())).unzip();
        assert_eq!(confidences, pose.confidences());
        assert_eq!(coordinates.concat(), pose.coordinates());
        assert_eq!(pose.frame(1).people().map(|person| person.row()).collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn who_is_absent_is_not_found() {
        let mut frame = FramePose::new(2, 137, 2);
        frame.confidences_mut()[30] = 0.5;
        let view = frame.view(openpose_137()).unwrap();
        assert_eq!(view.people().map(|person| person.is_found()).collect::<Vec<_>>(), [true, false]);
        let found = view.person(0).components().map(|component| component.is_found());
        assert_eq!(found.collect::<Vec<_>>(), [false, true, false, false]);
    }

    #[test]
    fn unknown_names_and_other_skeletons_are_refused() {
        let pose = numbered();
        let person = pose.frame(0).person(0);
        assert!(person.component("POSE_LANDMARKS").is_none());
        assert!(person.component("pose_keypoints_2d").unwrap().point("NOSE").is_none());
        assert!(FramePose::new(1, 137, 2).view(crate::holistic_576()).is_err());
    }

    #[test]
    #[should_panic(expected = "frame 2 of 2 frames")]
    fn a_frame_behind_the_last_panics() {
        numbered().frame(2);
    }

    #[test]
    #[should_panic(expected = "row 2 of 2 people")]
    fn a_row_behind_the_last_panics() {
        numbered().frame(0).person(2);
    }
}
