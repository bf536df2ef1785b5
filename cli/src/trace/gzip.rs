//! Unpacks gzip: one member after the other, and zeros behind the last, as gzip(1) does: what fills a block is no member.

use flate2::bufread::GzDecoder;
use std::io::{self, BufRead, Read};

/// Whether data begins as a member does.
pub fn is_magic(front: &[u8]) -> bool {
    front.starts_with(&[0x1f, 0x8b])
}

/// The data of all members.
pub struct Members<R> {
    /// The member that is read; none behind the last.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Members<R> {
    /// Those of `source`.
    pub fn new(source: R) -> Self {
        Self { member: Some(GzDecoder::new(source)) }
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while let Some(member) = &mut self.member {
            let count = member.read(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            let next = self.member.take().map(GzDecoder::into_inner);
            self.member = next.map(past_zeros).transpose()?.flatten().map(GzDecoder::new);
        }
        Ok(0)
    }
}

/// The source behind zeros; none if nothing else is there. What is no member is an error, also if it is too short to be one.
fn past_zeros<R: BufRead>(mut source: R) -> io::Result<Option<R>> {
    loop {
        let bytes = source.fill_buf()?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        match (bytes.len(), zeros) {
            (0, _) => return Ok(None),
            (len, zeros) if zeros == len => source.consume(len),
            (_, zeros) => {
                // (Of a member whose first byte alone is there the rest is asked for, and missing.)
                let rest = bytes.get(zeros..).unwrap_or_default();
                let is_member = is_magic(rest) || rest == [0x1f];
                source.consume(zeros);
                if !is_member {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "what follows the data is no gzip"));
                }
                return Ok(Some(source));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::{BufReader, Write};

    fn member(text: &str) -> Vec<u8> {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(text.as_bytes()).unwrap();
        packed.finish().unwrap()
    }

    fn unpacked(bytes: &[u8]) -> io::Result<String> {
        let mut text = String::new();
        // Of a buffer that is smaller than a member, and than the zeros.
        Members::new(BufReader::with_capacity(7, bytes)).read_to_string(&mut text).map(|_| text)
    }

    /// Zeros behind the last member were an error.
    #[test]
    fn members_and_zeros_behind_them() {
        let (one, two) = (member("one "), member("two"));
        let both = [&one[..], &two].concat();
        assert_eq!(unpacked(&both).unwrap(), "one two");
        assert_eq!(unpacked(&[&both[..], &[0; 100]].concat()).unwrap(), "one two");
        assert_eq!(unpacked(&[&member("")[..], &one].concat()).unwrap(), "one ");
        // It was called cut off.
        assert_eq!(unpacked(&[&both[..], b"\0\0x"].concat()).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(unpacked(&both[..both.len() - 1]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(unpacked(&[&both[..], &[b'x'; 20]].concat()).is_err());
    }
}
