//! Names of event types (TCG PC Client Platform Firmware Profile 1.06, table 27).

/// Informs, isn't extended.
pub(super) const NO_ACTION: u32 = 3;
/// A fixed string.
pub(super) const EFI_ACTION: u32 = 0x8000_0007;

const NAMES: [(u32, &str); 31] = [
    (0, "EV_PREBOOT_CERT"),
    (1, "EV_POST_CODE"),
    (NO_ACTION, "EV_NO_ACTION"),
    (4, "EV_SEPARATOR"),
    (5, "EV_ACTION"),
    (6, "EV_EVENT_TAG"),
    (7, "EV_S_CRTM_CONTENTS"),
    (8, "EV_S_CRTM_VERSION"),
    (9, "EV_CPU_MICROCODE"),
    (0xa, "EV_PLATFORM_CONFIG_FLAGS"),
    (0xb, "EV_TABLE_OF_DEVICES"),
    (0xc, "EV_COMPACT_HASH"),
    (0xd, "EV_IPL"),
    (0xe, "EV_IPL_PARTITION_DATA"),
    (0xf, "EV_NONHOST_CODE"),
    (0x10, "EV_NONHOST_CONFIG"),
    (0x11, "EV_NONHOST_INFO"),
    (0x12, "EV_OMIT_BOOT_DEVICE_EVENTS"),
    (0x8000_0001, "EV_EFI_VARIABLE_DRIVER_CONFIG"),
    (0x8000_0002, "EV_EFI_VARIABLE_BOOT"),
    (0x8000_0003, "EV_EFI_BOOT_SERVICES_APPLICATION"),
    (0x8000_0004, "EV_EFI_BOOT_SERVICES_DRIVER"),
    (0x8000_0005, "EV_EFI_RUNTIME_SERVICES_DRIVER"),
    (0x8000_0006, "EV_EFI_GPT_EVENT"),
    (EFI_ACTION, "EV_EFI_ACTION"),
    (0x8000_0008, "EV_EFI_PLATFORM_FIRMWARE_BLOB"),
    (0x8000_0009, "EV_EFI_HANDOFF_TABLES"),
    (0x8000_000a, "EV_EFI_PLATFORM_FIRMWARE_BLOB2"),
    (0x8000_000b, "EV_EFI_HANDOFF_TABLES2"),
    (0x8000_000c, "EV_EFI_VARIABLE_BOOT2"),
    (0x8000_00e0, "EV_EFI_VARIABLE_AUTHORITY"),
];

/// The type's name, or its number in hex.
pub fn event_type_name(event_type: u32) -> String {
    match NAMES.iter().find(|(number, _)| *number == event_type) {
        Some((_, name)) => (*name).to_owned(),
        None => format!("{event_type:#010x}"),
    }
}
