//! A TPM in the test program: answers the commands that the daemon sends, with a signature of the test's choice.

use std::io;
use std::time::Duration;

use sealstone_daemon::tpm::Transport;

/// Signs TPMS_ATTEST: r and s.
pub type Sign = Box<dyn FnMut(&[u8]) -> ([u8; 32], [u8; 32]) + Send>;

/// What it is made of.
pub struct FakeTpm {
    /// The attestation key's point, x and y.
    pub point: ([u8; 32], [u8; 32]),
    /// Its signature.
    pub sign: Sign,
    /// The quoted registers' digest, for a selection of PCRs 0 to 15 of the SHA-256 bank.
    pub pcr_digest: [u8; 32],
    /// How long a quote takes.
    pub delay: Duration,
    /// Quotes that it gives before it fails for good.
    pub quotes: usize,
    /// An endorsement key on P-256, if it has one that is certified.
    pub endorsement: Option<Endorsement>,
}

/// What a TPM does with a credential.
pub type Activate = Box<dyn FnMut(&[u8]) -> Option<Vec<u8>> + Send>;

/// A certified endorsement key.
pub struct Endorsement {
    /// DER, of at most 512 bytes.
    pub certificate: Vec<u8>,
    /// The secret in TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET, if it opens them.
    pub activate: Activate,
}

impl FakeTpm {
    /// One whose signatures nobody checks.
    pub fn unchecked(delay: Duration) -> FakeTpm {
        let sign: Sign = Box::new(|_| ([0x88; 32], [0x99; 32]));
        FakeTpm { point: ([0x11; 32], [0x22; 32]), sign, pcr_digest: [0x77; 32], delay, quotes: usize::MAX, endorsement: None }
    }

    /// TPMT_PUBLIC.
    pub fn public(&self) -> Vec<u8> {
        let head = [0, 0x23, 0, 0x0b, 0, 5, 4, 0x72, 0, 0, 0, 0x10, 0, 0x18, 0, 0x0b, 0, 3, 0, 0x10];
        [&head[..], &sized(&self.point.0), &sized(&self.point.1)].concat()
    }

    /// The parameters of TPM2_CreatePrimary's answer.
    fn created(&self) -> Vec<u8> {
        let public = self.public();
        let name = [&[0, 0x0b][..], sealstone_config::Digest::of(&public).as_bytes()].concat();
        let ticket = [0x80, 0x21, 0x40, 0, 0, 7, 0, 0];
        [sized(&public), sized(&[]), sized(&[0x33; 32]), ticket.to_vec(), sized(&name)].concat()
    }

    /// The parameters of TPM2_Quote's answer. The command: header, key, session, qualifying data (sized), scheme, selection.
    fn quoted(&mut self, command: &[u8]) -> Vec<u8> {
        let qualifying = &command[10 + 4 + 4 + 9..][..2 + 32];
        let selection = [0, 0, 0, 1, 0, 0x0b, 3, 0xff, 0xff, 0];
        let clock = [0; 25];
        let head = [0xff, 0x54, 0x43, 0x47, 0x80, 0x18];
        let attest = [&head[..], &sized(&[]), qualifying, &clock, &selection, &sized(&self.pcr_digest)].concat();
        let (r, s) = (self.sign)(&attest);
        [sized(&attest), vec![0, 0x18, 0, 0x0b], sized(&r), sized(&s)].concat()
    }
}

impl Transport for FakeTpm {
    async fn transact(&mut self, command: &[u8]) -> io::Result<Vec<u8>> {
        match command[6..10] {
            [0, 0, 1, 0x7a] => Ok(answer([0x80, 1], &[&[0, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0x0b, 3, 0xff, 0xff, 0xff]])),
            [0, 0, 1, 0x31] if command[10..14] == [0x40, 0, 0, 0x0b] => Ok(answer([0x80, 2], &[&[0x80, 0xff, 0xff, 0xfe]])),
            [0, 0, 1, 0x31] => Ok(answer([0x80, 2], &[&[0x80, 0xff, 0xff, 0xff], &with_session(&self.created())])),
            [0, 0, 1, 0x58] => {
                self.quotes = self.quotes.checked_sub(1).ok_or(io::ErrorKind::BrokenPipe)?;
                if !self.delay.is_zero() {
                    tokio::time::sleep(self.delay).await;
                }
                let quoted = self.quoted(command);
                Ok(answer([0x80, 2], &[&with_session(&quoted)]))
            }
            _ => self.endorse(command),
        }
    }
}

impl FakeTpm {
    /// The commands about the endorsement key, with shapes as the specification has them.
    fn endorse(&mut self, command: &[u8]) -> io::Result<Vec<u8>> {
        let refused = |code: [u8; 2]| Ok(vec![0x80, 1, 0, 0, 0, 10, 0, 0, code[0], code[1]]);
        let (index, rest) = (&command[10..14], &command[14..]);
        let Some(endorsement) = self.endorsement.as_mut().filter(|_| index != [1, 0xc0, 0, 2]) else {
            return refused([1, 0x8b]);
        };
        match command[6..10] {
            [0, 0, 1, 0x69] => {
                let size = u16::try_from(endorsement.certificate.len()).unwrap().to_be_bytes();
                let public = [index, &[0, 0x0b, 0x62, 7, 0x20, 1, 0, 0], &size].concat();
                Ok(answer([0x80, 1], &[&sized(&public), &sized(&[0; 34])]))
            }
            [0, 0, 1, 0x4e] => Ok(answer([0x80, 2], &[&with_session(&sized(&endorsement.certificate))])),
            [0, 0, 1, 0x76] => Ok(answer([0x80, 1], &[&[3, 0, 0, 0], &sized(&[0; 32])])),
            [0, 0, 1, 0x51] => Ok(answer([0x80, 2], &[&with_session(&[0, 0, 0x80, 0x23, 0x40, 0, 0, 7, 0, 0])])),
            [0, 0, 1, 0x65] => Ok(answer([0x80, 1], &[])),
            // Behind the second handle and an authorisation area of two sessions.
            [0, 0, 1, 0x47] => match (endorsement.activate)(&rest[4 + 4 + 18..]) {
                Some(secret) => Ok(answer([0x80, 2], &[&with_session(&sized(&secret)), &[0, 0, 0, 0, 0]])),
                None => refused([1, 0xdf]),
            },
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

/// TPM2B_*.
fn sized(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

/// Parameters with their size, and the end of a password's session.
fn with_session(parameters: &[u8]) -> Vec<u8> {
    let size = u32::try_from(parameters.len()).unwrap().to_be_bytes();
    [&size[..], parameters, &[0, 0, 1, 0, 0]].concat()
}

fn answer(tag: [u8; 2], body: &[&[u8]]) -> Vec<u8> {
    let body = body.concat();
    let size = u32::try_from(body.len() + 10).unwrap().to_be_bytes();
    [&tag[..], &size, &[0; 4], &body].concat()
}
