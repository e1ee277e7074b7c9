//! The endorsement key's certificate, and the exchange.

use super::super::{Credential, EndorsementCertificate};
use super::*;

/// What came of reading a certificate, and of a credential.
type Read = Result<Option<EndorsementCertificate>, TpmError>;
type Secret = Result<Option<Vec<u8>>, TpmError>;

/// Runs against these answers in a row; what came of it, and all that was sent.
fn play_all<T>(answers: &[Vec<u8>], run: impl AsyncFnOnce(Tpm<&mut Played>) -> T) -> (T, Vec<Vec<u8>>) {
    let answers = answers.iter().map(|answer| Ok(answer.clone())).collect();
    let mut played = Played { answers, ..Played::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let result = runtime.block_on(run(Tpm::new(&mut played)));
    (result, played.sent)
}

/// TPM_RC_HANDLE for the first handle: there is no such index.
fn absent() -> Vec<u8> {
    hex("8001 0000000a 0000018b")
}

/// TPM2B_NV_PUBLIC and a name.
fn nv_public(index: &str, size: u16) -> Vec<u8> {
    let public = [hex(index), hex("000b 62072001 0000"), size.to_be_bytes().to_vec()].concat();
    answer("8001", "", &[sized(&public), sized(&[0x44; 34])].concat())
}

fn nv_data(bytes: &[u8]) -> Vec<u8> {
    answer("8002", "", &sized(bytes))
}

/// DER of `length` bytes after the head.
fn der(length: u16) -> Vec<u8> {
    [hex("3082"), length.to_be_bytes().to_vec(), vec![0x5a; length.into()]].concat()
}

fn certificate(answers: &[Vec<u8>]) -> (Read, Vec<Vec<u8>>) {
    play_all(answers, async |mut t| t.endorsement_certificate().await)
}

#[test]
fn the_certificate_is_read_in_pieces_and_cut_to_its_length() {
    let stored = [der(596), vec![0xff; 40]].concat();
    let answers = [absent(), nv_public("01c00002", 640), nv_data(&stored[..512]), nv_data(&stored[512..])];
    let (found, sent) = certificate(&answers);
    assert_eq!(found.unwrap().unwrap().der(), der(596));
    let expected = [
        "8001 0000000e 00000169 01c0000a",
        "8001 0000000e 00000169 01c00002",
        "8002 00000023 0000014e 01c00002 01c00002 00000009 40000009 0000 00 0000 0200 0000",
        "8002 00000023 0000014e 01c00002 01c00002 00000009 40000009 0000 00 0000 0080 0200",
    ];
    assert_eq!(sent, expected.map(hex));
    // The one on P-256 comes first, and then nobody asks for the other.
    let (found, sent) = certificate(&[nv_public("01c0000a", 300), nv_data(&der(296))]);
    assert_eq!((found.unwrap().unwrap().der(), sent.len()), (&der(296)[..], 2));
    assert_eq!(certificate(&[absent(), absent()]).0, Ok(None));
}

#[test]
fn what_is_no_certificate_is_refused() {
    let malformed = |command, field| Err(TpmError::Malformed { command, field });
    let table: &[(&str, Vec<Vec<u8>>, Read)] = &[
        ("another index", vec![nv_public("01c00002", 300)], malformed("TPM2_NV_ReadPublic", "index")),
        ("too long", vec![nv_public("01c0000a", 4097)], malformed("TPM2_NV_ReadPublic", "size")),
        ("empty", vec![nv_public("01c0000a", 0)], malformed("TPM2_NV_Read", "certificate")),
        ("less than was asked for", vec![nv_public("01c0000a", 300), nv_data(&[0x30; 299])], malformed("TPM2_NV_Read", "data")),
        ("no DER", vec![nv_public("01c0000a", 4), nv_data(&[0x30, 0x81, 1, 0])], malformed("TPM2_NV_Read", "certificate")),
        (
            "longer than the index",
            vec![nv_public("01c0000a", 299), nv_data(&der(296)[..299])],
            malformed("TPM2_NV_Read", "certificate"),
        ),
        (
            "not to be read",
            vec![nv_public("01c0000a", 300), hex("8001 0000000a 00000149")],
            Err(TpmError::Refused { command: "TPM2_NV_Read", code: 0x149 }),
        ),
    ];
    for (what, answers, expected) in table {
        assert_eq!(certificate(answers).0, *expected, "{what}");
    }
}

fn some_certificate() -> EndorsementCertificate {
    certificate(&[nv_public("01c0000a", 300), nv_data(&der(296))]).0.unwrap().unwrap()
}

fn credential() -> Credential {
    Credential::parse(&[sized(&[0x0c; 68]), sized(&[0x0e; 70])].concat()).unwrap()
}

/// The answers to TPM2_CreatePrimary, TPM2_StartAuthSession and TPM2_PolicySecret.
fn opened() -> Vec<Vec<u8>> {
    let session = answer("8001", "03000000", &sized(&[0x55; 32]));
    let ticket = answer("8002", "", &[sized(&[]), hex("8023 40000007"), sized(&[])].concat());
    vec![answer("8002", "80fffffe", &created(&public(&point()))), session, ticket]
}

/// The answer to TPM2_ActivateCredential: parameters, a password's acknowledgement, and a policy session's.
fn activated(parameters: &[u8]) -> Vec<u8> {
    let sessions = [hex("0000 01 0000"), sized(&[0x66; 32]), hex("00 0000")].concat();
    let body = [&u32::try_from(parameters.len()).unwrap().to_be_bytes()[..], parameters, &sessions].concat();
    [hex("8002"), u32::try_from(body.len() + 10).unwrap().to_be_bytes().to_vec(), hex("00000000"), body].concat()
}

fn activate(answers: &[Vec<u8>]) -> (Secret, Vec<Vec<u8>>) {
    let (key, certificate) = (key(), some_certificate());
    play_all(answers, async |mut t| {
        let endorsement = t.create_endorsement_key(&certificate).await?;
        t.activate(&key, endorsement, &credential()).await
    })
}

#[test]
fn a_credential_is_activated_in_a_session_of_its_own() {
    let (secret, sent) = activate(&[opened(), vec![activated(&sized(&[0x5e; 32]))]].concat());
    assert_eq!(secret, Ok(Some(vec![0x5e; 32])));
    let policy = "837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa";
    let zeros = "00".repeat(32);
    let template = format!("0023 000b 000300b2 0020 {policy} 0006 0080 0043 0010 0003 0010 0020 {zeros} 0020 {zeros}");
    let expected = [
        format!("8002 000000a3 00000131 4000000b 00000009 40000009 0000 00 0000 0004 0000 0000 007a {template} 0000 00000000"),
        format!("8001 0000002b 00000176 40000007 40000007 0010 {} 0000 01 0010 000b", "00".repeat(16)),
        "8002 00000029 00000151 4000000b 03000000 00000009 40000009 0000 00 0000 0000 0000 0000 00000000".to_owned(),
        format!(
            "8002 000000b6 00000147 80ffffff 80fffffe 00000012 40000009 0000 00 0000 03000000 0000 00 0000 0044 {} 0046 {}",
            "0c".repeat(68),
            "0e".repeat(70)
        ),
    ];
    assert_eq!(sent, expected.map(|text| hex(&text)));
}

/// PolicySecret of the endorsement hierarchy without a reference, computed as Part 3, 23.4 and 23.2.3 say.
#[test]
fn the_policy_is_that_of_the_endorsement_hierarchy() {
    let digest = |bytes: &[u8]| *sealstone_config::Digest::of(bytes).as_bytes();
    let first = digest(&[&[0; 32][..], &hex("00000151 4000000b")].concat());
    assert_eq!(digest(&first).to_vec(), hex("837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa"));
}

#[test]
fn failures_leave_no_session_behind() {
    let flush = hex("8001 0000000e 00000165 03000000");
    let flushed = answer("8001", "", &[]);
    let refused = |code: &str| hex(&format!("8001 0000000a {code}"));
    // TPM_RC_INTEGRITY of the first parameter, TPM_RC_SIZE of the second: the client's doing. TPM_RC_LOCKOUT isn't.
    for (code, expected) in [
        ("000001df", Ok(None)),
        ("000002d5", Ok(None)),
        ("00000921", Err(TpmError::Refused { command: "TPM2_ActivateCredential", code: 0x921 })),
    ] {
        let (found, sent) = activate(&[opened(), vec![refused(code), flushed.clone()]].concat());
        assert_eq!((found, sent.len(), sent.last()), (expected, 5, Some(&flush)), "{code}");
    }
    // An owner has set a password for the endorsement hierarchy, or the key can't be made.
    let (found, sent) = activate(&[opened()[..2].to_vec(), vec![refused("000009a2"), flushed]].concat());
    assert_eq!(found, Err(TpmError::Refused { command: "TPM2_PolicySecret", code: 0x9a2 }));
    assert_eq!((sent.len(), sent.last()), (4, Some(&flush)));
    let (found, sent) = activate(&[refused("000009a2")]);
    assert_eq!((found, sent.len()), (Err(TpmError::Refused { command: "TPM2_CreatePrimary", code: 0x9a2 }), 1));
}

#[test]
fn answers_of_another_form_are_refused() {
    let malformed = |field| Err(TpmError::Malformed { command: "TPM2_ActivateCredential", field });
    for (what, parameters, field) in [
        ("no secret", sized(&[]), "secret"),
        ("a long one", sized(&[1; 65]), "secret"),
        ("more behind", [sized(&[1; 32]), vec![0]].concat(), "secret"),
    ] {
        assert_eq!(activate(&[opened(), vec![activated(&parameters)]].concat()).0, malformed(field), "{what}");
    }
    let good = activated(&sized(&[0x5e; 32]));
    for cut in 10..good.len() {
        let mut cut = good[..cut].to_vec();
        let size = u32::try_from(cut.len()).unwrap();
        cut[2..6].copy_from_slice(&size.to_be_bytes());
        assert!(activate(&[opened(), vec![cut]].concat()).0.is_err());
    }
    for kind in ["02000000", "80000000"] {
        let mut answers = opened();
        answers[1] = answer("8001", kind, &sized(&[0x55; 32]));
        assert_eq!(activate(&answers).0, Err(TpmError::Malformed { command: "TPM2_StartAuthSession", field: "handle" }));
    }
}

#[test]
fn credentials_have_two_parts_within_bounds() {
    let (id, secret) = (vec![1; 68], vec![2; 256]);
    let whole = [sized(&id), sized(&secret)].concat();
    assert!(Credential::parse(&whole).is_some() && whole.len() <= Credential::MAX);
    for cut in 0..whole.len() {
        assert_eq!(Credential::parse(&whole[..cut]), None, "{cut}");
    }
    let table: &[(&str, Vec<u8>)] = &[
        ("more behind", [&whole[..], &[0]].concat()),
        ("an empty credential", [sized(&[]), sized(&secret)].concat()),
        ("an empty secret", [sized(&id), sized(&[])].concat()),
        ("a long credential", [sized(&[1; 133]), sized(&secret)].concat()),
        ("a long secret", [sized(&id), sized(&[2; 257])].concat()),
    ];
    for (what, bytes) in table {
        assert_eq!(Credential::parse(bytes), None, "{what}");
    }
}
