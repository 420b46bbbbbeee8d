//! The basic types of the wire: little-endian integers, counted strings, counted bytes, counted lists.

use std::fmt;

use abi::Errno;

/// Why bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The message ends before its last field.
    #[error("message is cut short")]
    Short,
    /// Bytes follow the last field.
    #[error("message has trailing bytes")]
    Trailing,
    /// A message number that the dialect does not have.
    #[error("message type {0} is unknown")]
    UnknownType(u8),
    /// A count above what the field may hold.
    #[error("count {0} is over the limit")]
    TooMany(usize),
    /// A name that cannot name a directory entry.
    #[error("name is not a single component ({0})")]
    BadName(Errno),
    /// A response that answers another request, or carries another tag.
    #[error("response does not answer the request")]
    Unexpected,
}

impl DecodeError {
    /// What the peer is told.
    #[must_use]
    pub fn errno(self) -> Errno {
        match self {
            Self::BadName(errno) => errno,
            Self::UnknownType(_) => Errno::EOPNOTSUPP,
            _ => Errno::EPROTO,
        }
    }
}

/// A value that stands in a message.
pub trait Wire<'a>: Sized {
    /// Takes the value from the front of `r`.
    fn get(r: &mut Reader<'a>) -> Result<Self, DecodeError>;
    /// Appends the value to `w`.
    fn put(&self, w: &mut Writer<'_>);
}

/// What is left to read of a message.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next `n` bytes.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or(DecodeError::Short)?;
        self.rest = rest;
        Ok(head)
    }

    /// The next `N` bytes, copied.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(DecodeError::Short)?;
        self.rest = rest;
        Ok(*head)
    }

    /// Whether everything has been read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// How many bytes are left.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rest.len()
    }

    /// Fails unless everything has been read.
    pub fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::Trailing) }
    }
}

/// Appends values to a buffer. A value that its length field cannot express makes the whole message invalid, which
/// [`Writer::overflowed`] tells.
#[derive(Debug)]
pub struct Writer<'b> {
    out: &'b mut Vec<u8>,
    overflowed: bool,
}

impl<'b> Writer<'b> {
    /// Appends to `out`.
    pub fn new(out: &'b mut Vec<u8>) -> Self {
        Self { out, overflowed: false }
    }

    /// Appends raw bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Appends a 16-bit count.
    pub fn count16(&mut self, n: usize) {
        self.overflowed |= u16::try_from(n).is_err();
        u16::try_from(n).unwrap_or(0).put(self);
    }

    /// Appends a 32-bit count.
    pub fn count32(&mut self, n: usize) {
        self.overflowed |= u32::try_from(n).is_err();
        u32::try_from(n).unwrap_or(0).put(self);
    }

    /// Whether a length did not fit its field.
    #[must_use]
    pub fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// Length of the buffer so far.
    #[must_use]
    pub fn position(&self) -> usize {
        self.out.len()
    }

    /// Forgets everything after `position`.
    pub fn truncate(&mut self, position: usize) {
        self.out.truncate(position);
    }
}

macro_rules! integers {
    ($($ty:ty),*) => {$(
        impl<'a> Wire<'a> for $ty {
            fn get(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
                Ok(Self::from_le_bytes(r.array()?))
            }
            fn put(&self, w: &mut Writer<'_>) {
                w.bytes(&self.to_le_bytes());
            }
        }
    )*};
}

integers!(u8, u16, u32, u64, i64);

/// A string: a 16-bit length and that many bytes. Linux's names are bytes, so they are not required to be UTF-8.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Str<'a>(pub &'a [u8]);

impl fmt::Debug for Str<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl<'a> Wire<'a> for Str<'a> {
    fn get(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let len = u16::get(r)?;
        r.take(usize::from(len)).map(Self)
    }
    fn put(&self, w: &mut Writer<'_>) {
        w.count16(self.0.len());
        w.bytes(self.0);
    }
}

/// File contents and the like: a 32-bit length and that many bytes.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Blob<'a>(pub &'a [u8]);

impl fmt::Debug for Blob<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl<'a> Wire<'a> for Blob<'a> {
    fn get(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let len = usize::try_from(u32::get(r)?).map_err(|_| DecodeError::Short)?;
        r.take(len).map(Self)
    }
    fn put(&self, w: &mut Writer<'_>) {
        w.count32(self.0.len());
        w.bytes(self.0);
    }
}

/// Most elements of a list. 9P's own limit for a walk; ours for every list.
pub const MAX_LIST: usize = 16;

/// A 16-bit count and that many elements, at most [`MAX_LIST`].
///
/// A received list was checked as a whole when it was decoded and is decoded again element by element when iterated,
/// so that no vector is needed.
#[derive(Clone, Copy)]
pub enum List<'a, T> {
    /// To be sent.
    Slice(&'a [T]),
    /// As received: the number of elements and their bytes.
    Wire(usize, Reader<'a>),
}

impl<'a, T: Wire<'a> + Copy> List<'a, T> {
    /// The number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Slice(slice) => slice.len(),
            Self::Wire(count, _) => *count,
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements.
    pub fn iter(&self) -> impl Iterator<Item = T> + use<'a, T> {
        let (slice, count, mut reader) = match *self {
            Self::Slice(slice) => (slice, 0, Reader::new(&[])),
            Self::Wire(count, reader) => (&[][..], count, reader),
        };
        slice.iter().copied().chain((0..count).map_while(move |_| T::get(&mut reader).ok()))
    }
}

impl<'a, T: Wire<'a> + Copy + fmt::Debug> fmt::Debug for List<'a, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a, T: Wire<'a> + Copy> Wire<'a> for List<'a, T> {
    fn get(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let count = usize::from(u16::get(r)?);
        if count > MAX_LIST {
            return Err(DecodeError::TooMany(count));
        }
        let elements = *r;
        for _ in 0..count {
            T::get(r)?;
        }
        Ok(Self::Wire(count, elements))
    }
    fn put(&self, w: &mut Writer<'_>) {
        w.overflowed |= self.len() > MAX_LIST;
        w.count16(self.len());
        self.iter().for_each(|element| element.put(w));
    }
}

/// A field that older peers leave away at the end of a message; absent reads as zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct OrZero(pub u32);

impl<'a> Wire<'a> for OrZero {
    fn get(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        if r.is_empty() { Ok(Self(0)) } else { u32::get(r).map(Self) }
    }
    fn put(&self, w: &mut Writer<'_>) {
        self.0.put(w);
    }
}

/// Implements [`Wire`] for a structure, field by field in the order given.
macro_rules! wire_struct {
    ($name:ident { $($field:ident),* $(,)? }) => {
        impl<'wire> $crate::wire::Wire<'wire> for $name {
            fn get(r: &mut $crate::wire::Reader<'wire>) -> Result<Self, $crate::wire::DecodeError> {
                Ok(Self { $($field: $crate::wire::Wire::get(r)?),* })
            }
            fn put(&self, w: &mut $crate::wire::Writer<'_>) {
                $($crate::wire::Wire::put(&self.$field, w);)*
            }
        }
    };
}
pub(crate) use wire_struct;
