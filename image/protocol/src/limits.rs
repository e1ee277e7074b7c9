//! What a message may hold. Front and engine are built together, so a change here needs no version; but a larger limit is
//! memory that a hostile peer can ask for, in each engine and for each request in flight.

/// The largest frame without its length field, in bytes: room for the longest prompt with everything around it.
pub const FRAME: usize = 2 * 1024 * 1024;
/// The text of a prompt, all segments together, in bytes.
pub const PROMPT_BYTES: usize = 1024 * 1024;
/// The tokens of a prompt that comes as tokens, and of one that was tokenized.
pub const PROMPT_TOKENS: usize = 256 * 1024;
/// The segments of a prompt: a chat message takes about three.
pub const SEGMENTS: usize = 8192;
/// Messages of a conversation. The segments that they become stay below [`SEGMENTS`].
pub const TURNS: usize = 2048;
/// Stop strings of one request.
pub const STOPS: usize = 16;
/// Bytes of one stop string. The engine holds back up to this much text per request.
pub const STOP_BYTES: usize = 512;
/// Biased tokens of one request.
pub const BIASES: usize = 1024;
/// A JSON schema, in bytes.
pub const SCHEMA_BYTES: usize = 64 * 1024;
/// Alternatives reported per token.
pub const ALTERNATIVES: u32 = 20;
/// Tokens that one request may ask for.
pub const MAX_TOKENS: u32 = 256 * 1024;
/// The highest temperature.
pub const TEMPERATURE: f32 = 2.0;
/// The largest penalty for presence or frequency, either sign.
pub const PENALTY: f32 = 2.0;
/// The largest penalty for repetition.
pub const REPETITION: f32 = 4.0;
/// The largest bias, either sign.
pub const BIAS: f32 = 100.0;
/// Bytes of one token's text, and of the text that one report releases: what was held back with a token on top.
pub const TOKEN_BYTES: usize = 64 * 1024;
/// A model's name, and a speaker's, in bytes.
pub const NAME_BYTES: usize = 1024;
/// Numbers in an embedding.
pub const WIDTH: usize = 64 * 1024;
