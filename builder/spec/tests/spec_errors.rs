//! Every mistake in a spec has one exact message: file, line, column, field, what is wrong, what to do.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests stand outside of the test functions")]

use sealstone_spec::{Name, ProblemKind, Spec};

const EXAMPLE: &str = include_str!("example.yaml");
const FILE: &str = "image/inference.yaml";

/// Replaces the one occurrence of `from` in the example and returns the error.
fn broken(from: &str, to: &str) -> String {
    assert_eq!(EXAMPLE.matches(from).count(), 1, "`{from}` stands once in the example");
    match Spec::parse(FILE, &EXAMPLE.replacen(from, to, 1)) {
        Ok(_) => panic!("`{from}` -> `{to}` was taken"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn one_mistake_one_message() {
    assert_eq!(
        broken("  epoch: 1783296000", "  epcoh: 1783296000"),
        "image/inference.yaml:3:3: image.epoch: the field is missing; add `epoch:`\n\
         image/inference.yaml:5:3: image.epcoh: the field isn't known; did you mean `epoch`?"
    );
    let mut wrong = Vec::new();
    for (from, to, expected) in [
        (
            "name: inference",
            "name: inference\n  colour: red",
            "4:3: image.colour: the field isn't known; known here: `name`, `version` or `epoch`",
        ),
        (
            "name: inference",
            "name: inference\n  name: again",
            "4:3: image.name: the key is given twice, first on line 3; keep one of them",
        ),
        (
            "exclude: [base-files, debconf]",
            "exclude: [base-files, debconf]\n    exclude: []",
            "20:5: roots.build.exclude: the key is given twice, first on line 19; keep one of them",
        ),
        (
            "epoch: 1783296000",
            "epoch: soon",
            "5:10: image.epoch: expected a whole number, such as 8080, found `soon`; write a whole number, such as 8080",
        ),
        (
            "epoch: 1783296000",
            "epoch: \"1783296000\"",
            "5:10: image.epoch: expected a whole number, such as 8080, found `1783296000`; write a whole number, such as 8080",
        ),
        ("epoch: 1783296000", "epoch: 1", "5:10: image.epoch: 1 is out of range; use a number from 315532800 to 4294967295"),
        (
            "epoch: 1783296000",
            "epoch: [1]",
            "5:10: image.epoch: expected a whole number, such as 8080, found a list; write a whole number, such as 8080",
        ),
        (
            "epoch: 1783296000",
            "epoch:",
            "5:8: image.epoch: expected a whole number, such as 8080, found nothing; write a whole number, such as 8080",
        ),
        (
            "name: inference",
            "name: Inference",
            "3:9: image.name: `Inference` isn't a name; use lower-case letters, digits, `.`, `_` and `-`, beginning with a letter or digit, at most 64 characters",
        ),
        (
            "version: 0.1.0",
            "version: 0 1",
            "4:12: image.version: `0 1` isn't a version; use letters, digits, `.`, `+` and `-`, beginning with a letter or digit, such as 0.1.0",
        ),
        (
            "version: 252.39-1~deb12u2",
            "version: v252",
            "27:58: sources.systemd.version: `v252` isn't a Debian version; write it as the archive does, such as 6.12.107-1 or 1:2.3+dfsg-4~deb12u1",
        ),
        (
            "[gcc, g++, make]",
            "[gcc, g++, Make]",
            "18:26: roots.build.packages[2]: `Make` isn't the name of a Debian package; use at least two lower-case letters, digits, `+`, `-` and `.`, beginning with a letter or digit",
        ),
        (
            "[gcc, g++, make]",
            "[gcc, g++, gcc]",
            "18:26: roots.build.packages[2]: `gcc` is listed twice, first on line 18; keep one of them",
        ),
        (
            "[gcc, g++, make]",
            "gcc",
            "18:15: roots.build.packages: expected a list, such as [a, b], found `gcc`; write a list, such as [a, b]",
        ),
        ("[gcc, g++, make]", "[]", "18:15: roots.build.packages: the list is empty; list at least one"),
        (
            "exclude: [base-files, debconf]",
            "exclude: [gcc]",
            "19:14: roots.build.exclude: `gcc` is also in `packages`; keep it in one of the two lists",
        ),
        (
            "usr/bin/sh: dash",
            "usr/bin/sh: ../../../dash",
            "20:12: roots.build.links: the link `usr/bin/sh` has the target `../../../dash`, which is above the root's top; use fewer `..`",
        ),
        (
            "usr/bin/sh: dash",
            "/usr/bin/sh: dash",
            "20:13: roots.build.links./usr/bin/sh: `/usr/bin/sh` is an absolute path; write it relative to the root, without the leading `/`",
        ),
        (
            "workspace: .",
            "workspace: /srv",
            "34:14: userland.workspace: `/srv` is an absolute path; write it relative to the spec's folder, without the leading `/`",
        ),
        (
            "../kernel-config/resolved.config",
            "../../resolved.config",
            "31:13: kernel.resolved: `../../resolved.config` leaves the repository; use at most 1 `..`, and copy what is outside into the repository",
        ),
        (
            "../kernel-config/resolved.config",
            "a/../resolved.config",
            "31:13: kernel.resolved: `a/../resolved.config` goes down and up again; write the path without the detour; `..` may only stand at the beginning",
        ),
        (
            "20260913T000000Z",
            "2026-09-13",
            "12:15: archives.trixie.snapshot: `2026-09-13` isn't a timestamp of snapshot.debian.org; write it like 20260712T000000Z",
        ),
        (
            "archive: debian-security",
            "archive: debian-securty",
            "14:19: archives.trixie.also[0].archive: `debian-securty` isn't one of the known values; did you mean `debian-security`?",
        ),
        (
            "isa: x86-64-v3",
            "isa: sparc",
            "35:8: userland.isa: `sparc` isn't one of the known values; use `x86-64-v2`, `x86-64-v3` or `x86-64-v4`",
        ),
        (
            "panic=-1",
            "\"panic=-1 quiet\"",
            "32:28: kernel.cmdline[1]: `panic=-1 quiet` isn't one word of a command line; use printable ASCII without spaces and double quotes, one parameter an entry",
        ),
        ("port: 8080", "port: 70000", "38:32: network.port: 70000 is out of range; use a number from 1 to 65535"),
        (
            "stub: {source: systemd}",
            "stub: {source: sistemd}",
            "37:16: stub.source: there is no `sistemd` in `sources`; did you mean `systemd`?",
        ),
        (
            "source: edk2, version",
            "source: edk2, package: edk2, version",
            "26:9: sources.edk2: both `package` and `source` are given; write `package:` for a .deb that holds source, `source:` for a source package",
        ),
        (
            "attestation: required",
            "attestation: no",
            "40:14: attestation: `no` isn't one of the known values; use `required` or `insecure`",
        ),
        (
            "models: []",
            "models: [{name: a, file: b, required: yes}]",
            "39:39: models[0].required: expected true or false, found `yes`; write true or false",
        ),
        (
            "models: []",
            "models: [{name: llama-3.1, file: b}]",
            "39:17: models[0].name: `llama-3.1` isn't the name of a model; use 1 to 63 lower-case letters, digits and inner `-`, such as llama-3-8b",
        ),
        (
            "models: []",
            "models: [{name: a}]",
            "39:10: models[0]: no source is given; write one of `file:`, `files:`, `folder:` and `generate:`",
        ),
        (
            "models: []",
            "models: [{name: a, file: b, folder: c, main: b}]",
            "39:10: models[0]: more than one source is given; write one of `file:`, `files:`, `folder:` and `generate:`",
        ),
        (
            "models: []",
            "models: [{name: a, folder: c}]",
            "39:10: models[0]: which of the folder's files is the model isn't said; add `main:` with its path in the folder; of several pieces, the first",
        ),
        (
            "models: []",
            "models: [{name: a, files: [x/b, c], main: x/b}]",
            "39:10: models[0]: `main` is `x/b`, which isn't in the pack; in it are b, c; in a pack they have no folder",
        ),
        (
            "models: []",
            "models: [{name: a, files: [x/b, y/b]}]",
            "39:33: models[0].files[1]: `b` is listed twice, first on line 39; keep one of them",
        ),
        (
            "models: []",
            "models: [{name: a, file: b}, {name: a, file: c}]",
            "39:30: models[1]: `a` is listed twice, first on line 39; keep one of them",
        ),
        (
            "models: []",
            "models: [{name: a, file: ../../b}]",
            "39:26: models[0].file: `../../b` leaves the repository; use at most 1 `..`, and copy what is outside into the repository",
        ),
        (
            "models: []",
            "models: [{name: a, file: b c}]",
            "39:10: models[0]: `b c` isn't the path of a model file in a pack; rename it: use at most 255 letters, digits and `._-+`, with `/` between folders and no `.` or `..` part",
        ),
        (
            "models: []",
            "models: [{name: a, generate: {kind: large, seed: 1}}]",
            "39:37: models[0].generate.kind: `large` isn't one of the known values; use `tiny`",
        ),
        (
            "models: []",
            "models: [{name: a, file: b, pack: {root: 00, salt: 0011223344556677001122334455667700112233445566770011223344556677, size: 8192}}]",
            "39:42: models[0].pack.root: `00` isn't a SHA-256 digest; write 64 lower-case hexadecimal digits (this has 2 characters)",
        ),
        (
            "models: []",
            "models: [{name: a, file: b, pack: {root: 0011223344556677001122334455667700112233445566770011223344556677, salt: 0011223344556677001122334455667700112233445566770011223344556677, size: 8193}}]",
            "39:186: models[0].pack.size: 8193 isn't a multiple of 4096; copy what `sealstone pack` prints",
        ),
        (
            "schema: sealstone/spec/v1",
            "schema: sealstone/spec/v2",
            "1:9: schema: this is `sealstone/spec/v2`, and this program reads `sealstone/spec/v1`; write `schema: sealstone/spec/v1`, or use the version of sealstone that the spec was written for",
        ),
        (
            "firmware: inteltdx",
            "firmware: amdsev",
            "48:5: profiles[1]: the firmware isn't one that starts a guest with `tee: tdx`; use `amdsev` for sev-snp and `inteltdx` for tdx",
        ),
        (
            "platforms: [amdsev, inteltdx]",
            "platforms: [amdsev]",
            "50:15: profiles[1].firmware: `inteltdx` isn't built; add `inteltdx` to `firmware.platforms`",
        ),
        (
            "firmware: {root: run",
            "firmware: {root: ran",
            "55:15: profiles[2].firmware: there is no `ran` in `roots`; define it, or name another root",
        ),
        (
            "id: tdx-qemu-inteltdx-2025.02",
            "id: snp-qemu-amdsev-2025.02",
            "48:5: profiles[1]: `snp-qemu-amdsev-2025.02` is listed twice, first on line 42; keep one of them",
        ),
        (
            "params: {bank: sha256}",
            "params: {kernel_header: [raw]}",
            "57:29: profiles[2].params.kernel_header: a kernel that is booted from disk is measured as it stands in the unified kernel image; remove the field, or write `boot: direct`",
        ),
        (
            "params: {bank: sha256}",
            "params: {memory: [1024]}",
            "57:22: profiles[2].params.memory: nothing that is measured in a boot from disk depends on the guest's memory; remove the field, or write `boot: direct`",
        ),
        (
            "kernel_header: [raw, patched]",
            "memory: [1024, 16]",
            "52:29: profiles[1].params.memory[1]: 16 is out of range; use a number from 64 to 16777216",
        ),
        (
            "vcpus: [1, 2, 4, 8]",
            "vcpus: [0]",
            "47:88: profiles[0].params.vcpus[0]: 0 is out of range; use a number from 1 to 512",
        ),
        (
            "guest_features: 1,",
            "guest_features: 2,",
            "47:77: profiles[0].params.guest_features: 2 lacks bit 0, which is SNP itself; write 1",
        ),
        ("name: inference", "name: &n inference", "3:12: an anchor (`&name`) is used; write the value out where it is needed"),
        ("name: inference", "name: !!str inference", "3:15: a tag (`!name`) is used; remove it: the field decides the type"),
        ("models: []", "models: []\n---\n", "40:1: a second document begins; keep one document in a file"),
    ] {
        let (found, expected) = (broken(from, to), format!("{FILE}:{expected}"));
        if found != expected {
            wrong.push(format!("{from} -> {to}\n  expected {expected}\n  found    {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn text_that_is_not_yaml() {
    for (text, line) in [("a: [", 1), ("a: 'b\n", 2), ("a: b: c", 1), ("", 1), ("# only a comment\n", 1)] {
        let error = Spec::parse(FILE, text).unwrap_err();
        assert_eq!(error.problems[0].kind, ProblemKind::Syntax, "{text:?}: {error}");
        assert!(error.problems[0].line.abs_diff(line) <= 1, "{text:?}: {error}");
    }
    let deep = "[".repeat(5000);
    assert!(Spec::parse(FILE, &deep).is_err());
    assert!(Spec::parse(FILE, &format!("{}1{}", "{a: ".repeat(60), "}".repeat(60))).is_err());
}

#[test]
fn all_problems_come_out_together_and_in_order() {
    let text = EXAMPLE.replace("epoch: 1783296000", "epoch: 0").replace("port: 8080", "port: 0").replace("dhcp", "dhpc");
    let error = Spec::parse(FILE, &text).unwrap_err();
    let fields: Vec<&str> = error.problems.iter().map(|problem| problem.field.as_str()).collect();
    assert_eq!(fields, ["image.epoch", "network.address", "network.port"]);
}

#[test]
fn what_a_lock_depends_on() {
    let digest = |from: &str, to: &str| Spec::parse(FILE, &EXAMPLE.replacen(from, to, 1)).unwrap().lock_digest();
    let same = digest("", "");
    for (from, to) in [
        ("console=ttyS0", "quiet"),
        ("port: 8080", "port: 1"),
        ("[gcc, g++, make]", "[make, gcc, g++]"),
        ("sh: dash", "sh: bash"),
        ("keys/debian-trixie.asc", "keys/x.asc"),
        ("schema:", "# a comment\nschema:"),
    ] {
        assert_eq!(digest(from, to), same, "{from} -> {to}");
    }
    for (from, to) in [
        ("[gcc, g++, make]", "[gcc, g++]"),
        ("[base-files, debconf]", "[base-files]"),
        ("6.12.107-1", "6.12.108-1"),
        ("20260913T", "20260914T"),
        (", version: 2025.02-8+deb13u1", ""),
        ("suite: trixie-security", "suite: trixie-updates"),
        ("archive: debian-security, ", ""),
    ] {
        assert_ne!(digest(from, to), same, "{from} -> {to}");
    }
}

#[test]
fn a_pin_is_moved_in_place() {
    let source: Name = "linux".parse().unwrap();
    let to = "6.12.110-1".parse().unwrap();
    let (text, line) = Spec::move_pin(FILE, EXAMPLE, &source, &to).unwrap();
    assert_eq!((text.as_str(), line), (EXAMPLE.replace("6.12.107-1", "6.12.110-1").as_str(), 25));
    let quoted = EXAMPLE.replace("6.12.107-1", "\"6.12.107-1\"");
    let (text, _) = Spec::move_pin(FILE, &quoted, &source, &to).unwrap();
    assert_eq!(text, quoted.replace("6.12.107-1", "6.12.110-1"));
    let unpinned = EXAMPLE.replace(", version: 6.12.107-1", "");
    let error = Spec::move_pin(FILE, &unpinned, &source, &to).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("sources.linux.version: the version can't be changed in place; write `version: 6.12.110-1` by hand"),
        "{error}"
    );
}
