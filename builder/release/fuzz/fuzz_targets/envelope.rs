//! Any bytes as an envelope, and as the payload of one that is well signed: what is read has one spelling.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealstone_release::dsse::Envelope;
use sealstone_release::key::{KeyKind, SigningKey};
use sealstone_release::statement::manifest::Manifest;
use sealstone_release::statement::notice::Notice;
use sealstone_release::statement::rebuild::Rebuild;
use sealstone_release::statement::release::Release;

fuzz_target!(|data: &[u8]| {
    if let Ok(envelope) = Envelope::parse(data) {
        assert_eq!(envelope.to_text().as_bytes(), data);
    }
    let Ok(name) = "fuzz".parse() else { return };
    let key = SigningKey::from_seed(name, KeyKind::Plain, &[1; 32]);
    let known = [key.verifier().clone()];
    let envelope = Envelope::sign(data.to_vec(), &[&key]);
    assert!(envelope.verify(&known).is_ok());
    drop((Release::verify(&envelope, &known), Rebuild::verify(&envelope, &known)));
    drop((Manifest::verify(&envelope, &known), Notice::verify(&envelope, &known)));
});
