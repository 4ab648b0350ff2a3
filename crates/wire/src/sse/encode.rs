//! Writes event streams: a field a line, a block an event.

/// Appends an `id:` line. The caller vouches that the text has no line break and no NUL: positions have neither.
pub(crate) fn id(write: impl FnOnce(&mut Vec<u8>), out: &mut Vec<u8>) {
    out.extend_from_slice(b"id: ");
    write(out);
    out.push(b'\n');
}

/// Appends an `event:` line, for a type that a draft has checked.
pub(crate) fn event(name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.push(b'\n');
}

/// Appends a `data:` line for each line of the data. CR, LF and CRLF all end a line, and a client joins the lines
/// with LF: the one thing this form cannot carry as it was is a CR.
pub(crate) fn data(mut data: &[u8], out: &mut Vec<u8>) {
    loop {
        out.extend_from_slice(b"data: ");
        let Some(at) = data.iter().position(|b| matches!(b, b'\r' | b'\n')) else {
            out.extend_from_slice(data);
            out.push(b'\n');
            return;
        };
        out.extend_from_slice(&data[..at]);
        out.push(b'\n');
        let broken = if data[at..].starts_with(b"\r\n") { 2 } else { 1 };
        data = &data[at + broken..];
    }
}

/// Ends the block.
pub(crate) fn end(out: &mut Vec<u8>) {
    out.push(b'\n');
}
