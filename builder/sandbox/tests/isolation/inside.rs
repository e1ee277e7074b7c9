//! What this program does when it runs in the sandbox: looks around, and panics when it sees what it shouldn't.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;

use super::outside;

pub(crate) fn main(args: &[&str]) {
    match args {
        ["identity", uid, umask, hostname] => identity(uid, umask, hostname),
        ["processes"] => processes(),
        ["privileges"] => privileges(),
        ["no-network"] => no_network(),
        ["host-network", port] => drop(TcpStream::connect(("127.0.0.1", port.parse().unwrap())).unwrap()),
        ["files", hidden] => files(hidden),
        ["answer"] => answer(),
        ["nested", caller] => outside::nested(*caller == "root"),
        other => panic!("unknown {other:?}"),
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap().trim().to_owned()
}

fn status(field: &str) -> String {
    let status = read("/proc/self/status");
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn identity(uid: &str, umask: &str, hostname: &str) {
    assert_eq!(read("/proc/sys/kernel/hostname"), hostname);
    assert_eq!(read("/proc/sys/kernel/domainname"), "localdomain");
    assert_eq!(status("Uid"), [uid; 4].join(" "));
    assert_eq!(status("Gid"), [uid; 4].join(" "));
    assert_eq!(status("Umask"), umask);
    assert_eq!(read("/proc/self/setgroups"), "deny");
    assert_eq!(std::env::current_dir().unwrap().to_str(), Some("/build"));
    let environment: Vec<_> = std::env::vars().collect();
    assert_eq!(environment, [("ONLY".to_owned(), "this".to_owned())]);
    let limits = read("/proc/self/limits");
    for (limit, value) in [("Max stack size", "8388608"), ("Max core file size", "0"), ("Max open files", "4096")] {
        let line = limits.lines().find_map(|line| line.strip_prefix(limit)).unwrap();
        assert_eq!(line.split_whitespace().take(2).collect::<Vec<_>>(), [value; 2], "{limit}");
    }
    for place in ["/build/made-inside", "/out/made-inside"] {
        fs::write(place, "x").unwrap();
        assert_eq!(fs::metadata(place).unwrap().uid().to_string(), uid, "{place}");
    }
}

fn processes() {
    let mut pids: Vec<u32> =
        fs::read_dir("/proc").unwrap().filter_map(|e| e.unwrap().file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    assert_eq!(pids, [1, std::process::id()]);
    assert_eq!(std::os::unix::process::parent_id(), 1);
    // 0, 1, 2, and the one that reads the directory.
    let mut open: Vec<String> =
        fs::read_dir("/proc/self/fd").unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    open.sort();
    assert_eq!(open, ["0", "1", "2", "3"]);
    assert_eq!(fs::read_link("/proc/self/fd/0").unwrap().to_str(), Some("/dev/null"));
    // The session's id, in stat's field 6 (proc_pid_stat(5)), is PID 1: no terminal of the caller's is within reach.
    let stat = read("/proc/self/stat");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    assert_eq!((fields[3], fields[4]), ("1", "0"), "session and terminal");
    assert!(fs::read_link("/proc/1/exe").is_err() && fs::read("/proc/1/environ").is_err(), "PID 1 can be looked into");
}

fn privileges() {
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(status(set), "0000000000000000", "{set}");
    }
    assert_eq!(status("NoNewPrivs"), "1");
    // Root's too: these ask who is writing, not for a capability, and reach the whole host.
    for file in ["/proc/sys/kernel/hostname", "/proc/sys/kernel/core_pattern", "/proc/sys/vm/swappiness", "/proc/sysrq-trigger"] {
        if let Err(error) = fs::OpenOptions::new().write(true).open(file) {
            assert!(
                matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem | ErrorKind::NotFound),
                "{file}: {error}"
            );
        } else {
            panic!("{file} can be written");
        }
    }
}

fn no_network() {
    let devices = read("/proc/net/dev");
    let names: Vec<&str> = devices.lines().skip(2).filter_map(|line| line.split(':').next()).map(str::trim).collect();
    assert_eq!(names, ["lo"]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    drop(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
    // TEST-NET-1 (RFC 5737).
    assert_eq!(TcpStream::connect("192.0.2.1:80").unwrap_err().kind(), ErrorKind::NetworkUnreachable);
}

fn files(hidden: &str) {
    for place in ["/x", "/usr/x", "/in/x", "/in/data"] {
        let error = fs::write(place, "x").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ReadOnlyFilesystem, "{place}");
    }
    assert_eq!(read("/in/data"), "input");
    for place in ["/build/x", "/out/x", "/tmp/x", "/dev/shm/x", "/shared/x"] {
        fs::write(place, "x").unwrap_or_else(|e| panic!("{place}: {e}"));
    }
    assert!(!fs::exists(hidden).unwrap(), "the host's {hidden} can be seen");
    assert!(!fs::exists("/.host").unwrap());
    let mut devices: Vec<String> = fs::read_dir("/dev").unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    devices.sort();
    let want = ["fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom", "zero"];
    assert_eq!(devices, want);
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    fs::write("/dev/null", "x").unwrap();
    let mounts = read("/proc/self/mountinfo");
    for line in mounts.lines() {
        let (place, options) = (line.split(' ').nth(4).unwrap(), line.split(' ').nth(5).unwrap());
        let device = place.starts_with("/dev/") && place != "/dev/shm";
        assert!(device || (options.contains("nosuid") && options.contains("nodev")), "{line}");
        assert!(!line.contains("shared:") && !line.contains("master:"), "mounts go in or out: {line}");
    }
}

/// Waits for one connection to a socket in the shared directory.
fn answer() {
    let listener = UnixListener::bind("/shared/socket").unwrap();
    println!("listening");
    io::stdout().flush().unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    stream.write_all(b"hello").unwrap();
    std::thread::sleep(std::time::Duration::from_secs(600));
}
