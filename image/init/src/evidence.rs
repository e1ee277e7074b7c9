//! Giving the sources of evidence to the front, which is not root.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use rustix::io::Errno;

use crate::fatal::{Context, Fatal};

/// Where report entries are made. Source: Linux, Documentation/ABI/testing/configfs-tsm.
const REPORTS: &str = "/sys/kernel/config/tsm/report";
/// The front's entry in it. The daemon looks for the same path.
const ENTRY: &str = "/sys/kernel/config/tsm/report/front";
/// The resource manager of the first TPM 2.0.
const TPM: &str = "/dev/tpmrm0";
/// What the firmware measured into it. Source: Linux, `drivers/char/tpm/eventlog/common.c`.
const EVENT_LOG: &str = "/sys/kernel/security/tpm0/binary_bios_measurements";
/// The same on a TDX machine. Source: Linux, `drivers/acpi/sysfs.c`.
const CC_EVENT_LOG: &str = "/sys/firmware/acpi/tables/data/CCEL";

/// Makes a TSM report entry if a TEE offers reports, and lets `uid` write its challenge; lets `uid` alone use the TPM if
/// there is one, and read the firmware's event logs. Of an entry only `inblob` needs to be given: what the front reads of it, everybody may
/// read. No other process of the image has the front's user id or root's rights once the front runs, so nobody else writes challenges. A machine with neither is no error here: the daemon decides by the measured configuration.
pub(crate) fn hand_over(uid: u32, gid: u32) -> Result<(), Fatal> {
    if Path::new(REPORTS).is_dir() && make_entry()? {
        let challenge = format!("{ENTRY}/inblob");
        chown(&challenge, Some(uid), Some(gid)).doing("handing the TSM report entry over")?;
    }
    if Path::new(TPM).exists() {
        chown(TPM, Some(uid), Some(gid)).doing("handing the TPM over")?;
        fs::set_permissions(TPM, fs::Permissions::from_mode(0o600)).doing("handing the TPM over")?;
    }
    for log in [EVENT_LOG, CC_EVENT_LOG] {
        if Path::new(log).exists() {
            // Their modes, 0440 and 0400, stay.
            chown(log, Some(uid), Some(gid)).doing("handing an event log over")?;
        }
    }
    Ok(())
}

/// Whether there is an entry now. The kernel makes none while no TEE driver has registered (`ENXIO`).
/// Source: Linux, `drivers/virt/coco/tsm.c`, `tsm_report_make_item`.
fn make_entry() -> Result<bool, Fatal> {
    match fs::create_dir(ENTRY) {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => Ok(false),
        Err(error) => Err(error).doing("making a TSM report entry"),
    }
}
