//! Moments in UTC. No clock is read here: a moment always comes from a text or a caller.

use std::fmt;
use std::str::FromStr;

use super::BadValue;
use crate::reader::shorten;

/// The first second of the year 10000, which the four-digit texts can't hold.
const END: u64 = 253_402_300_800;

/// A moment, in whole seconds since 1970-01-01 00:00:00 UTC; written `2026-07-12T00:00:00Z` (RFC 3339, always `Z`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UtcTime(u64);

/// A moment in the naming of snapshot.debian.org, `20260712T000000Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Snapshot(UtcTime);

impl UtcTime {
    /// `None` from the year 10000 on.
    pub fn from_unix(seconds: u64) -> Option<UtcTime> {
        (seconds < END).then_some(UtcTime(seconds))
    }

    /// Seconds since 1970.
    pub fn unix(self) -> u64 {
        self.0
    }

    /// From calendar fields of the Gregorian calendar in UTC. `None` if there is no such moment from 1970 to 9999; leap
    /// seconds don't exist in this count.
    pub fn from_civil(date: (u64, u64, u64), time: (u64, u64, u64)) -> Option<UtcTime> {
        let ((year, month, day), (hour, minute, second)) = (date, time);
        let real = (1970..=9999).contains(&year) && (1..=12).contains(&month) && hour < 24 && minute < 60 && second < 60;
        if !real || day == 0 || day > month_length(year, month) {
            return None;
        }
        let months: u64 = (1..month).map(|m| month_length(year, m)).sum();
        let days = year_start(year) + months + day - 1;
        UtcTime::from_unix(days * 86_400 + hour * 3_600 + minute * 60 + second)
    }

    fn civil(self) -> ((u64, u64, u64), (u64, u64, u64)) {
        let (days, rest) = (self.0 / 86_400, self.0 % 86_400);
        // A year has at most 366 days, so the estimate is never too late; from 1970 to 9999 it is at most six too early.
        let mut year = 1970 + days / 366;
        while year_start(year + 1) <= days {
            year += 1;
        }
        let (mut month, mut day) = (1, days - year_start(year));
        while day >= month_length(year, month) {
            day -= month_length(year, month);
            month += 1;
        }
        ((year, month, day + 1), (rest / 3_600, rest / 60 % 60, rest % 60))
    }
}

/// Days from 1970-01-01 to January 1 of `year`, which is 1970 or later.
fn year_start(year: u64) -> u64 {
    let leap_days_before = |y: u64| (y - 1) / 4 - (y - 1) / 100 + (y - 1) / 400;
    (year - 1970) * 365 + leap_days_before(year) - leap_days_before(1970)
}

fn month_length(year: u64, month: u64) -> u64 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Reads digits where `pattern` has `0` and exactly the pattern's character elsewhere.
fn digits(text: &str, pattern: &str) -> Option<Vec<u64>> {
    if text.len() != pattern.len() {
        return None;
    }
    let mut numbers: Vec<u64> = Vec::new();
    let mut inside = false;
    for (byte, expected) in text.bytes().zip(pattern.bytes()) {
        match (byte, expected) {
            (b'0'..=b'9', b'0' | b'1') => {
                // `1` in the pattern begins a number that directly follows another one.
                if !inside || expected == b'1' {
                    numbers.push(0);
                }
                let last = numbers.last_mut()?;
                *last = *last * 10 + u64::from(byte - b'0');
                inside = true;
            }
            (byte, expected) if byte == expected => inside = false,
            _ => return None,
        }
    }
    Some(numbers)
}

fn from_pattern(text: &str, pattern: &str) -> Option<UtcTime> {
    match digits(text, pattern)?.as_slice() {
        [year, month, day, hour, minute, second] => UtcTime::from_civil((*year, *month, *day), (*hour, *minute, *second)),
        _ => None,
    }
}

impl FromStr for UtcTime {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<UtcTime, BadValue> {
        from_pattern(text, "0000-00-00T00:00:00Z")
            .ok_or_else(|| BadValue::new(format!("`{}` isn't a moment", shorten(text)), "write it like 2026-07-12T00:00:00Z"))
    }
}

impl fmt::Display for UtcTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((year, month, day), (hour, minute, second)) = self.civil();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

impl Snapshot {
    /// The moment itself.
    pub fn time(self) -> UtcTime {
        self.0
    }
}

impl From<UtcTime> for Snapshot {
    fn from(time: UtcTime) -> Snapshot {
        Snapshot(time)
    }
}

impl FromStr for Snapshot {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Snapshot, BadValue> {
        from_pattern(text, "00001010T001010Z").map(Snapshot).ok_or_else(|| {
            BadValue::new(
                format!("`{}` isn't a timestamp of snapshot.debian.org", shorten(text)),
                "write it like 20260712T000000Z",
            )
        })
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((year, month, day), (hour, minute, second)) = self.0.civil();
        write!(f, "{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_moments() {
        // Oracle: GNU date.
        for (text, unix) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1980-01-01T00:00:00Z", 315_532_800),
            ("2000-02-29T23:59:59Z", 951_868_799),
            ("2026-07-11T10:16:37Z", 1_783_764_997),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
        ] {
            assert_eq!(text.parse::<UtcTime>().map(UtcTime::unix), Ok(unix), "{text}");
            assert_eq!(UtcTime(unix).to_string(), text);
        }
        for bad in [
            "2026-02-29T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2026-07-11T24:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-07-11 10:16:37Z",
            "2026-07-11T10:16:60Z",
            "1969-12-31T23:59:59Z",
            "",
        ] {
            assert!(bad.parse::<UtcTime>().is_err(), "{bad}");
        }
        assert_eq!("20260712T000000Z".parse::<Snapshot>().map(|s| s.time().to_string()), Ok("2026-07-12T00:00:00Z".into()));
        assert!("20260712T0000Z".parse::<Snapshot>().is_err());
    }

    proptest! {
        #[test]
        fn texts_round_trip(seconds in 0..END) {
            let time = UtcTime(seconds);
            prop_assert_eq!(time.to_string().parse::<UtcTime>(), Ok(time));
            prop_assert_eq!(Snapshot(time).to_string().parse::<Snapshot>(), Ok(Snapshot(time)));
        }
    }
}
