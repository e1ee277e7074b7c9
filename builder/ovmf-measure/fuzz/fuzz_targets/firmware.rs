//! Firmware: footer table, SEV and TDVF metadata, variable store, and the registers that are computed from them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ovmf_measure::boot::PageOrder;
use ovmf_measure::firmware::{Firmware, TdvfSectionKind, VariableStore};
use ovmf_measure::snp::{self, DirectBoot, Request};
use ovmf_measure::tdx;

/// The interesting bytes stand at the end of a firmware file: fill up in front to whole pages.
fn padded(data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; data.len().next_multiple_of(4096).max(4096) - data.len()];
    bytes.extend(data);
    bytes
}

fuzz_target!(|data: &[u8]| {
    let _ = VariableStore::parse(data);
    let bytes = padded(data);
    let Ok(firmware) = Firmware::parse(&bytes) else { return };
    if let Ok(metadata) = firmware.tdvf_metadata() {
        let _ = tdx::td_hob(&metadata, 4 << 30);
        // Large sections only cost time.
        if metadata.sections.iter().map(|section| section.memory).sum::<u64>() < 1 << 20 {
            let _ = tdx::mrtd(&firmware, PageOrder::PerPage);
        }
        if let Some(volume) = metadata.section(TdvfSectionKind::Cfv) {
            let _ = VariableStore::parse(volume.data(&bytes));
        }
    }
    let boot = DirectBoot { kernel: b"kernel", initrd: None, cmdline: "" };
    let request = Request { firmware: &bytes, boot: Some(boot), vcpu_type: "EPYC-Milan", guest_features: 1, vmm: "qemu" };
    if let Ok(launch) = snp::measure(&request) {
        let digest = launch.digest_for(3).expect("three vCPUs are possible");
        let folded = launch.transcript(3).and_then(|t| Ok(t.registers()?)).expect("a launch folds");
        assert!(folded.values().any(|values| values.as_slice() == [digest]));
    }
});
