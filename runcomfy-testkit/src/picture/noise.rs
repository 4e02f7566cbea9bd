//! Deterministic random numbers and smooth noise.

use crate::ids::mix;

/// A deterministic sequence of random numbers.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mix(self.0)
    }

    /// From 0 to 1.
    pub(super) fn unit(&mut self) -> f32 {
        part(self.number())
    }

    pub(super) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }
}

/// The number from 0 to 1 at a grid point.
pub(super) fn at(seed: u64, x: i32, y: i32) -> f32 {
    part(mix(seed ^ (u64::from(x.cast_unsigned()) << 32 | u64::from(y.cast_unsigned()))))
}

/// The upper bits, which a float represents exactly.
fn part(number: u64) -> f32 {
    (number >> 40) as f32 / (1_u64 << 24) as f32
}

/// Smooth one-dimensional noise from 0 to 1.
pub(super) fn line(seed: u64, x: f32) -> f32 {
    let cell = x.floor();
    let blend = smooth(x - cell);
    let cell = cell as i32;
    at(seed, cell, 0) * (1.0 - blend) + at(seed, cell.wrapping_add(1), 0) * blend
}

/// One-dimensional noise with finer detail.
pub(super) fn rough_line(seed: u64, x: f32, octaves: u32) -> f32 {
    octaves_of(octaves, |octave, scale| line(seed.wrapping_add(octave), x * scale))
}

/// Smooth two-dimensional noise with detail, from 0 to 1.
pub(super) fn plane(seed: u64, x: f32, y: f32, octaves: u32) -> f32 {
    octaves_of(octaves, |octave, scale| patch(seed.wrapping_add(octave), x * scale, y * scale))
}

fn patch(seed: u64, x: f32, y: f32) -> f32 {
    let (column, row) = (x.floor(), y.floor());
    let (across, down) = (smooth(x - column), smooth(y - row));
    let (column, row) = (column as i32, row as i32);
    let (right, below) = (column.wrapping_add(1), row.wrapping_add(1));
    let top = at(seed, column, row) * (1.0 - across) + at(seed, right, row) * across;
    let bottom = at(seed, column, below) * (1.0 - across) + at(seed, right, below) * across;
    top * (1.0 - down) + bottom * down
}

fn octaves_of(octaves: u32, noise: impl Fn(u64, f32) -> f32) -> f32 {
    let (mut sum, mut weights, mut weight, mut scale) = (0.0, 0.0, 1.0, 1.0);
    for octave in 0..octaves {
        sum += weight * noise(u64::from(octave), scale);
        weights += weight;
        weight *= 0.5;
        scale *= 2.03;
    }
    sum / weights
}

pub(super) fn smooth(x: f32) -> f32 {
    let x = x.clamp(0.0, 1.0);
    x * x * (3.0 - 2.0 * x)
}
