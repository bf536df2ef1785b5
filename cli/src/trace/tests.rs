use super::*;

const HEADER: &str = "# tracer: nop\n# entries-in-buffer/entries-written: 4/4   #P:2\n";

fn read(text: &str, on_malformed: OnMalformed) -> Result<Trace, TraceError> {
    Trace::read_from(text.as_bytes(), "t".into(), on_malformed, || ())
}

fn map(cpu: u32, pid: u32, iova: u64) -> String {
    let end = iova + 4096;
    format!("t-{pid} [{cpu:03}] ..... 1.0: map: IOMMU: iova={iova:#x} - {end:#x} paddr=0x1000 size=4096\n")
}

fn d_map(cpu: u32, pid: u32, domain: u64, iova: u64) -> String {
    format!(
        "t-{pid} [{cpu:03}] ..... 1.0: d_map: (f+0x4/0x310) domain={domain:#x} iova={iova:#x} paddr=0x1000 size=0x1000\n"
    )
}

#[test]
fn one_domain_and_other_events() {
    let text = format!("{HEADER}{}t-1 [000] ..... 1.0: io_page_fault: IOMMU:x\n\n", map(0, 1, 0x1000));
    let trace = read(&text, OnMalformed::Stop).unwrap();
    assert_eq!((trace.events.len(), trace.domains.len(), trace.lines), (1, 1, 5));
    assert_eq!(trace.other_events["io_page_fault"], 1);
    assert_eq!(trace.start, Start::Empty);
    assert_eq!((trace.events[0].line, trace.events_without_domain), (3, 0));
}

#[test]
fn a_malformed_line_is_shown_or_skipped() {
    let text = format!("{HEADER}{}t-1 [000] ..... 1.0: unmap: IOMMU: iova=0x1 -\n", map(0, 1, 0x1000));
    let error = read(&text, OnMalformed::Stop).unwrap_err().to_string();
    assert!(error.contains("t:4: ") && error.contains("iova=0x1 -") && error.contains("expected"), "{error}");
    assert_eq!(read(&text, OnMalformed::Skip).unwrap().malformed, 1);
    let error = read("nonsense\n", OnMalformed::Skip).unwrap_err().to_string();
    assert!(error.contains("no `map:` or `unmap:` event"), "{error}");
}

#[test]
fn a_line_without_end_is_not_read_whole() {
    let text = "x".repeat(1 << 20);
    let error = read(&text, OnMalformed::Stop).unwrap_err().to_string();
    assert!(error.contains("t:1: ") && error.len() < 1000, "{error}");
}

#[test]
fn signs_of_missing_events() {
    let starts = |front: &str| read(&format!("{front}{}", map(0, 1, 0)), OnMalformed::Stop).unwrap().start;
    assert_eq!(starts("# entries-in-buffer/entries-written: 4/9   #P:2\n"), Start::Middle { complete_from: 2 });
    assert_eq!(starts("##### CPU 1 buffer started ####\n"), Start::Middle { complete_from: 2 });
    assert_eq!(starts("\nCPU:1 [LOST 3 EVENTS]\n"), Start::Middle { complete_from: 3 });
}

#[test]
fn interrupts_nest_and_tasks_move() {
    let lines = [
        d_map(0, 7, 0xa, 0x1000),
        d_map(0, 7, 0xb, 0x1000), // in an interrupt of it
        d_map(1, 0, 0xc, 0x1000),
        map(0, 7, 0x1000),
        map(1, 7, 0x1000), // moved
        map(1, 0, 0x1000),
        map(1, 0, 0x9000), // never announced
    ];
    let trace = read(&lines.concat(), OnMalformed::Stop).unwrap();
    let domains: Vec<&str> = trace.events.iter().map(|event| trace.domains[event.domain].as_str()).collect();
    assert_eq!(domains, ["0x000000000000000b", "0x000000000000000a", "0x000000000000000c", "(not named)"]);
    assert_eq!((trace.unpaired_domain_lines, trace.events_without_domain), (0, 1));
}

#[test]
fn devices_are_domains() {
    let device = |name: &str| map(0, 7, 0x1000).replace('\n', &format!(" device={name}\n"));
    let announced = d_map(0, 7, 0, 0x1000).replace("domain=0x0", "device=b");
    let lines = [device("a"), announced, map(0, 7, 0x1000), device("b"), device("a")];
    let trace = read(&lines.concat(), OnMalformed::Stop).unwrap();
    let domains: Vec<usize> = trace.events.iter().map(|event| event.domain).collect();
    assert_eq!((trace.domains, domains), (vec!["a".to_owned(), "b".to_owned()], vec![0, 1, 1, 0]));
    assert_eq!((trace.unpaired_domain_lines, trace.events_without_domain), (0, 0));
}

#[test]
fn bytes_of_any_kind_give_an_error_or_a_trace() {
    let mut seed = 7u64;
    for _ in 0..200 {
        let bytes: Vec<u8> = (0..400)
            .map(|_| {
                seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (seed >> 56) as u8
            })
            .collect();
        assert!(Trace::read_from(&bytes[..], "t".into(), OnMalformed::Skip, || ()).is_err());
    }
}
