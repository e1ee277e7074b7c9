//! RTMR0: what firmware takes over from the VMM and its own variables. Only predicted where everything that it depends on
//! is given; otherwise it is left open.

use super::{Request, TdxError, hob};
use crate::boot::{BootVariable, SecureBootVariable, constant};
use crate::digest::Algorithm;
use crate::firmware::{Firmware, TdvfSectionKind, VariableStore, utf16_with_nul};
use crate::guid::Guid;
use crate::read;
use crate::transcript::{ControlledBy, Event, Input, Kind, Register};

const RTMR0: Register = Register::Rtmr(0);
/// Vendor of SecureBoot, PK, KEK, BootOrder.
const EFI_GLOBAL: Guid = Guid::new(0x8be4_df61, 0x93ca, 0x11d2, 0xaa0d, 0x00e0_9803_2b8c);
/// Vendor of db and dbx.
const IMAGE_SECURITY: Guid = Guid::new(0xd719_b2cb, 0x3d3a, 0x4596, 0xa3bc, 0xdad0_0e67_656f);
/// Vendor of SecureBootEnable.
const SECURE_BOOT_ENABLE: Guid = Guid::new(0xf0a3_0bc7, 0xaf08, 0x4556, 0x99c4, 0x0010_09c9_3a44);

/// The events, or none if the register is left open.
pub(super) fn events(firmware: &Firmware<'_>, request: &Request<'_>) -> Result<Vec<Event>, TdxError> {
    let profile = request.profile;
    let acpi = match (profile.acpi_events, request.acpi) {
        (true, Some(tables)) => {
            vec![(tables.loader, "etc/table-loader"), (tables.rsdp, "etc/acpi/rsdp"), (tables.tables, "etc/acpi/tables")]
        }
        (true, None) => return Ok(Vec::new()),
        (false, _) => Vec::new(),
    };
    let (Some(memory), Some(boot_vars)) = (request.memory, &profile.boot_vars) else { return Ok(Vec::new()) };
    if !profile.rtmrs || profile.smbios_event || profile.fwcfg_events {
        return Ok(Vec::new());
    }

    let metadata = firmware.tdvf_metadata()?;
    let hob = hob::td_hob(&metadata, memory)?;
    let how = format!("TD HOB: memory ranges of a machine with {memory} bytes of RAM");
    let mut events = vec![event(Kind::HandoffTables2, &hob, Input::Memory, ControlledBy::Host, &how)];
    if let Some(volume) = metadata.section(TdvfSectionKind::Cfv).map(|section| section.data(firmware.bytes())) {
        let how = "configuration volume: the firmware file's variable store";
        events.push(event(Kind::PlatformFirmwareBlob2, volume, Input::Firmware, ControlledBy::Firmware, how));
        events.extend(secure_boot(&VariableStore::parse(volume)?, profile.secure_boot));
    }
    let how = "four zero bytes: Secure Boot policy is complete";
    events.push(constant(RTMR0, Algorithm::Sha384, Kind::Separator, &[0; 4], how));
    for (digest, file) in acpi {
        let how = format!("fw_cfg file {file}");
        events.push(Event::extend(RTMR0, Kind::PlatformConfigFlags, digest, Input::Acpi, ControlledBy::Host, how));
    }
    events.extend(boot_vars.iter().map(boot_variable));
    Ok(events)
}

fn boot_variable(variable: &BootVariable) -> Event {
    let how = format!("data of variable {}, which firmware creates", variable.name);
    event(Kind::VariableBoot, &variable.data, Input::BootProfile, ControlledBy::Firmware, &how)
}

fn secure_boot(store: &VariableStore, secure_boot: SecureBootVariable) -> Vec<Event> {
    let value = |vendor, name| store.value(vendor, name).unwrap_or_default();
    // Secure Boot is on in user mode (there is a platform key) unless the user switched it off.
    let enabled = !value(EFI_GLOBAL, "PK").is_empty() && value(SECURE_BOOT_ENABLE, "SecureBootEnable") != [0];
    let state: &[u8] = match secure_boot {
        SecureBootVariable::Value => &[u8::from(enabled)],
        SecureBootVariable::Absent => &[],
    };
    let variables = [
        (EFI_GLOBAL, "SecureBoot", state),
        (EFI_GLOBAL, "PK", value(EFI_GLOBAL, "PK")),
        (EFI_GLOBAL, "KEK", value(EFI_GLOBAL, "KEK")),
        (IMAGE_SECURITY, "db", value(IMAGE_SECURITY, "db")),
        (IMAGE_SECURITY, "dbx", value(IMAGE_SECURITY, "dbx")),
    ];
    let measured = |(vendor, name, data): (Guid, &str, &[u8])| {
        let how = format!("variable {name} of the firmware's variable store: vendor, name and data");
        let data = variable_data(vendor, name, data);
        event(Kind::VariableDriverConfig, &data, Input::Firmware, ControlledBy::Firmware, &how)
    };
    variables.into_iter().map(measured).collect()
}

/// UEFI_VARIABLE_DATA (TCG PC Client Platform Firmware Profile, 10.2.6): the name without its NUL.
fn variable_data(vendor: Guid, name: &str, data: &[u8]) -> Vec<u8> {
    let mut name = utf16_with_nul(name);
    name.truncate(name.len() - 2);
    let mut bytes = vendor.0.to_vec();
    bytes.extend((name.len() as u64 / 2).to_le_bytes());
    bytes.extend(read::length(data).to_le_bytes());
    bytes.extend(name);
    bytes.extend(data);
    bytes
}

fn event(kind: Kind, data: &[u8], input: Input, by: ControlledBy, how: &str) -> Event {
    Event::extend(RTMR0, kind, Algorithm::Sha384.hash(data), input, by, how).sized(data)
}
