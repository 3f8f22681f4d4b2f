//! Compressed input, known by its first bytes.

use std::io::{self, Read};
#[cfg(feature = "compression")]
use std::io::{BufRead, BufReader};

#[cfg(feature = "compression")]
use flate2::bufread::GzDecoder;

/// The most first bytes that are needed to know a compression.
pub(super) const MAGIC: usize = 4;

/// A compression that is read through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    Gzip,
    Zstd,
}

impl Codec {
    /// The compression of data that begins like this.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x1F, 0x8B, ..] => Some(Self::Gzip),
            [0x28, 0xB5, 0x2F, 0xFD, ..] => Some(Self::Zstd),
            // A frame that holds no data may stand before those that do.
            [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..] => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Whether it takes more bytes to know what data is that begins like this.
    pub(super) fn is_open(head: &[u8]) -> bool {
        matches!(
            head,
            [] | [0x1F | 0x28 | 0x50..=0x5F]
                | [0x28, 0xB5]
                | [0x28, 0xB5, 0x2F]
                | [0x50..=0x5F, 0x2A]
                | [0x50..=0x5F, 0x2A, 0x4D]
        )
    }

    #[cfg(not(feature = "compression"))]
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// What was compressed: all members or frames, one behind the other. Behind members of gzip there may be zeros, as tapes
    /// and some devices fill their blocks; anything else is an error, because it may be text that would be lost.
    #[cfg(feature = "compression")]
    pub(super) fn decode(self, reader: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Self::Gzip => Box::new(Members::new(reader)),
            Self::Zstd => Box::new(zstd::Decoder::new(reader)?),
        })
    }
}

/// Reads just as much of a stream as it takes to know its compression, so that a slow writer's first line does not wait.
pub(super) fn peek(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(MAGIC);
    while Codec::is_open(&head) {
        let mut byte = [0];
        match reader.read(&mut byte) {
            Ok(0) => break,
            Ok(_) => head.push(byte[0]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(head)
}

/// The members of gzip data.
#[cfg(feature = "compression")]
struct Members<R> {
    /// `None` at the end.
    current: Option<GzDecoder<BufReader<R>>>,
}

#[cfg(feature = "compression")]
impl<R: Read> Members<R> {
    fn new(reader: R) -> Self {
        Self { current: Some(GzDecoder::new(BufReader::new(reader))) }
    }

    /// Goes on behind a member that has ended.
    fn advance(&mut self) -> io::Result<()> {
        let Some(ended) = self.current.take() else { return Ok(()) };
        let mut reader = ended.into_inner();
        loop {
            let bytes = match reader.fill_buf() {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            match bytes.get(zeros) {
                None if zeros == 0 => return Ok(()),
                None => reader.consume(zeros),
                Some(0x1F) => {
                    reader.consume(zeros);
                    self.current = Some(GzDecoder::new(reader));
                    return Ok(());
                }
                Some(_) => return Err(io::Error::new(io::ErrorKind::InvalidData, NO_MEMBER)),
            }
        }
    }
}

/// What stands behind the members of gzip data that does not belong there.
#[cfg(feature = "compression")]
const NO_MEMBER: &str = "something else follows behind the last gzip member; if it is not needed, cut it off or read what \
                         `gzip -dc` makes of the file";

#[cfg(feature = "compression")]
impl<R: Read> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while let Some(member) = &mut self.current {
            match member.read(buffer)? {
                0 => self.advance()?,
                read => return Ok(read),
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_read_than_it_takes() {
        let cases: [(&[u8], usize); 5] =
            [(b"text", 1), (b"(text)", 2), (b"\x1F\x8B\x08", 2), (b"\x28\xB5\x2F\xFDx", 4), (b"P*M", 3)];
        for (bytes, expected) in cases {
            let mut rest = bytes;
            assert_eq!(peek(&mut rest).unwrap(), &bytes[..expected]);
            assert_eq!(rest, &bytes[expected..]);
        }
    }
}
