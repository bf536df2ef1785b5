//! What `genpt draw` makes of images.

use super::genpt;
use super::images::Bench;
use serde_json::Value;

/// A mapping whose first item is 0: s390 has no bit that says that a page is there, but one that says that it is not.
pub const ITEM_OF_0: &str = "format = \"s390\"\nbase = \"1M\"\n[[map]]\nva = 0\npa = 0\nlen = \"1M\"\nprot = \"rw\"\n";

impl Bench {
    /// What `draw` says and writes, and its exit status.
    pub fn draw(&self, name: &str, options: &[&str]) -> (String, String, i32) {
        let output = genpt(&[&["draw", &self.text("image"), "-o", &self.text(name)], options].concat());
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8(output.stdout).unwrap();
        (said, std::fs::read_to_string(self.path(name)).unwrap(), output.status.code().unwrap())
    }

    /// The data in the page.
    pub fn data(&self, options: &[&str]) -> Value {
        data_of(&self.draw("page.html", options).1)
    }
}

/// The data in a page.
pub fn data_of(page: &str) -> Value {
    let (_, rest) = page.split_once("id=\"data\">").unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

/// A number that is hexadecimal text.
pub fn number(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

/// Items of a cell.
pub fn items(cell: &Value) -> u64 {
    cell["n"].as_u64().unwrap_or(1)
}

/// The cells of all tables.
pub fn cells(data: &Value) -> impl Iterator<Item = &Value> {
    data["tables"].as_array().unwrap().iter().flat_map(|table| table["cells"].as_array().unwrap())
}

/// Images of tables that point to each other at random: with the same attributes, and with random ones.
pub fn at_random() -> (Vec<u8>, Vec<u8>) {
    let pages = 512u64;
    let mut state = 7u64;
    let (mut items, mut noise) = (Vec::new(), Vec::new());
    for _ in 0..pages * 512 {
        // A linear congruential generator: Knuth's MMIX.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let page = ((state >> 33) % pages) << 12;
        items.extend((page | 0x27 | (state & 0xf0) << 56).to_le_bytes());
        noise.extend((page | state & 0xfff0_0000_0000_0fff | 1).to_le_bytes());
    }
    (items, noise)
}
