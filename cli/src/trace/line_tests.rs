use super::*;
use proptest::prelude::*;

const MAP: &str = "    kworker/u8:0-12      [001] .....     3.912299: map: IOMMU: iova=0x00000000fffff000 - \
                   0x0000000100000000 paddr=0x0000000014075000 size=4096";
const UNMAP: &str = "          <idle>-0       [000] ..s..     3.919876: unmap: IOMMU: iova=0x00000000ffffd000 - \
                     0x00000000ffffe000 size=4096 unmapped_size=4096";

fn event(text: &str) -> EventLine<'_> {
    match Line::parse(text) {
        Ok(Line::Event(event)) => event,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn map_and_unmap() {
    let line = event(MAP);
    assert_eq!((line.pid, line.cpu, line.name), (12, 1, "map"));
    let span = Span { first: 0xffff_f000, last: 0xffff_ffff };
    assert_eq!(Op::parse_map(line.arguments), Ok((Op::Map { span, paddr: 0x1407_5000 }, None)));
    let line = event(UNMAP);
    assert_eq!((line.pid, line.cpu, line.name), (0, 0, "unmap"));
    let unmap = Op::Unmap { iova: 0xffff_d000, asked: 4096, removed: 4096 };
    assert_eq!(Op::parse_unmap(line.arguments), Ok((unmap, None)));
}

#[test]
fn lines_of_trace_cmd() {
    for flags in ["", "....  ", "d..2.  "] {
        let text = format!("   kworker/u8:0-12    [001] {flags}   3.912299: map:                  IOMMU: iova=0x1000");
        let line = event(&text);
        assert_eq!((line.pid, line.cpu, line.name, line.arguments), (12, 1, "map", "IOMMU: iova=0x1000"));
    }
    let line = event("nvme-7 [000]  3912299104512: unmap:                IOMMU:"); // a clock that counts has no point
    assert_eq!((line.name, line.arguments), ("unmap", "IOMMU:"));
    for header in ["cpus=8", "version = 7", "CPU 3 is empty", "CPU:1 [SUBBUFFER START]"] {
        assert_eq!(Line::parse(header), Ok(Line::Nothing));
    }
    assert_eq!(Line::parse("CPU:1 [17 EVENTS DROPPED]"), Ok(Line::Lost(Some(17))));
    assert_eq!(Line::parse("CPU:1 [EVENTS DROPPED]"), Ok(Line::Lost(None)));
    assert!(Line::parse("CPU:1 [x EVENTS DROPPED]").is_err());
    assert!(Line::parse("cpus=many").is_err());
}

#[test]
fn events_that_name_their_domain() {
    let map = "IOMMU: iova=0x0 - 0x1 paddr=0x0 size=1";
    let owner = |more: &str| Op::parse_map(&format!("{map}{more}")).map(|(_, owner)| format!("{owner:?}"));
    assert_eq!(owner(" device=0000:00:03.0").unwrap(), "Some(Device(\"0000:00:03.0\"))");
    assert_eq!(owner(" domain=0x1f").unwrap(), "Some(Domain(31))");
    assert_eq!(owner(" device=x y").unwrap_err().found, "`y` after the last field");
    assert_eq!(owner(" device=").unwrap_err().found, "`device=` after the last field");
    let unmap = Op::parse_unmap("IOMMU: iova=0x0 - 0x1 size=1 unmapped_size=1 device=gpu").unwrap();
    assert_eq!(unmap.1, Some(Owner::Device("gpu")));
}

#[test]
fn task_names_may_hold_anything() {
    for task in ["a-b", "kworker/0:1H", "<idle>", "two words", "[x]", "a [000] b", "irq/24-nvme0q1", ": map:"] {
        for pid in ["-7", "-7   (    7)", "-7   (-------)"] {
            for flags in ["..... ", "d.h1. ", ""] {
                let line = format!("  {task}{pid}   [003] {flags}   1.000001: tracing_mark_write: map: x");
                let line = event(&line);
                assert_eq!((line.pid, line.cpu, line.name), (7, 3, "tracing_mark_write"));
                assert_eq!(line.arguments, "map: x");
            }
        }
    }
}

#[test]
fn lines_that_are_no_events() {
    assert_eq!(Line::parse("# tracer: nop"), Ok(Line::Header("# tracer: nop")));
    assert_eq!(Line::parse("##### CPU 0 buffer started ####"), Ok(Line::BufferStarted));
    assert_eq!(Line::parse("CPU:1 [LOST 17 EVENTS]"), Ok(Line::Lost(Some(17))));
    assert_eq!(Line::parse("CPU:1 [LOST EVENTS]"), Ok(Line::Lost(None)));
    assert_eq!(Line::parse(" => iommu_map"), Ok(Line::Nothing));
    assert_eq!(Line::parse("\r"), Ok(Line::Nothing));
    assert!(Line::parse("hello").is_err());
    assert!(Line::parse("bash-1 [000] 12: ").is_err());
}

#[test]
fn the_last_page_of_the_address_space() {
    let op = Op::parse_map("IOMMU: iova=0xfffffffffffff000 - 0x0000000000000000 paddr=0x0 size=4096");
    let map = Op::Map { span: Span { first: u64::MAX - 4095, last: u64::MAX }, paddr: 0 };
    assert_eq!(op, Ok((map, None)));
    assert!(Op::parse_map("IOMMU: iova=0xfffffffffffff000 - 0x1000 paddr=0x0 size=8192").is_err());
}

#[test]
fn contradictions_and_gaps_are_named() {
    let found = |arguments| Op::parse_map(arguments).unwrap_err().found;
    assert_eq!(
        found("IOMMU: iova=0x1000 - 0x2000 paddr=0x0 size=8192"),
        "the end is 0x2000, but start + size is 0x3000"
    );
    assert_eq!(found("IOMMU: iova=0x1000 - 0x2000 size=4096"), "`size=4096` where `paddr=` should be");
    assert_eq!(found("IOMMU: iova=0x1000 - 0x2000 paddr=0x0"), "the line ends where `size=` should be");
    assert_eq!(found("IOMMU: iova=0x1000 - 0x1000 paddr=0x0 size=0"), "a map of no bytes");
    assert_eq!(found("IOMMU: iova=1000 - 0x2000"), "`iova=1000`: not a 64-bit hexadecimal number with 0x");
    assert_eq!(found("IOMMU: iova=0x0 - 0x1 paddr=0x0 size=1 x"), "`x` after the last field");
    let found = |arguments| Op::parse_unmap(arguments).unwrap_err().found;
    assert_eq!(
        found("IOMMU: iova=0x1000 - 0x2000 size=4096 unmapped_size=-1"),
        "`unmapped_size=-1`: not a 64-bit decimal number"
    );
}

#[test]
fn domain_lines() {
    let line = DomainLine::parse("(__iommu_unmap+0x0/0x240) domain=0xffff88afc2087400 iova=0xffffd000 size=0x1000");
    let owner = Owner::Domain(0xffff_88af_c208_7400);
    assert_eq!(line, Ok(DomainLine { owner, iova: 0xffff_d000, size: 0x1000 }));
    let line = DomainLine::parse("(f+0x4/0x310) device=0000:00:03.0 iova=0x0 size=0x1000").unwrap();
    assert_eq!(line.owner, Owner::Device("0000:00:03.0"));
    let found = |arguments| DomainLine::parse(arguments).unwrap_err().found;
    assert_eq!(found("iova=0x0 size=0x1000"), "no `domain=` with a number, and no `device=`");
    assert_eq!(found("domain=x iova=0x0 size=0x1000"), "no `domain=` with a number, and no `device=`");
    assert_eq!(found("domain=0x1 size=0x1000"), "no `iova=`");
}

proptest! {
    #[test]
    fn nothing_panics(text in "\\PC*", arguments in "IOMMU: (iova=|paddr=|size=|0x|-| |[0-9a-f]{1,20}|[^ ]){0,20}") {
        let _ = Line::parse(&text);
        let _ = Op::parse_map(&arguments);
        let _ = Op::parse_unmap(&arguments);
        let _ = DomainLine::parse(&arguments);
        let _ = Line::parse(&format!("x-1 [000] ..... 1.0: {text}"));
    }

    #[test]
    fn mutated_lines_do_not_panic(at in 0usize..160, with in any::<char>(), unmap in any::<bool>()) {
        let mut text: Vec<char> = if unmap { UNMAP } else { MAP }.chars().collect();
        if let Some(place) = text.get_mut(at) {
            *place = with;
        }
        let text: String = text.into_iter().collect();
        if let Ok(Line::Event(line)) = Line::parse(&text) {
            let _ = Op::parse_map(line.arguments);
            let _ = Op::parse_unmap(line.arguments);
        }
    }
}
