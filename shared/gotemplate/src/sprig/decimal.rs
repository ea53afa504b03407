//! Decimal arithmetic on the shortest decimal of each float, so that `addf 0.1 0.2` is 0.3.

use num_bigint::BigInt;
use num_bigint::Sign;

use crate::error::Error;

const DIVISION_DIGITS: i64 = 16;

/// `coefficient * 10^exponent`.
#[derive(Clone, Debug)]
pub(super) struct Decimal {
    coefficient: BigInt,
    exponent: i64,
}

impl Decimal {
    /// Fails as upstream panics, on NaN and infinities.
    pub(super) fn from_float(value: f64) -> Result<Decimal, Error> {
        if !value.is_finite() {
            let shown = crate::format::format_float(value, 'g', None);
            return Err(Error::new(format!("Cannot create a Decimal from {shown}")));
        }
        if value == 0.0 {
            return Ok(Decimal { coefficient: BigInt::from(0), exponent: 0 });
        }
        let scientific = format!("{value:e}");
        let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        let fraction = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len() as i64);
        let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
        Ok(Decimal {
            coefficient: digits.parse().unwrap_or_default(),
            exponent: exponent.parse::<i64>().unwrap_or(0) - fraction,
        })
    }

    pub(super) fn to_float(&self) -> f64 {
        format!("{}e{}", self.coefficient, self.exponent).parse().unwrap_or(f64::NAN)
    }

    pub(super) fn add(&self, other: &Decimal) -> Decimal {
        let exponent = self.exponent.min(other.exponent);
        Decimal { coefficient: self.scaled(exponent) + other.scaled(exponent), exponent }
    }

    pub(super) fn subtract(&self, other: &Decimal) -> Decimal {
        let exponent = self.exponent.min(other.exponent);
        Decimal { coefficient: self.scaled(exponent) - other.scaled(exponent), exponent }
    }

    pub(super) fn multiply(&self, other: &Decimal) -> Decimal {
        Decimal {
            coefficient: &self.coefficient * &other.coefficient,
            exponent: self.exponent + other.exponent,
        }
    }

    /// Rounds half away from zero at 16 digits after the point.
    pub(super) fn divide(&self, other: &Decimal) -> Result<Decimal, Error> {
        if other.coefficient.sign() == Sign::NoSign {
            return Err(Error::new("decimal division by 0"));
        }
        let shift = self.exponent - other.exponent + DIVISION_DIGITS;
        let (dividend, divisor) = if shift >= 0 {
            (&self.coefficient * power_of_ten(shift), other.coefficient.clone())
        } else {
            (self.coefficient.clone(), &other.coefficient * power_of_ten(-shift))
        };
        let mut quotient = &dividend / &divisor;
        let remainder = &dividend % &divisor;
        if remainder.magnitude() * 2u8 >= *divisor.magnitude() {
            if (dividend.sign() == Sign::Minus) != (divisor.sign() == Sign::Minus) {
                quotient -= 1;
            } else {
                quotient += 1;
            }
        }
        Ok(Decimal { coefficient: quotient, exponent: -DIVISION_DIGITS })
    }

    fn scaled(&self, exponent: i64) -> BigInt {
        &self.coefficient * power_of_ten(self.exponent - exponent)
    }
}

fn power_of_ten(exponent: i64) -> BigInt {
    BigInt::from(10).pow(u32::try_from(exponent).unwrap_or(0))
}
