//! One plot: curves over the samples of a trace as SVG, and the same numbers for the script.

use super::Escaped;
use crate::human;
use serde::Serialize;
use std::fmt::{self, Write};

/// Width of the drawing; the page stretches it to what it has.
const WIDTH: f64 = 600.0;
/// Height of it.
const HEIGHT: f64 = 120.0;
/// How high the highest value is: a curve along the edge would not be seen.
const HIGHEST: f64 = 112.0;

/// How curves are drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Each from the bottom.
    Lines,
    /// Each on the one before.
    Layers,
}

/// One curve.
#[derive(Clone, Debug, Serialize)]
pub struct Curve {
    /// What it shows.
    pub name: String,
    /// The class that colours it.
    pub style: String,
    /// A value for each sample.
    pub values: Vec<u64>,
}

/// A plot of numbers of bytes.
#[derive(Clone, Debug)]
pub struct Plot {
    /// What it shows.
    pub title: String,
    /// Further classes of the figure.
    pub class: &'static str,
    /// How it is drawn.
    pub kind: Kind,
    /// The value of the highest line; more is cut off.
    pub most: u64,
    /// Its curves, in the order of the legend.
    pub curves: Vec<Curve>,
}

impl Plot {
    /// Writes it as a figure; `last_line` is the line of the last sample.
    pub fn write(&self, out: &mut String, last_line: u64) -> fmt::Result {
        let title = Escaped(&self.title);
        let most = human::bytes(self.most);
        writeln!(out, "<figure class=\"{}\">", self.class)?;
        writeln!(out, "<figcaption><span>{title}</span><span>up to {most}</span></figcaption>")?;
        write!(out, "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" tabindex=\"0\" ")?;
        writeln!(out, "aria-label=\"{title}, up to {most}\">")?;
        for part in [0.25, 0.5, 0.75, 1.0] {
            let y = HEIGHT - HIGHEST * part;
            writeln!(out, "<line class=\"grid\" x1=\"0\" x2=\"{WIDTH}\" y1=\"{y}\" y2=\"{y}\"/>")?;
        }
        match self.kind {
            Kind::Lines => self.write_lines(out)?,
            Kind::Layers => self.write_layers(out)?,
        }
        writeln!(out, "<line class=\"cursor\" x1=\"0\" x2=\"0\" y1=\"0\" y2=\"{HEIGHT}\"/>\n</svg>")?;
        writeln!(out, "<div class=\"ends\"><span>first event</span><span>line {last_line}</span></div>")?;
        if self.curves.len() > 1 {
            writeln!(out, "<ul class=\"legend\">")?;
            for curve in &self.curves {
                writeln!(out, "<li><i class=\"{}\"></i>{}</li>", curve.style, Escaped(&curve.name))?;
            }
            writeln!(out, "</ul>")?;
        }
        let numbers = serde_json::json!(self.curves);
        writeln!(out, "<script type=\"application/json\">{numbers}</script>\n</figure>")
    }

    fn write_lines(&self, out: &mut String) -> fmt::Result {
        for curve in &self.curves {
            let points = self.points(&curve.values);
            writeln!(out, "<path class=\"area\" d=\"M0,{HEIGHT}L{points}L{WIDTH},{HEIGHT}Z\"/>")?;
            writeln!(out, "<path class=\"line\" d=\"M{points}\"/>")?;
        }
        Ok(())
    }

    fn write_layers(&self, out: &mut String) -> fmt::Result {
        let mut tops: Vec<Vec<u64>> = Vec::new();
        for curve in &self.curves {
            let top = match tops.last() {
                Some(below) => {
                    below.iter().zip(&curve.values).map(|(below, value)| below.saturating_add(*value)).collect()
                }
                None => curve.values.clone(),
            };
            tops.push(top);
        }
        // The highest first: each is drawn over the lower part of the one above it.
        for (curve, top) in self.curves.iter().zip(&tops).rev() {
            let points = self.points(top);
            writeln!(out, "<path class=\"layer {}\" d=\"M0,{HEIGHT}L{points}L{WIDTH},{HEIGHT}Z\"/>", curve.style)?;
        }
        Ok(())
    }

    /// The values as points of a path, from edge to edge.
    fn points(&self, values: &[u64]) -> String {
        let y = |value: u64| HEIGHT - HIGHEST * (value as f64 / self.most.max(1) as f64).min(1.0);
        if let [only] = values {
            return format!("0,{y:.1} {WIDTH},{y:.1}", y = y(*only));
        }
        let last = values.len().saturating_sub(1).max(1) as f64;
        let points =
            values.iter().enumerate().map(|(n, value)| format!("{:.1},{:.1}", WIDTH * n as f64 / last, y(*value)));
        points.collect::<Vec<_>>().join(" ")
    }
}
