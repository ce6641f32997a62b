//! The people found in one frame.

/// Keypoints of all people in one frame: people × points × dimensions, flat.
///
/// Coordinates are pixels of the upright frame (x to the right, y down); a confidence of 0 means that the point was not
/// found. The memory is meant to be reused from frame to frame. [`view`](Self::view) finds points by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FramePose {
    people: usize,
    points: usize,
    dimensions: usize,
    coordinates: Vec<f32>,
    confidences: Vec<f32>,
}

impl FramePose {
    /// A frame with `people` people, all coordinates and confidences 0.
    pub fn new(people: usize, points: usize, dimensions: usize) -> Self {
        let mut pose = Self::default();
        pose.reset(people, points, dimensions);
        pose
    }

    /// Makes it a frame with `people` people, all coordinates and confidences 0. Keeps the memory.
    pub fn reset(&mut self, people: usize, points: usize, dimensions: usize) {
        (self.people, self.points, self.dimensions) = (people, points, dimensions);
        self.coordinates.clear();
        self.coordinates.resize(people * points * dimensions, 0.0);
        self.confidences.clear();
        self.confidences.resize(people * points, 0.0);
    }

    /// Number of people.
    pub fn people(&self) -> usize {
        self.people
    }

    /// Number of points of each person.
    pub fn points(&self) -> usize {
        self.points
    }

    /// Number of coordinates of each point.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// All coordinates: people × points × dimensions.
    pub fn coordinates(&self) -> &[f32] {
        &self.coordinates
    }

    /// All coordinates: people × points × dimensions.
    pub fn coordinates_mut(&mut self) -> &mut [f32] {
        &mut self.coordinates
    }

    /// All confidences: people × points.
    pub fn confidences(&self) -> &[f32] {
        &self.confidences
    }

    /// All confidences: people × points.
    pub fn confidences_mut(&mut self) -> &mut [f32] {
        &mut self.confidences
    }

    /// Keeps the first `people` people and drops the others.
    pub fn truncate(&mut self, people: usize) {
        if people < self.people {
            self.people = people;
            self.coordinates.truncate(people * self.points * self.dimensions);
            self.confidences.truncate(people * self.points);
        }
    }
}
