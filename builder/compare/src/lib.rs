//! What differs between two images, where exactly, and why.
//!
//! | module | holds |
//! | --- | --- |
//! | [`places`] | two files → the places that differ, through every format that an image is made of |
//! | [`side`] | what is known of one image: its files, or its pin alone |
//! | [`inputs`] | inputs that differ: sources, packages, crates, kernel options, files, settings |
//! | [`stages`] | the step that gave other bytes for equal inputs |
//! | [`registers`] | registers that moved, and the files that moved them |
//! | [`report`] | all of it as one document |
//! | [`sentences`] | the same for people |
//!
//! The crate is a pure function of its arguments: no files, clock, environment or network.

#![forbid(unsafe_code)]

pub mod inputs;
pub mod places;
pub mod registers;
pub mod report;
pub mod sentences;
pub mod side;
pub mod stages;

pub use report::{Report, compare};
pub use side::{Side, SideError};
