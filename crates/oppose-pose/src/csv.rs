//! `.pose` as a table, for R, pandas and spreadsheets.

use std::io::{self, Write};

use super::{FramePose, Pose};

impl Pose {
    /// Writes a line for each point that was found: frame (from 0), time in seconds, person (row, from 0), component,
    /// point, `x`, `y` (and `z`) in pixels of the frame, confidence. Gives the number of lines, the heading not counted.
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
        let names: Vec<(&str, &str)> = skeleton
            .components
            .iter()
            .flat_map(|part| part.points.iter().map(|point| (part.name.as_str(), point.as_str())))
            .collect();
        let mut frame = FramePose::default();
        let mut lines = 0;
        for index in 0..self.frames() {
            self.copy_frame(index, &mut frame);
            let time = (index as f64 / f64::from(self.fps)).to_string();
            for (place, &confidence) in frame.confidences().iter().enumerate().filter(|(_, c)| **c > 0.0) {
                let (component, point) = names[place % names.len()];
                table.write_field(index.to_string())?;
                table.write_field(&time)?;
                table.write_field((place / names.len()).to_string())?;
                table.write_field(component)?;
                table.write_field(point)?;
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
