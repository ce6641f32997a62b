//! The names of a person's points, and the limbs that join them.

use std::sync::LazyLock;

/// One component of a skeleton, such as the body, the face or a hand. The fields are those of the `.pose` format.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Component {
    /// Name, as in the file: `pose_keypoints_2d`.
    pub name: String,
    /// One letter per value of a point, the last of them `C` for confidence: `XYC` or `XYZC`.
    pub format: String,
    /// Names of the points, in the order of the file.
    pub points: Vec<String>,
    /// Pairs of point indices (within this component) that are joined by a line.
    pub limbs: Vec<(u16, u16)>,
    /// Red, green and blue of each point, 0 to 255. If there are fewer colours than points, they repeat.
    pub colors: Vec<[u16; 3]>,
}

/// The components of a person, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skeleton {
    /// The components; their points follow one another.
    pub components: Vec<Component>,
}

impl Component {
    /// Whether coordinates are pixels of the frame. Those of Holistic's world landmarks are metres in space and have no
    /// place in a picture.
    pub fn is_in_pixels(&self) -> bool {
        !self.name.contains("WORLD")
    }
}

impl Skeleton {
    /// Number of points of one person, over all components.
    pub fn points(&self) -> usize {
        self.components.iter().map(|component| component.points.len()).sum()
    }

    /// Number of coordinates of a point: 2 for `XYC`, 3 for `XYZC`. If components differ, the largest.
    pub fn dimensions(&self) -> usize {
        let letters = self.components.iter().map(|component| component.format.chars().count());
        letters.max().unwrap_or(0).saturating_sub(1)
    }
}

/// The skeleton of OpenPose: body 25 (BODY_25), face 70 and hands 21 each: 137 points, `XYC`.
pub fn openpose_137() -> &'static Skeleton {
    static SKELETON: LazyLock<Skeleton> = LazyLock::new(|| parse(include_str!("skeletons/openpose_137.txt")));
    &SKELETON
}

/// The skeleton of MediaPipe Holistic: body 33, face 468, hands 21 each and body in metres 33: 576 points, `XYZC`.
pub fn holistic_576() -> &'static Skeleton {
    static SKELETON: LazyLock<Skeleton> = LazyLock::new(|| parse(include_str!("skeletons/holistic_576.txt")));
    &SKELETON
}

/// [`holistic_576`] with a refined face of 478 points, the last ten of them the irises: 586 points, `XYZC`.
pub fn holistic_586() -> &'static Skeleton {
    static SKELETON: LazyLock<Skeleton> = LazyLock::new(|| {
        let mut skeleton = holistic_576().clone();
        let face = skeleton.components.iter_mut().find(|component| component.name == "FACE_LANDMARKS");
        if let Some(face) = face {
            face.points.extend((face.points.len()..478).map(|i| i.to_string()));
            face.limbs.extend(IRIS_LIMBS);
        }
        skeleton
    });
    &SKELETON
}

/// MediaPipe's `FACEMESH_IRISES`, in the order in which pose-format writes them.
const IRIS_LIMBS: [(u16, u16); 8] =
    [(475, 476), (477, 474), (469, 470), (472, 469), (471, 472), (474, 475), (476, 477), (470, 471)];

/// Reads a description from this crate's own `skeletons` folder: one key per line, followed by its values.
fn parse(text: &str) -> Skeleton {
    let mut skeleton = Skeleton::default();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut words = line.split(' ');
        let key = words.next();
        if key == Some("component") {
            let mut text = || words.next().expect("a component has a name and a format").to_owned();
            let (name, format) = (text(), text());
            skeleton.components.push(Component { name, format, ..Component::default() });
            continue;
        }
        let component = skeleton.components.last_mut().expect("a component comes first");
        match key {
            Some("points") => component.points.extend(words.map(str::to_owned)),
            Some("limbs") => component.limbs.extend(words.map(|limb| {
                let [from, to] = numbers(limb, '-');
                (from, to)
            })),
            Some("colors") => component.colors.extend(words.map(|color| numbers(color, '.'))),
            other => unreachable!("no such key: {other:?}"),
        }
    }
    skeleton
}

fn numbers<const N: usize>(text: &str, separator: char) -> [u16; N] {
    let numbers: Vec<u16> =
        text.split(separator).map(|number| number.parse().expect("a 16-bit number")).collect();
    numbers.try_into().expect("as many numbers as a limb or a colour has")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(skeleton: &Skeleton) -> Vec<(&str, usize, usize)> {
        skeleton.components.iter().map(|c| (c.name.as_str(), c.points.len(), c.limbs.len())).collect()
    }

    #[test]
    fn openpose_has_137_points() {
        let expected = [
            ("pose_keypoints_2d", 25, 24),
            ("face_keypoints_2d", 70, 65),
            ("hand_left_keypoints_2d", 21, 20),
            ("hand_right_keypoints_2d", 21, 20),
        ];
        assert_eq!(sizes(openpose_137()), expected);
        assert_eq!((openpose_137().points(), openpose_137().dimensions()), (137, 2));
    }

    #[test]
    fn holistic_has_576_points() {
        let expected = [
            ("POSE_LANDMARKS", 33, 35),
            ("FACE_LANDMARKS", 468, 2556),
            ("LEFT_HAND_LANDMARKS", 21, 21),
            ("RIGHT_HAND_LANDMARKS", 21, 21),
            ("POSE_WORLD_LANDMARKS", 33, 35),
        ];
        assert_eq!(sizes(holistic_576()), expected);
        assert_eq!((holistic_576().points(), holistic_576().dimensions()), (576, 3));
    }
}
