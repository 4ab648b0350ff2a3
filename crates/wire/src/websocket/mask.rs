//! Masking (RFC 6455 section 5.3): every byte of a client's payload is XORed with one of the four key bytes.

/// Masks or unmasks `data` in place: the two are the same. `offset` is how many bytes of the payload came before
/// `data`, so that a payload may be treated in pieces of any length.
pub fn apply(key: [u8; 4], offset: u64, data: &mut [u8]) {
    let mut key = key;
    key.rotate_left((offset % 4) as usize);
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (blocks, rest) = data.as_chunks_mut::<8>();
    for block in blocks {
        *block = (u64::from_ne_bytes(*block) ^ wide).to_ne_bytes();
    }
    // The blocks are a multiple of four long, so the rest begins at the first byte of the key again.
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn masking_agrees_with_the_plain_loop(
            key: [u8; 4],
            offset in 0u64..1 << 40,
            data in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let plain: Vec<u8> =
                data.iter().enumerate().map(|(i, b)| b ^ key[((offset + i as u64) % 4) as usize]).collect();
            let mut masked = data;
            apply(key, offset, &mut masked);
            prop_assert_eq!(masked, plain);
        }

        #[test]
        fn pieces_mask_as_the_whole(key: [u8; 4], data in prop::collection::vec(any::<u8>(), 0..200), cut: prop::sample::Index) {
            let (mut whole, mut pieces) = (data.clone(), data);
            apply(key, 0, &mut whole);
            let cut = cut.index(pieces.len() + 1);
            apply(key, 0, &mut pieces[..cut]);
            apply(key, cut as u64, &mut pieces[cut..]);
            prop_assert_eq!(whole, pieces);
        }
    }
}
