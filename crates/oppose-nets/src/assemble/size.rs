//! The sizes of the nets' inputs for a frame, and the factors between the two.

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Size {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
}

impl Size {
    /// Number of pixels.
    pub fn pixels(self) -> usize {
        self.width * self.height
    }
}

/// The size of the body net's input; one side may follow the shape of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NetResolution {
    /// A multiple of 16, or `None`.
    pub width: Option<u32>,
    /// A multiple of 16, or `None`.
    pub height: Option<u32>,
}

impl Default for NetResolution {
    /// `-1x368`
    fn default() -> Self {
        Self { width: None, height: Some(368) }
    }
}

/// One of the sizes at which the body net sees the frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// From frame pixels to net input pixels.
    pub factor: f64,
    /// The net input's size; multiples of 16.
    pub size: Size,
}

/// Largest net input: 16 million pixels, which need about 5 GB. The shape of a video must not exhaust memory.
const MAX_NET_PIXELS: u64 = 1 << 24;

/// Why a frame cannot become a net input.
#[derive(Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SizeError {
    /// The frame is too small: the scale from corner to corner is a division by its sides minus one.
    #[error("a frame of {width}x{height} pixels is too small: both sides must have 2 at least")]
    Frame {
        /// Width of the frame.
        width: usize,
        /// Height of the frame.
        height: usize,
    },
    /// A side of the resolution is not a multiple of 16: the net halves its input several times.
    #[error(
        "net resolution {resolution}: a side must be -1 or a multiple of 16, and only one may be -1 (as in -1x368)"
    )]
    Resolution {
        /// The resolution in OpenPose's spelling.
        resolution: String,
    },
    /// The frame is too elongated for the given side, or the net input would be too large.
    #[error(
        "net resolution {resolution} turns a frame of {}x{} into a net input of {width}x{height}: it must have at \
         least 16 pixels per side and at most 16 million in all; set both sides of net_resolution",
        frame.width, frame.height
    )]
    Input {
        /// The resolution in OpenPose's spelling.
        resolution: String,
        /// Size of the frame.
        frame: Size,
        /// Width of the net input.
        width: u64,
        /// Height of the net input.
        height: u64,
    },
    /// A scale is too small for the net.
    #[error(
        "scale {factor} of a net input of {width}x{height} leaves a side below 16: lower scale_number or scale_gap"
    )]
    Scale {
        /// Share of the net input.
        factor: f64,
        /// Width of the net input.
        width: usize,
        /// Height of the net input.
        height: usize,
    },
}

impl std::fmt::Display for NetResolution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let side = |side: Option<u32>| side.map_or("-1".into(), |side| side.to_string());
        write!(f, "{}x{}", side(self.width), side(self.height))
    }
}

/// The size of the body net's input for a frame. A side that is not given follows the frame's shape.
///
/// # Errors
/// The resolution is invalid, or the frame is too small or too elongated for it.
pub fn net_size(resolution: NetResolution, frame: Size) -> Result<Size, SizeError> {
    if frame.width < 2 || frame.height < 2 {
        return Err(SizeError::Frame { width: frame.width, height: frame.height });
    }
    // Rounded in single precision, as in OpenPose: this decides which multiple of 16 is chosen.
    let other_side = |side: u32, along: usize, across: usize| {
        let product = (u64::from(side) * along as u64) as f32;
        16 * ((product / across as f32 / 16.0 + 0.5) as u64)
    };
    let (width, height) = match (resolution.width, resolution.height) {
        (Some(width), Some(height)) => (width.into(), height.into()),
        (None, Some(height)) => (other_side(height, frame.width, frame.height), height.into()),
        (Some(width), None) => (width.into(), other_side(width, frame.height, frame.width)),
        (None, None) => (0, 1),
    };
    if width % 16 != 0 || height % 16 != 0 || [resolution.width, resolution.height].contains(&Some(0)) {
        return Err(SizeError::Resolution { resolution: resolution.to_string() });
    }
    if width == 0 || height == 0 || width.checked_mul(height).is_none_or(|pixels| pixels > MAX_NET_PIXELS) {
        return Err(SizeError::Input { resolution: resolution.to_string(), frame, width, height });
    }
    Ok(Size { width: width as usize, height: height as usize })
}

/// The sizes at which the net sees the frame, the largest first: `number` of them, each smaller than the
/// first by another `gap` (as a share of the first). Written into `scales`.
///
/// # Errors
/// A scale has a side below 16.
pub fn scales(
    net: Size,
    frame: Size,
    number: u32,
    gap: f64,
    scales: &mut Vec<Scale>,
) -> Result<(), SizeError> {
    scales.clear();
    for index in 0..number {
        let share = 1.0 - f64::from(index) * gap;
        let side = |side: usize| (((side as f64 * share + 0.5) as usize) / 16 * 16).min(side);
        let size = Size { width: side(net.width), height: side(net.height) };
        if size.width < 16 || size.height < 16 {
            return Err(SizeError::Scale { factor: share, width: net.width, height: net.height });
        }
        scales.push(Scale { factor: fit(frame, size), size });
    }
    Ok(())
}

/// The factor from heat map pixels to frame pixels. Nearly, but not quite, the inverse of the first scale's
/// factor: it is computed from the size of the scaled frame in whole pixels.
pub fn net_to_frame(frame: Size, net: Size) -> f32 {
    let factor = fit(frame, net);
    let side = |side: usize| (factor * side as f64 + 0.5) as usize;
    let scaled = Size { width: side(frame.width), height: side(frame.height) };
    fit(scaled, frame) as f32
}

/// The largest factor at which one size fits into another, corner pixel on corner pixel.
fn fit(from: Size, into: Size) -> f64 {
    let factor = |from: usize, into: usize| (into as f64 - 1.0) / (from as f64 - 1.0);
    factor(from.width, into.width).min(factor(from.height, into.height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_free_side_follows_the_frame() {
        let net =
            |width, height| net_size(NetResolution::default(), Size { width, height }).map(|net| net.width);
        assert_eq!(net(1920, 1080), Ok(656));
        assert_eq!(net(1280, 720), Ok(656));
        assert_eq!(net(640, 480), Ok(496));
        assert_eq!(net(720, 1280), Ok(208));
        assert_eq!(net(500, 500), Ok(368));
        assert_eq!(net(8, 368), Ok(16));
        assert!(matches!(net(7, 368), Err(SizeError::Input { width: 0, .. })));
        assert!(matches!(net(1 << 20, 2), Err(SizeError::Input { .. })));
        assert!(matches!(net(1, 100), Err(SizeError::Frame { .. })));
    }

    #[test]
    fn resolutions_are_multiples_of_sixteen() {
        let frame = Size { width: 640, height: 480 };
        for (width, height) in [(None, None), (Some(100), None), (Some(0), None), (Some(656), Some(367))] {
            let found = net_size(NetResolution { width, height }, frame);
            assert!(matches!(found, Err(SizeError::Resolution { .. })), "{found:?}");
        }
    }

    #[test]
    fn scales_shrink_by_the_gap() {
        let (net, frame) = (Size { width: 656, height: 368 }, Size { width: 1280, height: 720 });
        let mut found = Vec::new();
        scales(net, frame, 4, 0.25, &mut found).unwrap();
        let sizes: Vec<_> = found.iter().map(|scale| (scale.size.width, scale.size.height)).collect();
        assert_eq!(sizes, [(656, 368), (480, 272), (320, 176), (160, 80)]);
        assert!(matches!(scales(net, frame, 5, 0.25, &mut found), Err(SizeError::Scale { .. })));
        assert!((net_to_frame(frame, net) - 1.959_128).abs() < 1e-6);
    }
}
