//! Tests of the library that need nothing external: they run everywhere, in the standard harness.
#![allow(clippy::unwrap_used)] // A failed unwrap fails the test.

#[path = "../common/coloured_people.rs"]
mod coloured_people;
#[path = "../common/mod.rs"]
mod common;
mod documentation;
#[path = "../common/made_up_models.rs"]
mod made_up_models;
#[path = "../common/meaningful_models.rs"]
mod meaningful_models;
mod native_meaningful;
mod native_model;
mod pipeline;
#[path = "../common/reference_executor.rs"]
mod reference_executor;
