//! Sizes as people write them.

use std::{fmt, str::FromStr};

/// A number of bytes: `300000000`, `256MiB`, `1.5G`. A letter alone means powers of 1024, as `MiB` does; `MB` means powers of
/// 1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) usize);

const UNITS: [&str; 5] = ["", "k", "m", "g", "t"];

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a size such as 256MiB or 1G");
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let unit = unit.trim_start().to_ascii_lowercase();
        let (prefix, base) = match unit.strip_suffix("ib") {
            Some(prefix) if !prefix.is_empty() => (prefix, 1024_u64),
            _ => match unit.strip_suffix('b') {
                Some(prefix) => (prefix, 1000),
                None => (unit.as_str(), 1024),
            },
        };
        let power = UNITS.iter().position(|unit| *unit == prefix).ok_or_else(wrong)?;
        let scale = base.pow(power as u32);
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() || number.ends_with('.') || part.contains('.') || part.len() > 6 {
            return Err(wrong());
        }
        let large = || format!("{text} is more than any machine has");
        let whole: u64 = whole.parse().map_err(|_| large())?;
        let parts: u64 = if part.is_empty() { 0 } else { part.parse().map_err(|_| wrong())? };
        // At most six digits of at most a tebibyte.
        let fraction = (u128::from(parts) * u128::from(scale) / 10_u128.pow(part.len() as u32)) as u64;
        whole
            .checked_mul(scale)
            .and_then(|bytes| bytes.checked_add(fraction))
            .and_then(|bytes| usize::try_from(bytes).ok())
            .map(Self)
            .ok_or_else(large)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Size;

    #[test]
    fn sizes_are_read_with_and_without_units() {
        let cases: [(&str, u64); 15] = [
            ("0", 0),
            ("123", 123),
            ("7B", 7),
            ("4k", 4096),
            ("4K", 4096),
            ("4KiB", 4096),
            ("4kb", 4000),
            ("256MiB", 256 << 20),
            ("256 MiB", 256 << 20),
            ("256M", 256 << 20),
            ("256MB", 256_000_000),
            ("1G", 1 << 30),
            ("1.5GiB", 3 << 29),
            ("0.25k", 256),
            ("2T", 2 << 40),
        ];
        for (text, bytes) in cases {
            assert_eq!(text.parse::<Size>().map(|size| size.0 as u64), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused_with_an_example() {
        for text in
            ["", "M", "-1", "1x", "1iB", "1.M", "1..2M", "1.5.0G", ".5G", "1 2", "0.1234567G", "1e9", "ib"]
        {
            let error = text.parse::<Size>().unwrap_err();
            assert!(error.contains("is not a size such as 256MiB or 1G"), "{text:?}: {error}");
        }
        for text in ["99999999999999999999", "18446744073709551615k", "16777216T"] {
            let error = text.parse::<Size>().unwrap_err();
            assert!(error.contains("more than any machine has"), "{text:?}: {error}");
        }
    }
}
