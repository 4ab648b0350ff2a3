use super::*;

type Fields<'a> = Vec<(&'a str, &'a str)>;

/// The example of RFC 6455 section 1.3.
fn example() -> Fields<'static> {
    vec![
        ("Host", "server.example.com"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Origin", "http://example.com"),
        ("Sec-WebSocket-Protocol", "chat, superchat"),
        ("Sec-WebSocket-Version", "13"),
    ]
}

fn headers<'a>(fields: &'a Fields<'a>) -> impl Iterator<Item = (&'a str, &'a [u8])> + Clone {
    fields.iter().map(|(name, value)| (*name, value.as_bytes()))
}

fn accepted(fields: &Fields<'_>) -> Result<Accepted<'static>, Code> {
    accept("GET", (1, 1), headers(fields), &["superchat"], true).map_err(|problem| problem.code)
}

/// The example with one field replaced, left out, or put twice.
fn with<'a>(name: &'a str, values: &[&'a str]) -> Fields<'a> {
    let mut fields: Fields<'a> = example();
    fields.retain(|(found, _)| *found != name);
    fields.extend(values.iter().map(|value| (name, *value)));
    fields
}

#[test]
fn the_example_of_rfc_6455_is_accepted() {
    let accepted = accepted(&example()).unwrap();
    assert_eq!(accepted.accept.as_deref(), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(accepted.protocol, Some("superchat"));
    assert_eq!(accepted.deflate, None);
    assert_eq!(accepted.fields().len(), 4);
}

#[test]
fn a_handshake_that_lacks_something_is_refused_with_the_right_status() {
    let cases: &[(&str, &[&str], Option<Code>)] = &[
        ("Upgrade", &[], Some(Code::BadRequest)),
        ("Upgrade", &["h2c"], Some(Code::BadRequest)),
        ("Upgrade", &["h2c, WebSocket"], None),
        ("Upgrade", &["h2c", "WEBSOCKET"], None),
        ("Connection", &[], Some(Code::BadRequest)),
        ("Connection", &["keep-alive"], Some(Code::BadRequest)),
        ("Connection", &["keep-alive, upgrade"], None),
        ("Connection", &["keep-alive", "\tUpGrade "], None),
        ("Sec-WebSocket-Version", &[], Some(Code::UpgradeRequired)),
        ("Sec-WebSocket-Version", &["8"], Some(Code::UpgradeRequired)),
        ("Sec-WebSocket-Version", &["013"], Some(Code::UpgradeRequired)),
        ("Sec-WebSocket-Version", &["13, 8"], Some(Code::UpgradeRequired)),
        ("Sec-WebSocket-Version", &["13", "13"], Some(Code::UpgradeRequired)),
        ("Sec-WebSocket-Version", &[" 13 "], None),
        ("Sec-WebSocket-Key", &[], Some(Code::BadRequest)),
        ("Sec-WebSocket-Key", &[""], Some(Code::BadRequest)),
        ("Sec-WebSocket-Key", &["c2hvcnQ="], Some(Code::BadRequest)),
        ("Sec-WebSocket-Key", &["dGhlIHNhbXBsZSBub25jZS4="], Some(Code::BadRequest)),
        ("Sec-WebSocket-Key", &["dGhlIHNhbXBsZSBub25jZQ"], Some(Code::BadRequest)),
        ("Sec-WebSocket-Key", &["!!!!!!!!!!!!!!!!!!!!!!=="], Some(Code::BadRequest)),
        ("Sec-WebSocket-Key", &["AAAAAAAAAAAAAAAAAAAAAA==", "AAAAAAAAAAAAAAAAAAAAAA=="], Some(Code::BadRequest)),
        ("Sec-WebSocket-Key", &["abcdefghijklmnopqrstuv=="], None),
        ("Sec-WebSocket-Extensions", &["permessage-deflate; a="], Some(Code::BadRequest)),
        ("Sec-WebSocket-Protocol", &[], None),
    ];
    for (name, values, expected) in cases {
        assert_eq!(accepted(&with(name, values)).err(), *expected, "{name}: {values:?}");
    }
}

#[test]
fn only_a_get_on_http_1_1_is_a_handshake() {
    let fields = example();
    for (method, version, good) in
        [("GET", (1, 1), true), ("POST", (1, 1), false), ("get", (1, 1), false), ("GET", (1, 0), false)]
    {
        let result = accept(method, version, headers(&fields), &[], true);
        assert_eq!(
            result.map(|_| ()).map_err(|problem| problem.code),
            if good { Ok(()) } else { Err(Code::BadRequest) }
        );
    }
    assert!(is_websocket_request((1, 1), headers(&fields)));
    assert!(!is_websocket_request((1, 0), headers(&fields)));
    assert!(!is_websocket_request((1, 1), headers(&with("Upgrade", &["h2c"]))));
}

#[test]
fn the_clients_order_chooses_among_the_subprotocols_that_are_supported() {
    let supported = ["switchboard.raw.v1", "switchboard.v1"];
    let cases: &[(&[&str], Option<&str>)] = &[
        (&["switchboard.v1, switchboard.raw.v1"], Some("switchboard.v1")),
        (&["switchboard.raw.v1", "switchboard.v1"], Some("switchboard.raw.v1")),
        (&["token.abc, ,switchboard.v1,"], Some("switchboard.v1")),
        (&["Switchboard.V1"], None),
        (&["token.abc"], None),
        (&[], None),
    ];
    for (values, expected) in cases {
        let fields = with("Sec-WebSocket-Protocol", values);
        assert_eq!(choose_protocol(protocols(headers(&fields)), &supported), *expected, "{values:?}");
    }
    let fields = with("Sec-WebSocket-Protocol", &["a, b", "c"]);
    assert_eq!(protocols(headers(&fields)).collect::<Vec<_>>(), ["a", "b", "c"]);
}

#[test]
fn the_first_acceptable_offer_of_compression_is_taken() {
    const PLAIN: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    let narrow = |bits: u8| Some(format!("{PLAIN}; server_max_window_bits={bits}"));
    let plain = || Some(PLAIN.to_owned());
    let cases: [(&[&str], Option<String>); 27] = [
        (&["permessage-deflate"], plain()),
        (&["permessage-deflate; client_max_window_bits"], plain()),
        (&["permessage-deflate;client_max_window_bits=10"], plain()),
        (&["permessage-deflate; client_max_window_bits=8"], plain()),
        (&["permessage-deflate ; server_no_context_takeover ;client_no_context_takeover"], plain()),
        (&["permessage-deflate; server_max_window_bits=9"], narrow(9)),
        (&["permessage-deflate; server_max_window_bits=\"10\""], narrow(10)),
        (&["permessage-deflate; server_max_window_bits=\"1\\2\""], narrow(12)),
        (&["permessage-deflate; server_max_window_bits=15"], narrow(15)),
        (&["permessage-deflate; server_max_window_bits=8"], None),
        (&["permessage-deflate; server_max_window_bits=8, permessage-deflate"], plain()),
        (
            &["permessage-deflate; server_max_window_bits=8", "permessage-deflate; server_max_window_bits=11"],
            narrow(11),
        ),
        (&["permessage-deflate; server_max_window_bits"], None),
        (&["permessage-deflate; server_max_window_bits=7"], None),
        (&["permessage-deflate; server_max_window_bits=16"], None),
        (&["permessage-deflate; server_max_window_bits=010"], None),
        (&["permessage-deflate; client_max_window_bits=16"], None),
        (&["permessage-deflate; client_max_window_bits=abc"], None),
        (&["permessage-deflate; client_max_window_bits; client_max_window_bits=10"], None),
        (&["permessage-deflate; server_no_context_takeover=1"], None),
        (&["permessage-deflate; server_no_context_takeover; server_no_context_takeover"], None),
        (&["permessage-deflate; unknown"], None),
        (&["permessage-deflate; unknown=\"x\", permessage-deflate"], plain()),
        (&["x-webkit-deflate-frame, permessage-deflate"], plain()),
        (&["permessage-bzip2; level=3"], None),
        (&[", ,"], None),
        (&[], None),
    ];
    for (values, expected) in cases {
        let accepted = accepted(&with("Sec-WebSocket-Extensions", values)).unwrap();
        assert_eq!(accepted.extensions(), expected, "{values:?}");
    }
    let fields = with("Sec-WebSocket-Extensions", &["permessage-deflate"]);
    let declined = accept("GET", (1, 1), headers(&fields), &[], false).unwrap();
    assert_eq!(declined.extensions(), None);
}

#[test]
fn malformed_extensions_fail_the_handshake() {
    for value in [
        ";",
        "a;",
        "a; b=",
        "a; b=\"",
        "a; b=\"\"",
        "a; b=\"c d\"",
        "a; b=\"c\\",
        "a b",
        "a; b c",
        "a=b",
        "a; =b",
        "\"a\"",
        "ä",
        "a/b",
    ] {
        assert_eq!(accepted(&with("Sec-WebSocket-Extensions", &[value])).err(), Some(Code::BadRequest), "{value}");
    }
}

#[test]
fn a_client_refuses_what_it_did_not_offer() {
    let offer = Offer::new(*b"the sample nonce", &["chat"], true);
    assert!(offer.fields().contains(&("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==".to_owned())));
    let good = vec![
        ("Upgrade", "websocket"),
        ("connection", "upgrade"),
        ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    ];
    assert_eq!(offer.check(101, headers(&good)).unwrap(), Agreed { protocol: None, deflate: None });
    assert!(offer.check(200, headers(&good)).is_err());
    for lacking in 0..good.len() {
        let mut fields = good.clone();
        fields.remove(lacking);
        assert!(offer.check(101, headers(&fields)).is_err(), "{fields:?}");
    }
    let cases = [
        ("Sec-WebSocket-Protocol", "chat", true),
        ("Sec-WebSocket-Protocol", "other", false),
        ("Sec-WebSocket-Protocol", "chat, chat", false),
        ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", false),
        ("Sec-WebSocket-Extensions", "permessage-deflate; server_no_context_takeover", true),
        ("Sec-WebSocket-Extensions", "permessage-deflate; server_no_context_takeover; server_max_window_bits=8", true),
        ("Sec-WebSocket-Extensions", "permessage-deflate", false),
        ("Sec-WebSocket-Extensions", "permessage-deflate; server_no_context_takeover; client_max_window_bits=9", false),
        ("Sec-WebSocket-Extensions", "permessage-deflate; server_no_context_takeover, permessage-deflate", false),
        ("Sec-WebSocket-Extensions", "other", false),
        ("Sec-WebSocket-Extensions", "=", false),
    ];
    for (name, value, agreed) in cases {
        let mut fields = good.clone();
        fields.push((name, value));
        assert_eq!(offer.check(101, headers(&fields)).is_ok(), agreed, "{name}: {value}");
    }
    let mut fields = good;
    fields.push(("Sec-WebSocket-Extensions", "permessage-deflate; server_no_context_takeover"));
    assert!(Offer::new(*b"the sample nonce", &[], false).check(101, headers(&fields)).is_err());
}

proptest::proptest! {
    #[test]
    fn any_fields_are_accepted_or_refused(
        extensions in "[a-z_;,= \"\\\\0-9]{0,60}",
        key in "\\PC{0,30}",
        protocols in "\\PC{0,60}",
    ) {
        let mut fields = with("Sec-WebSocket-Extensions", &[&extensions]);
        fields.retain(|(name, _)| *name != "Sec-WebSocket-Protocol");
        fields.push(("Sec-WebSocket-Protocol", &protocols));
        let _ = accepted(&fields);
        let _ = accepted(&with("Sec-WebSocket-Key", &[&key]));
        let _ = Offer::new([0; 16], &["a"], true).check(101, headers(&fields));
    }
}

#[test]
fn by_extended_connect_a_key_may_be_missing_and_one_that_is_there_is_answered() {
    let right = ("sec-websocket-version", &b"13"[..]);
    let key = ("sec-websocket-key", &b"dGhlIHNhbXBsZSBub25jZQ=="[..]);
    let offer = ("sec-websocket-protocol", &b"b, a"[..]);
    let shake = |fields: &[(&'static str, &'static [u8])]| accept_stream(fields.iter().copied(), &["a"], false);

    let accepted = shake(&[right, offer]).unwrap();
    assert_eq!(accepted.fields(), [("Sec-WebSocket-Protocol", "a".to_owned())], "nothing switches");
    let accepted = shake(&[right, key]).unwrap();
    assert_eq!(accepted.fields(), [("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_owned())]);
    for bad in [&[right, ("sec-websocket-key", &b"short"[..])][..], &[right, key, key]] {
        assert_eq!(shake(bad).unwrap_err().code, Code::BadRequest);
    }
    for bad in [&[key][..], &[("sec-websocket-version", &b"8"[..])], &[right, right]] {
        assert_eq!(shake(bad).unwrap_err().code, Code::UpgradeRequired);
    }
}
