//! Tokens that are let in, and everything that isn't one.

use ed25519_dalek::{Signer, SigningKey};
use hyper::header::HeaderName;
use serde_json::{Value, json};

use super::token::MAX_TOKEN;
use super::*;

const NOW: u64 = 1_790_000_000;
const AUDIENCE: &str = "https://llm.example/v1";
const HEADER: &str = r#"{"alg":"EdDSA","typ":"JWT"}"#;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn config(keys: &[[u8; 32]]) -> sealstone_config::Auth {
    let mut keys: Vec<_> = keys.iter().map(|key| sealstone_config::Digest::from_bytes(*key).to_string()).collect();
    keys.sort();
    serde_json::from_value(json!({"audience": AUDIENCE, "keys": keys})).unwrap()
}

fn auth() -> Auth {
    Auth::new(&config(&[key(1).verifying_key().to_bytes(), key(2).verifying_key().to_bytes()])).unwrap()
}

/// Base64url by another way than the decoder's: from bits as text.
fn encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    let digit = |six: &[u8]| {
        let text = format!("{:0<6}", std::str::from_utf8(six).unwrap());
        char::from(DIGITS[usize::from_str_radix(&text, 2).unwrap()])
    };
    bits.as_bytes().chunks(6).map(digit).collect()
}

fn signed(key: &SigningKey, header: &str, claims: &str) -> String {
    let input = format!("{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()));
    let signature = encode(&key.sign(input.as_bytes()).to_bytes());
    format!("{input}.{signature}")
}

fn good() -> Value {
    json!({"aud": AUDIENCE, "exp": NOW + 600, "iat": NOW - 10, "sub": "somebody"})
}

fn token(claims: &Value) -> String {
    signed(&key(1), HEADER, &claims.to_string())
}

fn headers(values: &[&str]) -> HeaderMap {
    let name = HeaderName::from_static("authorization");
    values.iter().map(|value| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
}

fn check(token: &str) -> Result<Allowed, Denied> {
    auth().check_at(&headers(&[&format!("Bearer {token}")]), NOW)
}

fn with(members: Value) -> Value {
    let mut claims = good();
    claims.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    claims
}

#[test]
fn good_tokens() {
    let allowed = Ok(Allowed { metrics: false });
    assert_eq!(check(&token(&good())), allowed);
    assert_eq!(check(&signed(&key(2), HEADER, &good().to_string())), allowed, "any key of the configuration");
    for members in [
        json!({"aud": ["other", AUDIENCE]}),
        json!({"nbf": NOW}),
        json!({"nbf": NOW + 60}),
        json!({"exp": NOW + 1}),
        json!({"iss": "https://issuer.example", "jti": [{"deep": {}}], "scope": "chat metricsx"}),
    ] {
        assert_eq!(check(&token(&with(members.clone()))), allowed, "{members}");
    }
    let bare = json!({"aud": AUDIENCE, "exp": NOW + 600});
    assert_eq!(check(&token(&bare)), allowed);
    for header in [r#"{"alg":"EdDSA"}"#, r#"{"typ":"at+jwt","kid":"k-1","alg":"EdDSA"}"#] {
        assert_eq!(check(&signed(&key(1), header, &good().to_string())), allowed, "{header}");
    }
    assert_eq!(check(&token(&with(json!({"scope": "chat metrics"})))), Ok(Allowed { metrics: true }));
    assert_eq!(auth().check_at(&headers(&[&format!("bEARER {}", token(&good()))]), NOW), allowed);
}

#[test]
fn algorithms_that_are_not_the_one() {
    let claims = good().to_string();
    for algorithm in ["none", "None", "HS256", "RS256", "ES256", "eddsa", "EDDSA", "Ed448", ""] {
        let header = format!(r#"{{"alg":"{algorithm}"}}"#);
        assert_eq!(check(&signed(&key(1), &header, &claims)), Err(Denied::Invalid), "{algorithm}");
        let unsigned = format!("{}.{}.", encode(header.as_bytes()), encode(claims.as_bytes()));
        assert_eq!(check(&unsigned), Err(Denied::Invalid), "{algorithm}, unsigned");
    }
    // Algorithm confusion: a MAC, of which the public key is the secret. There is no MAC here, so any 32 or 64 bytes stand for it.
    for length in [32, 64] {
        let input = format!("{}.{}", encode(br#"{"alg":"HS256"}"#), encode(claims.as_bytes()));
        assert_eq!(check(&format!("{input}.{}", encode(&vec![7; length]))), Err(Denied::Invalid));
    }
}

#[test]
fn headers_that_ask_for_more() {
    let jwk = encode(key(3).verifying_key().as_bytes());
    for header in [
        r#"{}"#.to_owned(),
        r#"{"typ":"JWT"}"#.to_owned(),
        r#"{"alg":"EdDSA","alg":"EdDSA"}"#.to_owned(),
        r#"{"alg":"none","alg":"EdDSA"}"#.to_owned(),
        r#"{"alg":"EdDSA","\u0061lg":"none"}"#.to_owned(),
        r#"{"alg":["EdDSA"]}"#.to_owned(),
        r#"{"alg":"EdDSA","typ":"JWE"}"#.to_owned(),
        r#"{"alg":"EdDSA","crit":["exp"]}"#.to_owned(),
        r#"{"alg":"EdDSA","b64":false}"#.to_owned(),
        r#"{"alg":"EdDSA","zip":"DEF"}"#.to_owned(),
        r#"{"alg":"EdDSA","jku":"https://evil.example"}"#.to_owned(),
        format!(r#"{{"alg":"EdDSA","jwk":{{"kty":"OKP","crv":"Ed25519","x":"{jwk}"}}}}"#),
        r#"{"alg":"EdDSA"} "#.to_owned() + "x",
        "[]".to_owned(),
    ] {
        for signer in [1, 3] {
            assert_eq!(check(&signed(&key(signer), &header, &good().to_string())), Err(Denied::Invalid), "{header}");
        }
    }
}

#[test]
fn times() {
    for (members, denied) in [
        (json!({"exp": NOW}), Denied::Expired),
        (json!({"exp": NOW - 1, "iat": NOW - 2}), Denied::Expired),
        (json!({"exp": 0, "iat": 0}), Denied::Expired),
        (json!({"exp": null}), Denied::Invalid),
        (json!({"exp": -1}), Denied::Invalid),
        (json!({"exp": 1.5e9}), Denied::Invalid),
        (json!({"exp": format!("{}", NOW + 9)}), Denied::Invalid),
        (json!({"exp": u64::MAX}), Denied::Invalid),
        (json!({"exp": (NOW + 600) * 1000}), Denied::Invalid),
        (json!({"nbf": NOW + 61}), Denied::Invalid),
        (json!({"nbf": "soon"}), Denied::Invalid),
        (json!({"iat": NOW + 601}), Denied::Invalid),
        (json!({"iat": true}), Denied::Invalid),
    ] {
        assert_eq!(check(&token(&with(members.clone()))), Err(denied), "{members}");
    }
    let mut endless = good();
    endless.as_object_mut().unwrap().remove("exp");
    assert_eq!(check(&token(&endless)), Err(Denied::Invalid), "one that never expires");
}

#[test]
fn a_clock_that_is_turned_back_lets_nobody_in_again() {
    let auth = auth();
    let at = |token: &str, now| auth.check_at(&headers(&[&format!("Bearer {token}")]), now);
    let (old, new) = (token(&good()), token(&with(json!({"iat": NOW + 700, "exp": NOW + 900}))));
    assert!(at(&old, NOW).is_ok());
    assert!(at(&new, NOW).is_ok(), "an issuer's clock is believed more than the host's");
    assert_eq!(at(&old, NOW), Err(Denied::Expired), "an issuer has been seen after it expired");
    // Whoever isn't trusted doesn't move the time, nor does a token for somebody else.
    let later = json!({"iat": NOW + 10_000, "exp": NOW + 20_000});
    let foreign = signed(&key(3), HEADER, &with(later.clone()).to_string());
    let elsewhere = token(&json!({"aud": "other", "iat": NOW + 10_000, "exp": NOW + 20_000}));
    assert_eq!((at(&foreign, NOW), at(&elsewhere, NOW)), (Err(Denied::Invalid), Err(Denied::Invalid)));
    // Nor does one that isn't good: it would lock everybody else out.
    let too_early = token(&with(json!({"iat": NOW + 10_000, "nbf": NOW + 15_000, "exp": NOW + 20_000})));
    let backwards = token(&with(json!({"iat": NOW + 10_000, "exp": NOW + 600})));
    assert_eq!((at(&too_early, NOW), at(&backwards, NOW)), (Err(Denied::Invalid), Err(Denied::Invalid)));
    assert!(at(&new, NOW).is_ok());
}

#[test]
fn claims_that_are_not() {
    for (what, claims) in [
        ("another audience", with(json!({"aud": "https://llm.example/v2"})).to_string()),
        ("a longer one", with(json!({"aud": format!("{AUDIENCE}/")})).to_string()),
        ("no audience", json!({"exp": NOW + 600}).to_string()),
        ("a list without it", with(json!({"aud": ["a", "b"]})).to_string()),
        ("an empty list", with(json!({"aud": []})).to_string()),
        ("a list of lists", with(json!({"aud": [[AUDIENCE]]})).to_string()),
        ("scope as a list", with(json!({"scope": ["metrics"]})).to_string()),
        ("twice", format!(r#"{{"aud":"{AUDIENCE}","exp":{0},"exp":{0}}}"#, NOW + 600)),
        ("twice, otherwise", format!(r#"{{"aud":"other","exp":{},"aud":"{AUDIENCE}"}}"#, NOW + 600)),
        ("twice, spelled otherwise", format!(r#"{{"aud":"{AUDIENCE}","exp":{0},"e\u0078p":{0}}}"#, NOW + 600)),
        ("twice, although not looked at", format!(r#"{{"aud":"{AUDIENCE}","exp":{},"sub":"a","sub":"b"}}"#, NOW + 600)),
        ("something behind", good().to_string() + "{}"),
        ("no object", json!([good()]).to_string()),
        ("cut", good().to_string()[..40].to_owned()),
        ("deep", format!(r#"{{"x":{}}}"#, "[".repeat(1000))),
        ("empty", String::new()),
    ] {
        assert_eq!(check(&signed(&key(1), HEADER, &claims)), Err(Denied::Invalid), "{what}");
    }
}

#[test]
fn no_changed_token_is_let_in() {
    assert_eq!(check(&signed(&key(3), HEADER, &good().to_string())), Err(Denied::Invalid), "another's key");
    let token = token(&good());
    for at in 0..token.len() {
        for with in ["A", "_", ".", "=", ""] {
            let changed = format!("{}{with}{}", &token[..at], &token[at + 1..]);
            if changed != token {
                assert_eq!(check(&changed), Err(Denied::Invalid), "{with} at {at}");
            }
        }
        assert_eq!(check(&token[..at]), Err(Denied::Invalid), "cut at {at}");
    }
    for changed in [format!("{token}."), format!("{token}.x"), format!(".{token}"), format!("{token}="), format!(" {token}")] {
        assert_eq!(check(&changed), Err(Denied::Invalid), "{changed}");
    }
}

#[test]
fn long_tokens_are_not_read() {
    let room = |length: usize| token(&with(json!({"x": "y".repeat(length)})));
    let mut length = 0;
    while room(length + 1).len() <= MAX_TOKEN {
        length += 1;
    }
    assert!(check(&room(length)).is_ok());
    assert_eq!(check(&room(length + 3)), Err(Denied::Invalid));
}

#[test]
fn a_token_stands_in_one_place() {
    let token = token(&good());
    let auth = auth();
    let good = format!("Bearer {token}");
    assert!(auth.check_at(&headers(&[&good]), NOW).is_ok());
    for (values, denied) in [
        (&[][..], Denied::Missing),
        (&[&good[..], &good], Denied::Invalid),
        (&[&token[..]], Denied::Invalid),
        (&["Bearer"], Denied::Invalid),
        (&["Bearer "], Denied::Invalid),
        (&["Basic dXNlcjpwYXNz"], Denied::Invalid),
        (&["Bearer sk-proj-1234"], Denied::Invalid),
        (&[&format!("Bearer {token}, Bearer {token}")], Denied::Invalid),
        (&[&format!("Bearer  {token}")], Denied::Invalid),
    ] {
        assert_eq!(auth.check_at(&headers(values), NOW), Err(denied), "{values:?}");
    }
}

#[test]
fn keys_that_verify_anything_are_refused() {
    // The neutral element, a point of order two, one of order eight (small subgroup); and no point at all.
    let order_two = std::array::from_fn(|n| match n {
        0 => 0xec,
        31 => 0x7f,
        _ => 0xff,
    });
    let one = std::array::from_fn(|n| u8::from(n == 0));
    let eight = sealstone_config::Digest::try_from("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a".to_owned());
    for weak in [one, order_two, [0; 32], *eight.unwrap().as_bytes(), [2; 32]] {
        assert_eq!(Auth::new(&config(&[weak])).err(), Some(WeakKey), "{weak:?}");
    }
    assert!(Auth::new(&config(&[key(1).verifying_key().to_bytes()])).is_ok());
}
