//! Frames against RFC 6455's examples, and the rules one by one.

use super::handshake::base64;
use super::*;
use crate::limits::{MAX_FRAGMENTS, MAX_MESSAGE};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

fn decode(role: Role, bytes: &[u8]) -> Result<Vec<Item>, FrameError> {
    let mut decoder = Decoder::new(role);
    let mut items = Vec::new();
    decoder.put(bytes);
    while let Some(item) = decoder.take()? {
        items.push(item);
    }
    Ok(items)
}

/// A server's frame: head without mask, then the payload.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, u8::try_from(payload.len()).unwrap()], payload].concat()
}

#[test]
fn handshakes_of_the_rfc() {
    // Section 1.3.
    assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert!(is_key("dGhlIHNhbXBsZSBub25jZQ=="));
    for bad in
        ["", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25j Q==", "dGhlIHNhbXBsZSBub25jZWUhISE="]
    {
        assert!(!is_key(bad), "{bad}");
    }
    assert_eq!([&b""[..], b"f", b"fo", b"foo"].map(base64), ["", "Zg==", "Zm8=", "Zm9v"]);
}

#[test]
fn frames_of_the_rfc() {
    // Section 5.7, with "Hello" as binary instead of text.
    let masked = [0x82, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(binary(b"Hello", Some(Mask(KEY))), masked);
    assert_eq!(decode(Role::Server, &masked), Ok(vec![Item::Message(b"Hello".to_vec())]));
    let plain = [0x82, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
    assert_eq!(binary(b"Hello", None), plain);
    assert_eq!(decode(Role::Client, &plain), Ok(vec![Item::Message(b"Hello".to_vec())]));
    let pieces = [0x02, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f];
    assert_eq!(decode(Role::Client, &pieces), Ok(vec![Item::Message(b"Hello".to_vec())]));
    assert_eq!(binary(&[0; 256], None)[..4], [0x82, 0x7e, 0x01, 0x00]);
    assert_eq!(binary(&[0; 65_536], None)[..10], [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
}

#[test]
fn every_length_comes_back_however_it_is_cut() {
    for length in [0, 1, 125, 126, 127, 65_534, MAX_MESSAGE] {
        let message: Vec<u8> = (0..length).map(|n| (n % 253) as u8).collect();
        for (role, mask) in [(Role::Server, Some(Mask(KEY))), (Role::Client, None)] {
            let bytes = [binary(&message, mask), ping(b"?", mask), binary(&message, mask)].concat();
            for step in [1, 7, 1000, bytes.len()] {
                let mut decoder = Decoder::new(role);
                let mut items = Vec::new();
                for part in bytes.chunks(step) {
                    decoder.put(part);
                    while let Some(item) = decoder.take().unwrap() {
                        items.push(item);
                    }
                }
                let expected = [Item::Message(message.clone()), Item::Ping(b"?".to_vec()), Item::Message(message.clone())];
                assert!(items == expected, "{length} bytes in steps of {step}");
            }
        }
    }
}

#[test]
fn broken_rules_are_named() {
    let too_many = [frame(0x02, b"x"), frame(0x00, b"x").repeat(MAX_FRAGMENTS - 1)].concat();
    let mut longest = vec![0x02, 0x7e, 0xff, 0xff];
    longest.resize(4 + MAX_MESSAGE, 0);
    let table: &[(&str, Vec<u8>, FrameError)] = &[
        ("RSV1, compression", frame(0xc2, b"x"), FrameError::Reserved),
        ("RSV3", frame(0x92, b"x"), FrameError::Reserved),
        ("operation 3", frame(0x83, b"x"), FrameError::Reserved),
        ("operation 11", frame(0x8b, b"x"), FrameError::Reserved),
        ("text", frame(0x81, b"x"), FrameError::Text),
        ("a mask from a server", binary(b"x", Some(Mask(KEY))), FrameError::Masked),
        ("16 bits for 125", vec![0x82, 0x7e, 0, 125], FrameError::Length),
        ("64 bits for 65535", vec![0x82, 0x7f, 0, 0, 0, 0, 0, 0, 0xff, 0xff], FrameError::Length),
        ("65536 bytes, by its head", vec![0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0], FrameError::TooLong),
        ("2^63 bytes", vec![0x82, 0x7f, 0x80, 0, 0, 0, 0, 0, 0, 0], FrameError::TooLong),
        ("all bits", vec![0x82, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], FrameError::TooLong),
        ("too long in pieces", [longest, frame(0x80, b"x")].concat(), FrameError::TooLong),
        ("too many pieces", too_many, FrameError::Fragments),
        ("a piece of nothing", frame(0x80, b"x"), FrameError::Fragments),
        ("a message in a message", [frame(0x02, b"x"), frame(0x82, b"x")].concat(), FrameError::Fragments),
        ("a ping in pieces", frame(0x09, b"x"), FrameError::Control),
        ("a long ping", vec![0x89, 0x7e, 0, 126], FrameError::Control),
        ("a close with one byte", frame(0x88, b"x"), FrameError::Control),
        ("a close code that is never sent", frame(0x88, &1005u16.to_be_bytes()), FrameError::Control),
        ("close code 0", frame(0x88, &[0, 0]), FrameError::Control),
    ];
    for (what, bytes, error) in table {
        assert_eq!(decode(Role::Client, bytes), Err(*error), "{what}");
    }
    assert_eq!(decode(Role::Server, &binary(b"x", None)), Err(FrameError::Masked));
}

#[test]
fn control_frames() {
    assert_eq!(decode(Role::Client, &close(1013, None)), Ok(vec![Item::Close(1013)]));
    assert_eq!(decode(Role::Client, &frame(0x88, b"")), Ok(vec![Item::Close(1005)]));
    assert_eq!(decode(Role::Client, &frame(0x88, b"\x03\xe8why")), Ok(vec![Item::Close(1000)]));
    assert_eq!(decode(Role::Client, &pong(b"unasked", None)), Ok(vec![]));
    // Between the pieces of a message.
    let bytes = [frame(0x02, b"a"), ping(b"", None), frame(0x80, b"b")].concat();
    assert_eq!(decode(Role::Client, &bytes), Ok(vec![Item::Ping(vec![]), Item::Message(b"ab".to_vec())]));
}
