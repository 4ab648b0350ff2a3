//! The little JSON that is written by hand, because it is on the fast path.

/// Appends `text` as a JSON string (RFC 8259 section 7).
pub fn string(text: &str, out: &mut Vec<u8>) {
    // Invariant: writing a `str` into a `Vec` has no way to fail.
    let _ = serde_json::to_writer(out, text);
}

/// Appends `json`, a checked JSON text, on one line. A line break can stand between tokens only, so a space does as
/// well there.
pub(crate) fn on_one_line(json: &[u8], out: &mut Vec<u8>) {
    out.extend(json.iter().map(|b| if matches!(b, b'\n' | b'\r') { b' ' } else { *b }));
}
