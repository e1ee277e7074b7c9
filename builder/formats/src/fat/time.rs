//! Times as FAT stores them.
//!
//! Source: fatgen103, "Date and Time Formats". They have no zone; ours are UTC.

/// A date and time in a directory entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DosTime {
    /// Bits 15–9 years since 1980, 8–5 month, 4–0 day.
    pub date: u16,
    /// Bits 15–11 hours, 10–5 minutes, 4–0 seconds halved.
    pub time: u16,
    /// Hundredths of a second to add to `time`, 0 or 100 here: the odd second. Only a creation time has them.
    pub tenths: u8,
}

/// 1980-01-01 00:00:00 and 2107-12-31 23:59:59 UTC, the first and last second that FAT can express.
const FIRST: u64 = 315_532_800;
const LAST: u64 = 4_354_819_199;

const DAY: u64 = 86400;

impl DosTime {
    /// From seconds since 1970 UTC. A time before 1980 becomes the first second of 1980; `None` after 2107.
    pub fn from_epoch(epoch: u64) -> Option<DosTime> {
        if epoch > LAST {
            return None;
        }
        let since = epoch.max(FIRST) - FIRST;
        let (year, month, day) = date_since_1980(since / DAY);
        let second = since % DAY;
        let (hours, minutes, seconds) = (second / 3600, second / 60 % 60, second % 60);
        Some(DosTime {
            date: u16::try_from(year << 9 | month << 5 | day).ok()?,
            time: u16::try_from(hours << 11 | minutes << 5 | (seconds / 2)).ok()?,
            tenths: if seconds % 2 == 1 { 100 } else { 0 },
        })
    }
}

/// Years since 1980, month and day, of a day counted from 1980-01-01. In FAT's range a year is a leap year if and only
/// if it is divisible by four, but for 2100.
fn date_since_1980(mut day: u64) -> (u64, u64, u64) {
    let mut year = 0;
    loop {
        let leap = year % 4 == 0 && year != 120;
        let months = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        for (month, length) in (1u64..).zip(months) {
            if day < length {
                return (year, month, day + 1);
            }
            day -= length;
        }
        year += 1;
    }
}

impl std::fmt::Display for DosTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (date, time) = (u32::from(self.date), u32::from(self.time));
        let seconds = (time & 31) * 2 + u32::from(self.tenths / 100);
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{seconds:02}",
            1980 + (date >> 9),
            date >> 5 & 15,
            date & 31,
            time >> 11,
            time >> 5 & 63
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values from `date -u -d @EPOCH`.
    #[test]
    fn known_times() {
        let cases = [
            (0, "1980-01-01T00:00:00"),
            (FIRST, "1980-01-01T00:00:00"),
            (320_630_399, "1980-02-28T23:59:59"),
            (320_630_400, "1980-02-29T00:00:00"),
            (1_783_296_000, "2026-07-06T00:00:00"),
            (1_783_296_001, "2026-07-06T00:00:01"),
            (4_107_542_399, "2100-02-28T23:59:59"),
            (4_107_542_400, "2100-03-01T00:00:00"),
            (LAST, "2107-12-31T23:59:59"),
        ];
        for (epoch, text) in cases {
            assert_eq!(DosTime::from_epoch(epoch).unwrap().to_string(), text, "{epoch}");
        }
        assert_eq!(DosTime::from_epoch(LAST + 1), None);
    }
}
