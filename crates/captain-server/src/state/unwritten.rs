//! What the disk refused, kept until it takes it: of each thing the newest, so an outage of days costs no more memory
//! than one of minutes.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use captain_dhcp::LeaseChange;
use captain_model::{BootId, Mac};

use super::Record;
use super::store::KEPT_BOOTS;

/// Changes that are not on disk.
#[derive(Debug, Default)]
pub(super) struct Unwritten(BTreeMap<Subject, Record>);

/// What a change is about; boots come last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Lease(Ipv4Addr),
    Bar(Ipv4Addr),
    Settled(Mac),
    Boot(BootId),
}

impl Unwritten {
    /// Keeps `records`, which are newer than all that is here.
    pub(super) fn add(&mut self, records: Vec<Record>) {
        for record in records {
            self.0.insert(subject(&record), record);
        }
        self.forget_oldest_boots();
    }

    /// All that is kept.
    pub(super) fn records(&self) -> Vec<Record> {
        self.0.values().cloned().collect()
    }

    /// The disk would forget them, too; and anybody can make boots up.
    fn forget_oldest_boots(&mut self) {
        let boots: Vec<Subject> = self.0.range(Subject::Boot(BootId(0))..).map(|(boot, _)| *boot).collect();
        let kept = usize::try_from(KEPT_BOOTS).unwrap_or(usize::MAX);
        for boot in &boots[..boots.len().saturating_sub(kept)] {
            self.0.remove(boot);
        }
    }
}

fn subject(record: &Record) -> Subject {
    match record {
        Record::Lease(LeaseChange::Put(lease)) => Subject::Lease(lease.address),
        Record::Lease(LeaseChange::Remove(address)) => Subject::Lease(*address),
        Record::Lease(LeaseChange::Bar(address, _)) => Subject::Bar(*address),
        Record::Settled(mac, _) => Subject::Settled(*mac),
        Record::Boot(boot) => Subject::Boot(boot.boot),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use captain_model::{BootPolicy, Event, EventKind, Timestamp};

    fn boot(id: u64) -> Record {
        let kind = EventKind::Report { step: "agent".into(), detail: String::new() };
        let event = Event::new(Timestamp::default(), Mac::new([2, 0, 0, 0, 0, 1]), kind);
        let observed = crate::timeline::Timeline::new([], id).observe(event, BootPolicy::Always);
        Record::Boot(Box::new(observed.changed.unwrap()))
    }

    #[test]
    fn of_each_thing_the_newest_change_is_kept_and_of_boots_as_many_as_the_disk_keeps() {
        let (mac, address) = (Mac::new([2, 0, 0, 0, 0, 1]), Ipv4Addr::new(192, 168, 50, 100));
        let mut unwritten = Unwritten::default();
        unwritten.add(vec![Record::Settled(mac, true), Record::Lease(LeaseChange::Remove(address))]);
        unwritten.add(vec![
            Record::Lease(LeaseChange::Bar(address, Timestamp::default())),
            Record::Settled(mac, false),
        ]);
        let kept = unwritten.records();
        assert_eq!(kept.len(), 3, "{kept:?}");
        assert!(kept.iter().any(|record| matches!(record, Record::Settled(_, false))), "{kept:?}");
        unwritten.add((1..=KEPT_BOOTS + 5).map(boot).collect());
        let kept = unwritten.records();
        assert_eq!(kept.len() as u64, 3 + KEPT_BOOTS);
        let ids = kept.iter().filter_map(|record| match record {
            Record::Boot(boot) => Some(boot.boot.0),
            Record::Lease(_) | Record::Settled(..) => None,
        });
        assert_eq!(ids.min(), Some(6), "the oldest went");
    }
}
