//! The configuration in this repository: does the committed `resolved.config` grant what the
//! committed fragments ask for, and does it hold nothing that is forbidden?

#![expect(clippy::unwrap_used, reason = "a committed file that can't be read fails the test, with its line")]

use sealstone_kconfig::{Fragment, Merged, OptionName, Resolved, Value, check, lint};

macro_rules! committed {
    ($file:literal) => {
        ($file, include_str!(concat!("../../../kernel-config/", $file)))
    };
}

const FRAGMENTS: [(&str, &str); 7] = [
    committed!("base.config"),
    committed!("storage.config"),
    committed!("net.config"),
    committed!("tpm.config"),
    committed!("snp.config"),
    committed!("tdx.config"),
    committed!("hardening.config"),
];
const RESOLVED: (&str, &str) = committed!("resolved.config");

/// The options of the whole kernel that are on. A ceiling on what has to be trusted: raising it is
/// a decision that belongs in the change that needs it.
const ENABLED_AT_MOST: usize = 700;

fn merged() -> Merged {
    let fragments = FRAGMENTS.map(|(file, text)| Fragment::parse(file, text).unwrap());
    Merged::of(&fragments).unwrap()
}

fn resolved() -> Resolved {
    Resolved::parse(RESOLVED.0, RESOLVED.1).unwrap()
}

#[test]
fn every_request_is_granted() {
    let unmet: Vec<_> = check(&merged(), &resolved()).iter().map(ToString::to_string).collect();
    assert!(unmet.is_empty(), "{}", unmet.join("\n"));
}

#[test]
fn nothing_forbidden_is_in_it() {
    let findings: Vec<_> = lint(&resolved()).iter().map(ToString::to_string).collect();
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

#[test]
fn it_is_no_larger_than_agreed() {
    let enabled = resolved().enabled();
    assert!(enabled <= ENABLED_AT_MOST, "{enabled} options are on; agreed were {ENABLED_AT_MOST}");
}

/// The check above is worth nothing if it can't fail on these very files.
#[test]
fn a_request_that_is_taken_back_is_noticed() {
    let without = RESOLVED.1.replace("CONFIG_INIT_ON_FREE_DEFAULT_ON=y", "# CONFIG_INIT_ON_FREE_DEFAULT_ON is not set");
    assert_ne!(without, RESOLVED.1);
    let unmet = check(&merged(), &Resolved::parse(RESOLVED.0, &without).unwrap());
    let names: Vec<_> = unmet.iter().map(|u| u.name.bare()).collect();
    assert_eq!(names, ["INIT_ON_FREE_DEFAULT_ON"]);
}

/// What the runtime can't do without, by name, so that a fragment that loses one is noticed even
/// when fragments and resolved configuration still agree.
#[test]
fn what_the_runtime_needs_is_in_it() {
    let resolved = resolved();
    for name in [
        "EFI_STUB",
        "BLK_DEV_INITRD",
        "BINFMT_ELF",
        "DEVTMPFS",
        "TMPFS",
        "PROC_FS",
        "SYSFS",
        "CONFIGFS_FS",
        "SECURITYFS",
        "VIRTIO_PCI",
        "VIRTIO_BLK",
        "VIRTIO_NET",
        "IP_PNP_DHCP",
        "UNIX",
        "DM_VERITY",
        "EROFS_FS",
        "CRYPTO_SHA256_SSSE3",
        "AMD_MEM_ENCRYPT",
        "SEV_GUEST",
        "INTEL_TDX_GUEST",
        "TDX_GUEST_DRIVER",
        "TSM_REPORTS",
        "UNACCEPTED_MEMORY",
        "TCG_TIS",
        "TCG_CRB",
        "SECCOMP_FILTER",
        "SECURITY_LANDLOCK",
        "SERIAL_8250_CONSOLE",
        "X86_X2APIC",
        "KVM_GUEST",
    ] {
        let name = OptionName::parse(&format!("CONFIG_{name}")).unwrap();
        assert_eq!(resolved.value(&name), Some(&Value::Yes), "{name}");
    }
}
