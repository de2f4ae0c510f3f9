//! Dates as release files write them: `Sat, 15 Nov 2025 09:12:40 UTC`.

use captain_model::Timestamp;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Reads a date of RFC 5322 in UTC. Nothing for other zones: release files have none.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let rest = text.split_once(',').map_or(text, |(_, rest)| rest);
    let words: Vec<_> = rest.split_whitespace().collect();
    let [day, month, year, time, zone] = words.try_into().ok()?;
    if !matches!(zone, "UTC" | "GMT" | "Z" | "+0000") {
        return None;
    }
    let month = MONTHS.iter().position(|name| *name == month)? as i64 + 1;
    let (year, day) = (number(year, 9999)?, number(day, 31)?);
    let clock: Vec<_> = time.split(':').map(|part| number(part, 60)).collect::<Option<_>>()?;
    let [hour, minute, second] = clock.try_into().ok()?;
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some(Timestamp::from_millis(u64::try_from(seconds).ok()? * 1000))
}

fn number(text: &str, largest: i64) -> Option<i64> {
    text.parse().ok().filter(|value| (0..=largest).contains(value))
}

/// Days from 1970-01-01, by Howard Hinnant's `days_from_civil`.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn release_dates_are_read() {
        // Right sides by `date -u -d ... +%s`.
        for (text, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 UTC", 0),
            ("Sat, 06 Sep 2025 10:31:27 UTC", 1_757_154_687),
            ("Thu, 29 Feb 2024 23:59:59 +0000", 1_709_251_199),
            ("1 Mar 2000 00:00:00 GMT", 951_868_800),
        ] {
            assert_eq!(parse(text), Some(Timestamp::from_millis(seconds * 1000)), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_date_is_nothing() {
        for text in [
            "",
            "yesterday",
            "Sat, 06 Sep 2025 10:31:27 CEST",
            "Sat, 06 Foo 2025 10:31:27 UTC",
            "6 Sep 2025 10:31 UTC",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
