//! The front: the process of an image that has the network.
//!
//! It reads the measured configuration, finds out what can vouch for the machine, takes its own rights away, and then
//! answers. In this order, because everything before [`confine::confine`] reads only measured files and devices, and
//! everything after it faces the network.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

pub mod api;
pub mod auth;
pub mod channel;
pub mod confine;
pub mod event;
pub mod evidence;
pub mod front;
pub mod life;
pub mod metrics;
pub mod server;
pub mod start;
pub mod tpm;
