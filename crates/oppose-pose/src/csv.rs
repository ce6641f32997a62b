//! `.pose` as a table, for R, pandas and spreadsheets.

use std::borrow::Cow;
use std::io::{self, Write};

use super::{PointView, Pose};

impl Pose {
    /// Writes one line per point that was found: frame (from 0), time in seconds, person (row, from 0), component, point,
    /// `x`, `y` (and `z`) in pixels of the frame, confidence. Returns the number of lines without the heading. Names that a
    /// spreadsheet would take for a formula get an apostrophe in front.
    ///
    /// # Errors
    /// Writing to `out` fails.
    pub fn write_csv(&self, out: impl Write) -> io::Result<u64> {
        let skeleton = &self.header.skeleton;
        let dimensions = skeleton.dimensions();
        let mut table = csv::Writer::from_writer(out);
        let axes = (0..dimensions).map(|axis| match axis {
            0..3 => ["x", "y", "z"][axis].to_owned(),
            _ => format!("axis{axis}"),
        });
        let heading = ["frame", "time", "person", "component", "point"].map(str::to_owned);
        table.write_record(heading.into_iter().chain(axes).chain(["confidence".to_owned()]))?;
        let mut lines = 0;
        for (index, frame) in self.iter().enumerate() {
            let time = (index as f64 / f64::from(self.fps)).to_string();
            for person in frame.people() {
                for component in person.components() {
                    for point in component.points().filter(PointView::is_found) {
                        table.write_field(index.to_string())?;
                        table.write_field(&time)?;
                        table.write_field(person.row().to_string())?;
                        table.write_field(&*text_cell(component.name()))?;
                        table.write_field(&*text_cell(point.name()))?;
                        for coordinate in point.coordinates() {
                            table.write_field(coordinate.to_string())?;
                        }
                        table.write_field(point.confidence().to_string())?;
                        table.write_record(None::<&[u8]>)?;
                        lines += 1;
                    }
                }
            }
        }
        table.flush()?;
        Ok(lines)
    }
}

/// Text that no spreadsheet takes for a formula. Numbers do not need this.
fn text_cell(text: &str) -> Cow<'_, str> {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        true => Cow::Owned(format!("'{text}")),
        false => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Component, FramePose, Skeleton};

    #[test]
    fn names_are_no_formulas_and_numbers_stay_numbers() {
        let mut component: Component = crate::openpose_137().components[0].clone();
        component.name = "=HYPERLINK(\"http://example.org\")".into();
        component.points[0] = "@SUM(A1)".into();
        component.points[1] = "left-eye".into();
        let skeleton = Skeleton { components: vec![component] };
        let mut person = FramePose::new(1, skeleton.points(), 2);
        person.coordinates_mut().fill(-1.5);
        person.confidences_mut()[..2].fill(0.5);
        let pose = Pose::from_frames(&skeleton, 64, 48, 25.0, &[person]).unwrap();
        let mut table = Vec::new();
        assert_eq!(pose.write_csv(&mut table).unwrap(), 2);
        let lines: Vec<Vec<String>> = csv::Reader::from_reader(&table[..])
            .records()
            .map(|line| line.unwrap().iter().map(str::to_owned).collect())
            .collect();
        assert_eq!(
            lines[0][3..],
            ["'=HYPERLINK(\"http://example.org\")", "'@SUM(A1)", "-1.5", "-1.5", "0.5"]
        );
        assert_eq!(lines[1][4], "left-eye");
    }
}
