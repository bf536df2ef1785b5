//! Which domain an event belongs to: a field of it says it, or a `d_map:` or `d_unmap:` line before it.

use super::line::{DomainLine, EventLine, Op, Owner};
use crate::human::printable;
use std::collections::HashMap;

/// Most announcements that wait for their event; a driver has at most a few per CPU under way.
const MOST_WAITING: usize = 1024;

/// Pairs each event with the domain line that announced it.
///
/// The domain line is written when the operation begins, the event when it ends. Meanwhile an interrupt on the same CPU
/// can do another one (they nest), and the other CPUs go on. So an event belongs to the latest waiting line of the same
/// operation, address and size: of the same CPU and task if there is one, or else of the same task, which may have moved
/// to another CPU.
#[derive(Default)]
pub struct Pairing {
    waiting: Vec<Announcement>,
    /// Names of domains, in order of appearance in any line.
    owners: Vec<OwnerName>,
    /// Where these are in the list: of domains by address, and of devices by name. There can be tens of thousands.
    by_address: HashMap<u64, usize>,
    by_device: HashMap<String, usize>,
    /// Domains in order of their first event, as indexes into `owners`; `None` stands for events without a domain.
    domains: Vec<Option<usize>>,
    /// Where these are in the list.
    by_owner: HashMap<Option<usize>, usize>,
    /// Lines that were given up because too many waited.
    given_up: u64,
    /// Events for which no domain line was waiting.
    alone: u64,
}

/// What a domain is known by.
enum OwnerName {
    /// Its address in the traced kernel.
    Domain(u64),
    /// The only device in it, or one that stands for all.
    Device(String),
}

/// A domain line that waits for its event.
struct Announcement {
    is_map: bool,
    pid: u32,
    cpu: u32,
    owner: usize,
    iova: u64,
    size: u64,
}

impl Pairing {
    /// Takes a `d_map` or `d_unmap` line.
    pub fn announce(&mut self, line: &EventLine<'_>, what: DomainLine<'_>) {
        if self.waiting.len() == MOST_WAITING {
            self.waiting.remove(0);
            self.given_up += 1;
        }
        let owner = self.index_of(what.owner);
        let is_map = line.name == "d_map";
        let (pid, cpu) = (line.pid, line.cpu);
        self.waiting.push(Announcement { is_map, pid, cpu, owner, iova: what.iova, size: what.size });
    }

    /// The place of a name among those that are known from now on.
    fn index_of(&mut self, owner: Owner<'_>) -> usize {
        let next = self.owners.len();
        let known = match owner {
            Owner::Domain(domain) => *self.by_address.entry(domain).or_insert(next),
            Owner::Device(device) => match self.by_device.get(device) {
                Some(index) => *index,
                None => *self.by_device.entry(device.to_owned()).or_insert(next),
            },
        };
        if known == next {
            self.owners.push(match owner {
                Owner::Domain(domain) => OwnerName::Domain(domain),
                Owner::Device(device) => OwnerName::Device(device.to_owned()),
            });
        }
        known
    }

    /// The domain of an event, as an index into the names; `owner` is what the event itself says.
    pub fn domain_of(&mut self, line: &EventLine<'_>, op: &Op, owner: Option<Owner<'_>>) -> usize {
        let domain = match owner {
            Some(owner) => Some(self.index_of(owner)),
            None => self.announced(line, op),
        };
        let next = self.domains.len();
        let known = *self.by_owner.entry(domain).or_insert(next);
        if known == next {
            self.domains.push(domain);
        }
        known
    }

    /// The domain that a waiting line names.
    fn announced(&mut self, line: &EventLine<'_>, op: &Op) -> Option<usize> {
        let is_map = matches!(op, Op::Map { .. });
        let matching = |waiting: &Announcement| {
            let is_same_range = waiting.iova == op.iova() && waiting.size == op.size();
            waiting.is_map == is_map && is_same_range && waiting.pid == line.pid
        };
        let same_cpu = self.waiting.iter().rposition(|waiting| matching(waiting) && waiting.cpu == line.cpu);
        let found = same_cpu.or_else(|| self.waiting.iter().rposition(matching));
        if found.is_none() {
            self.alone += 1;
        }
        found.map(|index| self.waiting.remove(index).owner)
    }

    /// Domain lines to which no event belonged, so far.
    pub fn unpaired(&self) -> u64 {
        self.given_up + self.waiting.len() as u64
    }

    /// Events without a domain line, in a trace that has domain lines.
    pub fn without_domain(&self) -> u64 {
        let has_domains = self.unpaired() > 0 || self.domains.iter().any(Option::is_some);
        if has_domains { self.alone } else { 0 }
    }

    /// The names of the domains.
    pub fn into_names(self) -> Vec<String> {
        let single = self.domains.len() == 1;
        let name = |owner: Option<usize>| match owner.and_then(|index| self.owners.get(index)) {
            Some(OwnerName::Domain(domain)) => format!("{domain:#018x}"),
            Some(OwnerName::Device(device)) => printable(device),
            None if single => "(the only one)".to_owned(),
            None => "(not named)".to_owned(),
        };
        self.domains.iter().copied().map(name).collect()
    }
}
