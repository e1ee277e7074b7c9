//! The kernel's TPM device, without a thread: the kernel works on a command while the event loop goes on.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::{MAX_RESPONSE, Transport};

/// An open TPM device, best the resource manager (`/dev/tpmrm0`): objects made through it are gone once it is closed.
#[derive(Debug)]
pub struct Device(AsyncFd<File>);

impl Device {
    /// Opens the device at `path`. Needs a running event loop.
    // The successor of `with_interest` is unsafe, for types whose descriptor may change or close. An owned `File`'s can't,
    // and this crate has no unsafe code.
    #[allow(deprecated)]
    pub fn open(path: &Path) -> io::Result<Device> {
        let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        AsyncFd::with_interest(file, Interest::READABLE).map(Device)
    }
}

impl Transport for Device {
    /// A non-blocking write queues the command; the device becomes readable once the TPM has answered, and then one read
    /// takes the whole answer. Source: Linux, `drivers/char/tpm/tpm-dev-common.c`.
    ///
    /// Whoever drops the future before the answer leaves it to be read, and the next command is refused with `EBUSY`.
    async fn transact(&mut self, command: &[u8]) -> io::Result<Vec<u8>> {
        if self.0.get_ref().write(command)? != command.len() {
            return Err(ErrorKind::WriteZero.into());
        }
        let mut response = vec![0u8; MAX_RESPONSE];
        loop {
            let mut ready = self.0.readable().await?;
            let outcome = ready.get_inner().read(&mut response);
            // In any case: with the answer gone the device isn't readable, and to read it before the next command's
            // answer is there would block the event loop on the kernel's lock.
            ready.clear_ready();
            match outcome {
                Ok(0) => {}
                Ok(count) => {
                    response.truncate(count);
                    return Ok(response);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}
