//! Shares and quantiles.

/// `part` of `whole`, 0 to 1; 0 of nothing.
pub(super) fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// The value that a share of the others stays below, 0 to 1; `None` of nothing. Puts the values in another order.
pub(super) fn quantile(values: &mut [f32], share: f64) -> Option<f32> {
    let index = (values.len().checked_sub(1)? as f64 * share).round() as usize;
    Some(*values.select_nth_unstable_by(index, f32::total_cmp).1)
}

/// The value in the middle.
pub(super) fn median(values: &mut [f32]) -> Option<f32> {
    quantile(values, 0.5)
}
