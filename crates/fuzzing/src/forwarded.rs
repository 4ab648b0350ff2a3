//! What proxies say of whom a request is from: nothing that a client writes is taken for what a proxy in front says, and
//! what a proxy writes reads back.

use crate::choices::Choices;
use std::net::IpAddr;
use switchboard_wire::forwarded::{Step, forwarded, forwarded_host, origin, x_forwarded_for, x_forwarded_host};

/// Whom the nearest proxy had the request from, and what host it was asked of.
const CLIENT: &str = "192.0.2.1";
const HOST: &str = "live.example.com:8443";

pub(crate) fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    match choices.below(3) {
        0 => strangers(choices.rest()),
        1 => written(&mut choices),
        _ => walked(&mut choices),
    }
}

/// The proxies of these tests.
fn trusted(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(four) if four.octets()[0] == 10)
}

/// Fields that a client wrote, a line each, and what a proxy wrote behind them: in a field of its own, or in the last.
fn strangers(input: &[u8]) {
    let fields: Vec<Vec<u8>> = input.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
    let apart = |own: &str| [&fields[..], &[own.as_bytes().to_vec()]].concat();
    let behind = |own: &str| {
        let mut all = fields.clone();
        all.iter_mut().next_back().into_iter().for_each(|last| last.extend(format!(", {own}").bytes()));
        all
    };
    fn each(fields: &[Vec<u8>]) -> impl Iterator<Item = &[u8]> {
        fields.iter().map(Vec::as_slice)
    }
    let of = |steps: &[Step]| origin(steps, trusted);
    let client = CLIENT.parse::<IpAddr>().ok();
    for all in [apart(CLIENT), behind(CLIENT)] {
        assert_eq!(of(&x_forwarded_for(each(&all))), client);
    }
    for all in [apart(HOST), behind(HOST)] {
        assert_eq!(x_forwarded_host(each(&all)).as_deref(), Some(HOST));
    }
    let own = format!("for={CLIENT};host=\"{HOST}\";proto=https");
    let all = apart(&own);
    assert_eq!(of(&forwarded(each(&all))), client);
    assert_eq!(forwarded_host(each(&all)).as_deref(), Some(HOST));
    // A quote that the client left open swallows what stands behind it: then nobody is named, and the proxy counts.
    let all = behind(&own);
    assert!([client, None].contains(&of(&forwarded(each(&all)))));
    let host = forwarded_host(each(&all));
    assert!(host.is_none() || host.as_deref() == Some(HOST), "{host:?}");
}

/// An address, of either family.
fn address(choices: &mut Choices<'_>) -> IpAddr {
    match choices.flag() {
        true => IpAddr::from([10, choices.byte(), choices.byte(), choices.byte()]),
        false => {
            let mut bytes = [0x20; 16];
            for (byte, chosen) in bytes.iter_mut().zip(choices.take(16)) {
                *byte = *chosen;
            }
            // One that is IPv4 in the form of IPv6 is written as such, and read as IPv4.
            IpAddr::from(bytes)
        }
    }
}

/// Steps that are written as the standards say read back as they were.
fn written(choices: &mut Choices<'_>) {
    let (mut steps, mut plain, mut list) = (Vec::new(), Vec::new(), Vec::new());
    while !choices.is_empty() && steps.len() < 20 {
        let (step, port) = (if choices.one_in(4) { None } else { Some(address(choices)) }, choices.flag());
        let text = match step {
            None => "unknown".to_owned(),
            Some(IpAddr::V4(four)) if port => format!("{four}:80"),
            Some(IpAddr::V6(six)) if port => format!("[{six}]:80"),
            Some(address) => address.to_string(),
        };
        let node = match step {
            Some(IpAddr::V6(six)) if !port => format!("[{six}]"),
            _ => text.clone(),
        };
        let quoted: String =
            node.chars().map(|c| if choices.flag() { format!("\\{c}") } else { c.to_string() }).collect();
        let (before, after) =
            (choices.pick(&["", "by=\"a,b;for=9.9.9.9\";", "proto=http ; "]), choices.pick(&["", ";host=x"]));
        list.push(format!("{before}{}=\"{quoted}\"{after}", choices.pick(&["for", "For", "FOR"])));
        plain.push(text);
        steps.push(step);
    }
    let canonical = |step: &Step| step.map(|address| address.to_canonical());
    let expected: Vec<Step> = steps.iter().map(canonical).collect();
    if expected.is_empty() {
        return;
    }
    let between = choices.pick(&[",", ", ", " ,\t"]);
    let joined = |list: &[String]| list.join(between).into_bytes();
    let found: Vec<Step> = x_forwarded_for([&joined(&plain)[..]]).iter().map(canonical).collect();
    assert_eq!(found, expected, "{plain:?}");
    let found: Vec<Step> = forwarded([&joined(&list)[..]]).iter().map(canonical).collect();
    assert_eq!(found, expected, "{list:?}");
    // In a field each, and all in one, they are the same.
    assert_eq!(forwarded(list.iter().map(String::as_bytes)), forwarded([&joined(&list)[..]]));
}

/// The way back from the nearest proxy ends at the first that is none, or who does not say.
fn walked(choices: &mut Choices<'_>) {
    let mut steps: Vec<Step> = Vec::new();
    while !choices.is_empty() && steps.len() < 20 {
        steps.push(match choices.below(4) {
            0 => None,
            1 => Some(IpAddr::from([192, 0, 2, choices.byte()])),
            _ => Some(IpAddr::from([10, 0, 0, choices.byte()])),
        });
    }
    let reached = steps.iter().rev().take_while(|step| step.is_some_and(trusted)).count();
    let known = &steps[steps.len() - reached..];
    let next = steps.len().checked_sub(reached + 1).and_then(|at| steps[at]);
    assert_eq!(origin(&steps, trusted), next.or(known.first().copied().flatten()));
}
