//! Facts of the body nets: parts, limbs, where their part affinity fields lie, thresholds.

/// The most parts of a body net.
pub const MAX_PARTS: usize = 25;

/// What a body net's planes mean: a plane a part, one for the background, two for each limb.
#[derive(Debug)]
pub struct BodyModel {
    /// Number of parts.
    pub parts: usize,
    /// Pairs of parts, in the order in which people are assembled.
    pub limbs: &'static [(usize, usize)],
    /// Plane of each limb's part affinity field, x; y is the next. Counted from the first such plane.
    pub affinity: &'static [usize],
    /// Limbs from shoulder to ear, which repeat what other limbs say.
    pub ear_limbs: [usize; 2],
    /// The first of six foot parts, where there are any.
    pub first_foot_part: Option<usize>,
    /// Right eye, left eye, right ear, left ear. Nose is 0, neck 1, and arms are alike in all models.
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
    /// The plane of a limb's part affinity field, x; y is the next.
    pub fn affinity_plane(&self, limb: usize) -> usize {
        self.parts + 1 + self.affinity[limb]
    }
}

/// From which values on something counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// A peak's value is above it.
    pub peak: f32,
    /// A limb's share of samples along the part affinity field that count is above it.
    pub limb_share: f32,
    /// A sample's value is above it.
    pub limb_sample: f32,
    /// A person has so many parts.
    pub parts: u32,
    /// A person's score for each of its parts.
    pub score: f32,
    /// Whether feet without a body may be people.
    pub keeps_feet: bool,
}

impl Thresholds {
    /// `maximize_positives` finds more, and more that is wrong.
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
