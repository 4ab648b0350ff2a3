//! An inflater written from RFC 1951 alone, a bit at a time: slow, and hard to get wrong in the way a fast one does.

/// What a stream came to.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// The input ended with a block's end, after as many bytes of output. `true`: that block was a final one, and the
    /// input ended with it.
    Whole(bool),
    /// The input ended within a block.
    Cut,
    Broken,
}

/// Inflates blocks until the input ends; what follows a final block is a new stream, beginning at the next byte. Stops
/// once there are more than `most` bytes.
pub(crate) fn inflate(input: &[u8], most: usize) -> (Vec<u8>, End) {
    let mut reader = Bits { input, at: 0 };
    let mut out = Vec::new();
    let mut window = 0;
    loop {
        match block(&mut reader, &mut out, window, most) {
            Ok(last) => {
                if last {
                    reader.align();
                    // A new stream does not see what the one before it said.
                    window = out.len();
                }
                if reader.left() == 0 {
                    return (out, End::Whole(last));
                }
            }
            Err(Stop::Full) => return (out, End::Cut),
            Err(Stop::Cut) => return (out, End::Cut),
            Err(Stop::Broken) => return (out, End::Broken),
        }
    }
}

enum Stop {
    /// The input ends here.
    Cut,
    /// There is more output than was asked for.
    Full,
    Broken,
}

struct Bits<'a> {
    input: &'a [u8],
    /// In bits.
    at: usize,
}

impl Bits<'_> {
    fn left(&self) -> usize {
        self.input.len() * 8 - self.at
    }

    fn bit(&mut self) -> Result<usize, Stop> {
        let byte = self.input.get(self.at / 8).ok_or(Stop::Cut)?;
        let bit = byte >> (self.at % 8) & 1;
        self.at += 1;
        Ok(usize::from(bit))
    }

    fn number(&mut self, bits: usize) -> Result<usize, Stop> {
        (0..bits).try_fold(0, |number, at| Ok(number | self.bit()? << at))
    }

    fn align(&mut self) {
        self.at = self.at.next_multiple_of(8);
    }
}

/// Reads one block; whether it is the final one.
fn block(bits: &mut Bits<'_>, out: &mut Vec<u8>, window: usize, most: usize) -> Result<bool, Stop> {
    let last = bits.bit()? == 1;
    match bits.number(2)? {
        0 => stored(bits, out, most)?,
        1 => {
            let mut lengths = [8; 288];
            lengths[144..256].fill(9);
            lengths[256..280].fill(7);
            compressed(bits, out, window, most, &Code::new(lengths.to_vec()), &Code::new(vec![5; 32]))?;
        }
        2 => {
            let (literals, distances) = codes(bits)?;
            compressed(bits, out, window, most, &literals, &distances)?;
        }
        _ => return Err(Stop::Broken),
    }
    Ok(last)
}

fn stored(bits: &mut Bits<'_>, out: &mut Vec<u8>, most: usize) -> Result<(), Stop> {
    bits.align();
    let (length, complement) = (bits.number(16)?, bits.number(16)?);
    if length != !complement & 0xffff {
        return Err(Stop::Broken);
    }
    for _ in 0..length {
        out.push(bits.number(8)? as u8);
        full(out, most)?;
    }
    Ok(())
}

fn full(out: &[u8], most: usize) -> Result<(), Stop> {
    if out.len() > most { Err(Stop::Full) } else { Ok(()) }
}

/// A Huffman code.
struct Code {
    /// The length of each symbol's code in bits, 0 for those without one.
    lengths: Vec<usize>,
    /// The symbols of each length, in order.
    symbols: Vec<Vec<usize>>,
}

impl Code {
    fn new(lengths: Vec<usize>) -> Code {
        let of = |length| (0..lengths.len()).filter(|symbol| lengths[*symbol] == length).collect();
        Code { symbols: (0..=15).map(of).collect(), lengths }
    }

    /// How much of the room for codes is taken, in parts of 2^15.
    fn taken(&self) -> usize {
        self.lengths.iter().filter(|length| **length > 0).map(|length| 1 << (15 - length)).sum()
    }

    fn longest(&self) -> usize {
        self.lengths.iter().max().copied().unwrap_or(0)
    }

    /// Whether no two codes collide and no room is left; a lone code of one bit, or none at all, passes too.
    fn is_usable(&self) -> bool {
        self.taken() == 1 << 15 || self.longest() <= 1 && self.taken() < 1 << 15
    }

    /// Reads a symbol, by the rules of section 3.2.2: shorter codes before longer ones, symbols in order.
    fn symbol(&self, bits: &mut Bits<'_>) -> Result<usize, Stop> {
        let (mut code, mut first) = (0, 0);
        for length in 1..=self.longest().max(1) {
            code = code << 1 | bits.bit()?;
            first <<= 1;
            if let Some(symbol) = self.symbols[length].get(code.wrapping_sub(first)) {
                return Ok(*symbol);
            }
            first += self.symbols[length].len();
        }
        Err(Stop::Broken)
    }
}

/// The codes that a block brings with it (section 3.2.7).
fn codes(bits: &mut Bits<'_>) -> Result<(Code, Code), Stop> {
    const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    let (literals, distances, count) = (bits.number(5)? + 257, bits.number(5)? + 1, bits.number(4)? + 4);
    if literals > 286 || distances > 30 {
        return Err(Stop::Broken);
    }
    let mut lengths = vec![0; 19];
    for symbol in &ORDER[..count] {
        lengths[*symbol] = bits.number(3)?;
    }
    let lengths = Code::new(lengths);
    if lengths.longest() == 0 {
        // Inflaters find out that a code has no symbols when they have read a bit for each length.
        (0..literals + distances).try_for_each(|_| bits.bit().map(|_| ()))?;
        return Err(Stop::Broken);
    }
    if lengths.taken() != 1 << 15 {
        return Err(Stop::Broken);
    }
    let mut all: Vec<usize> = Vec::new();
    while all.len() < literals + distances {
        let (length, times) = match lengths.symbol(bits)? {
            16 => {
                let times = 3 + bits.number(2)?;
                (*all.last().ok_or(Stop::Broken)?, times)
            }
            17 => (0, 3 + bits.number(3)?),
            18 => (0, 11 + bits.number(7)?),
            length => (length, 1),
        };
        all.extend(std::iter::repeat_n(length, times));
    }
    if all.len() > literals + distances || all[256] == 0 {
        return Err(Stop::Broken);
    }
    let distances = Code::new(all.split_off(literals));
    let literals = Code::new(all);
    if literals.is_usable() && distances.is_usable() { Ok((literals, distances)) } else { Err(Stop::Broken) }
}

fn compressed(
    bits: &mut Bits<'_>,
    out: &mut Vec<u8>,
    window: usize,
    most: usize,
    literals: &Code,
    distances: &Code,
) -> Result<(), Stop> {
    loop {
        match literals.symbol(bits)? {
            literal @ 0..256 => out.push(literal as u8),
            256 => return Ok(()),
            symbol @ 257..286 => {
                let length = match symbol - 257 {
                    28 => 258,
                    short @ 0..8 => short + 3,
                    long => {
                        let extra = long / 4 - 1;
                        ((4 + long % 4) << extra) + 3 + bits.number(extra)?
                    }
                };
                let distance = match distances.symbol(bits)? {
                    near @ 0..4 => near + 1,
                    far @ 4..30 => {
                        let extra = far / 2 - 1;
                        ((2 + far % 2) << extra) + 1 + bits.number(extra)?
                    }
                    _ => return Err(Stop::Broken),
                };
                if distance > out.len() - window || distance > 1 << 15 {
                    return Err(Stop::Broken);
                }
                for _ in 0..length {
                    out.push(out[out.len() - distance]);
                }
            }
            _ => return Err(Stop::Broken),
        }
        full(out, most)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compress, Compression, FlushCompress};

    #[test]
    fn it_inflates_what_a_compressor_made() {
        let text: Vec<u8> = (0..20_000_u32).flat_map(|n| (n * n % 977).to_string().into_bytes()).collect();
        for level in [0, 1, 6, 9] {
            let mut out = Vec::with_capacity(100_000);
            let mut compress = Compress::new(Compression::new(level), false);
            compress.compress_vec(&text, &mut out, FlushCompress::Finish).unwrap();
            assert!(inflate(&out, usize::MAX) == (text.clone(), End::Whole(true)), "level {level}");
            assert_eq!(inflate(&out[..out.len() / 2], usize::MAX).1, End::Cut);
        }
    }
}
