//! Digests in their written form, `<algorithm>:<hex>`: what identifies artifacts, values and releases.

use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;

use sha2::Digest as _;

/// A digest: the algorithm and the hexadecimal value in lower case.
///
/// ```
/// use fluxide_digest::{Algorithm, Digest};
/// let digest: Digest = Algorithm::Sha256.digest(b"");
/// assert_eq!(digest.to_string().parse(), Ok(digest));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    algorithm: Algorithm,
    hex: String,
}

impl Digest {
    /// The algorithm that made it.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The value in hexadecimal, without the algorithm.
    pub fn hex(&self) -> &str {
        &self.hex
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm, self.hex)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    /// Parses `<algorithm>:<hex>`. Text without a colon is taken for the hexadecimal value of a sha256.
    fn from_str(text: &str) -> Result<Self, DigestError> {
        if text.is_empty() {
            return Err(DigestError::Empty);
        }
        let (algorithm, value) = match text.split_once(':') {
            Some((name, value)) => (name.parse()?, value),
            None => (Algorithm::Sha256, text),
        };
        let well_formed = value.len() == algorithm.hex_len()
            && value.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !well_formed {
            return Err(DigestError::Malformed { algorithm, length: algorithm.hex_len() });
        }
        Ok(Digest { algorithm, hex: value.to_owned() })
    }
}

/// The digest algorithms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// SHA-1: only for what was stored with it.
    Sha1,
    /// SHA-256, the default.
    #[default]
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
    /// BLAKE3 with 256 bits of output.
    Blake3,
}

impl Algorithm {
    /// The digest of bytes in memory.
    pub fn digest(self, bytes: &[u8]) -> Digest {
        let mut digester = Digester::new(self);
        digester.update(bytes);
        digester.finish()
    }

    fn hex_len(self) -> usize {
        match self {
            Algorithm::Sha1 => 40,
            Algorithm::Sha256 | Algorithm::Blake3 => 64,
            Algorithm::Sha384 => 96,
            Algorithm::Sha512 => 128,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Algorithm::Sha1 => "sha1",
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha384 => "sha384",
            Algorithm::Sha512 => "sha512",
            Algorithm::Blake3 => "blake3",
        })
    }
}

impl FromStr for Algorithm {
    type Err = DigestError;

    fn from_str(name: &str) -> Result<Self, DigestError> {
        Ok(match name {
            "sha1" => Algorithm::Sha1,
            "sha256" => Algorithm::Sha256,
            "sha384" => Algorithm::Sha384,
            "sha512" => Algorithm::Sha512,
            "blake3" => Algorithm::Blake3,
            _ => {
                return Err(DigestError::UnknownAlgorithm { name: name.to_owned() });
            }
        })
    }
}

/// Why text is not a digest, or names no algorithm.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// Nothing to parse.
    #[error("digest is empty")]
    Empty,
    /// The part before the colon is not an algorithm we know.
    #[error("unsupported digest algorithm: {name}")]
    UnknownAlgorithm {
        /// What was written.
        name: String,
    },
    /// The part after the colon has the wrong length or alphabet.
    #[error("invalid {algorithm} digest: {length} lower-case hexadecimal digits expected")]
    Malformed {
        /// The algorithm named.
        algorithm: Algorithm,
        /// How many digits its values have.
        length: usize,
    },
}

/// Computes a digest over bytes as they pass; a [`Write`] that keeps nothing.
pub struct Digester {
    algorithm: Algorithm,
    state: State,
}

enum State {
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
    Sha384(sha2::Sha384),
    Sha512(sha2::Sha512),
    Blake3(Box<blake3::Hasher>),
}

impl Digester {
    /// A digester that has seen nothing yet.
    pub fn new(algorithm: Algorithm) -> Self {
        let state = match algorithm {
            Algorithm::Sha1 => State::Sha1(sha1::Sha1::new()),
            Algorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
            Algorithm::Sha384 => State::Sha384(sha2::Sha384::new()),
            Algorithm::Sha512 => State::Sha512(sha2::Sha512::new()),
            Algorithm::Blake3 => State::Blake3(Box::new(blake3::Hasher::new())),
        };
        Digester { algorithm, state }
    }

    /// Takes in more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Sha1(h) => h.update(bytes),
            State::Sha256(h) => h.update(bytes),
            State::Sha384(h) => h.update(bytes),
            State::Sha512(h) => h.update(bytes),
            State::Blake3(h) => {
                h.update(bytes);
            }
        }
    }

    /// The digest of all bytes taken in.
    pub fn finish(self) -> Digest {
        let hex = match self.state {
            State::Sha1(h) => hex::encode(h.finalize()),
            State::Sha256(h) => hex::encode(h.finalize()),
            State::Sha384(h) => hex::encode(h.finalize()),
            State::Sha512(h) => hex::encode(h.finalize()),
            State::Blake3(h) => h.finalize().to_hex().to_string(),
        };
        Digest { algorithm: self.algorithm, hex }
    }

    /// The digest of everything a reader gives.
    pub fn read(algorithm: Algorithm, mut reader: impl Read) -> io::Result<Digest> {
        let mut digester = Digester::new(algorithm);
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(digester.finish()),
                Ok(n) => digester.update(&buffer[..n]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Write for Digester {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_forms() {
        for algorithm in ["sha1", "sha256", "sha384", "sha512", "blake3"] {
            let digest = algorithm.parse::<Algorithm>().unwrap().digest(b"x");
            assert_eq!(digest.to_string().parse(), Ok(digest));
        }
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(empty.parse(), Ok(Algorithm::Sha256.digest(b"")));
    }

    #[test]
    fn refused_forms() {
        assert_eq!("".parse::<Digest>(), Err(DigestError::Empty));
        for bad in ["md5:00", "sha256:xyz", "sha256:", ":", "sha1:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4"] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }
}
