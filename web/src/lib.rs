//! `sealstone-verify` as a WebAssembly module: one question in, one answer out, both JSON (`sealstone_verify::json`).
//!
//! The module imports nothing: it can't reach the network, the clock, a source of randomness or the page. Its exports are
//! `memory` and three functions, called in this order:
//!
//! 1. `request(length)`: makes room for a request and says where; the caller writes UTF-8 there.
//! 2. `answer()`: answers it and says where the answer is.
//! 3. `answer_length()`: says how many bytes that is.
//!
//! Both places hold until the next call of `request`. A trap (there is no known way to one) leaves the instance unusable.

use std::cell::RefCell;

thread_local! {
    // A module's instance has one thread and does one thing at a time; so one buffer for either direction is enough, and nobody
    // has to give anything back.
    static REQUEST: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static ANSWER: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Makes room for a request of `length` bytes and returns its address in `memory`.
// SAFETY (of this attribute, here and below): the names are this module's alone; no library that is linked in exports any.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub extern "C" fn request(length: usize) -> *mut u8 {
    REQUEST.with_borrow_mut(|buffer| {
        *buffer = vec![0; length];
        buffer.as_mut_ptr()
    })
}

/// Answers the request and returns the answer's address in `memory`.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub extern "C" fn answer() -> *const u8 {
    let request = REQUEST.take();
    ANSWER.with_borrow_mut(|answer| {
        *answer = sealstone_verify::json::answer(&request);
        answer.as_ptr()
    })
}

/// The answer's length in bytes.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub extern "C" fn answer_length() -> usize {
    ANSWER.with_borrow(String::len)
}
