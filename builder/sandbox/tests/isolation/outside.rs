//! The tests, as they run on the host.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use sealstone_sandbox::{
    Ending, HostProblem, Invocation, Mount, Network, Order, SandboxError, Stdio, Variation, Work, run, spawn,
};
use tempfile::TempDir;

pub(crate) const TESTS: &[(&str, fn())] = &[
    ("identity", identity),
    ("processes_and_descriptors", processes),
    ("privileges", privileges),
    ("network_none", network_none),
    ("network_host", network_host),
    ("files_and_mounts", files),
    ("failures_are_told_apart", failures),
    ("wrong_paths", wrong_paths),
    ("a_log_of_two_writers", log),
    ("clock_needs_libfaketime", clock),
    ("directory_order_in_memory", directory_order),
    ("nothing_outlives_the_program", orphans),
    ("nothing_outlives_the_caller", killed_caller),
    ("a_running_program", running),
    ("two_at_once", parallel),
    ("a_sandbox_in_a_sandbox", in_a_sandbox),
];

/// Directories of the host for one test, and an invocation that uses them.
struct Bench {
    dir: TempDir,
    invocation: Invocation,
}

impl Bench {
    fn new(argv: &[&str]) -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["root", "root/etc", "root/in", "root/usr", "work", "out", "shared"] {
            fs::create_dir(at(name)).unwrap();
        }
        fs::write(at("root/etc/file"), "from the root").unwrap();
        let mut mounts = host_programs(&at("root"));
        mounts.push(Mount { source: std::env::current_exe().unwrap(), target: "/self".into(), writable: false });
        let invocation = Invocation {
            root: at("root"),
            work: Work::Dir(at("work")),
            mounts,
            out: at("out"),
            argv: argv.iter().map(|a| a.to_string()).collect(),
            env: BTreeMap::new(),
            network: Network::None,
            stdio: Stdio::Log(at("log")),
            variation: Variation::default(),
            devices: Vec::new(),
        };
        Bench { dir, invocation }
    }

    fn sh(script: &str) -> Bench {
        Bench::new(&["/bin/sh", "-euc", script])
    }

    fn inside(args: &[&str]) -> Bench {
        let mut bench = Bench::new(&["/self", "--inside"]);
        bench.invocation.argv.extend(args.iter().map(|a| a.to_string()));
        bench
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn run(&self) {
        if let Err(error) = run(&self.invocation) {
            panic!("{error}");
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.at("log")).unwrap()
    }
}

/// The host's programs and libraries for a root, however the host lays them out.
fn host_programs(root: &Path) -> Vec<Mount> {
    let mut mounts = vec![Mount { source: "/usr".into(), target: "/usr".into(), writable: false }];
    for name in ["bin", "lib", "lib64", "sbin"] {
        let there = Path::new("/").join(name);
        if let Ok(target) = fs::read_link(&there) {
            symlink(target, root.join(name)).unwrap();
        } else if there.is_dir() {
            mounts.push(Mount { source: there.clone(), target: there, writable: false });
        }
    }
    mounts
}

fn identity() {
    for (uid, umask, hostname) in [(1000, 0o022, "sealstone"), (4321, 0o077, "elsewhere"), (0, 0o002, "x")] {
        let mut bench = Bench::inside(&["identity", &uid.to_string(), &format!("{umask:04o}"), hostname]);
        bench.invocation.env = BTreeMap::from([("ONLY".into(), "this".into())]);
        bench.invocation.variation = Variation { uid, umask, hostname: hostname.into(), ..Variation::default() };
        bench.run();
        // Outside, everything is the caller's and can be removed by him.
        for name in ["work/made-inside", "out/made-inside"] {
            fs::remove_file(bench.at(name)).unwrap();
        }
    }
}

fn processes() {
    // Inherited by every program started from here on, unless somebody closes it.
    let leak = fs::File::open("/dev/null").unwrap();
    rustix::io::fcntl_setfd(&leak, rustix::io::FdFlags::empty()).unwrap();
    Bench::inside(&["processes"]).run();
}

fn privileges() {
    for uid in [1000, 0] {
        let mut bench = Bench::inside(&["privileges"]);
        bench.invocation.variation.uid = uid;
        bench.run();
    }
}

fn network_none() {
    Bench::inside(&["no-network"]).run();
}

fn network_host() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut bench = Bench::inside(&["host-network", &port]);
    assert!(matches!(run(&bench.invocation), Err(SandboxError::Failed { .. })), "the host's loopback can be reached");
    bench.invocation.network = Network::Host;
    bench.run();
}

fn files() {
    for in_memory in [false, true] {
        let mut bench = Bench::inside(&["files", ""]);
        let hidden = bench.dir.path().to_str().unwrap().to_owned();
        *bench.invocation.argv.last_mut().unwrap() = hidden;
        fs::write(bench.at("data"), "input").unwrap();
        let mount = |source: &str, target: &str, writable| Mount { source: bench.at(source), target: target.into(), writable };
        let more = [mount("data", "/in/data", false), mount("shared", "/shared", true)];
        bench.invocation.mounts.extend(more);
        if in_memory {
            bench.invocation.work = Work::Tmpfs;
        }
        bench.run();
        assert_eq!(bench.at("work/x").exists(), !in_memory);
        assert!(bench.at("out/x").exists() && bench.at("shared/x").exists());
        // The root was only looked at: no mount point was made in it.
        let mut root: Vec<_> = fs::read_dir(bench.at("root")).unwrap().map(|e| e.unwrap().file_name()).collect();
        root.retain(|name| !["bin", "lib", "lib64", "sbin"].iter().any(|n| n == name));
        root.sort();
        assert_eq!(root, ["etc", "in", "usr"]);
        assert_eq!(fs::read_dir(bench.at("root/in")).unwrap().count(), 0);
    }
}

fn failures() {
    let bench = Bench::sh("echo some output; echo why it failed >&2; exit 7");
    match run(&bench.invocation) {
        Err(SandboxError::Failed { argv, ending: Ending::Exit(7), log_tail }) => {
            assert_eq!(argv, bench.invocation.argv);
            assert_eq!(log_tail, "some output\nwhy it failed");
        }
        other => panic!("{other:?}"),
    }
    let result = run(&Bench::sh("kill -SEGV $$").invocation);
    assert!(matches!(result, Err(SandboxError::Failed { ending: Ending::Signal(11), .. })), "{result:?}");
    let result = run(&Bench::new(&["/no/such/program"]).invocation);
    assert!(matches!(result, Err(SandboxError::NotStarted { .. })), "{result:?}");
    let result = run(&Bench::new(&[]).invocation);
    assert!(matches!(result, Err(SandboxError::NotStarted { .. })), "{result:?}");
    let loud = Bench::sh("i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; exit 1");
    let Err(SandboxError::Failed { log_tail, .. }) = run(&loud.invocation) else { panic!("it didn't fail") };
    assert!(log_tail.starts_with("line 2960\n") && log_tail.ends_with("line 2999"), "{log_tail}");
}

fn wrong_paths() {
    type Change = fn(&mut Invocation);
    let cases: &[(&str, Change)] = &[
        ("/no-such-root", |i| i.root = "/no-such-root".into()),
        ("/no-such-source", |i| i.mounts.push(Mount { source: "/no-such-source".into(), target: "/x".into(), writable: false })),
        ("/etc/not-there", |i| i.mounts.push(Mount { source: "/usr".into(), target: "/etc/not-there".into(), writable: false })),
        ("relative", |i| i.mounts.push(Mount { source: "/usr".into(), target: "relative".into(), writable: false })),
        ("..", |i| i.mounts.push(Mount { source: "/usr".into(), target: "/in/../../x".into(), writable: false })),
        ("/dev/no-such-device", |i| i.devices.push("/dev/no-such-device".into())),
    ];
    for (named, change) in cases {
        let mut bench = Bench::sh("true");
        change(&mut bench.invocation);
        let error = run(&bench.invocation).unwrap_err();
        assert!(matches!(error, SandboxError::Setup { .. } | SandboxError::Io { .. }), "{named}: {error:?}");
        assert!(error.to_string().contains(named), "{named}: {error}");
    }
}

fn log() {
    let bench = Bench::sh("echo one; echo two >&2; cat /etc/file; cat");
    bench.run();
    bench.run();
    assert_eq!(bench.log(), "one\ntwo\nfrom the rootone\ntwo\nfrom the root");
}

fn clock() {
    let mut bench = Bench::sh("true");
    bench.invocation.variation.clock = Some(2_000_000_000);
    let error = run(&bench.invocation).unwrap_err().to_string();
    assert!(error.contains("libfaketime"), "{error}");
}

fn directory_order() {
    let listed = |order| {
        let mut bench = Bench::sh("cd tree; ls -U; test -x 7 && test ! -x 8 && test \"$(cat link)\" = 3 && test -d sub/dir");
        let tree = bench.at("work/tree");
        fs::create_dir_all(tree.join("sub/dir")).unwrap();
        (0..40).for_each(|i| fs::write(tree.join(i.to_string()), i.to_string()).unwrap());
        fs::set_permissions(tree.join("7"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        symlink("3", tree.join("link")).unwrap();
        bench.invocation.env = BTreeMap::from([("PATH".into(), "/usr/bin:/bin".into())]);
        bench.invocation.work = Work::TmpfsCopy { from: bench.at("work"), order };
        bench.run();
        bench.log().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let sorted = |mut list: Vec<String>| {
        list.sort();
        list
    };
    let (plain, one, two) = (listed(Order::Archive), listed(Order::Shuffled(1)), listed(Order::Shuffled(2)));
    assert_eq!(plain.len(), 42);
    assert_eq!(sorted(plain.clone()), sorted(one.clone()));
    assert!(plain != one && one != two && plain != two);
}

/// Whether something still writes to `file`.
fn still_grows(file: &Path) -> bool {
    let size = || fs::metadata(file).unwrap().len();
    let before = size();
    std::thread::sleep(Duration::from_millis(400));
    size() != before
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(60), "waiting for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

const BEATS: &str = "while :; do echo x >> /out/beat; sleep 0.02; done";

fn beating(script: &str) -> Bench {
    let mut bench = Bench::sh(script);
    bench.invocation.env = BTreeMap::from([("PATH".into(), "/usr/bin:/bin".into())]);
    bench
}

fn orphans() {
    // A daemon of its own session, which nobody waits for.
    let bench = beating(&format!("setsid sh -c '{BEATS}' & while ! test -s /out/beat; do sleep 0.02; done"));
    bench.run();
    assert!(!still_grows(&bench.at("out/beat")));
}

/// In a process of its own, which is killed meanwhile: see [`killed_caller`].
pub(crate) fn run_until_killed(out: &Path) {
    let mut bench = beating(&format!("setsid sh -c '{BEATS}' & {BEATS}"));
    bench.invocation.out = out.to_owned();
    bench.run();
}

fn killed_caller() {
    let out = tempfile::tempdir().unwrap();
    let beat = out.path().join("beat");
    let mut caller = Command::new(std::env::current_exe().unwrap()).arg("--outside-helper").arg(out.path()).spawn().unwrap();
    wait_for("the first beat", || fs::metadata(&beat).is_ok_and(|m| m.len() > 0));
    assert!(still_grows(&beat));
    caller.kill().unwrap();
    caller.wait().unwrap();
    wait_for("the end of the beats", || !still_grows(&beat));
}

fn running() {
    let mut bench = Bench::inside(&["answer"]);
    bench.invocation.stdio = Stdio::Piped;
    bench.invocation.mounts.push(Mount { source: bench.at("shared"), target: "/shared".into(), writable: true });
    let mut running = spawn(&bench.invocation).unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(running.take_stdout().unwrap());
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "listening\n");
    assert!(running.is_running().unwrap());
    let mut answer = [0; 5];
    UnixStream::connect(bench.at("shared/socket")).unwrap().read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"hello");
    running.kill();
    // Everybody who held the pipe is gone.
    assert_eq!(stdout.read_to_string(&mut line).unwrap(), 0);

    let mut bench = Bench::sh("exit 4");
    bench.invocation.stdio = Stdio::Piped;
    let mut ended = spawn(&bench.invocation).unwrap();
    wait_for("the program's end", || !ended.is_running().unwrap());
    assert!(matches!(ended.wait(), Err(SandboxError::Failed { ending: Ending::Exit(4), .. })));
}

fn parallel() {
    let bench = Bench::sh("echo $$ > /out/$NAME; test -e /build/work-of-$NAME");
    std::thread::scope(|scope| {
        for name in ["a", "b", "c"] {
            let (mut invocation, work) = (bench.invocation.clone(), bench.at(name));
            fs::create_dir(&work).unwrap();
            fs::write(work.join(format!("work-of-{name}")), "").unwrap();
            invocation.work = Work::Dir(work);
            invocation.env = BTreeMap::from([("NAME".into(), name.into())]);
            scope.spawn(move || run(&invocation).unwrap());
        }
    });
    let pids: Vec<_> = ["a", "b", "c"].iter().map(|name| fs::read_to_string(bench.at("out").join(name)).unwrap()).collect();
    assert!(pids.iter().all(|pid| pid == "2\n"), "{pids:?}");
}

/// Inside, every mount's flags are locked, so that this shows that locked flags are respected.
fn in_a_sandbox() {
    let caller = if rustix::process::geteuid().is_root() { "root" } else { "ordinary" };
    Bench::inside(&["nested", caller]).run();
}

/// For root, parts of /proc are closed, as in a container: the inner sandbox is refused, for that reason and no other.
pub(crate) fn nested(by_root: bool) {
    if by_root {
        assert_eq!(sealstone_sandbox::probe(), Err(HostProblem::MaskedProc));
        return;
    }
    let mut bench = Bench::sh("exit 9");
    bench.invocation.stdio = Stdio::Inherit;
    let result = run(&bench.invocation);
    assert!(matches!(result, Err(SandboxError::Failed { ending: Ending::Exit(9), .. })), "{result:?}");
}
