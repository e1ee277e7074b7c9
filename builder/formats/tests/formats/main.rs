//! The formats from outside: round trips, known answers as dumps, independent tools as oracles, and damaged input.

mod cpio;
mod damage;
mod fat;
mod gpt;
mod oracle;
mod pe;
mod place;
mod sample;
