//! Draws a landscape from a prompt and a seed.

mod canvas;
mod figures;
mod ground;
mod noise;
mod sky;
mod theme;

use canvas::Canvas;
use noise::Random;
use theme::{Scenery, Theme};

/// The longest side in pixels. Larger images are drawn smaller, in the same proportions.
const LARGEST: u32 = 1024;

/// A PNG that depends on the arguments only.
pub(crate) fn png(prompt: &str, seed: u64, width: u32, height: u32) -> Vec<u8> {
    let canvas = draw(prompt, seed, width, height);
    // Only the writer can fail, and writing to a Vec does not.
    encode(&canvas).unwrap_or_default()
}

fn draw(prompt: &str, seed: u64, width: u32, height: u32) -> Canvas {
    let theme = Theme::of(prompt);
    let mut random = Random::new(theme.hash ^ crate::ids::mix(seed));
    let (width, height) = limit_size(width.max(1), height.max(1));
    let mut canvas = Canvas::new(width, height);
    let sun = sky::draw(&mut canvas, &theme, &mut random);
    match theme.place {
        Scenery::City => ground::city(&mut canvas, &theme, &mut random),
        Scenery::Desert => ground::dunes(&mut canvas, &theme, &mut random, sun),
        Scenery::Forest => ground::forest(&mut canvas, &theme, &mut random),
        Scenery::Hills => ground::hills(&mut canvas, &theme, &mut random),
        Scenery::Mountains => ground::mountains(&mut canvas, &theme, &mut random),
        Scenery::Sea => ground::sea(&mut canvas, &theme, &mut random, sun),
    }
    figures::draw(&mut canvas, &theme, &mut random);
    if theme.snow {
        sky::snowfall(&mut canvas, &mut random);
    }
    canvas.vignette();
    canvas
}

fn limit_size(width: u32, height: u32) -> (u32, u32) {
    let longest = width.max(height);
    if longest <= LARGEST {
        return (width, height);
    }
    let scaled = |side: u32| {
        let scaled = u64::from(side) * u64::from(LARGEST) / u64::from(longest);
        u32::try_from(scaled).unwrap_or(LARGEST).max(1)
    };
    (scaled(width), scaled(height))
}

fn encode(canvas: &Canvas) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, canvas.width(), canvas.height());
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_compression(png::Compression::Fast);
    encoder.set_filter(png::Filter::Up);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&canvas.to_bytes())?;
    writer.finish()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8]) -> (u32, u32, Vec<u8>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        (info.width, info.height, pixels)
    }

    /// The distance of two images of the same size, in steps of 255 per colour.
    fn distance(a: &[u8], b: &[u8]) -> f64 {
        let (a, b) = (decoded(a).2, decoded(b).2);
        let apart: u64 = a.iter().zip(&b).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        apart as f64 / a.len() as f64
    }

    #[test]
    fn the_same_prompt_and_seed_give_the_same_bytes() {
        assert_eq!(png("a cat", 7, 96, 64), png("a cat", 7, 96, 64));
    }

    #[test]
    fn another_prompt_or_seed_gives_a_picture_that_looks_different() {
        let first = png("a lighthouse at dusk", 7, 96, 96);
        assert!(distance(&first, &png("a lighthouse at dusk", 8, 96, 96)) > 3.0);
        assert!(distance(&first, &png("a lighthouse at night", 7, 96, 96)) > 10.0);
        assert!(distance(&png("one", 7, 96, 96), &png("two", 7, 96, 96)) > 3.0);
    }

    #[test]
    fn a_picture_has_the_size_asked_for_up_to_1024_a_side() {
        for (asked, drawn) in [
            ((64, 48), (64, 48)),
            ((1, 1), (1, 1)),
            ((0, 0), (1, 1)),
            ((4096, 2048), (1024, 512)),
            ((16_384, 1), (1024, 1)),
        ] {
            let (width, height, _) = decoded(&png("x", 0, asked.0, asked.1));
            assert_eq!((width, height), drawn, "{asked:?}");
        }
    }

    #[test]
    fn every_place_and_hour_can_be_drawn_at_any_shape() {
        for place in ["city", "desert", "forest", "hills", "mountains", "sea", "cat", "lighthouse"]
        {
            for hour in ["dawn", "day", "dusk", "night", "neon", "snow"] {
                for (width, height) in [(40, 24), (3, 40), (40, 3)] {
                    let drawn = decoded(&png(&format!("{place} {hour}"), 1, width, height));
                    assert_eq!((drawn.0, drawn.1), (width, height), "{place} {hour}");
                }
            }
        }
    }
}
