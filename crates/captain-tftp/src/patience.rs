//! [`Patience`]: how long to wait for an acknowledgement. RFC 6298, with bounds for firmware.

use std::time::Duration;

/// Before anything is known.
const FIRST: Duration = Duration::from_secs(1);
/// ROMs answer from a polling loop that also draws the screen: less would send everything twice.
const LEAST: Duration = Duration::from_millis(200);
const MOST: Duration = Duration::from_secs(8);
/// Less than that is how busy the client is, or its network card's way to save interrupts.
const SHORTEST: Duration = Duration::from_millis(1);

/// Adaptive retransmission time.
#[derive(Clone, Debug)]
pub(crate) struct Patience {
    /// What the client chose; then nothing adapts (RFC 2349).
    fixed: Option<Duration>,
    /// Smoothed round trip and its variation.
    known: Option<(Duration, Duration)>,
    /// A guess at the round trip, where it could not be measured.
    guess: Duration,
    current: Duration,
}

impl Patience {
    pub(crate) fn new(fixed: Option<Duration>) -> Self {
        Self { fixed, known: None, guess: Duration::ZERO, current: fixed.unwrap_or(FIRST) }
    }

    /// How long to wait now.
    pub(crate) fn wait(&self) -> Duration {
        self.current
    }

    /// The smoothed round trip time, or the guess at it; zero before anything came back.
    pub(crate) fn round_trip(&self) -> Duration {
        self.known.map_or(self.guess, |(smooth, _)| smooth)
    }

    /// After so long, an answer to what was sent last can no longer be on its way, as far as is known.
    pub(crate) fn overdue(&self) -> Duration {
        self.round_trip() + self.variation() * 4
    }

    /// So long after one answer, the next one to the same window is there if there is one.
    pub(crate) fn moment(&self) -> Duration {
        (self.round_trip() / 2).max(self.variation() * 2).max(SHORTEST)
    }

    fn variation(&self) -> Duration {
        self.known.map_or(self.guess / 2, |(_, variation)| variation)
    }

    /// An answer to something that was sent more than once came so long after the last time.
    pub(crate) fn guessed(&mut self, round_trip: Duration) {
        self.guess = round_trip;
    }

    /// A round trip of something that was sent once only (Karn).
    pub(crate) fn measured(&mut self, round_trip: Duration) {
        let (smooth, variation) = match self.known {
            None => (round_trip, round_trip / 2),
            Some((smooth, variation)) => {
                ((smooth * 7 + round_trip) / 8, (variation * 3 + smooth.abs_diff(round_trip)) / 4)
            }
        };
        self.known = Some((smooth, variation));
        self.current = self.fixed.unwrap_or_else(|| (smooth + variation * 4).clamp(LEAST, MOST));
    }

    /// Nothing came: wait longer.
    pub(crate) fn back_off(&mut self) {
        self.current = self.fixed.unwrap_or_else(|| (self.current * 2).min(MOST));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_wait_begins_at_a_second_doubles_and_comes_back_with_a_measurement() {
        let mut patience = Patience::new(None);
        assert_eq!(patience.wait(), ms(1000));
        let waits = [2000, 4000, 8000, 8000].map(|_| {
            patience.back_off();
            patience.wait()
        });
        assert_eq!(waits, [ms(2000), ms(4000), ms(8000), ms(8000)]);
        patience.measured(ms(1));
        assert_eq!(patience.wait(), LEAST);
        patience.measured(ms(1000));
        assert!(patience.wait() > ms(900));
    }

    #[test]
    fn a_wait_that_the_client_chose_never_changes() {
        let mut patience = Patience::new(Some(ms(3000)));
        patience.measured(ms(1));
        patience.back_off();
        assert_eq!(patience.wait(), ms(3000));
    }
}
