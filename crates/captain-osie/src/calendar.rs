//! Dates as disc formats want them.

/// A moment, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Calendar {
    pub(crate) year: u64,
    pub(crate) month: u64,
    pub(crate) day: u64,
    pub(crate) hour: u64,
    pub(crate) minute: u64,
    pub(crate) second: u64,
}

impl Calendar {
    /// Seconds since the epoch (days to dates by Howard Hinnant's civil_from_days).
    pub(crate) fn of(seconds: u64) -> Self {
        let (days, time) = (seconds / 86400 + 719_468, seconds % 86400);
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let from_march = (5 * day + 2) / 153;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        Self {
            year: era * 400 + year + u64::from(month <= 2),
            month,
            day: day - (153 * from_march + 2) / 5 + 1,
            hour: time / 3600,
            minute: time / 60 % 60,
            second: time % 60,
        }
    }

    /// Date and time of a FAT file system, which knows the years 1980 to 2107.
    pub(crate) fn dos(self) -> (u16, u16) {
        let year = self.year.clamp(1980, 2107) - 1980;
        let date = year << 9 | self.month << 5 | self.day;
        let time = self.hour << 11 | self.minute << 5 | (self.second / 2);
        (date as u16, time as u16)
    }

    /// The seven bytes of a directory record (ECMA-119 section 9.1.5), which knows the years 1900 to 2155.
    pub(crate) fn record(self) -> [u8; 7] {
        let year = self.year.clamp(1900, 2155) - 1900;
        [year, self.month, self.day, self.hour, self.minute, self.second, 0].map(|field| field as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_dates_of_the_calendar_and_of_discs() {
        let one = Calendar::of(1_700_000_000);
        assert_eq!((one.year, one.month, one.day), (2023, 11, 14));
        assert_eq!((one.hour, one.minute, one.second), (22, 13, 20));
        assert_eq!(one.record(), [123, 11, 14, 22, 13, 20, 0]);
        assert_eq!(one.dos(), (43 << 9 | 11 << 5 | 14, 22 << 11 | 13 << 5 | 10));
        let leap = Calendar::of(951_782_400);
        assert_eq!((leap.year, leap.month, leap.day), (2000, 2, 29));
    }
}
