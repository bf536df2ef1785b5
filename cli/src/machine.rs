//! Which machine the program runs on.

use serde::Serialize;
use std::fs;

/// A machine, as far as it matters for times.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Machine {
    /// The CPU's name, as the system tells it.
    pub cpu: String,
    /// The architecture that the program was built for.
    pub architecture: &'static str,
    /// The version of the program.
    pub version: &'static str,
}

impl Machine {
    /// This one.
    pub fn this() -> Self {
        let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu = cpu_name(&text).unwrap_or("a CPU whose name the system does not tell").to_owned();
        Self { cpu, architecture: std::env::consts::ARCH, version: env!("CARGO_PKG_VERSION") }
    }
}

/// The name in `/proc/cpuinfo`: the key differs by architecture.
fn cpu_name(text: &str) -> Option<&str> {
    ["model name", "uarch", "cpu", "machine", "Model", "CPU part"].iter().find_map(|key| {
        let fields = text.lines().filter_map(|line| line.split_once(':'));
        fields.filter(|(name, _)| name.trim() == *key).map(|(_, value)| value.trim()).find(|value| !value.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_cpus() {
        let x86 = "processor\t: 0\ncpu family\t: 6\nmodel name\t: Some(R) CPU @ 2.60GHz\n";
        assert_eq!(cpu_name(x86), Some("Some(R) CPU @ 2.60GHz"));
        assert_eq!(cpu_name("processor : 0\nCPU part\t: 0xd0c\n"), Some("0xd0c"));
        assert_eq!(cpu_name("processor : 0\n"), None);
    }
}
