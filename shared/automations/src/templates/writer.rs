use std::io::{Error, Write};

/// Holds text up to a limit and refuses what goes beyond.
pub(super) struct Bounded {
    bytes: Vec<u8>,
    limit: usize,
    full: bool,
}

impl Bounded {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            bytes: Vec::new(),
            limit,
            full: false,
        }
    }

    /// Whether something was refused.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    pub(super) fn into_text(self) -> String {
        String::from_utf8(self.bytes).expect("only whole pieces of text are written")
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        if self.full || self.bytes.len() + bytes.len() > self.limit {
            self.full = true;
            return Err(Error::other("limit reached"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}
