use std::time::Duration;

/// Longest length of time that is accepted: 400 days, as long as runs are kept.
const LONGEST: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// Reads `90s`, `15m`, `24h`, `7d`; several may follow each other, largest first (`1h30m`).
///
/// # Errors
/// Says what to write instead.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    const HOW: &str = "write a number with its unit, such as `90s`, `15m`, `24h` or `7d`";
    let text = text.trim();
    let mut rest = text;
    let mut total = Duration::ZERO;
    let mut last_unit = u64::MAX;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let Ok(amount) = rest[..digits].parse::<u64>() else {
            return Err(HOW.to_owned());
        };
        if rest.len() == digits {
            return Err(format!(
                "give it a unit: `{text}s`, `{text}m`, `{text}h` or `{text}d`"
            ));
        }
        let word_end = rest[digits..]
            .find(|c: char| !c.is_alphabetic())
            .map_or(rest.len(), |at| at + digits);
        let unit: u64 = match &rest[digits..word_end] {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            other => {
                let near = match other.chars().next().map(|c| c.to_ascii_lowercase()) {
                    Some('s') => "s",
                    Some('m')
                        if !other.to_lowercase().starts_with("mo") && !other.starts_with("ms") =>
                    {
                        "m"
                    }
                    Some('h') => "h",
                    Some('d') => "d",
                    _ => return Err(HOW.to_owned()),
                };
                return Err(format!("did you mean `{amount}{near}`?"));
            }
        };
        if unit >= last_unit {
            return Err("units go from large to small, each once, such as `1h30m`".to_owned());
        }
        last_unit = unit;
        total = amount
            .checked_mul(unit)
            .and_then(|seconds| total.checked_add(Duration::from_secs(seconds)))
            .filter(|total| *total <= LONGEST)
            .ok_or_else(|| "at most `400d`".to_owned())?;
        rest = &rest[word_end..];
    }
    if last_unit == u64::MAX {
        Err(HOW.to_owned())
    } else {
        Ok(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_have_units() {
        assert_eq!(parse_duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse_duration("7d"), Ok(Duration::from_secs(604_800)));
        assert_eq!(
            parse_duration("10min"),
            Err("did you mean `10m`?".to_owned())
        );
        assert_eq!(
            parse_duration("24 h"),
            Err("write a number with its unit, such as `90s`, `15m`, `24h` or `7d`".to_owned())
        );
        assert!(parse_duration("").is_err());
        assert!(parse_duration("15").unwrap_err().contains("unit"));
        assert!(parse_duration("99999999999999999999d").is_err());
        assert!(parse_duration("9999d").is_err());
        assert!(parse_duration("30m1h").is_err());
    }
}
