//! Points in time: seconds since 1970-01-01T00:00:00Z, and their RFC 3339 text in UTC.

/// Seconds of `2026-02-18T10:58:51Z`; the one form that Intel's collateral and our own files use (RFC 3339, UTC, whole
/// seconds, upper-case letters). `None` for anything else, and for years before 1970.
pub fn parse(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    let shape = b"dddd-dd-ddTdd:dd:ddZ";
    let fits = bytes.len() == shape.len()
        && bytes.iter().zip(shape).all(|(byte, kind)| if *kind == b'd' { byte.is_ascii_digit() } else { byte == kind });
    if !fits {
        return None;
    }
    let number = |from: usize, to: usize| text.get(from..to).and_then(|digits| digits.parse::<u64>().ok());
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if year < 1970 || !(1..=12).contains(&month) || day < 1 || day > month_length(year, month) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut days = day - 1;
    days += (1970..year).map(year_length).sum::<u64>();
    days += (1..month).map(|earlier| month_length(year, earlier)).sum::<u64>();
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// RFC 3339 text. Years after 9999 are shown as `after the year 9999`.
pub fn show(seconds: u64) -> String {
    let (mut days, of_day) = (seconds / 86_400, seconds % 86_400);
    let mut year = 1970;
    while year <= 9999 && days >= year_length(year) {
        days -= year_length(year);
        year += 1;
    }
    if year > 9999 {
        return "after the year 9999".into();
    }
    let mut month = 1;
    while days >= month_length(year, month) {
        days -= month_length(year, month);
        month += 1;
    }
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", days + 1)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn year_length(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn month_length(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::{parse, show};

    #[test]
    fn known_points() {
        // From `date -u -d … +%s`.
        let table = [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T23:59:59Z", 951_868_799),
            ("2026-02-18T10:58:51Z", 1_771_412_331),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
        ];
        for (text, seconds) in table {
            assert_eq!(parse(text), Some(seconds), "{text}");
            assert_eq!(show(seconds), text);
        }
        assert_eq!(show(253_402_300_800), "after the year 9999");
    }

    #[test]
    fn other_forms_are_refused() {
        let table = [
            "",
            "2026-02-18",
            "2026-02-18T10:58:51",
            "2026-02-18t10:58:51Z",
            "2026-02-18T10:58:51+00:00",
            "2026-13-01T00:00:00Z",
            "2026-02-30T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:60Z",
            "1969-12-31T23:59:59Z",
            "2026-02-18T10:58:5éZ",
            " 2026-02-18T10:58:51Z",
        ];
        for text in table {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
