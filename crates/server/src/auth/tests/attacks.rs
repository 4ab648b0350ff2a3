//! What was done to verifiers of tokens, elsewhere (RFC 8725 section 2 lists most of it).

use super::*;

fn refused(token: &str, keys: &[Key]) -> String {
    let (code, detail) = verdict(token, &Settings::default(), keys).expect_err("this token is forged");
    assert_eq!(code, Code::Unauthorized, "{detail}");
    detail
}

#[test]
fn none_is_no_algorithm_however_it_is_written() {
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let message = format!("{}.{}", encode(&json!({"alg": alg})), encode(&claims(&json!({}))));
        refused(&format!("{message}."), &[hs256(None)]);
        refused(&format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode("x")), &[hs256(None)]);
        refused(&message, &[hs256(None)]);
    }
    // A right signature is cut off.
    let token = mint(&claims(&json!({})));
    let cut = &token[..=token.rfind('.').unwrap()];
    refused(cut, &[hs256(None)]);
}

#[test]
fn a_public_key_is_never_taken_for_a_secret() {
    let p256 = Key::pem(None, Algorithm::ES256, P256.as_bytes()).unwrap();
    let rsa = json!({"kty": "RSA", "e": "AQAB", "n": BASE64_URL_SAFE_NO_PAD.encode([0x83; 256])});
    let rsa = Key::jwk(&serde_json::from_value(rsa).unwrap()).unwrap();
    for alg in ["HS256", "ES256", "RS256"] {
        // What a forger has: the public key, in any form, as the secret of an HMAC.
        for secret in [P256.as_bytes(), P256.trim_end().as_bytes(), &[0x83; 256]] {
            let token = mint_with(&json!({"alg": alg}), &claims(&json!({})), secret);
            refused(&token, std::slice::from_ref(&p256));
            refused(&token, std::slice::from_ref(&rsa));
            refused(&token, &[p256.clone(), rsa.clone()]);
        }
    }
    let token = mint_with(&json!({"alg": "HS512"}), &claims(&json!({})), SECRET);
    assert!(refused(&token, &[hs256(None)]).contains("`alg`"), "an algorithm is the key's");
}

#[test]
fn a_key_id_finds_a_key_by_being_equal_and_in_no_other_way() {
    let keys = [hs256(Some("2026-11"))];
    let with = |kid: &str| mint_with(&json!({"alg": "HS256", "kid": kid}), &claims(&json!({})), SECRET);
    assert_eq!(verdict(&with("2026-11"), &Settings::default(), &keys), Ok(()));
    for kid in [
        "",
        "2026-1",
        "2026-11 ",
        "../../../dev/null",
        "/dev/null",
        "' OR '1'='1",
        "2026-11' --",
        "http://attacker.example/key",
        "$(id)",
        "2026-11\u{0}",
        &"k".repeat(5000),
    ] {
        assert_eq!(refused(&with(kid), &keys), "unknown key", "{kid:?}");
    }
    for kid in [json!(7), json!(["2026-11"]), json!({"a": 1})] {
        let token = mint_with(&json!({"alg": "HS256", "kid": kid}), &claims(&json!({})), SECRET);
        assert!(refused(&token, &keys).contains("header"), "{kid}");
    }
    // An empty secret, which a path to an empty file would give.
    refused(&mint_with(&json!({"alg": "HS256", "kid": "2026-11"}), &claims(&json!({})), b""), &keys);
}

#[test]
fn keys_that_a_token_brings_along_are_not_looked_at() {
    let own = b"a secret that the forger has chosen";
    let jwk = json!({"kty": "oct", "k": BASE64_URL_SAFE_NO_PAD.encode(own)});
    for header in [
        json!({"alg": "HS256", "jwk": jwk}),
        json!({"alg": "HS256", "jku": "https://attacker.example/keys"}),
        json!({"alg": "HS256", "x5u": "https://attacker.example/cert"}),
        json!({"alg": "HS256", "x5c": ["AAAA"]}),
    ] {
        refused(&mint_with(&header, &claims(&json!({})), own), &[hs256(None)]);
    }
}

#[test]
fn extensions_that_must_be_understood_are_not() {
    for crit in [json!(["exp"]), json!(["b64"]), json!([]), json!(null), json!("x")] {
        let header = json!({"alg": "HS256", "crit": crit, "b64": false});
        let detail = refused(&mint_with(&header, &claims(&json!({})), SECRET), &[hs256(None)]);
        assert!(detail.contains("crit"), "{detail}");
    }
}

#[test]
fn what_is_huge_or_nested_or_oddly_encoded_is_refused() {
    let keys = [hs256(None)];
    let settings = Settings::default();
    let sized = |bytes: usize| mint(&claims(&json!({"padding": "x".repeat(bytes)})));
    assert_eq!(verdict(&sized(5000), &settings, &keys), Ok(()));
    assert!(refused(&sized(settings.token_bytes), &keys).contains("longer"));
    let signed = |claims: &[u8]| {
        let message = format!("{}.{}", encode(&json!({"alg": "HS256"})), BASE64_URL_SAFE_NO_PAD.encode(claims));
        let key = EncodingKey::from_secret(SECRET);
        let signature = crypto::sign(message.as_bytes(), &key, jsonwebtoken::Algorithm::HS256).unwrap();
        format!("{message}.{signature}")
    };
    // Nested deeply where it would be read.
    let nested = format!("{{\"exp\":{},\"channels\":{}{}}}", NOW + 60, "[".repeat(1000), "]".repeat(1000));
    assert!(refused(&signed(nested.as_bytes()), &keys).contains("claims"));
    // Not UTF-8 where nobody would read it.
    let foul = format!("{{\"exp\":{},\"x?\":1}}", NOW + 60).replace('?', "\u{ff}");
    let latin: Vec<u8> = foul.chars().map(|c| c as u8).collect();
    assert!(refused(&signed(&latin), &keys).contains("UTF-8"));
    let token = mint(&claims(&json!({})));
    assert_eq!(verdict(&token, &settings, &keys), Ok(()));
    let parts: Vec<&str> = token.split('.').collect();
    for odd in [
        format!("{token}="),
        format!("{token}\n"),
        format!(" {token}"),
        format!("{token}.x"),
        format!("{}..{}", parts[0], parts[2]),
        format!("{}=.{}.{}", parts[0], parts[1], parts[2]),
        format!("{}.{}.{}", parts[0], parts[1], parts[2].replace(['_', '-'], "+")),
        format!("{}.{}.{}", parts[1], parts[0], parts[2]),
        // Encryption has five parts (RFC 7516), and is not for us.
        format!("{token}.a.b"),
    ] {
        if odd != token {
            refused(&odd, &keys);
        }
    }
}

#[test]
fn a_token_of_another_key_is_refused_and_one_of_several_keys_is_found() {
    let token = mint_with(&json!({"alg": "HS256"}), &claims(&json!({})), b"another secret of at least 32 bytes!");
    assert!(refused(&token, &[hs256(None)]).contains("signature"));
    let other =
        Key::secret(Some("old"), Algorithm::HS256, &Secret::new(&b"another secret of at least 32 bytes!"[..])).unwrap();
    let keys = [hs256(Some("new")), other];
    assert_eq!(verdict(&token, &Settings::default(), &keys), Ok(()), "rotation: both are known");
    let named =
        mint_with(&json!({"alg": "HS256", "kid": "new"}), &claims(&json!({})), b"another secret of at least 32 bytes!");
    assert!(refused(&named, &keys).contains("signature"), "the key that a token names is the one it is checked with");
}
