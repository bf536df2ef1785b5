//! A map of an address space in a picture: extents in use, with holes made narrow between them.

use super::{LINE, MARGIN, Picture, STRIP, WIDTH};
use crate::draw::extents::{Extent, Mix};
use crate::draw::layout::{GAP_WIDTH, extent_width};
use crate::human;
use std::fmt::{self, Write};

/// Height of the bar over what is mapped more than once.
const AGAIN: u32 = 4;

impl Picture<'_> {
    /// Writes a map, with ticks for other extents, which lie in the same address space.
    pub fn map(&mut self, name: &str, extents: &[Extent], ticks: &[Extent], digits: usize) -> fmt::Result {
        self.text("soft", name)?;
        let y = self.y - LINE + 6.0;
        let holes = extents.windows(2).filter(|pair| hole(&pair[0], &pair[1]) > 0).count() as u32;
        let all: u32 = extents.iter().map(extent_width).sum::<u32>() + GAP_WIDTH * holes;
        let unit = (WIDTH - 2.0 * MARGIN) / f64::from(all.max(1));
        let mut x = MARGIN;
        let mut places: Vec<Place<'_>> = Vec::with_capacity(extents.len());
        for extent in extents {
            let bytes = places.last().map_or(0, |before| hole(before.extent, extent));
            if bytes > 0 {
                let (width, bytes) = (unit * f64::from(GAP_WIDTH), human::bytes(bytes));
                self.block("empty", x, y, width, &format!("hole of {bytes}"), &[bytes])?;
                x += width;
            }
            let width = unit * f64::from(extent_width(extent));
            let styles = &self.drawing.styles;
            let (class, look) = (styles.access(extent.look), styles.words(extent.look));
            let (mixed_class, mixed) = if extent.mix == Mix::Mixed { (" mixed", ", and others") } else { ("", "") };
            let title = format!(
                "{:0digits$x}..={:0digits$x}: {} in use, {look}{mixed}{}",
                extent.first,
                extent.last,
                human::bytes(extent.used_bytes),
                if extent.uses > 1 { format!(", mapped {} times", extent.uses) } else { String::new() },
            );
            let label = format!("{:x} · {}", extent.first, human::bytes(extent.used_bytes));
            self.block(
                &format!("{class}{mixed_class}"),
                x,
                y,
                width,
                &title,
                &[label, human::bytes(extent.used_bytes)],
            )?;
            if extent.uses > 1 {
                writeln!(
                    self.out,
                    "<rect class=\"again\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{AGAIN}\"/>"
                )?;
            }
            places.push(Place { extent, x, width });
            x += width;
        }
        for tick in ticks {
            let (Some(first), Some(last)) = (place(&places, tick.first), place(&places, tick.last)) else { continue };
            let width = (last - first).max(2.0);
            writeln!(
                self.out,
                "<rect class=\"tick\" x=\"{first:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"7\"/>",
                y + STRIP + 3.0
            )?;
        }
        self.y = y + STRIP + LINE * 1.5;
        Ok(())
    }
}

/// Bytes between two extents.
const fn hole(before: &Extent, next: &Extent) -> u64 {
    next.first - before.last - 1
}

/// Where an extent is drawn.
struct Place<'a> {
    extent: &'a Extent,
    x: f64,
    width: f64,
}

/// Where an address is drawn.
fn place(places: &[Place<'_>], address: u64) -> Option<f64> {
    let Place { extent, x, width } = places.iter().find(|place| address <= place.extent.last)?;
    let part = address.saturating_sub(extent.first) as f64 / (extent.last - extent.first).max(1) as f64;
    Some(x + width * part)
}
