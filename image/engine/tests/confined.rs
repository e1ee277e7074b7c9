//! The confinement, in processes of their own: this program runs itself again as the confined child.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::File;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use sealstone_engine::confine::{self, ConfineError};
use sealstone_engine::through;

/// Tells the child what to do. Only this test program reads it; the engine has no environment.
const ORDER: &str = "SEALSTONE_TEST_CONFINED";
/// Exit code for a host whose kernel can't confine like this.
const UNSUPPORTED: i32 = 77;
const SIGSYS: i32 = 31;

fn main() {
    if let Ok(order) = std::env::var(ORDER) {
        std::process::exit(child(&order));
    }
    let pack = Pack::new();
    if run("nothing", &pack).code() == Some(UNSUPPORTED) {
        println!("SKIPPED confined: this host's kernel has no landlock of version 6");
        return;
    }
    for order in ["nothing", "loading: read the pack", "loading: read the pack through", "serving: thread", "serving: memory"] {
        let status = run(order, &pack);
        assert!(status.success(), "{order}: {status}");
        println!("confined: {order} works");
    }
    for order in ["loading: read elsewhere", "loading: write the pack", "serving: read the pack"] {
        let status = run(order, &pack);
        assert_eq!(status.code(), Some(13), "{order}: {status}");
        println!("confined: {order} is refused");
    }
    for order in ["loading: exec", "loading: socket", "loading: fork", "serving: exec", "serving: socket", "serving: fork"] {
        let status = run(order, &pack);
        assert_eq!(status.signal(), Some(SIGSYS), "{order}: {status}");
        println!("confined: {order} kills");
    }
}

/// A folder with a file, and one beside it.
struct Pack(PathBuf);

impl Pack {
    fn new() -> Pack {
        let folder = std::env::temp_dir().join(format!("sealstone-confined-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("pack")).unwrap();
        std::fs::write(folder.join("pack/model"), "model").unwrap();
        std::fs::write(folder.join("secret"), "secret").unwrap();
        Pack(folder)
    }
}

impl Drop for Pack {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn run(order: &str, pack: &Pack) -> std::process::ExitStatus {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(ORDER, order).arg(&pack.0).stdin(Stdio::null()).stdout(Stdio::null());
    let mut child: Child = command.spawn().unwrap();
    child.wait().unwrap()
}

/// The child: confined as far as the order says, it tries what the order says. Its exit code is the error's number.
fn child(order: &str) -> i32 {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap());
    let files = through::files(&folder.join("pack")).unwrap();
    match confine::before_loading(&folder.join("pack")) {
        Ok(()) => {}
        Err(ConfineError::Landlock) => return UNSUPPORTED,
        Err(error) => panic!("{error}"),
    }
    if order.starts_with("serving") {
        confine::before_serving().unwrap();
    }
    let tried = match order.split_once(": ").map_or(order, |(_, what)| what) {
        "nothing" => Ok(()),
        "read the pack" => read(&folder.join("pack/model")),
        "read the pack through" => through::read(&files).map(drop),
        "read elsewhere" => read(&folder.join("secret")),
        "write the pack" => File::options().write(true).open(folder.join("pack/model")).map(drop),
        "exec" => Command::new("/bin/true").status().map(drop),
        "socket" => std::net::UdpSocket::bind("127.0.0.1:0").map(drop),
        "fork" => fork(),
        "thread" => std::thread::Builder::new().stack_size(64 << 20).spawn(|| vec![1_u8; 1 << 20]).map(|t| drop(t.join())),
        "memory" => {
            drop(vec![1_u8; 64 << 20]);
            Ok(())
        }
        other => panic!("{other}"),
    };
    tried.err().map_or(0, |error| error.raw_os_error().unwrap_or(1))
}

fn read(path: &Path) -> std::io::Result<()> {
    // Not `read_to_string`, which asks for the length by a call that llama.cpp doesn't make.
    File::open(path)?.read(&mut [0; 8]).map(drop)
}

/// A new process, by the call that the C library makes.
#[allow(unsafe_code)]
fn fork() -> std::io::Result<()> {
    // SAFETY: the child would do nothing but end.
    match unsafe { libc::fork() } {
        0 => std::process::exit(0),
        -1 => Err(std::io::Error::last_os_error()),
        _ => Ok(()),
    }
}
