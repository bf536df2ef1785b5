//! Which domain an event belongs to: the events do not say it, `d_map:` and `d_unmap:` lines before them do.

use super::line::{DomainLine, EventLine, Op};

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
    /// Domains in order of appearance; `None` stands for events without a domain line.
    domains: Vec<Option<u64>>,
    /// Lines that were given up because too many waited.
    given_up: u64,
    /// Events for which no domain line was waiting.
    alone: u64,
}

/// A domain line that waits for its event.
struct Announcement {
    is_map: bool,
    pid: u32,
    cpu: u32,
    what: DomainLine,
}

impl Pairing {
    /// Takes a `d_map` or `d_unmap` line.
    pub fn announce(&mut self, line: &EventLine<'_>, what: DomainLine) {
        if self.waiting.len() == MOST_WAITING {
            self.waiting.remove(0);
            self.given_up += 1;
        }
        self.waiting.push(Announcement { is_map: line.name == "d_map", pid: line.pid, cpu: line.cpu, what });
    }

    /// The domain of an event, as an index into the names.
    pub fn domain_of(&mut self, line: &EventLine<'_>, op: &Op) -> usize {
        let is_map = matches!(op, Op::Map { .. });
        let matching = |waiting: &Announcement| {
            let same_size = waiting.what.size == op.size();
            waiting.is_map == is_map && waiting.what.iova == op.iova() && same_size && waiting.pid == line.pid
        };
        let same_cpu = self.waiting.iter().rposition(|waiting| matching(waiting) && waiting.cpu == line.cpu);
        let found = same_cpu.or_else(|| self.waiting.iter().rposition(matching));
        if found.is_none() {
            self.alone += 1;
        }
        let domain = found.map(|index| self.waiting.remove(index).what.domain);
        match self.domains.iter().position(|known| *known == domain) {
            Some(index) => index,
            None => {
                self.domains.push(domain);
                self.domains.len() - 1
            }
        }
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
        let name = |domain: Option<u64>| match domain {
            Some(domain) => format!("{domain:#x}"),
            None if single => "(the only one)".to_owned(),
            None => "(not named)".to_owned(),
        };
        self.domains.into_iter().map(name).collect()
    }
}
