//! Pictures drawn from a prompt and a seed.

/// The most that either side has; larger pictures are drawn smaller.
const LARGEST: u32 = 1024;

/// A PNG that is the same for the same arguments.
pub(crate) fn png(prompt: &str, seed: u64, width: u32, height: u32) -> Vec<u8> {
    let (width, height) = (width.clamp(1, LARGEST), height.clamp(1, LARGEST));
    let tint = crate::ids::mix(crate::ids::hash(prompt.as_bytes()) ^ seed).to_le_bytes();
    let row = |y: u32| {
        let tint = [tint[0], tint[1], tint[2]];
        let shade = tint.map(|part| (u32::from(part) * (height - y) / height) as u8);
        shade.repeat(width as usize)
    };
    let pixels: Vec<u8> = (0..height).flat_map(row).collect();
    encode(width, height, &pixels).unwrap_or_default()
}

fn encode(width: u32, height: u32, pixels: &[u8]) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(bytes)
}
