//! The sky: sun or moon, stars, clouds, birds and snow.

use super::{
    canvas::{Canvas, Colour, add, mix},
    noise::{self, Random, smooth},
    theme::{Hour, Scenery, Theme},
};

/// The position of the sun or moon.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sun {
    pub(super) x: f32,
    pub(super) y: f32,
}

pub(super) fn draw(canvas: &mut Canvas, theme: &Theme, random: &mut Random) -> Sun {
    let [top, middle, low] = theme.sky;
    let horizon = if theme.place == Scenery::Sea { 0.58 } else { 0.66 };
    let height = match theme.hour {
        Hour::Dawn | Hour::Dusk => random.between(0.36, 0.50),
        Hour::Day => random.between(0.14, 0.30),
        Hour::Neon => 0.44,
        Hour::Night => random.between(0.14, 0.32),
    };
    let sun = Sun { x: canvas.aspect() * random.between(0.22, 0.78), y: height };
    let glow = match theme.hour {
        Hour::Dawn => 0.30,
        Hour::Dusk => 0.55,
        Hour::Neon => 0.45,
        Hour::Day => 0.35,
        Hour::Night => 0.16,
    };
    canvas.paint(|x, y, _| {
        let down = (y / horizon).clamp(0.0, 1.0);
        let sky = if down < 0.55 {
            mix(top, middle, smooth(down / 0.55))
        } else {
            mix(middle, low, smooth((down - 0.55) / 0.45))
        };
        let distance = ((x - sun.x).powi(2) + ((y - sun.y) * 1.15).powi(2)).sqrt();
        let halo = (-distance * 5.0).exp() * glow + (-distance * 22.0).exp() * glow * 0.8;
        add(sky, theme.sun, halo)
    });
    if theme.is_dark() {
        stars(canvas, random, horizon);
    }
    clouds(canvas, theme, random, horizon);
    disc(canvas, theme, random, sun);
    if !theme.is_dark() && theme.place != Scenery::City {
        birds(canvas, theme, random);
    }
    sun
}

fn stars(canvas: &mut Canvas, random: &mut Random, horizon: f32) {
    let aspect = canvas.aspect();
    for _ in 0..(260.0 * aspect) as u32 {
        let (x, y) = (random.between(0.0, aspect), random.unit().powf(1.3) * horizon);
        let bright = random.unit().powi(3);
        let colour = mix([0.75, 0.85, 1.0], [1.0, 0.92, 0.8], random.unit());
        canvas.dot(x, y, 0.0012 + 0.0022 * bright, colour, 0.35 + 0.65 * bright);
    }
}

fn disc(canvas: &mut Canvas, theme: &Theme, random: &mut Random, sun: Sun) {
    let radius = match theme.hour {
        Hour::Neon => 0.17,
        Hour::Dawn | Hour::Dusk => 0.062,
        Hour::Day => 0.045,
        Hour::Night => 0.050,
    };
    let within = |x: f32, y: f32| (x - sun.x).powi(2) + (y - sun.y).powi(2) < radius * radius;
    let corners = ((sun.x - radius, sun.y - radius), (sun.x + radius, sun.y + radius));
    match theme.hour {
        Hour::Night => {
            // A crescent: the disc without a second, shifted one.
            let (dx, dy) = (radius * random.between(0.35, 0.6), radius * random.between(-0.4, 0.1));
            canvas.fill_shape(corners.0, corners.1, theme.sun, |x, y| {
                within(x, y) && !within(x - dx, y - dy)
            });
        }
        Hour::Neon => {
            // Cut into bands that grow downwards.
            let cut = |y: f32| {
                let down = (y - sun.y) / radius;
                down > -0.1 && (down * 7.0).fract().abs() < 0.12 + 0.3 * down
            };
            canvas.fill_shape(corners.0, corners.1, [1.0, 0.72, 0.35], |x, y| {
                within(x, y) && !cut(y)
            });
        }
        Hour::Dawn | Hour::Day | Hour::Dusk => {
            let colour = mix(theme.sun, [1.0; 3], 0.7);
            canvas.fill_shape(corners.0, corners.1, colour, within);
        }
    }
}

fn clouds(canvas: &mut Canvas, theme: &Theme, random: &mut Random, horizon: f32) {
    let (seed, amount) = (random.number(), random.between(0.42, 0.60));
    let strength = match theme.hour {
        Hour::Day => 0.85,
        Hour::Dawn | Hour::Dusk => 0.55,
        Hour::Neon => 0.22,
        Hour::Night => 0.30,
    };
    let lit: Colour = match theme.hour {
        Hour::Day => [1.0, 1.0, 1.0],
        Hour::Dawn => [1.0, 0.90, 0.86],
        Hour::Dusk => mix(theme.sky[2], [1.0, 0.6, 0.5], 0.4),
        Hour::Neon => theme.sky[2],
        Hour::Night => theme.sky[2],
    };
    let shade = mix(lit, theme.sky[1], 0.55);
    canvas.paint_within(0.0, horizon, |x, y, old| {
        // Bands get thinner towards the horizon, because distant clouds are seen from the side.
        let stretch = 3.2 + 7.0 * (y / horizon);
        let thick = noise::plane(seed, x * 1.9 + y, y * stretch, 3);
        let cover = smooth((thick - amount) / 0.22);
        if cover <= 0.0 {
            return old;
        }
        mix(old, mix(lit, shade, smooth((thick - amount) / 0.4)), cover * strength)
    });
}

fn birds(canvas: &mut Canvas, theme: &Theme, random: &mut Random) {
    let ink = mix(theme.near, theme.sky[0], 0.5);
    let (x, y) = (canvas.aspect() * random.between(0.2, 0.8), random.between(0.16, 0.34));
    for _ in 0..random.number() % 6 {
        let (x, y) = (x + random.between(-0.12, 0.12), y + random.between(-0.05, 0.05));
        let span = random.between(0.010, 0.020);
        canvas.fill_shape((x - span, y - span), (x + span, y + span), ink, |px, py| {
            let across = (px - x).abs() / span;
            let wing = y - span * 0.55 * (across * std::f32::consts::PI * 0.75).sin();
            across < 1.0 && (py - wing).abs() < span * 0.11 * (1.15 - across)
        });
    }
}

/// Falling snow, near and far.
pub(super) fn snowfall(canvas: &mut Canvas, random: &mut Random) {
    let aspect = canvas.aspect();
    for _ in 0..(240.0 * aspect) as u32 {
        let near = random.unit().powi(3);
        let (x, y) = (random.between(0.0, aspect), random.unit());
        canvas.dot(x, y, 0.0018 + 0.0055 * near, [1.0; 3], 0.80 - 0.45 * near);
    }
}
