//! `.pose` as a table, for R, pandas and spreadsheets.

use std::borrow::Cow;
use std::io::{self, Write};

use super::{FramePose, Pose};

impl Pose {
    /// Writes a line for each point that was found: frame (from 0), time in seconds, person (row, from 0), component,
    /// point, `x`, `y` (and `z`) in pixels of the frame, confidence. Gives the number of lines, the heading not counted.
    /// A name that a spreadsheet would take for a formula has an apostrophe before it.
    ///
    /// # Errors
    /// `out` takes no more.
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
        let names: Vec<(Cow<'_, str>, Cow<'_, str>)> = skeleton
            .components
            .iter()
            .flat_map(|part| part.points.iter().map(|point| (text_cell(&part.name), text_cell(point))))
            .collect();
        let mut frame = FramePose::default();
        let mut lines = 0;
        for index in 0..self.frames() {
            self.copy_frame(index, &mut frame);
            let time = (index as f64 / f64::from(self.fps)).to_string();
            for (place, &confidence) in frame.confidences().iter().enumerate().filter(|(_, c)| **c > 0.0) {
                let (component, point) = &names[place % names.len()];
                table.write_field(index.to_string())?;
                table.write_field(&time)?;
                table.write_field((place / names.len()).to_string())?;
                table.write_field(&**component)?;
                table.write_field(&**point)?;
                for coordinate in &frame.coordinates()[place * dimensions..][..dimensions] {
                    table.write_field(coordinate.to_string())?;
                }
                table.write_field(confidence.to_string())?;
                table.write_record(None::<&[u8]>)?;
                lines += 1;
            }
        }
        table.flush()?;
        Ok(lines)
    }
}

/// Text that no spreadsheet takes for a formula; numbers are not concerned.
fn text_cell(text: &str) -> Cow<'_, str> {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        true => Cow::Owned(format!("'{text}")),
        false => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Component, Skeleton};

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
