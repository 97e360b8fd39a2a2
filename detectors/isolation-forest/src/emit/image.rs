//! The memory of a forest's component as it is when the component starts: bytes that are placed one after the other and
//! found again by their address.

use crate::kernel::header;

/// Memory from address 0 on: first the header, then what was placed.
#[derive(Debug)]
pub(crate) struct Image {
    bytes: Vec<u8>,
    /// Bytes behind the image that the kernel uses as scratch; zero at the start.
    scratch: u32,
}

impl Image {
    /// An image with an empty header.
    pub(crate) fn new() -> Self {
        let mut bytes = vec![0; header::END as usize];
        bytes
            .iter_mut()
            .zip(header::MAGIC)
            .for_each(|(to, from)| *to = from);
        Self { bytes, scratch: 0 }
    }

    /// The bytes of the data segment.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The next address that is a multiple of `align`, a power of two; fills up to it.
    pub(crate) fn align(&mut self, align: usize) -> u32 {
        self.bytes
            .resize(self.bytes.len().next_multiple_of(align), 0);
        self.len()
    }

    /// The address behind the last byte. Saturates; the limit on components is far below.
    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.bytes.len()).unwrap_or(u32::MAX)
    }

    /// Places bytes at the next multiple of `align`; gives their address.
    pub(crate) fn place(&mut self, bytes: &[u8], align: usize) -> u32 {
        let at = self.align(align);
        self.bytes.extend_from_slice(bytes);
        at
    }

    /// Places words at a multiple of 4; gives their address.
    pub(crate) fn place_words(&mut self, words: &[u32]) -> u32 {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.place(&bytes, 4)
    }

    /// Writes over bytes that exist; out of range changes nothing.
    pub(crate) fn put(&mut self, at: u32, bytes: &[u8]) {
        let at = at as usize;
        if let Some(target) = self.bytes.get_mut(at..at + bytes.len()) {
            target.copy_from_slice(bytes);
        }
    }

    /// Writes one word, for instance an address.
    pub(crate) fn put_word(&mut self, at: u32, word: u32) {
        self.put(at, &word.to_le_bytes());
    }

    /// Writes an address and a count or length behind it.
    pub(crate) fn put_span(&mut self, at: u32, address: u32, count: usize) {
        self.put_word(at, address);
        self.put_word(at + 4, u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// Writes a number.
    pub(crate) fn put_f64(&mut self, at: u32, number: f64) {
        self.put(at, &number.to_le_bytes());
    }

    /// Reserves scratch of `size` bytes, 64-aligned; the image must not grow afterwards.
    pub(crate) fn reserve(&mut self, size: u32) -> u32 {
        let at = self.align(64) + self.scratch;
        self.scratch += size.next_multiple_of(64);
        at
    }

    /// Where memory for arguments and answers may begin.
    pub(crate) fn heap(&mut self) -> u32 {
        self.reserve(0)
    }

    /// Bytes of memory that the component needs at the start.
    pub(crate) fn memory_bytes(&self) -> u64 {
        (self.bytes.len() as u64).next_multiple_of(64) + u64::from(self.scratch)
    }
}
