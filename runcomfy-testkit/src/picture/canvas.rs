//! Pixels and colours. Coordinates are in heights of the image: y from 0 to 1, x from 0 to `aspect`.

/// Red, green and blue, each 0 to 1.
pub(super) type Colour = [f32; 3];

pub(super) struct Canvas {
    width: u32,
    height: u32,
    pixels: Vec<Colour>,
}

impl Canvas {
    pub(super) fn new(width: u32, height: u32) -> Self {
        let count = width as usize * height as usize;
        Self { width, height, pixels: vec![[0.0; 3]; count] }
    }

    pub(super) fn width(&self) -> u32 {
        self.width
    }

    pub(super) fn height(&self) -> u32 {
        self.height
    }

    pub(super) fn aspect(&self) -> f32 {
        self.width as f32 / self.height as f32
    }

    /// The size of a pixel.
    pub(super) fn pixel(&self) -> f32 {
        1.0 / self.height as f32
    }

    /// A value for each pixel column, for values that depend on x only.
    pub(super) fn columns(&self, value: impl Fn(f32) -> f32) -> Vec<f32> {
        (0..self.width).map(|column| value((column as f32 + 0.5) * self.pixel())).collect()
    }

    /// Changes the colour of every pixel.
    pub(super) fn paint(&mut self, colour: impl Fn(f32, f32, Colour) -> Colour) {
        self.paint_within(0.0, 1.0, colour);
    }

    /// Like `paint`, for the rows between two heights.
    pub(super) fn paint_within(
        &mut self,
        top: f32,
        bottom: f32,
        colour: impl Fn(f32, f32, Colour) -> Colour,
    ) {
        let (pixel, width) = (self.pixel(), self.width as usize);
        let row = |y: f32| (y * self.height as f32).clamp(0.0, self.height as f32) as usize;
        let (first, last) = (row(top), row(bottom));
        for (index, row) in self.pixels.chunks_exact_mut(width).enumerate().take(last).skip(first) {
            let y = (index as f32 + 0.5) * pixel;
            for (index, old) in row.iter_mut().enumerate() {
                *old = colour((index as f32 + 0.5) * pixel, y, *old);
            }
        }
    }

    /// Fills everything below a line with a soft edge. `colour` gets x, y and the depth below it.
    pub(super) fn fill_below(
        &mut self,
        ridge: impl Fn(f32) -> f32,
        colour: impl Fn(f32, f32, f32) -> Colour,
    ) {
        let (pixel, width, height) = (self.pixel(), self.width as usize, self.height as usize);
        for column in 0..width {
            let x = (column as f32 + 0.5) * pixel;
            let edge = ridge(x);
            let first = ((edge / pixel - 1.0).max(0.0) as usize).min(height);
            for row in first..height {
                let y = (row as f32 + 0.5) * pixel;
                let cover = ((y - edge) / pixel + 0.5).clamp(0.0, 1.0);
                let place = &mut self.pixels[row * width + column];
                *place = mix(*place, colour(x, y, y - edge), cover);
            }
        }
    }

    /// Fills the points of a box for which `inside` is true, with nine samples per pixel.
    pub(super) fn fill_shape(
        &mut self,
        (left, top): (f32, f32),
        (right, bottom): (f32, f32),
        colour: Colour,
        inside: impl Fn(f32, f32) -> bool,
    ) {
        let pixel = self.pixel();
        let index = |at: f32, count: u32| (at / pixel).clamp(0.0, count as f32) as u32;
        for row in index(top, self.height)..index(bottom + pixel, self.height) {
            for column in index(left, self.width)..index(right + pixel, self.width) {
                let hits = (0..9_u32).filter(|n| {
                    let offset = |n: u32| (n as f32 * 2.0 + 1.0) / 6.0;
                    inside(
                        (column as f32 + offset(n % 3)) * pixel,
                        (row as f32 + offset(n / 3)) * pixel,
                    )
                });
                let cover = hits.count() as f32 / 9.0;
                let place = &mut self.pixels[row as usize * self.width as usize + column as usize];
                *place = mix(*place, colour, cover);
            }
        }
    }

    /// Blends a soft round dot.
    pub(super) fn dot(&mut self, x: f32, y: f32, radius: f32, colour: Colour, strength: f32) {
        let pixel = self.pixel();
        let radius = radius.max(pixel * 0.6);
        let index = |at: f32, count: u32| (at / pixel).clamp(0.0, count as f32) as u32;
        for row in index(y - radius, self.height)..index(y + radius + pixel, self.height) {
            for column in index(x - radius, self.width)..index(x + radius + pixel, self.width) {
                let across = (column as f32 + 0.5) * pixel - x;
                let down = (row as f32 + 0.5) * pixel - y;
                let cover = (1.0 - (across * across + down * down) / (radius * radius)).max(0.0);
                let place = &mut self.pixels[row as usize * self.width as usize + column as usize];
                *place = mix(*place, colour, cover * strength);
            }
        }
    }

    /// The colour at a point, or at the nearest pixel.
    pub(super) fn at(&self, x: f32, y: f32) -> Colour {
        let index = |at: f32, count: u32| {
            ((at * self.height as f32).max(0.0) as usize).min(count as usize - 1)
        };
        self.pixels[index(y, self.height) * self.width as usize + index(x, self.width)]
    }

    /// Darkens the corners.
    pub(super) fn vignette(&mut self) {
        let aspect = self.aspect();
        self.paint(|x, y, old| {
            let (across, down) = (x / aspect - 0.5, y - 0.5);
            scale(old, 1.0 - 0.42 * (across * across + down * down))
        });
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let byte = |part: &f32| (part.clamp(0.0, 1.0) * 255.0 + 0.5) as u8;
        self.pixels.iter().flatten().map(byte).collect()
    }
}

pub(super) fn mix(a: Colour, b: Colour, share: f32) -> Colour {
    let share = share.clamp(0.0, 1.0);
    [0, 1, 2].map(|part| a[part] + (b[part] - a[part]) * share)
}

pub(super) fn add(a: Colour, b: Colour, strength: f32) -> Colour {
    [0, 1, 2].map(|part| a[part] + b[part] * strength)
}

pub(super) fn scale(colour: Colour, by: f32) -> Colour {
    colour.map(|part| part * by)
}

pub(super) fn tint(a: Colour, b: Colour) -> Colour {
    [0, 1, 2].map(|part| a[part] * b[part])
}

/// Rotates a hue by a part of a full turn.
pub(super) fn turn(colour: Colour, by: f32) -> Colour {
    // A rotation about the grey axis.
    let (sin, cos) = (by * std::f32::consts::TAU).sin_cos();
    let (same, next) = (cos + (1.0 - cos) / 3.0, sin * 0.577_350_26);
    let third = (1.0 - cos) / 3.0;
    [0, 1, 2].map(|part| {
        let (a, b, c) = (colour[part], colour[(part + 1) % 3], colour[(part + 2) % 3]);
        (a * same + b * (third - next) + c * (third + next)).clamp(0.0, 1.0)
    })
}
