//! How far deflated data refers back (RFC 1951): what a decoder's window must hold.

/// Lengths of the code length alphabet come in this order (section 3.2.7).
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

struct Bits<'a> {
    data: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn left(&self) -> usize {
        self.data.len() * 8 - self.at
    }

    fn take(&mut self, count: u32) -> usize {
        (0..count).fold(0, |value, i| {
            let bit = self.data[self.at / 8] >> (self.at % 8) & 1;
            self.at += 1;
            value | usize::from(bit) << i
        })
    }
}

/// A canonical Huffman code: the first code and the symbols of each length.
struct Code {
    count: [usize; 16],
    symbols: Vec<usize>,
}

impl Code {
    fn of(lengths: &[usize]) -> Code {
        let mut count = [0; 16];
        lengths.iter().for_each(|length| count[*length] += 1);
        count[0] = 0;
        let mut symbols: Vec<usize> = (0..lengths.len()).filter(|symbol| lengths[*symbol] > 0).collect();
        symbols.sort_by_key(|symbol| lengths[*symbol]);
        Code { count, symbols }
    }

    fn read(&self, bits: &mut Bits<'_>) -> usize {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for count in &self.count[1..] {
            code |= bits.take(1);
            if code < first + count {
                return self.symbols[index + code - first];
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        panic!("a code of more than 15 bits");
    }
}

/// The number of extra bits of a symbol and the value it starts from, where every `every` symbols take a bit more.
fn extra(symbol: usize, every: usize, start: usize) -> (u32, usize) {
    let bits = (symbol / every).saturating_sub(1);
    let before: usize = (0..symbol).map(|s| 1 << (s / every).saturating_sub(1)).sum();
    (bits as u32, start + before)
}

/// The farthest distance that a message deflated without context refers back.
///
/// # Panics
/// If the data is not deflated data, or refers to before its start.
pub fn reach(message: &[u8]) -> usize {
    let mut data = message.to_vec();
    data.extend_from_slice(&[0, 0, 0xff, 0xff]);
    let mut bits = Bits { data: &data, at: 0 };
    let (mut written, mut farthest) = (0, 0);
    while bits.left() >= 3 {
        let last = bits.take(1) == 1;
        match bits.take(2) {
            0 => {
                bits.at = bits.at.next_multiple_of(8);
                let (length, complement) = (bits.take(16), bits.take(16));
                assert_eq!(length ^ 0xffff, complement);
                bits.at += length * 8;
                written += length;
            }
            1 => {
                let literals: Vec<usize> = [(144, 8), (112, 9), (24, 7), (8, 8)]
                    .iter()
                    .flat_map(|(count, length)| std::iter::repeat_n(*length, *count))
                    .collect();
                block(&mut bits, &Code::of(&literals), &Code::of(&[5; 30]), &mut written, &mut farthest);
            }
            2 => {
                let (literals, distances) = codes(&mut bits);
                block(&mut bits, &literals, &distances, &mut written, &mut farthest);
            }
            _ => panic!("a reserved kind of block"),
        }
        if last {
            break;
        }
    }
    farthest
}

fn codes(bits: &mut Bits<'_>) -> (Code, Code) {
    let (literals, distances, lengths) = (bits.take(5) + 257, bits.take(5) + 1, bits.take(4) + 4);
    let mut sizes = [0; 19];
    ORDER[..lengths].iter().for_each(|at| sizes[*at] = bits.take(3));
    let code = Code::of(&sizes);
    let mut all: Vec<usize> = Vec::new();
    while all.len() < literals + distances {
        let (value, times) = match code.read(bits) {
            16 => (*all.last().expect("something to repeat"), 3 + bits.take(2)),
            17 => (0, 3 + bits.take(3)),
            18 => (0, 11 + bits.take(7)),
            length => (length, 1),
        };
        all.extend(std::iter::repeat_n(value, times));
    }
    (Code::of(&all[..literals]), Code::of(&all[literals..]))
}

fn block(bits: &mut Bits<'_>, literals: &Code, distances: &Code, written: &mut usize, farthest: &mut usize) {
    loop {
        match literals.read(bits) {
            256 => return,
            literal @ ..256 => {
                let _: usize = literal;
                *written += 1;
            }
            symbol => {
                let (count, start) = if symbol == 285 { (0, 258) } else { extra(symbol - 257, 4, 3) };
                let length = start + bits.take(count);
                let (count, start) = extra(distances.read(bits), 2, 1);
                let distance = start + bits.take(count);
                assert!(distance <= *written, "a reference to before the message");
                *farthest = (*farthest).max(distance);
                *written += length;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::reach;
    use crate::websocket::deflate;

    #[test]
    fn the_reach_is_the_period_of_what_repeats() {
        let mut random = fastrand::Rng::with_seed(1);
        assert_eq!(reach(&deflate(b"abcabcabcabcabcabc")), 3);
        for period in [1, 2, 5, 300, 1000, 20_000, 32_000] {
            let noise: Vec<u8> = (0..period).map(|_| random.u8(..)).collect();
            // A compressor may find what repeats a few periods back.
            let reach = reach(&deflate(&noise.repeat(4 + 40 / period)));
            assert!(reach >= period && reach.is_multiple_of(period), "{period}: {reach}");
        }
    }
}
