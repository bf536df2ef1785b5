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
    /// What is wrong with the frame: told when all is given out that was decoded before. (Of a block whose damage shows half way that
    /// is the first half, too.)
    failure: Option<io::Error>,
}

/// A last block without data, and the place of a checksum: behind it the decoder keeps nothing back for later blocks.
const END_OF_FRAME: [u8; 7] = [1, 0, 0, 0, 0, 0, 0];

impl<R: BufRead> Frames<R> {
    /// Those of `source`.
    pub fn new(source: R) -> Self {
        Self { source, decoder: FrameDecoder::new(), is_in_frame: false, failure: None }
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

    fn decode_block(&mut self) -> io::Result<()> {
        let one = || BlockDecodingStrategy::UptoBlocks(1);
        let Err(error) = self.decoder.decode_blocks(&mut self.source, one()) else { return Ok(()) };
        let error = self.explained(error);
        let ended = self.decoder.decode_blocks(&END_OF_FRAME[..], one());
        if ended.is_err() || !self.decoder.is_finished() {
            return Err(error);
        }
        self.failure = Some(error);
        Ok(())
    }

    fn end_frame(&mut self) -> io::Result<()> {
        self.is_in_frame = false;
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
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
                self.decode_block()?;
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

    fn much_data() -> Vec<u8> {
        let lines = (0..100_000u32).flat_map(|n| format!("{:08x}\n", n.wrapping_mul(0x9e37_79b9)).into_bytes());
        lines.collect()
    }

    /// All that later blocks could repeat was lost where data is cut off.
    #[test]
    fn what_was_decoded_before_the_cut_is_read() {
        let data = much_data();
        let frame = compress_to_vec(&data[..], CompressionLevel::Fastest);
        let mut before = Vec::new();
        let error = Frames::new(&frame[..frame.len() / 2]).read_to_end(&mut before).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(data.starts_with(&before) && before.len() > data.len() / 4, "{} of {}", before.len(), data.len());
    }

    /// Damage was told of as if it were in the first line.
    #[test]
    fn what_was_decoded_before_damaged_data_is_read() {
        let data = much_data();
        let mut frame = compress_to_vec(&data[..], CompressionLevel::Fastest);
        let middle = frame.len() / 2;
        for at in middle..middle + 64 {
            frame[at] ^= 0xff;
            let mut before = Vec::new();
            let error = Frames::new(&frame[..]).read_to_end(&mut before).unwrap_err();
            frame[at] ^= 0xff;
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            let right = data.iter().zip(&before).take_while(|(expected, found)| expected == found).count();
            assert!(right > data.len() / 4, "{right} of {}, with damage at {at}", data.len());
        }
    }
}
