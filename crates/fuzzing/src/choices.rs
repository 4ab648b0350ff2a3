//! Choices made of bytes: whoever makes the bytes, a fuzzer or a seed, makes the choices.

/// Bytes that are used up choice by choice. When they are, every choice is the first one.
#[derive(Debug)]
pub struct Choices<'a> {
    rest: &'a [u8],
}

impl<'a> Choices<'a> {
    pub fn new(bytes: &'a [u8]) -> Choices<'a> {
        Choices { rest: bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        *first
    }

    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// One in so many, at most 256.
    pub fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 1
    }

    /// A number below `end`, which is at least 1: of one byte where that is enough, else of two.
    pub fn below(&mut self, end: usize) -> usize {
        let byte = usize::from(self.byte());
        if end <= 256 { byte % end } else { (byte << 8 | usize::from(self.byte())) % end }
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Any number, small ones and those at the edges of their size among them.
    pub fn number(&mut self) -> u64 {
        let size = self.byte();
        let bytes = self.take(usize::from(size % 9));
        let number = bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        if size & 0x80 == 0 { number } else { u64::MAX - number }
    }

    /// The next bytes, as many as there are up to `most`.
    pub fn take(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(most.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// Places to cut something at that is not known yet: see [`pieces`].
    pub fn cuts(&mut self) -> Vec<usize> {
        let count = self.below(8);
        (0..count).map(|_| self.below(1 << 16)).collect()
    }
}

/// The bytes, cut at these places.
pub fn pieces<'b>(bytes: &'b [u8], cuts: &[usize]) -> impl Iterator<Item = &'b [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).chain([0, bytes.len()]).collect();
    cuts.sort_unstable();
    let ends: Vec<(usize, usize)> = cuts.windows(2).map(|pair| (pair[0], pair[1])).collect();
    ends.into_iter().map(|(from, to)| &bytes[from..to])
}

/// Every place there is to cut at.
pub fn everywhere(bytes: &[u8]) -> Vec<usize> {
    (0..bytes.len()).collect()
}

/// Lengths of what may have arrived of something this long, from nothing on: all of them where there are few, else
/// those near either end and some between.
pub fn prefixes(length: usize) -> impl Iterator<Item = usize> {
    (0..length).filter(move |at| *at < 64 || length - at < 16 || at % 13 == 0)
}
