//! Data that is written short: repeated, put together, or picked from a list of words.

use serde_json::Value;
use std::collections::BTreeMap;

/// The lists of words of one file, by name, as they are written.
#[derive(Debug, Default)]
pub(crate) struct Words(BTreeMap<String, Vec<Value>>);

impl Words {
    pub(crate) fn read(value: &Value) -> Words {
        let lists = value.as_object().into_iter().flatten();
        Words(lists.map(|(name, list)| (name.clone(), list.as_array().unwrap().clone())).collect())
    }
}

/// What the data stands for, where strings are bytes in hexadecimal.
pub(crate) fn bytes(value: &Value, words: &Words) -> Vec<u8> {
    spell(value, words, &from_hex)
}

/// What the data stands for, where strings are text.
pub(crate) fn text(value: &Value, words: &Words) -> String {
    String::from_utf8(spell(value, words, &|text| text.as_bytes().to_vec())).unwrap()
}

fn spell(value: &Value, words: &Words, string: &dyn Fn(&str) -> Vec<u8>) -> Vec<u8> {
    match value {
        Value::String(text) => string(text),
        Value::Array(parts) => parts.iter().flat_map(|part| spell(part, words, string)).collect(),
        Value::Object(members) => {
            let times = members["times"].as_u64().unwrap() as usize;
            match (members.get("repeat"), members.get("pick")) {
                (Some(data), None) => spell(data, words, string).repeat(times),
                (None, Some(name)) => {
                    let list = &words.0[name.as_str().unwrap()];
                    let list: Vec<Vec<u8>> = list.iter().map(|word| spell(word, words, string)).collect();
                    pick(&list, times, members["seed"].as_u64().unwrap() as u32)
                }
                _ => panic!("neither repeated nor picked: {value}"),
            }
        }
        other => panic!("no data: {other}"),
    }
}

/// Words in the order of a 32-bit xorshift generator, which any language can have in three lines.
fn pick(words: &[Vec<u8>], times: usize, seed: u32) -> Vec<u8> {
    let (mut state, mut out) = (seed, Vec::new());
    for _ in 0..times {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        out.extend_from_slice(&words[state as usize % words.len()]);
    }
    out
}

fn from_hex(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2), "half a byte: {hex}");
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn data_is_repeated_put_together_and_picked() {
        let words = Words::read(&json!({"w": ["61", "62", {"repeat": "63", "times": 2}]}));
        let nested = json!(["00", {"repeat": ["01", {"repeat": "ff", "times": 2}], "times": 2}]);
        assert_eq!(bytes(&nested, &words), [0, 1, 0xff, 0xff, 1, 0xff, 0xff]);
        assert_eq!(text(&json!({"repeat": "é", "times": 3}), &words), "ééé");
        // 270369, 67634689, 2647435461: what Marsaglia's generator with 13, 17 and 5 gives after the seed 1.
        assert_eq!(bytes(&json!({"pick": "w", "times": 3, "seed": 1}), &words), b"aba");
    }
}
