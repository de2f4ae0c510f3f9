//! The archive client against a small archive that the test makes and serves itself, honestly or not.

// Helpers of tests may panic as tests may; clippy only knows the tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod debs;
mod mirror;
mod server;

mod caching;
mod reading;
mod resuming;
mod trusting;
