//! Facts about the body nets: parts, limbs, the planes of their part affinity fields, thresholds.

/// Largest number of parts of a body net.
pub const MAX_PARTS: usize = 25;

/// The meaning of a body net's planes: one per part, one for the background, two per limb.
#[derive(Debug)]
pub struct BodyModel {
    /// Number of parts.
    pub parts: usize,
    /// Pairs of parts, in the order in which people are assembled.
    pub limbs: &'static [(usize, usize)],
    /// Index of the plane with the x direction of each limb's part affinity field, among these planes; y is the next.
    pub affinity: &'static [usize],
    /// Limbs from shoulder to ear, which duplicate the information of other limbs.
    pub ear_limbs: [usize; 2],
    /// The first of six foot parts, if there are any.
    pub first_foot_part: Option<usize>,
    /// Right eye, left eye, right ear, left ear. The nose is 0, the neck 1, and arms are the same in all models.
    pub eyes_and_ears: [usize; 4],
}

/// The body with feet, OpenPose's default.
pub static BODY_25: BodyModel = BodyModel {
    parts: 25,
    limbs: &[
        (1, 8),
        (1, 2),
        (1, 5),
        (2, 3),
        (3, 4),
        (5, 6),
        (6, 7),
        (8, 9),
        (9, 10),
        (10, 11),
        (8, 12),
        (12, 13),
        (13, 14),
        (1, 0),
        (0, 15),
        (15, 17),
        (0, 16),
        (16, 18),
        (2, 17),
        (5, 18),
        (14, 19),
        (19, 20),
        (14, 21),
        (11, 22),
        (22, 23),
        (11, 24),
    ],
    affinity: &[
        0, 14, 22, 16, 18, 24, 26, 6, 2, 4, 8, 10, 12, 30, 32, 36, 34, 38, 20, 28, 40, 42, 44, 46, 48, 50,
    ],
    ear_limbs: [18, 19],
    first_foot_part: Some(19),
    eyes_and_ears: [15, 16, 17, 18],
};

/// The body without feet.
pub static COCO: BodyModel = BodyModel {
    parts: 18,
    limbs: &[
        (1, 2),
        (1, 5),
        (2, 3),
        (3, 4),
        (5, 6),
        (6, 7),
        (1, 8),
        (8, 9),
        (9, 10),
        (1, 11),
        (11, 12),
        (12, 13),
        (1, 0),
        (0, 14),
        (14, 16),
        (0, 15),
        (15, 17),
        (2, 16),
        (5, 17),
    ],
    affinity: &[12, 20, 14, 16, 22, 24, 0, 2, 4, 6, 8, 10, 28, 30, 34, 32, 36, 18, 26],
    ear_limbs: [17, 18],
    first_foot_part: None,
    eyes_and_ears: [14, 15, 16, 17],
};

impl BodyModel {
    /// The plane with the x direction of a limb's part affinity field; y is the next.
    pub fn affinity_plane(&self, limb: usize) -> usize {
        self.parts + 1 + self.affinity[limb]
    }
}

/// Detection thresholds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// The value of a peak must be above it.
    pub peak: f32,
    /// The share of a limb's samples that agree with the part affinity field must be above it.
    pub limb_share: f32,
    /// The value of a sample that agrees must be above it.
    pub limb_sample: f32,
    /// Smallest number of parts of a person.
    pub parts: u32,
    /// Smallest score of a person per part.
    pub score: f32,
    /// Whether feet without a body may count as people.
    pub keeps_feet: bool,
}

impl Thresholds {
    /// With `maximize_positives` they are lower: more keypoints, more false positives.
    pub fn new(maximize_positives: bool) -> Self {
        match maximize_positives {
            false => Self {
                peak: 0.05,
                limb_share: 0.95,
                limb_sample: 0.05,
                parts: 3,
                score: 0.4,
                keeps_feet: false,
            },
            true => Self {
                peak: 0.02,
                limb_share: 0.75,
                limb_sample: 0.01,
                parts: 2,
                score: 0.05,
                keeps_feet: true,
            },
        }
    }
}
