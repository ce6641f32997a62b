//! Rotating frames upright.

use std::fmt;
use std::str::FromStr;

/// How frames are rotated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rotate {
    /// As the file's display matrix or EXIF orientation says, so that they are upright.
    #[default]
    Auto,
    /// Not at all.
    None,
    /// By 90 degrees clockwise.
    Clockwise90,
    /// By 180 degrees.
    Half,
    /// By 270 degrees clockwise.
    Clockwise270,
}

impl Rotate {
    const NAMES: [(&str, Self); 5] = [
        ("auto", Self::Auto),
        ("none", Self::None),
        ("90", Self::Clockwise90),
        ("180", Self::Half),
        ("270", Self::Clockwise270),
    ];
}

impl fmt::Display for Rotate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(_, turn)| turn == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

impl FromStr for Rotate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::NAMES.iter().find(|(name, _)| *name == text);
        found.map(|&(_, turn)| turn).ok_or_else(|| "expected auto, none, 90, 180 or 270".to_owned())
    }
}

/// One of the eight orientations of a picture: axes swapped or not, then each axis reversed or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Orientation {
    /// Whether rows become columns.
    transpose: bool,
    /// Whether the upright picture's x axis is the reverse of the stored axis that it comes from.
    flip_x: bool,
    /// The same for its y axis.
    flip_y: bool,
}

impl Orientation {
    /// The orientation that is asked for, or else that of the file's display matrix, or else that of its EXIF tag.
    pub(super) fn choose(rotate: Rotate, matrix: Option<&[u8]>, tag: Option<&str>) -> Self {
        let (transpose, flip_x, flip_y) = match rotate {
            Rotate::Auto => {
                let own = matrix.and_then(Self::from_matrix).or_else(|| tag.and_then(Self::from_exif));
                return own.unwrap_or_default();
            }
            Rotate::None => (false, false, false),
            Rotate::Clockwise90 => (true, true, false),
            Rotate::Half => (false, true, true),
            Rotate::Clockwise270 => (true, false, true),
        };
        Self { transpose, flip_x, flip_y }
    }

    /// From FFmpeg's display matrix: nine native-endian i32; a point (x, y) is shown at
    /// (a x + c y, b x + d y) for the first two rows (a b _) and (c d _). Other angles are rounded to the
    /// nearest quarter turn.
    fn from_matrix(bytes: &[u8]) -> Option<Self> {
        let value = |index: usize| -> Option<i64> {
            let bytes = bytes.get(index * 4..index * 4 + 4)?;
            Some(i64::from(i32::from_ne_bytes(bytes.try_into().ok()?)))
        };
        let [a, b, c, d] = [value(0)?, value(1)?, value(3)?, value(4)?];
        let transpose = a.abs() + d.abs() < b.abs() + c.abs();
        let (x, y) = if transpose { (c, b) } else { (a, d) };
        Some(Self { transpose, flip_x: x < 0, flip_y: y < 0 })
    }

    /// From the number of EXIF's orientation, which FFmpeg before version 4 writes to the metadata of a picture instead of
    /// giving it a display matrix.
    fn from_exif(tag: &str) -> Option<Self> {
        let (transpose, flip_x, flip_y) = match tag.trim() {
            "1" => (false, false, false),
            "2" => (false, true, false),
            "3" => (false, true, true),
            "4" => (false, false, true),
            "5" => (true, false, false),
            "6" => (true, true, false),
            "7" => (true, true, true),
            "8" => (true, false, true),
            _ => return None,
        };
        Some(Self { transpose, flip_x, flip_y })
    }

    pub(super) fn is_upright(self) -> bool {
        self == Self::default()
    }

    /// Width and height once upright.
    pub(super) fn upright(self, width: u32, height: u32) -> (u32, u32) {
        if self.transpose { (height, width) } else { (width, height) }
    }

    /// Copies packed BGR pixels of `width` x `height` into `upright`.
    pub(super) fn apply(self, stored: &[u8], width: usize, height: usize, upright: &mut [u8]) {
        let pixels = stored.as_chunks::<3>().0;
        let out = upright.as_chunks_mut::<3>().0;
        if !self.transpose {
            for (y, row) in out.chunks_exact_mut(width.max(1)).enumerate() {
                let y = if self.flip_y { height - 1 - y } else { y };
                row.copy_from_slice(&pixels[y * width..][..width]);
                if self.flip_x {
                    row.reverse();
                }
            }
            return;
        }
        // A block of stored rows stays in the cache while the columns that come from it are written.
        const BLOCK: usize = 16;
        for block in (0..height).step_by(BLOCK) {
            for (y, row) in out.chunks_exact_mut(height.max(1)).enumerate() {
                let column = if self.flip_y { width - 1 - y } else { y };
                for stored_row in block..(block + BLOCK).min(height) {
                    let x = if self.flip_x { height - 1 - stored_row } else { stored_row };
                    row[x] = pixels[stored_row * width + column];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A 3x2 picture whose pixels count 0 to 5, turned.
    fn turned(orientation: Orientation) -> Vec<u8> {
        let stored: Vec<u8> = (0..6).flat_map(|value| [value; 3]).collect();
        let mut upright = vec![0; stored.len()];
        orientation.apply(&stored, 3, 2, &mut upright);
        upright.chunks(3).map(|pixel| pixel[0]).collect()
    }

    fn matrix(a: i32, b: i32, c: i32, d: i32) -> Orientation {
        let values = [a, b, 0, c, d, 0, 0, 0, 1 << 30];
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
        Orientation::choose(Rotate::Auto, Some(&bytes), None)
    }

    #[test]
    fn every_orientation_lands_where_it_should() {
        const ONE: i32 = 1 << 16;
        assert_eq!(turned(matrix(ONE, 0, 0, ONE)), [0, 1, 2, 3, 4, 5]);
        assert_eq!(turned(matrix(-ONE, 0, 0, -ONE)), [5, 4, 3, 2, 1, 0]);
        assert_eq!(turned(matrix(-ONE, 0, 0, ONE)), [2, 1, 0, 5, 4, 3]);
        assert_eq!(turned(matrix(ONE, 0, 0, -ONE)), [3, 4, 5, 0, 1, 2]);
        // A quarter clockwise: x' = -y, y' = x.
        assert_eq!(turned(matrix(0, ONE, -ONE, 0)), [3, 0, 4, 1, 5, 2]);
        assert_eq!(matrix(0, ONE, -ONE, 0), Orientation::choose(Rotate::Clockwise90, None, None));
        assert_eq!(turned(matrix(0, -ONE, ONE, 0)), [2, 5, 1, 4, 0, 3]);
        assert_eq!(matrix(0, -ONE, ONE, 0), Orientation::choose(Rotate::Clockwise270, None, None));
        assert_eq!(turned(matrix(0, ONE, ONE, 0)), [0, 3, 1, 4, 2, 5]);
        assert_eq!(turned(matrix(0, -ONE, -ONE, 0)), [5, 2, 4, 1, 3, 0]);
    }

    #[test]
    fn exif_tags_mean_what_matrices_do() {
        let matrices = [
            matrix(1, 0, 0, 1),
            matrix(-1, 0, 0, 1),
            matrix(-1, 0, 0, -1),
            matrix(1, 0, 0, -1),
            matrix(0, 1, 1, 0),
            matrix(0, 1, -1, 0),
            matrix(0, -1, -1, 0),
            matrix(0, -1, 1, 0),
        ];
        for (number, expected) in (1..).zip(matrices) {
            // FFmpeg 3 pads the number to five characters.
            let tag = format!("{number:5}");
            assert_eq!(Orientation::choose(Rotate::Auto, None, Some(&tag)), expected, "{number}");
        }
        assert!(Orientation::choose(Rotate::Auto, None, Some("9")).is_upright());
    }

    #[test]
    fn a_short_matrix_is_no_matrix() {
        assert!(Orientation::choose(Rotate::Auto, Some(&[0; 10]), None).is_upright());
        assert!(Orientation::choose(Rotate::None, None, Some("6")).is_upright());
    }
}
