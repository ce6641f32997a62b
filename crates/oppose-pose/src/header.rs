//! The header of a `.pose` file: version, size of the frames, skeleton.

use super::bytes::Bytes;
use super::{Component, PoseError, Skeleton, foreign};

/// The version that is written.
const VERSION: f32 = 0.2;

/// The header of a `.pose` file: what comes before the numbers.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Header {
    /// Version of the format, as stored in the file.
    pub version: f32,
    /// Width of the frames in pixels.
    pub width: u16,
    /// Height of the frames in pixels.
    pub height: u16,
    /// Depth of the space: 0 in files of this crate; files of other programs also have 1, the width, or 1000.
    pub depth: u16,
    /// Names, limbs and colours of the points.
    pub skeleton: Skeleton,
}

impl Header {
    /// A header of version 0.2 for frames of this size in pixels.
    ///
    /// # Errors
    /// A side is larger than 65535.
    pub fn new(skeleton: &Skeleton, width: u32, height: u32) -> Result<Self, PoseError> {
        let side = |what, value: u32| {
            u16::try_from(value).map_err(|_| PoseError::TooLarge {
                what,
                value: u64::from(value),
                limit: u64::from(u16::MAX),
            })
        };
        Ok(Self {
            version: VERSION,
            width: side("the picture's width", width)?,
            height: side("the picture's height", height)?,
            depth: 0,
            skeleton: skeleton.clone(),
        })
    }

    /// The header as bytes, always in version 0.2, as the Python package writes it.
    ///
    /// # Errors
    /// A name or a list is longer than 65535.
    pub fn to_bytes(&self) -> Result<Vec<u8>, PoseError> {
        let mut out = Vec::new();
        out.extend(VERSION.to_le_bytes());
        for side in [self.width, self.height, self.depth] {
            out.extend(side.to_le_bytes());
        }
        let components = &self.skeleton.components;
        put_length(&mut out, "the number of components", components.len())?;
        for component in components {
            put_text(&mut out, &component.name)?;
            put_text(&mut out, &component.format)?;
            put_length(&mut out, "the number of points", component.points.len())?;
            put_length(&mut out, "the number of limbs", component.limbs.len())?;
            put_length(&mut out, "the number of colours", component.colors.len())?;
            for name in &component.points {
                put_text(&mut out, name)?;
            }
            for &(from, to) in &component.limbs {
                out.extend(from.to_le_bytes());
                out.extend(to.to_le_bytes());
            }
            for value in component.colors.as_flattened() {
                out.extend(value.to_le_bytes());
            }
        }
        Ok(out)
    }

    pub(super) fn read(bytes: &mut Bytes<'_>) -> Result<Self, PoseError> {
        if let Some(found) = foreign::recognize(bytes.rest()) {
            return Err(PoseError::NotPose(found));
        }
        let version = bytes.f32("the version")?;
        if version != 0.0 && !is(version, 0.1) && !is(version, 0.2) {
            return Err(PoseError::Version(version));
        }
        let [width, height, depth] =
            [bytes.u16("the width")?, bytes.u16("the height")?, bytes.u16("the depth")?];
        let count = bytes.u16("the number of components")?;
        // The list grows as components are read: until then the count is only a claim.
        let components = (0..count).map(|_| read_component(bytes)).collect::<Result<_, _>>()?;
        Ok(Self { version, width, height, depth, skeleton: Skeleton { components } })
    }

    /// Whether the body has the layout of version 0.0.
    pub(super) fn is_v0_0(&self) -> bool {
        self.version == 0.0
    }

    /// Whether the body has the layout of version 0.1.
    pub(super) fn is_v0_1(&self) -> bool {
        is(self.version, 0.1)
    }
}

/// Versions are compared to three decimals, as the Python package does.
fn is(version: f32, known: f32) -> bool {
    (version - known).abs() < 0.0005
}

fn read_component(bytes: &mut Bytes<'_>) -> Result<Component, PoseError> {
    let name = bytes.text("a component's name")?;
    let format = bytes.text("a component's point format")?;
    if !format.ends_with('C') {
        return Err(PoseError::Format { component: name, format });
    }
    let points = bytes.u16("the number of points")?;
    let limbs = bytes.u16("the number of limbs")?;
    let colors = bytes.u16("the number of colours")?;
    let points: Vec<String> = (0..points).map(|_| bytes.text("a point's name")).collect::<Result<_, _>>()?;
    let limbs: Vec<(u16, u16)> = bytes
        .take(u64::from(limbs) * 4, "the limbs")?
        .chunks_exact(4)
        .map(|b| (u16::from_le_bytes([b[0], b[1]]), u16::from_le_bytes([b[2], b[3]])))
        .collect();
    let colors = bytes
        .take(u64::from(colors) * 6, "the colours")?
        .chunks_exact(6)
        .map(|b| std::array::from_fn(|i| u16::from_le_bytes([b[2 * i], b[2 * i + 1]])))
        .collect();
    let exists = |point: u16| usize::from(point) < points.len();
    if let Some(&limb) = limbs.iter().find(|limb| !exists(limb.0) || !exists(limb.1)) {
        return Err(PoseError::Limb { component: name, limb, points: points.len() });
    }
    Ok(Component { name, format, points, limbs, colors })
}

fn put_length(out: &mut Vec<u8>, what: &'static str, length: usize) -> Result<(), PoseError> {
    let limit = u64::from(u16::MAX);
    let short =
        u16::try_from(length).map_err(|_| PoseError::TooLarge { what, value: length as u64, limit })?;
    out.extend(short.to_le_bytes());
    Ok(())
}

/// The length is in bytes. The Python package counts characters and so cuts off names that are not ASCII; the names of
/// every known skeleton are ASCII.
fn put_text(out: &mut Vec<u8>, text: &str) -> Result<(), PoseError> {
    put_length(out, "the length of a name", text.len())?;
    out.extend(text.as_bytes());
    Ok(())
}
