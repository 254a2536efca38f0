//! Moments as seconds since 1970 in UTC, and the spellings of them that CloudTrail uses.

/// Seconds since 1970-01-01T00:00:00Z.
pub type Seconds = i64;

pub const MINUTE: Seconds = 60;
pub const HOUR: Seconds = 60 * MINUTE;
pub const DAY: Seconds = 24 * HOUR;

struct Civil {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
}

/// The moment of a UTC date and time of day.
pub fn moment(date: (i64, i64, i64), clock: (i64, i64, i64)) -> Seconds {
    let (year, month, day) = date;
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    days * DAY + clock.0 * HOUR + clock.1 * MINUTE + clock.2
}

/// The inverse of [`moment`]; both are the proleptic Gregorian formulas of Hinnant's `chrono` date algorithms.
fn civil(time: Seconds) -> Civil {
    let days = time.div_euclid(DAY) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let of_day = time.rem_euclid(DAY);
    Civil {
        year: year_of_era + era * 400 + i64::from(month <= 2),
        month,
        day: day_of_year - (153 * shifted_month + 2) / 5 + 1,
        hour: of_day / HOUR,
        minute: of_day / MINUTE % 60,
        second: of_day % 60,
    }
}

/// `2025-03-12T01:47:12Z`, as in eventTime.
pub fn iso(time: Seconds) -> String {
    let c = civil(time);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        c.year, c.month, c.day, c.hour, c.minute, c.second
    )
}

/// `2025-03-12`.
pub fn day(time: Seconds) -> String {
    let c = civil(time);
    format!("{:04}-{:02}-{:02}", c.year, c.month, c.day)
}

/// `2025/03/12`, as in the keys of an archive.
pub fn folder(time: Seconds) -> String {
    let c = civil(time);
    format!("{:04}/{:02}/{:02}", c.year, c.month, c.day)
}

/// `20250312T0147Z`, as in the names of log files.
pub fn minute_stamp(time: Seconds) -> String {
    let c = civil(time);
    format!(
        "{:04}{:02}{:02}T{:02}{:02}Z",
        c.year, c.month, c.day, c.hour, c.minute
    )
}

/// `20250312T014712Z`, as in the names of digest files.
pub fn second_stamp(time: Seconds) -> String {
    let c = civil(time);
    format!(
        "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
        c.year, c.month, c.day, c.hour, c.minute, c.second
    )
}

/// `Mar 12, 2025, 1:47:12 AM`, as in responseElements of control-plane writes.
pub fn american(time: Seconds) -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let c = civil(time);
    let month = MONTHS[(c.month - 1) as usize];
    let (hour, half) = (
        (c.hour + 11) % 12 + 1,
        if c.hour < 12 { "AM" } else { "PM" },
    );
    format!(
        "{month} {}, {}, {hour}:{:02}:{:02} {half}",
        c.day, c.year, c.minute, c.second
    )
}
