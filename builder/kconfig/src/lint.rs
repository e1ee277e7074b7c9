//! What no kernel of an image may contain, whatever the fragments ask for.
//!
//! Two kinds of rule: what makes two builds differ, and what lets the host or a program get past
//! the measurement. Each rule has its cause. The test at the end breaks each of them once.

use std::fmt;

use RuleSource::{Determinism, HostInput, Measurement};

use crate::option::{OptionName, Value};
use crate::resolved::Resolved;

/// Everything in a resolved configuration that a rule forbids, in the order of the rules.
#[must_use]
pub fn lint(resolved: &Resolved) -> Vec<Finding> {
    RULES
        .iter()
        .flat_map(|rule| {
            resolved.iter().filter(|(name, value)| rule.forbids(name, value)).map(|(name, value)| Finding {
                name: name.clone(),
                value: value.clone(),
                rule,
            })
        })
        .collect()
}

/// An option that a rule forbids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which option.
    pub name: OptionName,
    /// What it is.
    pub value: Value,
    /// The rule that forbids that.
    pub rule: &'static Rule,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={} is refused: {}; ", self.name, self.value, self.rule.cause)?;
        match self.rule.pattern {
            Pattern::NotEmpty(_) => f.write_str("set it to \"\" in a fragment"),
            Pattern::Any => f.write_str("ask for y or n in a fragment"),
            _ => f.write_str("ask for n in a fragment, or drop what selects it"),
        }
    }
}

/// A rule: which options it forbids, and why.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    pattern: Pattern,
    /// What would go wrong.
    pub cause: &'static str,
    /// Which promise of an image would be broken.
    pub source: RuleSource,
}

/// The promise that a rule protects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RuleSource {
    /// Two builds of the same inputs give the same bytes.
    Determinism,
    /// What is measured at launch is all that ever runs, and nothing but it reads memory.
    Measurement,
    /// The host hands over no more than the threat model lists.
    HostInput,
}

/// What a rule looks at. Names are without `CONFIG_`.
#[derive(Debug, PartialEq, Eq)]
enum Pattern {
    /// This option, if it is `y` or `m`.
    On(&'static str),
    /// Every option that begins like this and is `y` or `m`, but for one.
    OnPrefix { prefix: &'static str, except: &'static str },
    /// This string, if it isn't empty.
    NotEmpty(&'static str),
    /// Every option that is `m`.
    Any,
}

impl Rule {
    fn forbids(&self, name: &OptionName, value: &Value) -> bool {
        let name = name.bare();
        match self.pattern {
            Pattern::On(this) => name == this && value.is_on(),
            Pattern::OnPrefix { prefix, except } => name.starts_with(prefix) && name != except && value.is_on(),
            Pattern::NotEmpty(this) => name == this && matches!(value, Value::Text(text) if !text.is_empty()),
            Pattern::Any => *value == Value::Module,
        }
    }
}

const fn on(name: &'static str, cause: &'static str, source: RuleSource) -> Rule {
    Rule { pattern: Pattern::On(name), cause, source }
}

const fn not_empty(name: &'static str, cause: &'static str, source: RuleSource) -> Rule {
    Rule { pattern: Pattern::NotEmpty(name), cause, source }
}

/// Without a rule, the kernel can drift from what the threat model and the promise of equal bytes
/// say as soon as a fragment asks for it.
static RULES: &[Rule] = &[
    // Two builds must give the same bytes.
    on("MODULE_SIG", "a signing key is made at build time, and its certificate is linked in", Determinism),
    on("RANDSTRUCT", "structure layouts are drawn from a seed made at build time", Determinism),
    on("RANDSTRUCT_FULL", "structure layouts are drawn from a seed made at build time", Determinism),
    on("RANDSTRUCT_PERFORMANCE", "structure layouts are drawn from a seed made at build time", Determinism),
    on("GCC_PLUGINS", "compiler plugins draw random numbers, and depend on the compiler's headers", Determinism),
    Rule {
        pattern: Pattern::OnPrefix { prefix: "GCC_PLUGIN_", except: "" },
        cause: "compiler plugins draw random numbers, the latent-entropy one for every function",
        source: Determinism,
    },
    Rule {
        pattern: Pattern::OnPrefix { prefix: "DEBUG_INFO", except: "DEBUG_INFO_NONE" },
        cause: "debug information holds build paths, and BTF's order depends on the number of jobs",
        source: Determinism,
    },
    on("LOCALVERSION_AUTO", "the state of an enclosing repository enters the version", Determinism),
    on("IKHEADERS", "an archive of headers with directory order and times is linked in", Determinism),
    on("GCOV_KERNEL", "object paths are linked in", Determinism),
    Rule {
        pattern: Pattern::OnPrefix { prefix: "LTO_", except: "LTO_NONE" },
        cause: "link-time optimisation names symbols by hashes of paths",
        source: Determinism,
    },
    not_empty("BUILD_SALT", "it enters the build-id notes", Determinism),
    not_empty("INITRAMFS_SOURCE", "files of the build host, with their times, are linked in", Determinism),
    not_empty("EXTRA_FIRMWARE", "files of the build host are linked in", Determinism),
    not_empty("SYSTEM_TRUSTED_KEYS", "a key file of the build host is linked in", Determinism),
    not_empty("MODULE_SIG_KEY", "a key file of the build host, or one made at build time, is linked in", Determinism),
    not_empty("ACPI_CUSTOM_DSDT_FILE", "a file of the build host is linked in", Determinism),
    // What is measured must be all that runs, and memory must stay inside.
    Rule {
        pattern: Pattern::Any,
        cause: "a module isn't part of the measured kernel and would never be loaded",
        source: Measurement,
    },
    on("MODULES", "code that was never measured could be loaded", Measurement),
    on("KEXEC", "a kernel that was never measured could be started", Measurement),
    on("KEXEC_FILE", "a kernel that was never measured could be started", Measurement),
    on("CMDLINE_BOOL", "a command line inside the kernel isn't the one that is measured", Measurement),
    on("BOOT_CONFIG", "more command line is taken from the end of the initrd", Measurement),
    on("BPF_SYSCALL", "programs could be loaded into the kernel", Measurement),
    on("KPROBES", "running code could be patched", Measurement),
    on("UPROBES", "running code could be patched", Measurement),
    on("FTRACE", "running code could be patched and watched", Measurement),
    on("LIVEPATCH", "running code could be patched", Measurement),
    on("DEVMEM", "root could read and write memory", Measurement),
    on("PROC_KCORE", "root could read memory", Measurement),
    on("DEBUG_FS", "internals could be read and written", Measurement),
    on("HIBERNATION", "memory would be written to the host's disk", Measurement),
    on("SWAP", "memory would be written to the host's disk", Measurement),
    on("COREDUMP", "a copy of a program's memory would outlive it", Measurement),
    on("CRASH_DUMP", "memory would outlive the kernel", Measurement),
    on("USER_NS", "every user would get at code that is meant for root", Measurement),
    on("IO_URING", "system calls could be made past seccomp", Measurement),
    on("IA32_EMULATION", "a second system-call table would get past filters made for the first", Measurement),
    on("X86_X32_ABI", "a second system-call table would get past filters made for the first", Measurement),
    // The host hands over no more than the threat model lists.
    on("MAGIC_SYSRQ", "keys and serial breaks are commands from the host to the kernel", HostInput),
    on("HW_RANDOM_VIRTIO", "the host would supply random numbers", HostInput),
    on("VIRTIO_BALLOON", "the host could take memory away", HostInput),
    on("VIRTIO_MEM", "the host could add and take memory", HostInput),
    on("MEMORY_HOTPLUG", "the host could add memory after launch", HostInput),
    on("HOTPLUG_PCI", "the host could add devices after launch", HostInput),
    on("VIRTIO_PCI_LEGACY", "devices before VirtIO 1.0 bypass the shared buffers of a confidential guest", HostInput),
    on("VIRTIO_CONSOLE", "a second channel to the host", HostInput),
    on("VSOCKETS", "a channel to the host that the threat model doesn't list", HostInput),
    on("USB_SUPPORT", "descriptors that the host makes up are parsed", HostInput),
    on("INPUT", "the host could type", HostInput),
    on("DRM", "a display of the host is parsed and written to", HostInput),
    on("DMI", "SMBIOS tables that the host makes up are parsed and acted on", HostInput),
    on("ACPI_TABLE_UPGRADE", "firmware tables could be replaced from the initrd", HostInput),
    on("ACPI_SPCR_TABLE", "a table of the host would choose the console", HostInput),
    on("EFI_CUSTOM_SSDT_OVERLAYS", "AML could come from a firmware variable", HostInput),
    on("EFI_COCO_SECRET", "secrets could be injected by the host", HostInput),
    on("EFI_PARTITION", "partition tables that the host writes are parsed before anything is verified", HostInput),
    on("MSDOS_PARTITION", "partition tables that the host writes are parsed before anything is verified", HostInput),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(line: &str) -> Resolved {
        Resolved::parse("c", line).unwrap()
    }

    /// A line that breaks exactly this rule.
    fn offence(rule: &Rule) -> String {
        match rule.pattern {
            Pattern::On(name) => format!("CONFIG_{name}=y"),
            Pattern::OnPrefix { prefix, .. } => format!("CONFIG_{prefix}TEST=y"),
            Pattern::NotEmpty(name) => format!("CONFIG_{name}=\"x\""),
            Pattern::Any => "CONFIG_TEST=m".to_owned(),
        }
    }

    #[test]
    fn each_rule_can_be_broken_on_its_own() {
        for rule in RULES {
            let findings = lint(&resolved(&offence(rule)));
            assert_eq!(findings.iter().map(|f| f.rule).collect::<Vec<_>>(), [rule], "{}", offence(rule));
            let message = findings[0].to_string();
            assert!(message.contains(rule.cause) && message.contains("fragment"), "{message}");
        }
    }

    /// The rules by name, so that one that disappears from the table is missed.
    #[test]
    fn known_offenders_are_refused() {
        let cases = [
            ("CONFIG_MODULES=y", Measurement),
            ("CONFIG_MODULE_SIG=y", Determinism),
            ("CONFIG_RANDSTRUCT_FULL=y", Determinism),
            ("CONFIG_GCC_PLUGIN_LATENT_ENTROPY=y", Determinism),
            ("CONFIG_GCC_PLUGIN_STACKLEAK=y", Determinism),
            ("CONFIG_DEBUG_INFO=y", Determinism),
            ("CONFIG_DEBUG_INFO_BTF=y", Determinism),
            ("CONFIG_DEBUG_INFO_DWARF5=y", Determinism),
            ("CONFIG_LOCALVERSION_AUTO=y", Determinism),
            ("CONFIG_LTO_CLANG_THIN=y", Determinism),
            ("CONFIG_INITRAMFS_SOURCE=\"/srv/root\"", Determinism),
            ("CONFIG_EXTRA_FIRMWARE=\"amd-ucode/x.bin\"", Determinism),
            ("CONFIG_VIRTIO_NET=m", Measurement),
            ("CONFIG_KEXEC_FILE=y", Measurement),
            ("CONFIG_HIBERNATION=y", Measurement),
            ("CONFIG_DEBUG_FS=y", Measurement),
            ("CONFIG_DEVMEM=y", Measurement),
            ("CONFIG_SWAP=y", Measurement),
            ("CONFIG_COREDUMP=y", Measurement),
            ("CONFIG_HW_RANDOM_VIRTIO=y", HostInput),
            ("CONFIG_MAGIC_SYSRQ=y", HostInput),
            ("CONFIG_USB_SUPPORT=y", HostInput),
            ("CONFIG_DRM=m", HostInput),
            ("CONFIG_MEMORY_HOTPLUG=y", HostInput),
            ("CONFIG_HOTPLUG_PCI=y", HostInput),
        ];
        for (line, source) in cases {
            assert!(lint(&resolved(line)).iter().any(|f| f.rule.source == source), "{line}");
        }
    }

    #[test]
    fn the_harmless_neighbours_pass() {
        let text = "# CONFIG_MODULES is not set\nCONFIG_LTO_NONE=y\nCONFIG_DEBUG_INFO_NONE=y\nCONFIG_RANDSTRUCT_NONE=y\nCONFIG_BUILD_SALT=\"\"\nCONFIG_INITRAMFS_SOURCE=\"\"\nCONFIG_HAVE_GCC_PLUGINS=y\nCONFIG_MODULES_USE_ELF_RELA=y\nCONFIG_HOTPLUG_CPU=y\n# CONFIG_DEBUG_INFO is not set\n# CONFIG_GCC_PLUGIN_STACKLEAK is not set\n";
        assert_eq!(lint(&resolved(text)), []);
    }
}
