//! `oppose._native`: what the Python package `oppose` does in Rust. The package's own files in `python/` put a pleasant
//! face on it; nothing here is meant to be called by users.

mod driver;
mod errors;
mod estimator;
mod frames;
mod pose;

/// The module as Python sees it.
#[pyo3::pymodule]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::estimator::{Estimator, option_names, set_models};
    #[pymodule_export]
    use super::pose::{header_bytes, read, read_bytes, write_file};

    #[pymodule_init]
    fn initialize(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("VERSION", env!("CARGO_PKG_VERSION"))
    }
}
