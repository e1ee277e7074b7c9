//! The contents of evidence records: a document of the length that the first of them says, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealstone_channel::evidence::{Assembly, records};
use sealstone_channel::limits::{MAX_CONTENT, MAX_EVIDENCE};
use sealstone_channel::record::Record;

// Pieces by length and filling, so that long ones cost the fuzzer few bytes; the first ones as they are.
fuzz_target!(|input: (&[u8], Vec<(u16, u8)>)| {
    let (first, rest) = input;
    let mut assembly = Assembly::default();
    let long = |(length, byte): &(u16, u8)| vec![*byte; usize::from(*length).min(MAX_CONTENT)];
    for piece in std::iter::once(first.to_vec()).chain(rest.iter().map(long)) {
        match assembly.add(&piece) {
            Ok(Some(document)) => {
                assert!(!document.is_empty() && document.len() <= MAX_EVIDENCE);
                let mut again = Assembly::default();
                let last = records(&document).expect("within the limits").into_iter().fold(None, |_, record| {
                    again.add(Record::parse(record).expect("a record").content()).expect("a piece")
                });
                assert_eq!(last, Some(document));
                return;
            }
            Ok(None) => assert_eq!(piece.len(), MAX_CONTENT),
            Err(_) => return,
        }
    }
});
