//! What was sealed: a record that would be written the same way again, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealstone_channel::limits::BUCKETS;
use sealstone_channel::record::{self, Record};
use zeroize::Zeroizing;

fuzz_target!(|input: (u8, &[u8])| {
    let (bucket, bytes) = input;
    let mut padded = bytes.to_vec();
    if let Some(size) = BUCKETS.get(usize::from(bucket)) {
        padded.resize(*size, 0);
    }
    let padded = Zeroizing::new(padded);
    if let Ok(record) = Record::parse(padded.clone()) {
        assert_eq!(record::write(record.kind, record.content()).expect("it fits"), padded);
    }
});
