use std::cmp::Ordering;
use std::fmt;

use serde_json::Value;

/// A JSON number, exact: whole numbers of 64 bits, and binary floating point for the rest.
///
/// A float that is whole and within the range of the integers is held as one, so equal numbers are always held alike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    /// Between -2⁶³ and 2⁶⁴-1.
    Whole(i128),
    /// Finite; has a fraction or lies beyond the range of `Whole`.
    Float(f64),
}

const LOWEST: i128 = i64::MIN as i128;
const HIGHEST: i128 = u64::MAX as i128;

/// From here on, neighbouring whole numbers share one floating-point value.
const EXACT_FLOAT: f64 = 9_007_199_254_740_992.0;

impl Number {
    pub(crate) fn of_json(number: &serde_json::Number) -> Option<Self> {
        if let Some(whole) = number.as_i64() {
            Some(Self::Whole(whole.into()))
        } else if let Some(whole) = number.as_u64() {
            Some(Self::Whole(whole.into()))
        } else {
            number.as_f64().and_then(Self::of_float)
        }
    }

    pub(crate) fn of_float(float: f64) -> Option<Self> {
        if !float.is_finite() {
            return None;
        }
        // Both bounds are powers of two and so exact as floats.
        if float.fract() == 0.0 && (LOWEST as f64..(HIGHEST + 1) as f64).contains(&float) {
            return Some(Self::Whole(float as i128));
        }
        Some(Self::Float(float))
    }

    /// Reads a decimal number: optional sign, digits, optional fraction, optional exponent, blanks around it ignored.
    pub(crate) fn of_text(text: &str) -> Option<Self> {
        let text = text.trim_ascii();
        let (digits, whole) = scan(text.as_bytes())?;
        if whole && let Some(whole) = whole_of(text, digits) {
            return Some(Self::Whole(whole));
        }
        text.parse().ok().and_then(Self::of_float)
    }

    /// Whether others than the number written are read as the same, because it is read by way of a float. What is no number
    /// is not.
    pub(crate) fn is_blurred(value: &Value) -> bool {
        let float = match value {
            // Whole numbers in full are exact, others are floats.
            Value::Number(number) if number.is_i64() || number.is_u64() => None,
            Value::Number(number) => number.as_f64(),
            Value::String(text) => {
                let text = text.trim_ascii();
                match scan(text.as_bytes()) {
                    Some((digits, true)) if whole_of(text, digits).is_some() => None,
                    Some(_) => text.parse().ok(),
                    None => None,
                }
            }
            _ => None,
        };
        float.is_some_and(|float: f64| float.abs() >= EXACT_FLOAT)
    }

    /// Reads digits with a fraction, and perhaps a minus before, if they are few; nothing of all else.
    pub(crate) fn of_short_decimal(text: &[u8]) -> Option<Self> {
        /// Powers of ten; like all whole numbers of fifteen digits, floats hold them exactly.
        const POWERS: [f64; 16] = [
            1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
        ];
        let unsigned = text.strip_prefix(b"-").unwrap_or(text);
        let point = unsigned.iter().position(|byte| *byte == b'.')?;
        let fraction = &unsigned[point + 1..];
        if point == 0 || fraction.is_empty() || unsigned.len() > 16 {
            return None;
        }
        let mut digits = 0u64;
        for byte in unsigned[..point].iter().chain(fraction) {
            if !byte.is_ascii_digit() {
                return None;
            }
            digits = digits * 10 + u64::from(byte - b'0');
        }
        // One division of exact numbers is rounded correctly (W. D. Clinger, "How to read floating point numbers
        // accurately", PLDI 1990).
        let float = digits as f64 / POWERS[fraction.len()];
        Self::of_float(if unsigned.len() < text.len() {
            -float
        } else {
            float
        })
    }

    pub(crate) fn is_whole(self) -> bool {
        match self {
            Self::Whole(_) => true,
            // Beyond the integers no float has a fraction.
            Self::Float(float) => float.fract() == 0.0,
        }
    }

    /// The nearest float: never above that of a greater number.
    pub(crate) fn near(self) -> f64 {
        match self {
            // Processors turn what has 64 bits into a float at once.
            Self::Whole(whole) => match i64::try_from(whole) {
                Ok(whole) => whole as f64,
                Err(_) => whole as f64,
            },
            Self::Float(float) => float,
        }
    }

    /// Whether it is certain that no other number is near the same float.
    #[inline]
    pub(crate) fn is_exactly_near(self) -> bool {
        self.near().abs() < EXACT_FLOAT
    }

    pub(crate) fn compare(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Whole(left), Self::Whole(right)) => left.cmp(&right),
            (Self::Whole(left), Self::Float(right)) => compare_mixed(left, right),
            (Self::Float(left), Self::Whole(right)) => compare_mixed(right, left).reverse(),
            (Self::Float(left), Self::Float(right)) => {
                left.partial_cmp(&right).expect("floats held are finite")
            }
        }
    }
}

fn compare_mixed(whole: i128, float: f64) -> Ordering {
    // A held float is never equal to a whole number in range, so comparing with its floor decides. The cast saturates.
    if whole <= float.floor() as i128 {
        Ordering::Less
    } else {
        Ordering::Greater
    }
}

/// A whole number of so many digits, if it is in range.
#[inline]
fn whole_of(text: &str, digits: usize) -> Option<i128> {
    let whole = if digits <= 38 {
        text.parse().ok()
    } else {
        None
    };
    whole.filter(|whole| (LOWEST..=HIGHEST).contains(whole))
}

/// Counts the integral digits and says whether there are only such; nothing if it is no decimal number.
fn scan(text: &[u8]) -> Option<(usize, bool)> {
    let unsigned = match text {
        [b'+' | b'-', rest @ ..] => rest,
        _ => text,
    };
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let integral = digits(unsigned);
    if integral == 0 {
        return None;
    }
    let mut rest = &unsigned[integral..];
    let whole = rest.is_empty();
    if let [b'.', fraction @ ..] = rest {
        let count = digits(fraction);
        if count == 0 {
            return None;
        }
        rest = &fraction[count..];
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let unsigned = match exponent {
            [b'+' | b'-', unsigned @ ..] => unsigned,
            _ => exponent,
        };
        let count = digits(unsigned);
        if count == 0 {
            return None;
        }
        rest = &unsigned[count..];
    }
    rest.is_empty().then_some((integral, whole))
}

/// The text that a number is compared as: whole numbers in full, others in the shortest form that reads back the same.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(whole) => whole.fmt(f),
            Self::Float(float) => match serde_json::Number::from_f64(*float) {
                Some(number) => number.fmt(f),
                None => Err(fmt::Error),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(text: &str) -> Option<Number> {
        Number::of_text(text)
    }

    #[test]
    fn whole_numbers_beyond_the_floats_stay_apart() {
        let left = text("9007199254740993").expect("a number");
        let right = text("9007199254740992").expect("a number");
        assert_ne!(left, right);
        assert_eq!(left.compare(right), Ordering::Greater);
        assert_eq!(
            text("18446744073709551615"),
            Some(Number::Whole(u64::MAX.into()))
        );
    }

    #[test]
    fn one_number_has_one_form() {
        for other in ["5.0", "+5", " 5 ", "0005", "50e-1", "0.5E1"] {
            assert_eq!(text(other), Some(Number::Whole(5)), "{other}");
        }
        assert_eq!(text("-0"), text("0"));
        assert_eq!(Number::of_float(-0.0), Some(Number::Whole(0)));
        assert_eq!(text("-0.0").expect("a number").to_string(), "0");
    }

    proptest! {
        #[test]
        fn short_decimals_are_read_alike(text in "-?[0-9]{0,14}\\.?[0-9]{0,6}[e.]?") {
            if let Some(number) = Number::of_short_decimal(text.as_bytes()) {
                prop_assert_eq!(Some(number), Number::of_text(&text));
            }
        }
    }

    #[test]
    fn what_is_no_decimal_number_is_not_read() {
        for wrong in [
            "", " ", "-", "1.", ".5", "1e", "0x10", "NaN", "inf", "infinity", "1,5", "1 2",
            "1e999", "--1", "１",
        ] {
            assert_eq!(text(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn whole_and_floating_numbers_compare_exactly() {
        let number = |float| Number::of_float(float).expect("finite");
        assert_eq!(Number::Whole(2).compare(number(2.5)), Ordering::Less);
        assert_eq!(Number::Whole(3).compare(number(2.5)), Ordering::Greater);
        assert_eq!(Number::Whole(-3).compare(number(-2.5)), Ordering::Less);
        assert_eq!(Number::Whole(-2).compare(number(-2.5)), Ordering::Greater);
        assert_eq!(
            number(1e300).compare(Number::Whole(HIGHEST)),
            Ordering::Greater
        );
        assert_eq!(
            number(-1e300).compare(Number::Whole(LOWEST)),
            Ordering::Less
        );
        assert_eq!(number(0.1).compare(number(0.2)), Ordering::Less);
    }

    #[test]
    fn what_is_read_by_way_of_a_float_is_exact_below_two_to_the_fifty_third() {
        for json in [
            "-9223372036854775809",
            "18446744073709551616",
            "9007199254740993.0",
            "9007199254740992.0",
            "-9007199254740993.0",
            "9007199254740991.7",
            "1e19",
            "1e300",
            "1234567890123456789012345678901234567890",
        ] {
            assert!(Number::is_blurred(&Value::from(json)), "{json}");
            let read: Value = serde_json::from_str(json).expect("JSON");
            assert!(Number::is_blurred(&read), "{json}");
        }
        for json in [
            "-9223372036854775808",
            "18446744073709551615",
            "9007199254740993",
            "9007199254740991.0",
            "-9007199254740991.0",
            "0.5",
            "1e15",
            "0",
        ] {
            assert!(!Number::is_blurred(&Value::from(json)), "{json}");
            assert!(
                !Number::is_blurred(&Value::from(format!(" {json} "))),
                "{json}"
            );
            let read: Value = serde_json::from_str(json).expect("JSON");
            assert!(!Number::is_blurred(&read), "{json}");
        }
        assert!(!Number::is_blurred(&Value::from("inf")));
    }
}
