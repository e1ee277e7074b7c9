//! The TPM's side, played with answers that are put together here from the specification's tables, field by field.

#![allow(clippy::arithmetic_side_effects)]

mod endorsement;

use std::collections::VecDeque;
use std::io;

use super::{AttestationKey, Bank, Quote, Tpm, TpmError, Transport};

/// Answers in order, and keeps what it was sent.
#[derive(Default)]
struct Played {
    answers: VecDeque<io::Result<Vec<u8>>>,
    sent: Vec<Vec<u8>>,
}

impl Transport for &mut Played {
    async fn transact(&mut self, command: &[u8]) -> io::Result<Vec<u8>> {
        self.sent.push(command.to_vec());
        self.answers.pop_front().unwrap()
    }
}

fn play<T>(answer: &[u8], run: impl AsyncFnOnce(Tpm<&mut Played>) -> T) -> (T, Vec<u8>) {
    let mut played = Played { answers: [Ok(answer.to_vec())].into(), ..Played::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let result = runtime.block_on(run(Tpm::new(&mut played)));
    (result, played.sent.remove(0))
}

fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    (0..digits.len()).step_by(2).map(|i| u8::from_str_radix(&digits[i..i + 2], 16).unwrap()).collect()
}

/// A successful answer: header, optional handle, and with sessions the parameters' size and the session's end.
fn answer(tag: &str, handle: &str, parameters: &[u8]) -> Vec<u8> {
    let mut body = hex(handle);
    if tag == "8002" {
        body.extend(u32::try_from(parameters.len()).unwrap().to_be_bytes());
        body.extend(parameters);
        // TPMS_AUTH_RESPONSE of a password: no nonce, continueSession, no HMAC.
        body.extend(hex("0000 01 0000"));
    } else {
        body.extend(parameters);
    }
    let mut bytes = hex(tag);
    bytes.extend(u32::try_from(body.len() + 10).unwrap().to_be_bytes());
    bytes.extend(hex("00000000"));
    bytes.extend(body);
    bytes
}

/// TPM2B_*.
fn sized(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

/// TPMT_PUBLIC: ECC, SHA-256, attributes, no policy, no symmetric algorithm, ECDSA with SHA-256, P-256, no KDF, then the point.
fn public(point: &[u8]) -> Vec<u8> {
    [hex("0023 000b 00050472 0000 0010 0018 000b 0003 0010"), point.to_vec()].concat()
}

fn point() -> Vec<u8> {
    [sized(&[0x11; 32]), sized(&[0x22; 31])].concat()
}

/// The parameters of TPM2_CreatePrimary's answer for this public area.
fn created(public: &[u8]) -> Vec<u8> {
    let name = [&hex("000b")[..], sealstone_config::Digest::of(public).as_bytes()].concat();
    let creation_data = hex("00000000 0000 01 0010 0004 40000007 0004 40000007 0000");
    let ticket = [hex("8021 40000007"), sized(&[0x44; 64])].concat();
    [sized(public), sized(&creation_data), sized(&[0x33; 32]), ticket, sized(&name)].concat()
}

const QUALIFYING: [u8; 32] = [0x5a; 32];
const BOTH: &[Bank] = &[Bank::Sha256, Bank::Sha384];
const SELECTION: &str = "00000002 000b 03 ffff00 000c 03 ffff00";

/// TPMS_ATTEST.
fn attest(magic: &str, kind: &str, qualifying: &[u8], selection: &str, digest: &[u8]) -> Vec<u8> {
    let signer = sized(&[0x66; 34]);
    let clock = hex("0000000000000001 00000002 00000003 01 0000000000000004");
    [hex(magic), hex(kind), signer, sized(qualifying), clock, hex(selection), sized(digest)].concat()
}

fn good_attest() -> Vec<u8> {
    attest("ff544347", "8018", &QUALIFYING, SELECTION, &[0x77; 32])
}

/// TPMT_SIGNATURE.
fn signature() -> Vec<u8> {
    [hex("0018 000b"), sized(&[0x88; 32]), sized(&[0x99; 30])].concat()
}

fn quoted(attest: &[u8], signature: &[u8]) -> Vec<u8> {
    answer("8002", "", &[sized(attest), signature.to_vec()].concat())
}

fn key() -> AttestationKey {
    let (key, _) = play(&answer("8002", "80ffffff", &created(&public(&point()))), async |mut t| t.create_attestation_key().await);
    key.unwrap()
}

fn quote(answer: &[u8]) -> Result<Quote, TpmError> {
    let key = key();
    play(answer, async |mut t| t.quote(&key, BOTH, &QUALIFYING).await).0
}

#[test]
fn the_key_is_made_from_the_template() {
    let reply = answer("8002", "80ffffff", &created(&public(&point())));
    let (key, sent) = play(&reply, async |mut t| t.create_attestation_key().await);
    assert_eq!(key.unwrap().public(), sized(&public(&point())));
    let expected = "8002 00000041 00000131 40000007
        00000009 40000009 0000 00 0000
        0004 0000 0000
        0018 0023 000b 00050472 0000 0010 0018 000b 0003 0010 0000 0000
        0000 00000000";
    assert_eq!(sent, hex(expected));
}

#[test]
fn the_quote_is_asked_for_by_handle_and_comes_as_it_was_signed() {
    let key = key();
    let (quote, sent) = play(&quoted(&good_attest(), &signature()), async |mut t| t.quote(&key, BOTH, &QUALIFYING).await);
    assert_eq!(quote.unwrap(), Quote { attest: good_attest(), signature: signature() });
    let expected =
        format!("8002 0000004f 00000158 80ffffff 00000009 40000009 0000 00 0000 0020 {} 0010 {SELECTION}", "5a".repeat(32));
    assert_eq!(sent, hex(&expected));
}

#[test]
fn banks_count_if_they_are_complete() {
    let table: &[(&str, Result<&[Bank], TpmError>)] = &[
        ("00 00000005 00000001 000b 03 ffffff", Ok(&[Bank::Sha256])),
        ("00 00000005 00000004 0004 03 ffffff 000c 03 ffffff 000b 03 ffffff 000d 03 000000", Ok(BOTH)),
        ("00 00000005 00000002 000b 03 ffffff 000c 03 000000", Ok(&[Bank::Sha256])),
        ("00 00000005 00000002 000b 03 ffff00 000c 03 ff7fff", Ok(&[Bank::Sha256])),
        ("01 00000005 00000001 000b 02 ffff", Ok(&[Bank::Sha256])),
        ("00 00000005 00000001 000c 03 ffffff", Err(TpmError::NoBank)),
        ("00 00000005 00000001 000b 01 ff", Err(TpmError::NoBank)),
        ("00 00000005 00000000", Err(TpmError::NoBank)),
        ("00 00000005 00000011", Err(capability("number of banks"))),
        ("00 00000005 ffffffff", Err(capability("number of banks"))),
        ("00 00000005 00000002 000b 03 ffffff", Err(capability("bank"))),
        ("00 00000005 00000001 000b 03 ffffff 00", Err(capability("banks"))),
        ("00 00000005 00000001 000b ff ffffff", Err(capability("bank"))),
        ("02 00000005 00000001 000b 03 ffffff", Err(capability("more data"))),
        ("00 00000006 00000001 000b 03 ffffff", Err(capability("capability"))),
    ];
    for (parameters, expected) in table {
        let (banks, sent) = play(&answer("8001", "", &hex(parameters)), async |mut t| t.banks().await);
        assert_eq!(banks.as_deref().map_err(|e| *e), *expected, "{parameters}");
        assert_eq!(sent, hex("8001 00000016 0000017a 00000005 00000000 00000010"));
    }
}

fn capability(field: &'static str) -> TpmError {
    TpmError::Malformed { command: "TPM2_GetCapability", field }
}

#[test]
fn headers_and_refusals() {
    let malformed = |field| TpmError::Malformed { command: "TPM2_Quote", field };
    let refused = |code| TpmError::Refused { command: "TPM2_Quote", code };
    let good = quoted(&good_attest(), &signature());
    let mut wrong_tag = good.clone();
    wrong_tag[1] = 1;
    let mut long = good.clone();
    long.resize(super::MAX_RESPONSE + 1, 0);
    let table: &[(&str, Vec<u8>, TpmError)] = &[
        ("TPM_RC_RETRY", hex("8001 0000000a 00000922"), refused(0x922)),
        ("an error with more", hex("8001 0000000b 00000922 00"), malformed("error")),
        ("an error with sessions", hex("8002 0000000a 00000922"), malformed("tag")),
        ("nothing", vec![], malformed("tag")),
        ("too long", long, malformed("size")),
        ("the other tag", wrong_tag, malformed("tag")),
        ("TPM 1.2", hex("00c4 0000000a 00000003"), malformed("tag")),
    ];
    for (what, bytes, expected) in table {
        assert_eq!(quote(bytes), Err(*expected), "{what}");
    }
    let mut played = Played { answers: [Err(io::Error::from_raw_os_error(5))].into(), ..Played::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let error = runtime.block_on(Tpm::new(&mut played).banks()).unwrap_err();
    assert_eq!(error, TpmError::Transport(5));
}

#[test]
fn another_key_is_refused() {
    let good = public(&point());
    let malformed = |field| TpmError::Malformed { command: "TPM2_CreatePrimary", field };
    let mut unrestricted = good.clone();
    unrestricted[5] ^= 1;
    let other_name = {
        let mut parameters = created(&good);
        *parameters.last_mut().unwrap() ^= 1;
        parameters
    };
    let table: &[(&str, &str, Vec<u8>, &str)] = &[
        ("a persistent handle", "81000001", created(&good), "handle"),
        ("attributes", "80000000", created(&unrestricted), "public area"),
        ("no point", "80000000", created(&public(&hex("0000 0000"))), "x"),
        ("a long y", "80000000", created(&public(&[sized(&[1; 32]), sized(&[1; 33])].concat())), "y"),
        ("more behind", "80000000", created(&public(&[point(), vec![0]].concat())), "public area"),
        ("another's name", "80000000", other_name, "name"),
        ("more parameters", "80000000", [created(&good), vec![0]].concat(), "key"),
    ];
    for (what, handle, parameters, field) in table {
        let reply = answer("8002", handle, parameters);
        let (key, _) = play(&reply, async |mut t| t.create_attestation_key().await);
        assert_eq!(key.map(|_| ()), Err(malformed(field)), "{what}");
    }
}

#[test]
fn another_quote_is_refused() {
    let digest = [0x77; 32];
    let one_bank = "00000001 000b 03 ffff00";
    let other_pcrs = "00000002 000b 03 ffff00 000c 03 ff7f00";
    let signed = |text: &str| [hex(text), sized(&[0x88; 32]), sized(&[0x99; 32])].concat();
    let table: &[(&str, Vec<u8>, Vec<u8>, &str)] = &[
        ("magic", attest("ff544348", "8018", &QUALIFYING, SELECTION, &digest), signature(), "magic"),
        ("a time stamp", attest("ff544347", "8019", &QUALIFYING, SELECTION, &digest), signature(), "type"),
        ("an old quote", attest("ff544347", "8018", &[0x5b; 32], SELECTION, &digest), signature(), "extra data"),
        ("a shorter nonce", attest("ff544347", "8018", &[0x5a; 31], SELECTION, &digest), signature(), "extra data"),
        ("one bank", attest("ff544347", "8018", &QUALIFYING, one_bank, &digest), signature(), "PCR selection"),
        ("other PCRs", attest("ff544347", "8018", &QUALIFYING, other_pcrs, &digest), signature(), "PCR selection"),
        ("a short digest", attest("ff544347", "8018", &QUALIFYING, SELECTION, &[0; 20]), signature(), "PCR digest"),
        ("more behind", [good_attest(), vec![0]].concat(), signature(), "quote"),
        ("RSA", good_attest(), signed("0014 000b"), "signature scheme"),
        ("SHA-1", good_attest(), signed("0018 0004"), "signature hash"),
        ("no s", good_attest(), [hex("0018 000b"), sized(&[1; 32]), sized(&[])].concat(), "signature s"),
        ("a long r", good_attest(), [hex("0018 000b"), sized(&[1; 33]), sized(&[1; 32])].concat(), "signature r"),
        ("a second signature", good_attest(), [signature(), signature()].concat(), "signature"),
    ];
    for (what, attest, signature, field) in table {
        let expected = TpmError::Malformed { command: "TPM2_Quote", field };
        assert_eq!(quote(&quoted(attest, signature)), Err(expected), "{what}");
    }
}

#[test]
fn no_answer_makes_the_parser_panic() {
    let good = quoted(&good_attest(), &signature());
    assert!(quote(&good).is_ok());
    for cut in 0..good.len() {
        assert!(quote(&good[..cut]).is_err(), "cut at {cut}");
        // With a size in the header that fits, so that the inner fields are reached.
        let mut fitting = good[..cut.max(10)].to_vec();
        let size = u32::try_from(fitting.len()).unwrap();
        fitting[2..6].copy_from_slice(&size.to_be_bytes());
        assert!(quote(&fitting).is_err(), "fitting, cut at {cut}");
    }
    for position in 0..good.len() {
        for bit in 0..8 {
            let mut bytes = good.clone();
            bytes[position] ^= 1 << bit;
            if let Ok(found) = quote(&bytes) {
                // Only values that nobody but the client can judge may differ.
                assert_eq!(found.attest.len(), good_attest().len(), "flip at {position}");
            }
        }
    }
}
