//! The engine outside an image, confined all the same: `outside NAME FILE`, with the socket as descriptor 0. For tests and
//! benchmarks, and to compare an image's replies with.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sealstone_engine::serve::End;
use sealstone_engine::start::{self, Ended};

fn main() -> ExitCode {
    start::hide_panics();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [name, file] = words.as_slice() else {
        start::say("usage: outside NAME FILE");
        return ExitCode::from(2);
    };
    let file = PathBuf::from(file);
    let pack = file.parent().map(Path::to_path_buf).unwrap_or_default();
    match start::model_from(rustix::stdio::stdin(), name, &pack, file) {
        Ok(()) | Err(Ended::Served(End::Front)) => ExitCode::SUCCESS,
        Err(ended) => {
            start::say(&ended.to_string());
            ExitCode::FAILURE
        }
    }
}
