//! Unpacks zstd: one frame after the other, as RFC 8878 has it, with their checksums.

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::io::{self, BufRead, Read};

/// Whether data begins as zstd does: with a frame, or with one that is to be skipped.
pub fn is_magic(front: &[u8]) -> bool {
    matches!(front, [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// The data of all frames.
pub struct Frames<R> {
    source: R,
    decoder: FrameDecoder,
    is_in_frame: bool,
}

impl<R: BufRead> Frames<R> {
    /// Those of `source`.
    pub fn new(source: R) -> Self {
        Self { source, decoder: FrameDecoder::new(), is_in_frame: false }
    }

    /// Goes to the next frame; `false` at the end.
    fn begin_frame(&mut self) -> io::Result<bool> {
        if self.source.fill_buf()?.is_empty() {
            return Ok(false);
        }
        match self.decoder.init(&mut self.source) {
            Ok(()) => self.is_in_frame = true,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                let length = u64::from(length);
                if io::copy(&mut self.source.by_ref().take(length), &mut io::sink())? < length {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            Err(error) => return Err(self.explained(error)),
        }
        Ok(true)
    }

    fn end_frame(&mut self) -> io::Result<()> {
        self.is_in_frame = false;
        let written = self.decoder.get_checksum_from_data();
        if written.is_some() && written != self.decoder.get_calculated_checksum() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a checksum is wrong"));
        }
        Ok(())
    }

    /// An error where the data ends is the end's, whatever the decoder missed first.
    fn explained(&mut self, error: FrameDecoderError) -> io::Error {
        match self.source.fill_buf() {
            Ok([]) => io::ErrorKind::UnexpectedEof.into(),
            Ok(_) => io::Error::new(io::ErrorKind::InvalidData, error),
            Err(cause) => cause,
        }
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.is_in_frame && !self.begin_frame()? {
                return Ok(0);
            }
            if !self.is_in_frame {
                continue;
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let decoded = self.decoder.decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1));
                decoded.map_err(|error| self.explained(error))?;
            }
            match self.decoder.read(buffer)? {
                0 if buffer.is_empty() => return Ok(0),
                0 => self.end_frame()?,
                count => return Ok(count),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    fn read(packed: &[u8]) -> io::Result<Vec<u8>> {
        let mut data = Vec::new();
        Frames::new(packed).read_to_end(&mut data).map(|_| data)
    }

    #[test]
    fn frames_follow_each_other_and_some_are_skipped() {
        let data = b"map and unmap, ".repeat(1000);
        let frame = compress_to_vec(&data[..], CompressionLevel::Fastest);
        let skipped = [0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
        assert!(is_magic(&frame) && is_magic(&skipped));
        let packed = [&skipped[..], &frame, &skipped, &frame].concat();
        assert_eq!(read(&packed).unwrap(), data.repeat(2));
    }

    #[test]
    fn cut_off_and_damaged_data_are_errors() {
        let data = b"map and unmap, ".repeat(1000);
        let frame = compress_to_vec(&data[..], CompressionLevel::Fastest);
        for len in 1..frame.len() {
            assert_eq!(read(&frame[..len]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof, "{len}");
        }
        let mut damaged = frame.clone();
        *damaged.last_mut().unwrap() ^= 1;
        assert!(read(&damaged).unwrap_err().to_string().contains("checksum"));
        assert!(read(&[&frame[..], b"something else"].concat()).is_err());
    }
}
