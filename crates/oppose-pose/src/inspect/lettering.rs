//! Text in pictures, set in DejaVu Sans. The font is in this crate, so that pictures look the same on every machine.

use tiny_skia::{FillRule, Paint, PathBuilder, Pixmap, Transform};
use ttf_parser::{Face, GlyphId, OutlineBuilder};

/// Latin, Greek and Cyrillic; see the licence beside it.
const FONT: &[u8] = include_bytes!("font/DejaVuSans-subset.ttf");

/// Draws text.
pub(super) struct Lettering(Option<Face<'static>>);

impl Lettering {
    /// Without a font nothing is drawn, but this one is known to be complete.
    pub(super) fn new() -> Self {
        Self(Face::parse(FONT, 0).ok())
    }

    /// The width of a text in pixels, at this size in pixels.
    pub(super) fn width(&self, text: &str, size: f32) -> f32 {
        let Some(face) = &self.0 else { return 0.0 };
        let units: u32 = text.chars().map(|letter| advance(face, glyph(face, letter))).sum();
        units as f32 * size / f32::from(face.units_per_em())
    }

    /// Draws a text whose baseline begins at this place.
    pub(super) fn write(
        &self,
        picture: &mut Pixmap,
        text: &str,
        [x, y]: [f32; 2],
        size: f32,
        paint: &Paint<'_>,
    ) {
        let Some(face) = &self.0 else { return };
        let scale = size / f32::from(face.units_per_em());
        let mut outline = Outline { path: PathBuilder::new(), x, y, scale };
        for letter in text.chars() {
            let glyph = glyph(face, letter);
            face.outline_glyph(glyph, &mut outline);
            outline.x += advance(face, glyph) as f32 * scale;
        }
        if let Some(path) = outline.path.finish() {
            picture.fill_path(&path, paint, FillRule::Winding, Transform::identity(), None);
        }
    }
}

/// The glyph of a letter; the empty box if the font does not have it.
fn glyph(face: &Face<'_>, letter: char) -> GlyphId {
    face.glyph_index(letter).unwrap_or_default()
}

fn advance(face: &Face<'_>, glyph: GlyphId) -> u32 {
    face.glyph_hor_advance(glyph).unwrap_or_default().into()
}

/// Collects the outlines of letters as one path. In fonts y goes up, in pictures down.
struct Outline {
    path: PathBuilder,
    x: f32,
    y: f32,
    scale: f32,
}

impl Outline {
    fn place(&self, x: f32, y: f32) -> (f32, f32) {
        (self.x + x * self.scale, self.y - y * self.scale)
    }
}

impl OutlineBuilder for Outline {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.place(x, y);
        self.path.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.place(x, y);
        self.path.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ((x1, y1), (x, y)) = (self.place(x1, y1), self.place(x, y));
        self.path.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let ((x1, y1), (x2, y2), (x, y)) = (self.place(x1, y1), self.place(x2, y2), self.place(x, y));
        self.path.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_have_widths_and_ink() {
        let lettering = Lettering::new();
        let (narrow, wide) = (lettering.width("iii", 12.0), lettering.width("WWW", 12.0));
        assert!(0.0 < narrow && narrow < wide && wide < 60.0, "{narrow} {wide}");
        let mut picture = Pixmap::new(40, 20).unwrap();
        lettering.write(&mut picture, "Ж", [4.0, 16.0], 16.0, &Paint::default());
        let ink = picture.pixels().iter().filter(|pixel| pixel.alpha() > 128).count();
        assert!((20..200).contains(&ink), "{ink}");
    }
}
