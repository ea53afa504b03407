//! Shamir's secret sharing over GF(2^8), byte by byte, as in HashiCorp Vault and SOPS.

/// Why shares do not combine.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShamirError {
    /// One share is no sharing.
    #[error("less than two parts cannot be used to reconstruct the secret")]
    TooFew,
    /// A share must have a byte of the secret and its own number.
    #[error("parts must be at least two bytes")]
    TooShort,
    /// Shares of one secret are of one length.
    #[error("all parts must be the same length")]
    Lengths,
    /// The same share twice.
    #[error("duplicate part detected")]
    Duplicate,
}

/// The secret of which these are shares: values of the polynomials, then the point at which they were taken.
pub fn combine(shares: &[Vec<u8>]) -> Result<Vec<u8>, ShamirError> {
    let [first, _, ..] = shares else { return Err(ShamirError::TooFew) };
    if first.len() < 2 {
        return Err(ShamirError::TooShort);
    }
    if shares.iter().any(|share| share.len() != first.len()) {
        return Err(ShamirError::Lengths);
    }
    let at = first.len() - 1;
    let points: Vec<u8> = shares.iter().map(|share| share[at]).collect();
    for (index, point) in points.iter().enumerate() {
        if points[..index].contains(point) {
            return Err(ShamirError::Duplicate);
        }
    }
    let weights: Vec<u8> = (0..points.len()).map(|index| weight(&points, index)).collect();
    let secret = (0..at).map(|byte| {
        shares.iter().zip(&weights).fold(0, |sum, (share, weight)| sum ^ multiply(share[byte], *weight))
    });
    Ok(secret.collect())
}

/// The Lagrange basis polynomial of a point, at 0.
fn weight(points: &[u8], index: usize) -> u8 {
    let own = points[index];
    points
        .iter()
        .enumerate()
        .filter(|(other, _)| *other != index)
        .fold(1, |product, (_, point)| multiply(product, multiply(*point, inverse(own ^ point))))
}

/// The product in the field of AES.
fn multiply(mut a: u8, mut b: u8) -> u8 {
    let mut product = 0;
    for _ in 0..8 {
        product ^= a & (b & 1).wrapping_neg();
        let overflow = (a >> 7).wrapping_neg();
        a = (a << 1) ^ (0x1b & overflow);
        b >>= 1;
    }
    product
}

/// The inverse: the 254th power.
fn inverse(a: u8) -> u8 {
    let mut result = 1;
    let mut square = a;
    for _ in 0..7 {
        square = multiply(square, square);
        result = multiply(result, square);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inverses_are_inverse() {
        assert!((1..=255).all(|a| multiply(a, inverse(a)) == 1));
    }

    #[test]
    fn two_points_of_a_line_give_where_it_starts() {
        let (secret, slope) = (0x42, 0x17);
        let share = |x: u8| vec![secret ^ multiply(slope, x), x];
        assert_eq!(combine(&[share(3), share(200)]), Ok(vec![secret]));
        assert_eq!(combine(&[share(3), share(3)]), Err(ShamirError::Duplicate));
        assert_eq!(combine(&[share(3)]), Err(ShamirError::TooFew));
        assert_eq!(combine(&[share(3), vec![1, 2, 3]]), Err(ShamirError::Lengths));
    }
}
