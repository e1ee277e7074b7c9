//! The terms of a register as lines of text.

use std::fmt::Write as _;

use ovmf_measure::transcript::{ControlledBy, Event, Input, Kind, Op, Register};

/// One term a paragraph: how it enters the register, its digest, where that comes from, who decides it.
pub(crate) fn register(register: Register, events: &[Event]) -> String {
    let mut out = String::new();
    for (index, event) in events.iter().filter(|event| event.register == register).enumerate() {
        let size = event.size.map(|size| format!(", {size} bytes")).unwrap_or_default();
        let (name, input, by) = (kind(event.kind), input(event.source.input), controlled_by(event.controlled_by));
        let how = &event.source.how;
        // Writing to a string can't fail.
        let _ = writeln!(
            out,
            "  {:>2}. {} {}\n      {name}: {how}\n      from {input}{size}; decided by {by}",
            index + 1,
            op(&event.op),
            event.digest
        );
        for other in &event.or {
            let _ = writeln!(out, "      or {}\n         when {}", other.digest, other.when);
        }
    }
    out
}

/// How a digest enters its register.
pub(crate) fn op(op: &Op) -> String {
    match op {
        Op::Set => "starts as".into(),
        Op::Extend => "extended by".into(),
        Op::SnpPages(pages) if pages.count == 1 => format!("{} page at {:#x}", word(&pages.page_type), pages.gpa),
        Op::SnpPages(pages) => format!("{} {} pages from {:#x}", pages.count, word(&pages.page_type), pages.gpa),
    }
}

/// The event's kind as the pin writes it.
pub(crate) fn kind(kind: Kind) -> String {
    word(&kind)
}

/// What a digest is a function of.
pub(crate) fn input(input: Input) -> &'static str {
    match input {
        Input::Firmware => "the firmware file",
        Input::Kernel => "the kernel",
        Input::Initrd => "the initrd",
        Input::Cmdline => "the command line",
        Input::Uki => "the UKI",
        Input::Disk => "the disk's partition table",
        Input::VcpuType => "the setting vcpu_type",
        Input::Memory => "the setting memory",
        Input::Acpi => "the ACPI tables",
        Input::VmmProfile => "the VMM's profile",
        Input::BootProfile => "the boot profile",
        Input::Constant => "a specification's constant",
        _ => "something that this version has no words for",
    }
}

/// Who decides what a digest is.
pub(crate) fn controlled_by(by: ControlledBy) -> &'static str {
    match by {
        ControlledBy::Image => "the image",
        ControlledBy::Firmware => "the firmware",
        ControlledBy::Platform => "the platform",
        ControlledBy::Host => "the host",
    }
}

/// The word that JSON has for a value.
pub(crate) fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}
