//! Moments as documents write them: `2026-07-11T10:16:37Z`, always UTC, always whole seconds (RFC 3339, one spelling of it).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A moment between 1970 and 9999, in seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

/// The text isn't a moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a moment such as 2026-07-11T10:16:37Z (UTC, 1970 to 9999)")]
pub struct MomentError(String);

const DAY: u64 = 86_400;
/// 10000-01-01, the first moment that four digits can't write.
const END: u64 = 253_402_300_800;

impl Moment {
    /// From seconds since 1970; nothing from the year 10000 on.
    pub fn from_unix(seconds: u64) -> Option<Self> {
        (seconds < END).then_some(Self(seconds))
    }

    /// Seconds since 1970-01-01T00:00:00Z.
    pub fn unix(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.0 / DAY);
        let second = self.0 % DAY;
        write!(f, "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
    }
}

impl FromStr for Moment {
    type Err = MomentError;

    fn from_str(text: &str) -> Result<Self, MomentError> {
        let bad = || MomentError(text.chars().take(40).collect());
        let number = |from: usize, to: usize| text.get(from..to).and_then(|digits| digits.parse::<u64>().ok()).ok_or_else(bad);
        let days = days_before(number(0, 4)?, number(5, 7)?, number(8, 10)?).ok_or_else(bad)?;
        let moment = Self(days * DAY + number(11, 13)? * 3600 + number(14, 16)? * 60 + number(17, 19)?);
        // Whatever isn't the one spelling of what was understood (31 February, 24:00, signs, spaces) comes out differently.
        if moment.0 < END && moment.to_string() == text { Ok(moment) } else { Err(bad()) }
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, counting years from March so that leap days come last.
fn days_before(year: u64, month: u64, day: u64) -> Option<u64> {
    let (year, month) = if month > 2 { (year, month.checked_sub(3)?) } else { (year.checked_sub(1)?, month + 9) };
    let before = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day.checked_sub(1)?;
    before.checked_sub(719_468)
}

/// The date that `days` after 1970-01-01 is.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, rest) = (days / 146_097, days % 146_097);
    let year = (rest - rest / 1_460 + rest / 36_524 - rest / 146_096) / 365;
    let day = rest - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (carry, civil_month) = if month < 10 { (0, month + 3) } else { (1, month - 9) };
    (400 * era + year + carry, civil_month, day - (153 * month + 2) / 5 + 1)
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_answers() {
        // `date -u -d @N +%FT%TZ`
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_783_764_997, "2026-07-11T10:16:37Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(Moment::from_unix(seconds).unwrap().to_string(), text);
            assert_eq!(text.parse::<Moment>().unwrap().unix(), seconds);
        }
        assert_eq!(Moment::from_unix(253_402_300_800), None);
    }

    #[test]
    fn other_spellings_are_refused() {
        for bad in [
            "",
            "2026-07-11",
            "2026-07-11T10:16:37",
            "2026-07-11T10:16:37+00:00",
            "2026-07-11t10:16:37z",
            "2026-07-11 10:16:37Z",
            "2026-02-30T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "1969-12-31T23:59:59Z",
            "+026-01-01T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2026-07-11T10:16:37.0Z",
        ] {
            assert!(bad.parse::<Moment>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(seconds in 0..END) {
            let moment = Moment::from_unix(seconds).unwrap();
            prop_assert_eq!(moment.to_string().parse::<Moment>().unwrap(), moment);
        }
    }
}
