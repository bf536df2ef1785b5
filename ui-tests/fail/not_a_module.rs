//! Something else than one module.

generic_pt::define_pt_format!(
    type Item = u64;
);

fn main() {}
