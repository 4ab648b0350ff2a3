//! Tokens that others made: those of the RFCs, and of every algorithm those of another implementation, good and forged.

use super::*;

fn read(name: &str) -> Value {
    let path = format!("{}/../../vectors/jwt/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn of_jwk(algorithm: Algorithm, jwk: &Value) -> Key {
    match jwk["k"].as_str() {
        Some(secret) => {
            let secret = BASE64_URL_SAFE_NO_PAD.decode(secret).unwrap();
            Key::secret(None, algorithm, &Secret::new(secret)).unwrap()
        }
        None => Key::jwk(&serde_json::from_value(jwk.clone()).unwrap()).unwrap(),
    }
}

#[test]
fn the_tokens_of_the_rfcs_are_judged_as_they_say() {
    let vectors = read("rfc.json");
    let cases = vectors["cases"].as_array().unwrap();
    assert!(cases.len() >= 7);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let algorithm: Algorithm = case["alg"].as_str().unwrap().parse().unwrap();
        let key = of_jwk(algorithm, &case["jwk"]);
        assert_eq!(key.algorithm(), algorithm, "{name}");
        let token = case["token"].as_str().unwrap();
        let (message, signature) = token.rsplit_once('.').unwrap();
        assert_eq!(key.verifies(message, signature), case["verified"].as_bool().unwrap(), "{name}");
        let settings = Settings { issuers: vec!["joe".into()], skew: std::time::Duration::ZERO, ..Settings::default() };
        let code = match check(token, &settings, &[key], case["now"].as_u64().unwrap() * 1000) {
            Ok(_) => None,
            Err(Fault::UnknownKey) => Some("unknown key"),
            Err(Fault::Refused(problem)) => Some(problem.code.row().name),
        };
        assert_eq!(code, case["code"].as_str(), "{name}");
    }
}

#[test]
fn tokens_of_another_implementation_are_told_from_forged_ones() {
    let vectors = read("algorithms.json");
    assert_eq!(vectors["now"], NOW);
    let mut keys = std::collections::HashMap::new();
    for (name, described) in vectors["keys"].as_object().unwrap() {
        let algorithm: Algorithm = name.parse().unwrap();
        let pem = described["pem"].as_str().map(|pem| Key::pem(None, algorithm, pem.as_bytes()).unwrap());
        assert_eq!(pem.is_none(), algorithm.is_symmetric(), "{name}");
        let forms: Vec<Key> = [of_jwk(algorithm, &described["jwk"])].into_iter().chain(pem).collect();
        assert!(forms.iter().all(|key| key.algorithm() == algorithm));
        keys.insert(name.as_str(), forms);
    }
    let mut good = std::collections::BTreeSet::new();
    let cases = vectors["cases"].as_array().unwrap();
    for case in cases {
        let (name, token) = (case["name"].as_str().unwrap(), case["token"].as_str().unwrap());
        for key in &keys[case["key"].as_str().unwrap()] {
            match verdict(token, &Settings::default(), std::slice::from_ref(key)) {
                Ok(()) => {
                    assert_eq!(case["verified"], true, "{name}");
                    good.insert(key.algorithm().name());
                }
                Err((code, detail)) => {
                    assert_eq!(case["verified"], false, "{name}: {detail}");
                    assert_eq!(code, Code::Unauthorized, "{name}");
                    assert!(detail.contains("signature") || detail.contains("its `alg`"), "{name}: {detail}");
                }
            }
        }
    }
    assert_eq!((keys.len(), good.len()), (12, 12), "every algorithm has a key and a good token");
    assert!(cases.len() >= 12 * 12, "{}", cases.len());
}
