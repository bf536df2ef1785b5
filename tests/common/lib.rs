//! A plain model of page tables, simulated hardware that walks them, and what runs both against the library.

pub mod configs;
pub mod dump;
pub mod formats;
pub mod gathers;
pub mod hardware;
pub mod memory;
pub mod model;
pub mod ops;
pub mod runner;
pub mod subject;
pub mod world;
