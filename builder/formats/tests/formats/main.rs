//! The formats from outside: round trips, known answers as dumps, independent tools as oracles, and damaged input.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail the test as its body does")]
#![expect(clippy::disallowed_methods, reason = "asking an independent tool needs files, programs and where they are")]

mod cpio;
mod damage;
mod erofs;
mod fat;
mod gpt;
mod oracle;
mod pack;
mod pe;
mod place;
mod sample;
mod verity;
