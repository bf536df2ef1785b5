//! One scenario: a fresh table, its steps in order, every recorded value compared.

use crate::flushes;
use crate::formats::{VectorFormat, feature_names, table_config};
use crate::hex;
use crate::host::{Memory, Recorder, TestDomain};
use crate::tables::Tables;
use generic_pt::{
    DirtyMode, Domain, Errno, Features, Gather, GatherMode, Invalidation, LevelSet, Prot, PtIommu, VaRange,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Debug;

type Outcome = Result<(), String>;

fn same<T: PartialEq + Debug>(what: &str, expected: &T, got: &T) -> Outcome {
    if expected == got { Ok(()) } else { Err(format!("{what}: expected {expected:x?}, got {got:x?}")) }
}

fn flag(config: &Map<String, Value>, key: &str) -> bool {
    config.get(key).and_then(Value::as_bool).unwrap_or(true)
}

fn domain_of(config: &Map<String, Value>) -> TestDomain {
    let recorder = Recorder::new(flag(config, "driver_ops"), flag(config, "iommu_device"));
    Domain::new(Memory::default(), recorder)
}

fn errno_name(result: Result<(), Errno>) -> &'static str {
    result.map_or_else(Errno::name, |()| "ok")
}

/// Makes the table of `case` and compares the result, the info and the hardware info.
pub fn run_init<F: VectorFormat>(case: &Map<String, Value>) -> Outcome {
    let config = case["config"].as_object().ok_or("config is an object")?;
    let domain = domain_of(config);
    let table = PtIommu::<F, _>::new(&domain, &table_config::<F>(config)?);
    let result = errno_name(table.as_ref().map(|_| ()).map_err(|error| error.errno()));
    same("result", &case["init"]["result"].as_str().unwrap_or("?"), &result)?;
    if let Ok(table) = table {
        compare_info(&table, case.get("info"))?;
        compare_hw_info(&table, case.get("hw_info"))?;
    }
    same("live pages afterwards", &0, &domain.memory.live_pages())
}

fn compare_info<F: VectorFormat>(table: &PtIommu<F, &TestDomain>, expected: Option<&Value>) -> Outcome {
    let Some(expected) = expected else { return Ok(()) };
    let info = table.info();
    let got = json!({
        "pgsize_bitmap": format!("{:#x}", info.page_sizes),
        "aperture_start": format!("{:#x}", info.aperture.va),
        "aperture_last": format!("{:#x}", info.aperture.last),
        "max_vasz_lg2": info.max_va_lg2,
        "max_oasz_lg2": info.max_oa_lg2,
        "effective_features": feature_names::<F>(info.features),
    });
    same("info", expected, &got)
}

fn compare_hw_info<F: VectorFormat>(table: &PtIommu<F, &TestDomain>, expected: Option<&Value>) -> Outcome {
    let Some(expected) = expected else { return Ok(()) };
    let (got, root) = F::hw_info_json(&table.hw_info());
    same("hw_info", expected, &got)?;
    let top = Tables::of(table, 0);
    let top = top.find(table.top_level(), 0).map(|top| top.address as u64);
    root.map_or(Ok(()), |root| same("root address in hw_info", &top, &Some(root)))
}

/// Runs the steps of `case`. How many steps were begun, and the first difference.
pub fn run_scenario<F: VectorFormat>(file: &Map<String, Value>, case: &Value) -> (u64, Outcome) {
    let Some(config) = file["config"].as_object() else { return (0, Err("config is an object".into())) };
    let domain = domain_of(config);
    let mut steps = 0;
    let outcome = (|| {
        let table = PtIommu::<F, _>::new(&domain, &table_config::<F>(config)?).map_err(|error| error.to_string())?;
        let encryption_mask = config.get("encryption_mask").map_or(0, hex);
        domain.driver.take();
        let mut runner = Runner { table, domain: &domain, encryption_mask, gathers: BTreeMap::new() };
        for step in case["steps"].as_array().into_iter().flatten() {
            steps += 1;
            runner.step(step).map_err(|difference| format!("{step}: {difference}"))?;
        }
        // Gathers may still be open.
        runner.gathers.values_mut().for_each(Gather::sync_all);
        Ok(())
    })();
    let leaked = same("live pages at the end", &0, &domain.memory.live_pages());
    (steps, outcome.and(leaked))
}

struct Runner<'a, F: VectorFormat> {
    table: PtIommu<F, &'a TestDomain>,
    domain: &'a TestDomain,
    encryption_mask: u64,
    gathers: BTreeMap<String, Gather<F, &'a TestDomain>>,
}

impl<'a, F: VectorFormat> Runner<'a, F> {
    fn step(&mut self, step: &Value) -> Outcome {
        let fields = step.as_object().ok_or("a step is an object")?;
        match step["op"].as_str().unwrap_or("?") {
            "map" => self.map(step),
            "unmap" => self.unmap(step),
            "sync" => self.sync(step),
            "flush_all" => self.flush_all(step),
            "iova_to_phys" => {
                let found = self.table.iova_to_phys(hex(&step["iova"])).unwrap_or(0);
                same("paddr", &hex(&step["paddr"]), &found)
            }
            "set_dirty" => {
                let result = self.table.set_dirty(hex(&step["iova"]));
                same(
                    "result",
                    &step["result"].as_str().unwrap_or("?"),
                    &errno_name(result.map_err(|error| error.errno())),
                )
            }
            "read_and_clear_dirty" => self.dirty(step),
            "dump" => Tables::of(&self.table, self.encryption_mask).compare(fields),
            "set_pgsize_bitmap" => {
                let sizes = hex(&step["pgsize_bitmap"]);
                same("page sizes in force", &sizes, &self.table.narrow_page_sizes(sizes))
            }
            "fail_alloc_after" => {
                self.domain.memory.remaining.set(step["count"].as_u64());
                Ok(())
            }
            other => Err(format!("unknown op {other}")),
        }
    }

    fn is_incoherent(&self) -> bool {
        self.table.common().has(Features::DMA_INCOHERENT)
    }

    fn copy(&self) -> Option<Tables> {
        self.is_incoherent().then(|| Tables::of(&self.table, self.encryption_mask))
    }

    fn map(&mut self, step: &Value) -> Outcome {
        let before = self.copy();
        let (iova, paddr, len) = (hex(&step["iova"]), hex(&step["paddr"]), hex(&step["len"]));
        let result = self.table.map_range(iova, paddr, len, prot(&step["prot"])?);
        let heard = self.domain.driver.take();
        let mapped = result.as_ref().map_or_else(|error| error.mapped, |()| len);
        let name = errno_name(result.map_err(|error| error.errno()));
        same("result", &step["result"].as_str().unwrap_or("?"), &name)?;
        same("mapped", &hex(&step["mapped"]), &mapped)?;
        same("syncs", &json_syncs(&step["syncs"]), &self.syncs(&heard.syncs))?;
        let new_tops: Vec<u64> = heard.tops.iter().map(|top| top.level.into()).collect();
        let expected_tops: Vec<u64> = step["new_top_level"].as_u64().into_iter().collect();
        same("new_top_level", &expected_tops, &new_tops)?;
        match (before, self.copy()) {
            (Some(before), Some(after)) => {
                let got = flushes::resolve(&heard.flushes, &before, &after)?;
                flushes::compare_map(&flushes::expected(step), &got, &before, &after)
            }
            _ => same("flushes of a coherent table", &0, &heard.flushes.len()),
        }
    }

    fn unmap(&mut self, step: &Value) -> Outcome {
        let before = self.copy();
        let (iova, len) = (hex(&step["iova"]), hex(&step["len"]));
        let mode = if step["queued"].as_bool() == Some(true) { GatherMode::Queued } else { GatherMode::Immediate };
        let mut fresh = None;
        let gather = match step["gather_id"].as_str() {
            Some(id) => self.gathers.entry(id.into()).or_insert_with(|| self.table.gather(mode)),
            None => fresh.insert(self.table.gather(mode)),
        };
        let waiting_before = gather.unlinked_tables();
        let unmapped = self.table.unmap_range(iova, len, gather);
        let heard = self.domain.driver.take();
        let freed: u64 = heard.syncs.iter().map(|sync| sync.unlinked_tables).sum();
        let mut got = gather_json(gather.range());
        got["tables_freed"] = json!(gather.unlinked_tables() + freed - waiting_before);
        if self.table.common().has(Features::DETAILED_GATHER) {
            got["leaf_levels"] = levels(gather.leaf_levels());
            got["table_levels"] = levels(gather.table_levels());
        }
        let mut expected = step["gather"].clone();
        let expected_syncs = expected.as_object_mut().and_then(|gather| gather.remove("syncs")).unwrap_or(json!([]));
        if let Some(gather) = &mut fresh {
            gather.sync_all();
            self.domain.driver.take();
        }
        same("unmapped", &hex(&step["unmapped"]), &unmapped)?;
        same("gather", &expected, &got)?;
        same("syncs", &expected_syncs, &self.syncs(&heard.syncs))?;
        match (before, self.copy()) {
            (Some(before), Some(after)) => {
                let got = flushes::resolve(&heard.flushes, &before, &after)?;
                flushes::compare_unmap(&flushes::expected(step), &got, &before, iova, len.min(unmapped))
            }
            _ => same("flushes of a coherent table", &0, &heard.flushes.len()),
        }
    }

    fn sync(&mut self, step: &Value) -> Outcome {
        let gather = self.gather_of(step)?;
        gather.sync();
        let heard = self.domain.driver.take();
        same("syncs", &json_syncs(&step["syncs"]), &self.syncs(&heard.syncs))
    }

    fn flush_all(&mut self, step: &Value) -> Outcome {
        let gather = self.gather_of(step)?;
        let waiting = gather.unlinked_tables();
        gather.sync_all();
        same("tables_freed", &step["tables_freed"].as_u64().unwrap_or(u64::MAX), &waiting)?;
        same("tables left", &0, &self.gather_of(step)?.unlinked_tables())
    }

    fn gather_of(&mut self, step: &Value) -> Result<&mut Gather<F, &'a TestDomain>, String> {
        let id = step["gather_id"].as_str().ok_or("a gather_id is a string")?;
        self.gathers.get_mut(id).ok_or_else(|| format!("gather {id} was not used before"))
    }

    fn dirty(&mut self, step: &Value) -> Outcome {
        let mode = if step["flags"] == json!(["no_clear"]) { DirtyMode::Peek } else { DirtyMode::Clear };
        let mut gather = self.table.gather(GatherMode::Immediate);
        let mut found = Vec::new();
        let report = |range: VaRange| {
            found.push(
                json!({ "iova": format!("{:#x}", range.va), "len": format!("{:#x}", range.last - range.va + 1) }),
            );
        };
        let (iova, len) = (hex(&step["iova"]), hex(&step["size"]));
        let result = self.table.read_and_clear_dirty(iova, len, mode, &mut gather, report);
        let got = gather_json(gather.range());
        gather.sync_all();
        self.domain.driver.take();
        same("result", &step["result"].as_str().unwrap_or("?"), &errno_name(result.map_err(|error| error.errno())))?;
        same("dirty", &step["dirty"], &Value::Array(found))?;
        same("gather", &step["gather"], &got)
    }

    fn syncs(&self, syncs: &[Invalidation]) -> Value {
        let detailed = self.table.common().has(Features::DETAILED_GATHER);
        let one = |sync: &Invalidation| {
            let mut value = gather_json(Some(VaRange { va: sync.va, last: sync.last }));
            value["tables_freed"] = json!(sync.unlinked_tables);
            if detailed {
                value["leaf_levels"] = levels(sync.leaf_levels);
                value["table_levels"] = levels(sync.table_levels);
            }
            value
        };
        Value::Array(syncs.iter().map(one).collect())
    }
}

fn levels(levels: LevelSet) -> Value {
    json!(format!("{:#x}", levels.bits()))
}

fn json_syncs(value: &Value) -> Value {
    if value.is_null() { json!([]) } else { value.clone() }
}

fn gather_json(range: Option<VaRange>) -> Value {
    let range = range.unwrap_or(VaRange { va: u64::MAX, last: 0 });
    json!({ "start": format!("{:#x}", range.va), "end": format!("{:#x}", range.last) })
}

fn prot(names: &Value) -> Result<Prot, String> {
    let mut prot = Prot::empty();
    for name in names.as_array().into_iter().flatten() {
        prot |= match name.as_str() {
            Some("read") => Prot::READ,
            Some("write") => Prot::WRITE,
            Some("cache") => Prot::CACHE,
            Some("noexec") => Prot::NOEXEC,
            Some("mmio") => Prot::MMIO,
            other => return Err(format!("unknown protection {other:?}")),
        };
    }
    Ok(prot)
}
