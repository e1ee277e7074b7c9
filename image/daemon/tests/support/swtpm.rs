//! `swtpm` on a socket of its own, and what its owner does to it before a test.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sealstone_daemon::tpm::{MAX_RESPONSE, Transport};

/// A started `swtpm`, and a folder for it; both end with the value.
pub struct Swtpm {
    process: Child,
    pub folder: PathBuf,
}

impl Swtpm {
    /// `None` where there is no `swtpm`.
    pub fn start(test: &str) -> Option<Swtpm> {
        let folder = std::env::temp_dir().join(format!("sealstone-swtpm-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let server = format!("type=unixio,path={}", folder.join("sock").display());
        let state = format!("dir={}", folder.display());
        let process = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear", "--server", &server, "--tpmstate", &state])
            .stdout(Stdio::null())
            .spawn();
        match process {
            Ok(process) => Some(Swtpm { process, folder }),
            Err(error) => {
                println!("SKIPPED {test}: swtpm: {error}");
                std::fs::remove_dir_all(&folder).unwrap();
                None
            }
        }
    }

    pub fn connect(&self) -> Socket {
        for _ in 0..200 {
            if let Ok(stream) = UnixStream::connect(self.folder.join("sock")) {
                return Socket(stream);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("swtpm doesn't listen");
    }
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Raw commands and answers, as `swtpm` speaks them on its data channel. Blocking, which in a test is no harm.
pub struct Socket(UnixStream);

impl Transport for Socket {
    async fn transact(&mut self, command: &[u8]) -> io::Result<Vec<u8>> {
        self.0.write_all(command)?;
        let mut answer = vec![0; 6];
        self.0.read_exact(&mut answer)?;
        let size = u32::from_be_bytes(answer[2..6].try_into().unwrap()) as usize;
        assert!(size <= MAX_RESPONSE);
        answer.resize(size, 0);
        self.0.read_exact(&mut answer[6..])?;
        Ok(answer)
    }
}

impl Transport for &mut Socket {
    async fn transact(&mut self, command: &[u8]) -> io::Result<Vec<u8>> {
        Socket::transact(self, command).await
    }
}

/// A command with the owner's empty password, which must succeed; the handles come first.
async fn by_owner(socket: &mut Socket, code: u32, handles: &[u32], parameters: &[u8]) {
    let mut body: Vec<u8> = handles.iter().flat_map(|handle| handle.to_be_bytes()).collect();
    body.extend([0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0]);
    body.extend(parameters);
    let size = u32::try_from(body.len() + 10).unwrap().to_be_bytes();
    let command = [&[0x80, 2][..], &size, &code.to_be_bytes(), &body].concat();
    let answer = Socket::transact(socket, &command).await.unwrap();
    assert_eq!(answer[6..10], [0; 4], "command {code:#x}");
}

const OWNER: u32 = 0x4000_0001;

/// TPM2_PCR_Extend of the SHA-256 bank.
pub async fn extend(socket: &mut Socket, register: u32, digest: &[u8; 32]) {
    by_owner(socket, 0x182, &[register], &[&[0, 0, 0, 1, 0, 0x0b][..], digest].concat()).await;
}

/// Gives a loaded key up.
pub async fn flush(socket: &mut Socket, handle: u32) {
    let command = [&[0x80, 1, 0, 0, 0, 14, 0, 0, 1, 0x65][..], &handle.to_be_bytes()].concat();
    assert_eq!(Socket::transact(socket, &command).await.unwrap()[6..10], [0; 4], "TPM2_FlushContext");
}

/// Makes an NV index that everybody may read, and writes it, as a TPM's maker does with certificates.
pub async fn write_nv(socket: &mut Socket, index: u32, bytes: &[u8]) {
    let length = u16::try_from(bytes.len()).unwrap();
    // OWNERWRITE, OWNERREAD, AUTHREAD, NO_DA; no policy.
    let public = [&index.to_be_bytes()[..], &[0, 0x0b, 2, 6, 0, 2, 0, 0], &length.to_be_bytes()].concat();
    by_owner(socket, 0x12a, &[OWNER], &[&[0, 0][..], &sized(&public)].concat()).await;
    overwrite_nv(socket, index, bytes).await;
}

/// Writes an NV index of [`write_nv`] from its beginning.
pub async fn overwrite_nv(socket: &mut Socket, index: u32, bytes: &[u8]) {
    for (number, piece) in bytes.chunks(512).enumerate() {
        let offset = u16::try_from(number * 512).unwrap().to_be_bytes();
        by_owner(socket, 0x137, &[OWNER, index], &[sized(piece), offset.to_vec()].concat()).await;
    }
}

/// TPM2B_PUBLIC of a loaded key.
pub async fn public_area(socket: &mut Socket, handle: u32) -> Vec<u8> {
    let command = [&[0x80, 1, 0, 0, 0, 14, 0, 0, 1, 0x73][..], &handle.to_be_bytes()].concat();
    let answer = Socket::transact(socket, &command).await.unwrap();
    assert_eq!(answer[6..10], [0; 4], "TPM2_ReadPublic");
    let length = usize::from(u16::from_be_bytes([answer[10], answer[11]]));
    answer[10..12 + length].to_vec()
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}
