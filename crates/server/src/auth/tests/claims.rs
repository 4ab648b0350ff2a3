//! What a token may say, and when it counts.

use super::*;
use proptest::prelude::*;
use std::time::Duration;
use switchboard_hub::access::Action;

fn judged(over: &Value, settings: &Settings) -> Result<(), (Code, String)> {
    verdict(&mint(&claims(over)), settings, &[hs256(None)])
}

#[test]
fn dates_count_within_the_skew() {
    let settings =
        Settings { skew: Duration::from_secs(5), lifetime: Duration::from_secs(3600), ..Settings::default() };
    for (over, code) in [
        (json!({"exp": NOW - 4}), None),
        (json!({"exp": NOW - 5}), Some(Code::TokenExpired)),
        (json!({"exp": NOW as f64 - 4.5}), None),
        (json!({"exp": 0}), Some(Code::TokenExpired)),
        (json!({"exp": -1e300}), Some(Code::TokenExpired)),
        (json!({"exp": NOW + 3600}), None),
        (json!({"exp": NOW + 3620}), Some(Code::Unauthorized)),
        (json!({"exp": 1e300}), Some(Code::Unauthorized)),
        (json!({"exp": "soon"}), Some(Code::Unauthorized)),
        (json!({"exp": null}), Some(Code::Unauthorized)),
        (json!({"nbf": NOW + 5}), None),
        (json!({"nbf": NOW + 6}), Some(Code::Unauthorized)),
        (json!({"iat": NOW + 5}), None),
        (json!({"iat": NOW + 6}), Some(Code::Unauthorized)),
        (json!({"iat": NOW - 3500, "exp": NOW + 100}), None),
        (json!({"iat": NOW - 7000, "exp": NOW + 100}), Some(Code::Unauthorized)),
    ] {
        assert_eq!(judged(&over, &settings).err().map(|(code, _)| code), code, "{over}");
    }
    let token = mint(&json!({"sub": "ann"}));
    assert!(verdict(&token, &settings, &[hs256(None)]).unwrap_err().1.contains("`exp`"), "no end is for ever");
}

#[test]
fn issuers_and_audiences_are_asked_for_where_they_are_configured() {
    let named = |issuers: &[&str], audiences: &[&str]| Settings {
        issuers: issuers.iter().map(|text| (*text).into()).collect(),
        audiences: audiences.iter().map(|text| (*text).into()).collect(),
        ..Settings::default()
    };
    let any = Settings::default();
    let both = named(&["i1", "i2"], &["a1", "a2"]);
    for (settings, over, fine) in [
        (&any, json!({}), true),
        (&any, json!({"iss": "x", "aud": ["y"]}), true),
        (&both, json!({}), false),
        (&both, json!({"iss": "i2", "aud": "a1"}), true),
        (&both, json!({"iss": "i1", "aud": ["z", "a2"]}), true),
        (&both, json!({"iss": "i1"}), false),
        (&both, json!({"aud": "a1"}), false),
        (&both, json!({"iss": "i3", "aud": "a1"}), false),
        (&both, json!({"iss": "i1", "aud": "A1"}), false),
        (&both, json!({"iss": "i1", "aud": []}), false),
        (&both, json!({"iss": ["i1"], "aud": "a1"}), false),
    ] {
        assert_eq!(judged(&over, settings).is_ok(), fine, "{over}");
    }
}

#[test]
fn claims_grant_patterns_with_the_holders_own_sub() {
    let held = |claims: &Value| check(&mint(claims), &Settings::default(), &[hs256(None)], NOW * 1000).unwrap().grants;
    let granted = |claims: &Value, action| held(claims).of(action).iter().map(ToString::to_string).collect::<Vec<_>>();
    let wanted =
        json!({"channels": {"subscribe": ["user/{sub}/**", "news"], "publish": ["user/{sub}/out"], "manage": ["**"]}});
    assert_eq!(granted(&claims(&wanted), Action::Subscribe), ["user/ann/**", "news"]);
    assert_eq!(granted(&claims(&wanted), Action::Publish), ["user/ann/out"]);
    assert_eq!(granted(&claims(&wanted), Action::Presence), Vec::<String>::new());
    assert_eq!(granted(&claims(&wanted), Action::Manage), ["**"]);
    // A `sub` is a part of one segment, or it gives nothing: least of all what is somebody else's.
    for foul in ["**", "*", "ann/x", "..", "", "a\u{0}b"] {
        let mut claims = claims(&wanted);
        claims["sub"] = foul.into();
        assert_eq!(granted(&claims, Action::Subscribe), ["news"], "{foul:?}");
    }
    let mut nameless = claims(&wanted);
    nameless.as_object_mut().unwrap().remove("sub");
    assert_eq!(granted(&nameless, Action::Subscribe), ["news"]);
}

#[test]
fn what_is_of_the_wrong_kind_or_too_much_is_refused() {
    let settings = Settings::default();
    for over in [
        json!({"sub": 7}),
        json!({"sub": "x".repeat(256)}),
        json!({"jti": "x".repeat(256)}),
        json!({"channels": ["a"]}),
        json!({"channels": {"subscribe": "a"}}),
        json!({"channels": {"subscribe": ["a//b"]}}),
        json!({"channels": {"publish": ["*/*/*/*/*/*/*/*/*"]}}),
        json!({"channels": {"publish": vec!["a"; 257]}}),
    ] {
        assert_eq!(judged(&over, &settings).unwrap_err().0, Code::Unauthorized, "{over}");
    }
    assert_eq!(judged(&json!({"channels": {"publish": vec!["a"; 256]}, "info": {"name": "Ann"}}), &settings), Ok(()));
    let twice = format!("{{\"sub\":\"ann\",\"exp\":{},\"exp\":{}}}", NOW + 60, NOW + 61);
    let message = format!("{}.{}", encode(&json!({"alg": "HS256"})), BASE64_URL_SAFE_NO_PAD.encode(twice));
    let key = EncodingKey::from_secret(SECRET);
    let signature = crypto::sign(message.as_bytes(), &key, jsonwebtoken::Algorithm::HS256).unwrap();
    assert!(verdict(&format!("{message}.{signature}"), &settings, &[hs256(None)]).is_err(), "a claim stands once");
}

#[test]
fn info_is_kept_as_written_on_one_line_and_bounded() {
    let info = |text: &str| {
        let payload = format!("{{\"exp\":{},\"info\":{text}}}", NOW + 60);
        let message = format!("{}.{}", encode(&json!({"alg": "HS256"})), BASE64_URL_SAFE_NO_PAD.encode(payload));
        let key = EncodingKey::from_secret(SECRET);
        let signature = crypto::sign(message.as_bytes(), &key, jsonwebtoken::Algorithm::HS256).unwrap();
        let token = format!("{message}.{signature}");
        check(&token, &Settings::default(), &[hs256(None)], NOW * 1000).map(|signed| signed.info).map_err(|fault| {
            let Fault::Refused(problem) = fault else { panic!("{fault:?}") };
            problem.detail.to_string()
        })
    };
    let kept = |text: &str| info(text).unwrap().map(String::from);
    assert_eq!(
        kept("{\n \"name\": \"Ann\",\r\n \"big\": 123456789012345678901234567890}").as_deref(),
        Some("{  \"name\": \"Ann\",   \"big\": 123456789012345678901234567890}")
    );
    assert_eq!((kept("7").as_deref(), kept("null")), (Some("7"), None));
    assert!(
        check(&mint(&claims(&json!({}))), &Settings::default(), &[hs256(None)], NOW * 1000).unwrap().info.is_none()
    );
    let of_length = |length: usize| format!("\"{}\"", "x".repeat(length - 2));
    assert_eq!(kept(&of_length(1024)).map(|info| info.len()), Some(1024));
    assert!(info(&of_length(1025)).unwrap_err().contains("`info` has more than 1024 bytes"));
    assert!(info("{").unwrap_err().contains("claims"));
}

proptest! {
    #[test]
    fn any_text_is_refused_and_none_of_it_is_said(text in "[a-zA-Z0-9_.-]{0,300}|.{0,60}") {
        let (code, detail) = verdict(&text, &Settings::default(), &[hs256(None), hs256(Some("k"))]).unwrap_err();
        prop_assert_eq!(code, Code::Unauthorized);
        let told = text.split('.').any(|part| part.len() > 12 && detail.contains(part));
        prop_assert!(!told, "{}", detail);
    }
}
