//! Signals by name and number, signal(7).

use anyhow::{Result, bail};

/// Names without `SIG`, by number from 1.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
    "PWR", "SYS",
];
/// Other names for the same.
const ALIASES: [(&str, u8); 4] = [("IOT", 6), ("CLD", 17), ("POLL", 29), ("UNUSED", 31)];
/// As the C library counts them.
const RTMIN: u8 = 34;
const RTMAX: u8 = 64;

/// Reads `9`, `KILL`, `sigkill`, `RTMIN+3`, `RTMAX-1`.
pub(crate) fn parse(text: &str) -> Result<u8> {
    if let Ok(number) = text.parse::<i64>() {
        match u8::try_from(number) {
            Ok(number) if number <= RTMAX => return Ok(number),
            _ => bail!("unable to signal init: invalid argument"),
        }
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(number) = (1..).zip(NAMES).find_map(|(number, known)| (known == name).then_some(number)) {
        return Ok(number);
    }
    if let Some((_, number)) = ALIASES.iter().find(|(known, _)| *known == name) {
        return Ok(*number);
    }
    real_time(name).ok_or_else(|| anyhow::anyhow!("unknown signal {text:?}"))
}

fn real_time(name: &str) -> Option<u8> {
    let offset = |rest: &str, sign| match rest {
        "" => Some(0),
        _ => rest.strip_prefix(sign)?.parse::<u8>().ok(),
    };
    let number = if let Some(rest) = name.strip_prefix("RTMIN") {
        RTMIN.checked_add(offset(rest, '+')?)?
    } else {
        RTMAX.checked_sub(offset(name.strip_prefix("RTMAX")?, '-')?)?
    };
    (RTMIN..=RTMAX).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        for (text, number) in
            [("9", 9), ("KILL", 9), ("sigterm", 15), ("SIGSYS", 31), ("0", 0), ("64", 64), ("IOT", 6), ("HUP", 1)]
        {
            assert_eq!(parse(text).unwrap(), number, "{text}");
        }
        assert_eq!(parse("SIGRTMIN+1").unwrap(), 35);
        assert_eq!(parse("RTMAX").unwrap(), 64);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "FOO", "SIG", "65", "-1", "RTMIN+31", "RTMAX-31", "99999999999999999999"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(parse("FOO").unwrap_err().to_string(), "unknown signal \"FOO\"");
    }
}
