//! D-Bus messages as bytes: the little of the D-Bus specification's wire format that systemd's manager needs.
//!
//! [`Writer`] lays out arguments of a call; [`Reader`] takes answers apart and trusts no length in them.

use anyhow::{Context, Result, bail};

/// A message may be longer on the bus; none of ours is, and no answer to us.
const LONGEST: usize = 1 << 20;

/// Kinds of messages.
pub(super) const CALL: u8 = 1;
pub(super) const ANSWER: u8 = 2;
pub(super) const ERROR: u8 = 3;
pub(super) const SIGNAL: u8 = 4;

/// The fixed part of a header: four bytes, and the lengths of the body, of the header's fields, and the serial between.
pub(super) const FIXED: usize = 16;

/// Whom a call goes to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'a> {
    /// Absent on a connection without a bus.
    pub(super) destination: Option<&'a str>,
    pub(super) path: &'a str,
    pub(super) interface: &'a str,
    pub(super) member: &'a str,
}

/// A value of a property, with its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Bool(bool),
    Int32(i32),
    Uint32(u32),
    Int64(i64),
    Uint64(u64),
    Text(String),
    Texts(Vec<String>),
    Uint32s(Vec<u32>),
    Bytes(Vec<u8>),
}

impl Value {
    const fn signature(&self) -> &'static str {
        match self {
            Self::Bool(_) => "b",
            Self::Int32(_) => "i",
            Self::Uint32(_) => "u",
            Self::Int64(_) => "x",
            Self::Uint64(_) => "t",
            Self::Text(_) => "s",
            Self::Texts(_) => "as",
            Self::Uint32s(_) => "au",
            Self::Bytes(_) => "ay",
        }
    }
}

/// A property and its value.
pub(super) type Property = (String, Value);

/// Lays out values one after the other, each aligned as its type asks.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn uint32(&mut self, value: u32) {
        self.align(4);
        self.0.extend(value.to_le_bytes());
    }

    pub(super) fn text(&mut self, value: &str) {
        self.uint32(u32::try_from(value.len()).unwrap_or(u32::MAX));
        self.0.extend(value.as_bytes());
        self.0.push(0);
    }

    /// An array of pairs of a name and a variant, `a(sv)`.
    pub(super) fn properties(&mut self, properties: &[Property]) {
        self.array(8, |writer| {
            for (name, value) in properties {
                writer.align(8);
                writer.text(name);
                writer.variant(value);
            }
        });
    }

    /// An array of which nothing is put in, of elements of that alignment.
    pub(super) fn empty_array(&mut self, alignment: usize) {
        self.array(alignment, |_| ());
    }

    fn variant(&mut self, value: &Value) {
        self.signature(value.signature());
        match value {
            Value::Bool(value) => self.uint32(u32::from(*value)),
            Value::Int32(value) => self.uint32(value.cast_unsigned()),
            Value::Uint32(value) => self.uint32(*value),
            Value::Int64(value) => self.uint64(value.cast_unsigned()),
            Value::Uint64(value) => self.uint64(*value),
            Value::Text(value) => self.text(value),
            Value::Texts(values) => self.array(4, |writer| values.iter().for_each(|value| writer.text(value))),
            Value::Uint32s(values) => self.array(4, |writer| values.iter().for_each(|value| writer.uint32(*value))),
            Value::Bytes(values) => self.array(1, |writer| writer.0.extend(values)),
        }
    }

    fn signature(&mut self, signature: &str) {
        self.0.push(u8::try_from(signature.len()).unwrap_or(u8::MAX));
        self.0.extend(signature.as_bytes());
        self.0.push(0);
    }

    fn uint64(&mut self, value: u64) {
        self.align(8);
        self.0.extend(value.to_le_bytes());
    }

    /// The length counts from the first element, after the padding that aligns it.
    fn array(&mut self, alignment: usize, fill: impl FnOnce(&mut Self)) {
        self.uint32(0);
        let length_at = self.0.len() - 4;
        self.align(alignment);
        let start = self.0.len();
        fill(self);
        let length = u32::try_from(self.0.len() - start).unwrap_or(u32::MAX);
        if let Some(place) = self.0.get_mut(length_at..length_at + 4) {
            place.copy_from_slice(&length.to_le_bytes());
        }
    }

    fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }
}

/// A call as bytes. The signature is that of the body.
pub(super) fn call(serial: u32, target: Target<'_>, signature: &str, body: Writer) -> Vec<u8> {
    let body = body.0;
    let mut header = Writer(vec![b'l', CALL, 0, 1]);
    header.uint32(u32::try_from(body.len()).unwrap_or(u32::MAX));
    header.uint32(serial);
    header.array(8, |header| {
        let mut field = |code: u8, kind: &str, text: &str| {
            header.align(8);
            header.0.push(code);
            header.signature(kind);
            if kind == "g" { header.signature(text) } else { header.text(text) }
        };
        field(1, "o", target.path);
        field(2, "s", target.interface);
        field(3, "s", target.member);
        if let Some(destination) = target.destination {
            field(6, "s", destination);
        }
        if !signature.is_empty() {
            field(8, "g", signature);
        }
    });
    header.align(8);
    header.0.extend(body);
    header.0
}

/// A message that has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) kind: u8,
    pub(super) answers: Option<u32>,
    pub(super) member: String,
    pub(super) error: String,
    pub(super) body: Vec<u8>,
}

/// How much follows a header's fixed part.
pub(super) fn rest_length(fixed: &[u8; FIXED]) -> Result<usize> {
    let [order, _, _, version, rest @ ..] = fixed;
    if (*order, *version) != (b'l', 1) {
        bail!("malformed D-Bus message");
    }
    let mut reader = Reader::new(rest);
    let (body, _, fields) = (reader.uint32()?, reader.uint32()?, reader.uint32()?);
    let (body, fields) = (usize::try_from(body)?, usize::try_from(fields)?);
    if body > LONGEST || fields > LONGEST {
        bail!("D-Bus message is too long");
    }
    // The body begins at a multiple of eight, and so does what follows the fixed part.
    Ok(fields.next_multiple_of(8) + body)
}

/// Takes a message apart: its fixed part, and what follows.
pub(super) fn parse(fixed: &[u8; FIXED], rest: &[u8]) -> Result<Message> {
    let fields = u32::from_le_bytes([fixed[12], fixed[13], fixed[14], fixed[15]]);
    let fields = usize::try_from(fields)?;
    let body = rest.get(fields.next_multiple_of(8)..).context("malformed D-Bus message")?.to_vec();
    let mut message = Message { kind: fixed[1], body, ..Message::default() };
    let mut reader = Reader::new(rest.get(..fields).context("malformed D-Bus message")?);
    while !reader.at_end() {
        reader.align(8)?;
        let code = reader.byte()?;
        match (code, reader.signature()?) {
            (3, "s") => message.member = reader.text()?.to_owned(),
            (4, "s") => message.error = reader.text()?.to_owned(),
            (5, "u") => message.answers = Some(reader.uint32()?),
            (_, "s" | "o") => drop(reader.text()?),
            (_, "g") => drop(reader.signature()?),
            (_, "u") => drop(reader.uint32()?),
            _ => bail!("malformed D-Bus message"),
        }
    }
    Ok(message)
}

/// Takes values out of bytes.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn uint32(&mut self) -> Result<u32> {
        self.align(4)?;
        let bytes = self.take(4)?.try_into().context("malformed D-Bus message")?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// A string or an object's path.
    pub(super) fn text(&mut self) -> Result<&'a str> {
        let length = usize::try_from(self.uint32()?)?;
        self.terminated(length)
    }

    pub(super) fn signature(&mut self) -> Result<&'a str> {
        let length = usize::from(self.byte()?);
        self.terminated(length)
    }

    fn terminated(&mut self, length: usize) -> Result<&'a str> {
        let text = self.take(length)?;
        if self.byte()? != 0 {
            bail!("malformed D-Bus message");
        }
        std::str::from_utf8(text).context("malformed D-Bus message")
    }

    fn byte(&mut self) -> Result<u8> {
        self.take(1)?.first().copied().context("malformed D-Bus message")
    }

    fn align(&mut self, to: usize) -> Result<()> {
        self.take(self.at.next_multiple_of(to) - self.at).map(drop)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(length).context("malformed D-Bus message")?;
        let bytes = self.bytes.get(self.at..end).context("malformed D-Bus message")?;
        self.at = end;
        Ok(bytes)
    }

    const fn at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: Target<'_> = Target {
        destination: Some("org.freedesktop.DBus"),
        path: "/org/freedesktop/DBus",
        interface: "org.freedesktop.DBus",
        member: "Hello",
    };

    fn split(bytes: &[u8]) -> ([u8; FIXED], &[u8]) {
        let (fixed, rest) = bytes.split_at(FIXED);
        (fixed.try_into().unwrap(), rest)
    }

    #[test]
    fn call_is_laid_out_as_the_specification_says() {
        let bytes = call(1, HELLO, "", Writer::default());
        let expected = b"l\x01\0\x01\0\0\0\0\x01\0\0\0\x6d\0\0\0\
\x01\x01o\0\x15\0\0\0/org/freedesktop/DBus\0\0\0\
\x02\x01s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0\
\x03\x01s\0\x05\0\0\0Hello\0\0\0\
\x06\x01s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0";
        assert_eq!(bytes, expected);
    }

    #[test]
    fn properties_are_aligned() {
        let mut body = Writer::default();
        body.text("x");
        body.properties(&[("A".into(), Value::Uint64(7)), ("B".into(), Value::Uint32s(vec![1, 2]))]);
        let expected = b"\x01\0\0\0x\0\0\0\x30\0\0\0\0\0\0\0\
\x01\0\0\0A\0\x01t\0\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\
\x01\0\0\0B\0\x02au\0\0\0\x08\0\0\0\x01\0\0\0\x02\0\0\0";
        // The array's length: 24 bytes for each pair.
        assert_eq!(body.0, expected);
    }

    #[test]
    fn what_was_written_is_read_again() {
        let mut body = Writer::default();
        body.uint32(7);
        body.text("/job/7");
        let bytes = call(9, HELLO, "uo", body);
        let (fixed, rest) = split(&bytes);
        assert_eq!(rest_length(&fixed).unwrap(), rest.len());
        let message = parse(&fixed, rest).unwrap();
        assert_eq!((message.kind, message.member.as_str()), (CALL, "Hello"));
        let mut reader = Reader::new(&message.body);
        assert_eq!((reader.uint32().unwrap(), reader.text().unwrap()), (7, "/job/7"));
    }

    #[test]
    fn malformed_is_an_error() {
        let bytes = call(1, HELLO, "", Writer::default());
        let (fixed, rest) = split(&bytes);
        for cut in 0..rest.len() {
            assert!(parse(&fixed, &rest[..cut]).is_err(), "{cut}");
        }
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] = 0xff;
            let (fixed, rest) = split(&bytes);
            // Whatever comes of it, it comes of it.
            let _ = rest_length(&fixed).and_then(|_| parse(&fixed, rest));
        }
    }
}
