//! Any bytes as a quote, a signature and a key, each after two bytes that say how long it is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealstone_evidence::tpm::{Attest, AttestationKey, PcrValues, Signature, check_pcrs, verify};

fn part<'a>(data: &mut &'a [u8]) -> &'a [u8] {
    let Some(([high, low], rest)) = data.split_first_chunk::<2>() else { return &[] };
    let (part, rest) = rest.split_at(rest.len().min(usize::from(u16::from_be_bytes([*high, *low]))));
    *data = rest;
    part
}

fuzz_target!(|data: &[u8]| {
    let mut rest = data;
    let (attest, signature) = (Attest::parse(part(&mut rest)), Signature::parse(part(&mut rest)));
    let key = AttestationKey::parse(rest);
    if let (Ok(attest), Ok(signature)) = (&attest, &signature) {
        let _ = check_pcrs(attest, signature, &PcrValues::new());
        if let Ok(key) = &key {
            let _ = verify(attest, signature, key);
        }
    }
});
