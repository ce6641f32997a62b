//! Shares and quantiles.

/// `part / whole`, 0 to 1; 0 if `whole` is 0.
pub(super) fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// The value below which a share of the values lies, 0 to 1; `None` if there are none. Reorders the values.
pub(super) fn quantile(values: &mut [f32], share: f64) -> Option<f32> {
    let index = (values.len().checked_sub(1)? as f64 * share).round() as usize;
    Some(*values.select_nth_unstable_by(index, f32::total_cmp).1)
}

/// The median; `None` if there are no values. Reorders the values.
pub(super) fn median(values: &mut [f32]) -> Option<f32> {
    quantile(values, 0.5)
}
