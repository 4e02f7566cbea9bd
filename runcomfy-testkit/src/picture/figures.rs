//! Small figures in the foreground that the prompt names.

use super::{
    canvas::{Canvas, Colour, add, mix, scale},
    noise::{Random, smooth},
    theme::Theme,
};

pub(super) fn draw(canvas: &mut Canvas, theme: &Theme, random: &mut Random) {
    let ink = scale(mix(theme.near, theme.sky[0], 0.3), 0.35);
    if theme.boat {
        boat(canvas, theme, random, ink);
    }
    if theme.lighthouse {
        lighthouse(canvas, theme, random, ink);
    }
    if theme.cat {
        cat(canvas, theme, random, ink);
    }
}

/// A distant sailing boat.
fn boat(canvas: &mut Canvas, theme: &Theme, random: &mut Random, ink: Colour) {
    let (x, y, size) =
        (canvas.aspect() * random.between(0.3, 0.7), 0.655, random.between(0.05, 0.08));
    let sail = mix(theme.sun, [1.0; 3], 0.4);
    canvas.fill_shape((x - size, y - 2.2 * size), (x + size, y), sail, |px, py| {
        let up = (y - py) / (2.0 * size);
        let along = (px - x) / size;
        (0.08..1.0).contains(&up)
            && along > -0.55 * (1.0 - up)
            && along < 0.85 * (1.0 - up)
            && along.abs() > 0.03
    });
    canvas.fill_shape((x - size, y), (x + size, y + size * 0.3), ink, |px, py| {
        let down = (py - y) / (size * 0.26);
        (0.0..1.0).contains(&down) && (px - x).abs() < size * (0.95 - 0.3 * down * down)
    });
}

/// A lighthouse on rocks, with a beam unless it is bright day.
fn lighthouse(canvas: &mut Canvas, theme: &Theme, random: &mut Random, ink: Colour) {
    let aspect = canvas.aspect();
    // Placed where the image is darkest near the bottom, because the rocks rise there.
    let at = |x: f32| canvas.at(x, 0.86).iter().sum::<f32>();
    let (left, right) = (0.16 * aspect, 0.84 * aspect);
    let x = if at(left) < at(right) { left } else { right } + random.between(-0.03, 0.03);
    let (foot, top, wide) = (0.90, 0.40, 0.042);
    let lamp = (x, top - 0.018);
    let towards = if x < aspect / 2.0 { 1.0 } else { -1.0 };
    let warm = [1.0, 0.93, 0.66];
    let strength = if theme.hour == super::theme::Hour::Day { 0.0 } else { 0.55 };
    canvas.paint_within(0.0, 0.75, |px, py, old| {
        let along = (px - lamp.0) * towards;
        let off = py - lamp.1 + along * 0.10;
        let beam = smooth(1.0 - off.abs() / (0.010 + 0.10 * along.max(0.0)));
        let halo = (-((px - lamp.0).powi(2) + (py - lamp.1).powi(2)).sqrt() * 26.0).exp();
        let fade = if along > 0.0 { (-along * 1.6).exp() * beam } else { 0.0 };
        add(old, warm, strength * (0.75 * fade + halo))
    });
    let white = mix(mix(theme.haze, [1.0; 3], 0.5), ink, 0.15);
    let red = mix([0.74, 0.16, 0.14], ink, 0.25);
    for band in 0..5 {
        let step = (foot - top) / 5.0;
        let from = top + band as f32 * step;
        let colour = if band % 2 == 0 { white } else { red };
        canvas.fill_shape((x - wide, from), (x + wide, from + step), colour, |px, py| {
            let half = wide * (0.55 + 0.45 * (py - top) / (foot - top));
            (from..from + step).contains(&py) && (px - x).abs() < half
        });
    }
    // The side in shadow.
    canvas.fill_shape((x - wide, top), (x + wide, foot), ink, |px, py| {
        let half = wide * (0.55 + 0.45 * (py - top) / (foot - top));
        let side = (px - x) * -towards;
        (top..foot).contains(&py) && side > half * 0.62 && side < half
    });
    let block = |canvas: &mut Canvas, half: f32, from: f32, to: f32, colour: Colour| {
        canvas.fill_shape((x - half, from), (x + half, to), colour, |px, py| {
            (px - x).abs() < half && (from..to).contains(&py)
        });
    };
    block(canvas, 0.034, top - 0.002, top + 0.008, ink);
    block(canvas, 0.018, top - 0.036, top - 0.002, mix(warm, [1.0; 3], 0.5));
    canvas.fill_shape((x - 0.03, top - 0.064), (x + 0.03, top - 0.036), red, |px, py| {
        let up = (top - 0.036 - py) / 0.028;
        (0.0..1.0).contains(&up) && (px - x).abs() < 0.027 * (1.0 - up)
    });
}

/// A sitting cat, seen from behind.
fn cat(canvas: &mut Canvas, theme: &Theme, random: &mut Random, ink: Colour) {
    let (x, foot, size) = (canvas.aspect() * random.between(0.32, 0.68), 0.965, 0.115);
    let side = if random.unit() < 0.5 { -1.0 } else { 1.0 };
    let round = |px: f32, py: f32, cx: f32, cy: f32, rx: f32, ry: f32| {
        ((px - cx) / rx).powi(2) + ((py - cy) / ry).powi(2) < 1.0
    };
    let inside = |px: f32, py: f32| {
        // In units of the cat, from the middle of its feet.
        let (u, v) = ((px - x) / size * side, (foot - py) / size);
        let body = round(u, v, 0.0, 0.55, 0.52 - 0.12 * (v - 0.4).max(0.0), 0.62);
        let shoulders = round(u, v, 0.0, 1.05, 0.33, 0.45);
        let head = round(u, v, 0.0, 1.58, 0.34, 0.29);
        let ear = |at: f32| {
            let up = (v - 1.72) / 0.34;
            (0.0..1.0).contains(&up) && (u - at - 0.05 * at.signum() * up).abs() < 0.14 * (1.0 - up)
        };
        // The tail lies beside the cat and curls up at its end.
        let along = ((u - 0.3) / 0.85).clamp(0.0, 1.0);
        let tail = u > 0.3
            && u < 1.15
            && (v - 0.10 - 0.42 * smooth((along - 0.45) / 0.55)).abs()
                < 0.085 * (1.1 - 0.5 * along);
        body || shoulders || head || ear(-0.20) || ear(0.20) || tail
    };
    let rim = mix(theme.sun, theme.haze, 0.4);
    let corners = ((x - 1.3 * size, foot - 2.2 * size), (x + 1.3 * size, foot));
    // A thin bright edge, lit from behind.
    let shifted = size * 0.022;
    canvas.fill_shape(
        (corners.0.0, corners.0.1 - shifted),
        corners.1,
        mix(ink, rim, 0.55),
        |px, py| inside(px, py + shifted),
    );
    canvas.fill_shape(corners.0, corners.1, scale(ink, 0.55), inside);
}
