//! Any text as a note, checkpoint or key: what is read is written the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealstone_release::key::{SigningKey, VerifierKey};
use sealstone_release::note::Note;
use sealstone_release::tlog::checkpoint::Checkpoint;

fuzz_target!(|text: &str| {
    if let Ok(note) = Note::parse(text) {
        assert_eq!(note.to_text(), text);
        assert!(note.verify(&[]).is_err());
        if let Ok(checkpoint) = Checkpoint::parse(note.text()) {
            assert_eq!(checkpoint.to_text(), note.text());
        }
    }
    if let Ok(key) = text.parse::<VerifierKey>() {
        assert_eq!(key.to_string(), text);
    }
    if let Ok(key) = SigningKey::parse(text) {
        assert_eq!(key.to_secret_text(), text);
    }
});
