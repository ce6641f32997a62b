//! What the points of a person are called, and which of them are joined by limbs.

/// One part of a skeleton: the body, the face, a hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// Name as it stands in the file, for example `pose_keypoints_2d`.
    pub name: String,
    /// One letter a value of a point, the last of them `C` for confidence: `XYC` or `XYZC`.
    pub format: String,
    /// Names of the points, in the order of the file.
    pub points: Vec<String>,
    /// Pairs of point indices (within this component) that are joined by a line.
    pub limbs: Vec<(u16, u16)>,
    /// Red, green and blue of each limb, or of each point, as the estimator defines it.
    pub colors: Vec<[u16; 3]>,
}

/// The components of a person, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skeleton {
    /// The components; their points follow one another.
    pub components: Vec<Component>,
}

impl Skeleton {
    /// Number of points of one person, over all components.
    pub fn points(&self) -> usize {
        self.components.iter().map(|component| component.points.len()).sum()
    }

    /// Number of coordinates of a point: 2 for `XYC`, 3 for `XYZC`. The largest of the components.
    pub fn dimensions(&self) -> usize {
        self.components
            .iter()
            .map(|component| component.format.chars().count().saturating_sub(1))
            .max()
            .unwrap_or(0)
    }
}
