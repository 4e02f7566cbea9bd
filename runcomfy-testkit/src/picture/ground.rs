//! The landscape below the sky, from far to near.

use super::{
    canvas::{Canvas, Colour, add, mix, scale, tint},
    noise::{self, Random, line, rough_line, smooth},
    sky::Sun,
    theme::{Hour, Theme},
};

/// The depths of the layers, from 0 at the horizon to 1 in front.
fn depths(layers: u32) -> impl Iterator<Item = f32> {
    (0..layers).map(move |layer| layer as f32 / (layers - 1) as f32)
}

/// A layer's colour, which fades into mist below its ridge.
fn misty(theme: &Theme, depth: f32, below: f32) -> Colour {
    let colour = mix(theme.haze, theme.near, 0.12 + 0.88 * depth.powf(0.8));
    mix(colour, theme.haze, 0.55 * (1.0 - depth) * smooth(below / 0.22))
}

pub(super) fn hills(canvas: &mut Canvas, theme: &Theme, random: &mut Random) {
    for depth in depths(6) {
        let (seed, base) = (random.number(), 0.50 + 0.36 * depth.powf(1.2));
        let (tall, often) = (0.17 - 0.07 * depth, 2.6 - 1.4 * depth);
        let ridge = |x: f32| base - tall * (rough_line(seed, x * often, 5) - 0.35);
        canvas.fill_below(ridge, |x, _, below| {
            let colour = misty(theme, depth, below);
            // Meadows: lighter and darker patches.
            scale(colour, 0.92 + 0.16 * line(seed, x * 9.0 + below * 30.0) * depth)
        });
    }
}

pub(super) fn forest(canvas: &mut Canvas, theme: &Theme, random: &mut Random) {
    for depth in depths(5) {
        let (seed, base) = (random.number(), 0.54 + 0.36 * depth.powf(1.1));
        let ground = |x: f32| base - 0.12 * (rough_line(seed, x * 1.4, 3) - 0.5);
        let ridge = trees(seed, 0.07 + 0.18 * depth, 0.016 + 0.040 * depth, 1.0, ground);
        // The mist starts at the ground, not below each branch.
        canvas.fill_below(ridge, |_, y, _| misty(theme, depth, y - base + 0.12));
    }
}

/// A row of pines of this height and width.
fn trees(
    seed: u64,
    tall: f32,
    wide: f32,
    share: f32,
    ground: impl Fn(f32) -> f32,
) -> impl Fn(f32) -> f32 {
    move |x| {
        let cell = (x / wide).floor() as i32;
        let tops = (cell - 1..=cell + 1).map(|tree| {
            let middle = (tree as f32 + noise::at(seed, tree, 1)) * wide;
            let height = tall * (0.45 + 0.55 * noise::at(seed, tree, 2));
            let up = 1.0 - (x - middle).abs() / (wide * 0.92);
            // Branches hang in tiers: each gets wider downwards and then starts narrow again.
            let tiers = (up * 6.0).fract() * 0.09;
            let grows = up > 0.0 && noise::at(seed, tree, 3) <= share;
            if grows { ground(middle) - height * (up + tiers).min(1.0) } else { 1.0 }
        });
        tops.fold(ground(x), f32::min)
    }
}

pub(super) fn mountains(canvas: &mut Canvas, theme: &Theme, random: &mut Random) {
    let light = if theme.is_dark() { 0.50 } else { 0.97 };
    let white = mix(theme.haze, [light, light, light * 1.03], 0.72);
    for depth in depths(4) {
        let (seed, base) = (random.number(), 0.66 + 0.36 * depth.powf(1.4));
        let (tall, often) = (0.46 - 0.26 * depth, 2.3 - 0.5 * depth);
        let table = canvas.columns(|x| {
            let sharp = 1.0 - (2.0 * line(seed, x * often) - 1.0).abs();
            0.62 * sharp + 0.38 * rough_line(seed ^ 9, x * often * 3.0, 5)
        });
        let (pixel, last) = (canvas.pixel(), table.len() - 1);
        let height = |x: f32| table[((x / pixel).max(0.0) as usize).min(last)];
        let caps = if theme.snow { 0.50 - 0.20 * depth } else { 0.30 - 0.34 * depth };
        canvas.fill_below(
            |x| base - tall * height(x),
            |x, y, below| {
                // Slanted ribs run down from the ridge; one side of each is in shadow.
                let slant = x + 0.45 * below * (noise::plane(seed ^ 3, x * 5.0, y * 5.0, 1) - 0.5);
                let slope = (height(slant + 0.014) - height(slant - 0.014)) * 9.0;
                let side = smooth(0.5 + slope);
                let rock = misty(theme, depth, below);
                let rock = scale(rock, 0.84 + 0.26 * side);
                let snow = mix(scale(white, 0.80 + 0.22 * side), theme.haze, 0.25 * (1.0 - depth));
                let jagged = 0.16 * (rough_line(seed ^ 5, slant * 34.0, 3) - 0.5);
                let line = base - tall * (1.0 - caps - jagged - 0.10 * side);
                let cap = if caps > 0.0 { smooth((line - y) / 0.012) } else { 0.0 };
                mix(rock, snow, cap)
            },
        );
    }
    if theme.snow {
        // A field of snow in front with a few pines.
        let seed = random.number();
        let field = |x: f32| 0.88 - 0.07 * line(seed, x * 1.3);
        let ink = scale(mix(theme.near, theme.sky[0], 0.3), 0.6);
        canvas.fill_below(trees(seed, 0.15, 0.05, 0.34, field), |_, _, _| ink);
        let shadow = mix(white, theme.sky[1], 0.42);
        canvas.fill_below(field, |_, _, below| mix(white, shadow, smooth(below / 0.16)));
    }
}

pub(super) fn dunes(canvas: &mut Canvas, theme: &Theme, random: &mut Random, sun: Sun) {
    for depth in depths(5) {
        let (seed, base) = (random.number(), 0.58 + 0.32 * depth.powf(1.2));
        let (tall, often) = (0.10 + 0.16 * depth, 2.3 - 1.2 * depth);
        let height = |x: f32| {
            // Dunes have one long and one steep side.
            let wave = x * often + 1.4 * line(seed, x * often * 0.6);
            let along = wave.fract();
            let crest = if along < 0.7 { smooth(along / 0.7) } else { smooth((1.0 - along) / 0.3) };
            crest * (0.35 + 0.65 * line(seed ^ 2, x * often * 0.5))
        };
        let ridge = |x: f32| base - tall * (height(x) - 0.3);
        canvas.fill_below(ridge, |x, y, below| {
            let sand = misty(theme, depth, below);
            let slope = (height(x + 0.012) - height(x - 0.012)) * 14.0;
            let towards = slope * ((x - sun.x) * 3.0).tanh();
            let ripples = (y * 300.0 + 16.0 * line(seed, x * 5.0)).sin() * 0.022 * depth;
            let shade = towards.clamp(-1.0, 1.0) * smooth(1.0 - below / (0.25 + 0.2 * depth));
            scale(sand, 1.0 - 0.26 * shade + ripples)
        });
    }
}

pub(super) fn sea(canvas: &mut Canvas, theme: &Theme, random: &mut Random, sun: Sun) {
    const HORIZON: f32 = 0.58;
    let (seed, coast) = (random.number(), random.number());
    // A distant coast.
    let far = |x: f32| HORIZON + 0.02 - 0.10 * smooth((rough_line(coast, x * 1.3, 4) - 0.42) / 0.4);
    canvas.fill_below(far, |_, _, below| mix(misty(theme, 0.25, below), theme.haze, 0.25));
    let mirrored = mix(theme.sky[2], theme.sky[1], 0.35);
    canvas.fill_below(
        |_| HORIZON,
        |x, y, below| {
            let near = smooth(below / (1.0 - HORIZON));
            let water = mix(mix(mirrored, theme.near, 0.25), theme.near, near.sqrt());
            // Waves are flat in the distance and grow towards the shore.
            let scale_y = 26.0 / (0.10 + below);
            let wave = noise::plane(seed, x * (14.0 - 8.0 * near), y * scale_y, 3);
            let water = add(water, theme.sky[1], 0.30 * (wave - 0.45));
            let path = 0.035 + 0.22 * below;
            let aside = ((x - sun.x) / path).powi(2);
            let glitter = smooth((wave - 0.50) / 0.14) * (-aside).exp();
            let strength = if theme.hour == Hour::Day { 0.45 } else { 0.85 };
            add(water, theme.sun, glitter * strength * (1.0 - 0.45 * near))
        },
    );
    // Rocks in front, rising to one side.
    let rocks = random.number();
    let (aspect, from_left) = (canvas.aspect(), rocks.is_multiple_of(2));
    let ridge = |x: f32| {
        let inwards = if from_left { x } else { aspect - x } / aspect;
        0.97 - 0.24 * smooth(1.0 - inwards * 1.9) * (0.65 + 0.6 * rough_line(rocks, x * 7.0, 5))
            + 0.08 * smooth(inwards)
    };
    let stone = scale(mix(theme.near, theme.sky[0], 0.25), 0.50);
    canvas.fill_below(ridge, |x, y, below| {
        let lit = tint(theme.haze, [0.32; 3]);
        let edge = smooth(1.0 - below / 0.02) * 0.6;
        let grain = noise::plane(rocks, x * 40.0, y * 60.0, 2);
        scale(mix(stone, lit, edge), 0.75 + 0.5 * grain)
    });
}

pub(super) fn city(canvas: &mut Canvas, theme: &Theme, random: &mut Random) {
    const STREET: f32 = 0.80;
    for depth in depths(4) {
        let (seed, wide) = (random.number(), 0.05 + 0.07 * depth);
        let tall = 0.40 - 0.10 * depth;
        let house = |x: f32| (x / wide + 0.35 * depth).floor() as i32;
        let ridge = |x: f32| {
            let house = house(x);
            let spire = noise::at(seed, house, 3) > 0.8
                && ((x / wide + 0.35 * depth).fract() - 0.5).abs() < 0.03;
            let height = 0.25 + 0.75 * noise::at(seed, house, 1).powf(1.5);
            STREET - tall * height - if spire { 0.05 } else { 0.0 }
        };
        let lights: [Colour; 3] = if theme.hour == Hour::Neon {
            [[0.2, 0.95, 1.0], [1.0, 0.35, 0.75], [1.0, 0.85, 0.45]]
        } else {
            [[1.0, 0.85, 0.55], [1.0, 0.93, 0.75], [0.85, 0.92, 1.0]]
        };
        let share = match theme.hour {
            Hour::Day => 0.0,
            Hour::Dawn => 0.15,
            Hour::Dusk | Hour::Neon | Hour::Night => 0.42,
        };
        let (across, down) = (wide / 6.0, 0.016 + 0.008 * depth);
        canvas.fill_below(ridge, |x, y, below| {
            let wall = mix(theme.haze, theme.near, 0.30 + 0.70 * depth);
            let wall = mix(wall, theme.haze, 0.5 * (1.0 - depth) * smooth(below / 0.4));
            let (column, row) = ((x / across).floor() as i32, (y / down).floor() as i32);
            let (inside_x, inside_y) = ((x / across).fract(), (y / down).fract());
            let pane = (0.25..0.8).contains(&inside_x) && (0.3..0.75).contains(&inside_y);
            if pane && below > 0.02 && noise::at(seed ^ 7, column, row) < share {
                let which = noise::at(seed ^ 8, house(x), row / 3) * 2.99;
                return mix(wall, lights[which as usize], 0.35 + 0.55 * depth);
            }
            if pane { scale(wall, 0.9) } else { wall }
        });
    }
    // A wet street reflects the city.
    let (seed, mut street) = (random.number(), Vec::new());
    let (pixel, width) = (canvas.pixel(), canvas.width());
    let mut y = STREET;
    while y < 1.0 {
        let wobble = 0.012 * (line(seed, y * 70.0) - 0.5) * (1.0 + 6.0 * (y - STREET));
        let row = (0..width).map(|column| {
            let x = (column as f32 + 0.5) * pixel;
            scale(canvas.at(x + wobble, 2.0 * STREET - y - 0.01), 0.62)
        });
        street.push(row.collect::<Vec<_>>());
        y += pixel;
    }
    let dark = scale(theme.near, 0.55);
    canvas.paint_within(STREET, 1.0, |x, y, _| {
        let row = street.get(((y - STREET) / pixel) as usize).or(street.last());
        let seen = row.and_then(|row| row.get((x / pixel) as usize)).copied().unwrap_or(dark);
        mix(seen, dark, 0.25 + 0.45 * smooth((y - STREET) / 0.2))
    });
}
