//! The Python package `oppose`, if it is installed. Its tests are written in Python.

use std::process::Command;

use libtest_mimic::Trial;

use crate::common::{Need, output, python, repository, trial};

fn the_tests_of_the_package_pass() {
    let mut command = Command::new(python());
    command.args(["-m", "unittest", "discover", "--start-directory"]);
    output(command.arg(repository("crates/oppose-python/tests")));
}

/// The tests of this module.
pub fn trials() -> Vec<Trial> {
    vec![trial("the_tests_of_the_package_pass", &[Need::Python("oppose")], the_tests_of_the_package_pass)]
}
