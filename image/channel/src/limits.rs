//! Every bound of the protocol. Each is a part of the format: an end that bends one stops talking to the others.

use std::time::Duration;

/// A Noise message, and so the payload of a WebSocket message (Noise Protocol Framework, revision 34, section 3).
pub const MAX_MESSAGE: usize = 65_535;

/// What AES-GCM adds to a message.
pub const TAG: usize = 16;

/// Lengths that a record may have before it is sealed, and no others. Steps of four: what a length tells about content is
/// less than two bits, and what padding costs is at most four times the content.
pub const BUCKETS: [usize; 4] = [1024, 4096, 16_384, LARGEST_BUCKET];

/// The largest record: a Noise message without its tag.
pub const LARGEST_BUCKET: usize = MAX_MESSAGE - TAG;

/// Bytes before a record's content: its kind, and the content's length.
pub const RECORD_HEAD: usize = 3;

/// Content of a record.
pub const MAX_CONTENT: usize = LARGEST_BUCKET - RECORD_HEAD;

/// Content of a stream's record as these ends write it: the third bucket. Less memory a session than the largest would
/// take, and at 16 KiB what a record costs besides its content no longer matters. Any length is read.
pub const CHUNK: usize = 16_384 - RECORD_HEAD;

/// An evidence document. The longest known one has an event log of 128 KiB in base64 and TDX collateral of 60 KiB.
pub const MAX_EVIDENCE: usize = 1024 * 1024;

/// Both ends replace a direction's key after each so many of its messages (Noise, section 11.3): 256 MiB at the most, so
/// that a key that leaks from memory opens no more than that of the past.
pub const REKEY_EVERY: u64 = 4096;

/// The age at which the server takes no more requests in a session; the client's next one begins with new evidence.
pub const MAX_AGE: Duration = Duration::from_secs(3600);

/// Frames that one WebSocket message may come in. Proxies on the way may cut messages; nobody has reason to cut one finely.
pub const MAX_FRAGMENTS: usize = 64;

/// Payload of a control frame (RFC 6455, section 5.5).
pub const MAX_CONTROL: usize = 125;

/// The WebSocket subprotocol, which names this version.
pub const SUBPROTOCOL: &str = "sealstone.v1";

/// Where a server has the channel.
pub const PATH: &str = "/v1/channel";
