//! `Theme`: the scenery, time of day and colours that a prompt selects.

use super::{
    canvas::{Colour, turn},
    noise::Random,
};
use crate::ids;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scenery {
    City,
    Desert,
    Forest,
    Hills,
    Mountains,
    Sea,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Hour {
    Dawn,
    Day,
    Dusk,
    Neon,
    Night,
}

#[derive(Clone, Debug)]
pub(super) struct Theme {
    pub(super) place: Scenery,
    pub(super) hour: Hour,
    pub(super) snow: bool,
    pub(super) cat: bool,
    pub(super) lighthouse: bool,
    pub(super) boat: bool,
    /// From the top of the sky to the horizon.
    pub(super) sky: [Colour; 3],
    pub(super) sun: Colour,
    /// The colour of distant objects.
    pub(super) haze: Colour,
    /// The colour of the near ground.
    pub(super) near: Colour,
    pub(super) hash: u64,
}

impl Theme {
    pub(super) fn of(prompt: &str) -> Self {
        let words: Vec<String> = prompt
            .to_lowercase()
            .split(|c: char| !c.is_alphanumeric())
            .map(str::to_owned)
            .collect();
        let any = |known: &[&str]| {
            words.iter().any(|word| {
                known.iter().any(|known| word == known || word.strip_suffix('s') == Some(*known))
            })
        };
        let hash = ids::hash(prompt.as_bytes());
        let mut random = Random::new(hash);

        let lighthouse = any(&["lighthouse"]);
        let boat = any(&["boat", "ship", "sail", "sailboat", "yacht"]);
        let snow = any(&["snow", "snowy", "winter", "ice", "icy", "frozen", "blizzard", "arctic"]);
        let neon = any(&["neon", "cyberpunk", "synthwave", "vaporwave"]);
        let place = if any(&["sea", "ocean", "beach", "wave", "shore", "coast", "lake", "island"])
            || lighthouse
            || boat
        {
            Scenery::Sea
        } else if any(&["city", "street", "skyline", "tower", "tokyo", "york", "urban"]) || neon {
            Scenery::City
        } else if any(&["desert", "dune", "sahara", "sand", "mars"]) {
            Scenery::Desert
        } else if any(&["forest", "tree", "wood", "jungle", "pine"]) {
            Scenery::Forest
        } else if any(&["mountain", "peak", "alp", "cliff", "glacier"]) || snow {
            Scenery::Mountains
        } else {
            const ELSE: [Scenery; 4] =
                [Scenery::Hills, Scenery::Hills, Scenery::Forest, Scenery::Mountains];
            ELSE[(random.number() % 4) as usize]
        };
        let hour = if neon {
            Hour::Neon
        } else if any(&["night", "midnight", "star", "moon", "moonlight", "galaxy", "dark"]) {
            Hour::Night
        } else if any(&["dusk", "sunset", "evening", "golden", "twilight", "autumn"]) {
            Hour::Dusk
        } else if any(&["dawn", "sunrise", "morning", "mist", "misty", "fog", "spring"]) {
            Hour::Dawn
        } else if any(&["day", "noon", "summer", "sunny", "blue"]) {
            Hour::Day
        } else {
            [Hour::Day, Hour::Dusk, Hour::Dawn, Hour::Night][(random.number() % 4) as usize]
        };
        Self::coloured(place, hour, snow, hash, &mut random).with(
            any(&["cat", "kitten"]),
            lighthouse,
            boat,
        )
    }

    fn with(mut self, cat: bool, lighthouse: bool, boat: bool) -> Self {
        (self.cat, self.lighthouse, self.boat) = (cat, lighthouse, boat);
        self
    }

    fn coloured(place: Scenery, hour: Hour, snow: bool, hash: u64, random: &mut Random) -> Self {
        let (sky, sun, light): ([Colour; 3], Colour, Colour) = match hour {
            Hour::Dawn => (
                [[0.33, 0.46, 0.72], [0.86, 0.68, 0.76], [1.0, 0.87, 0.70]],
                [1.0, 0.93, 0.78],
                [0.80, 0.70, 0.72],
            ),
            Hour::Day => (
                [[0.16, 0.44, 0.80], [0.48, 0.73, 0.93], [0.88, 0.94, 0.94]],
                [1.0, 0.97, 0.85],
                [1.0, 1.0, 0.96],
            ),
            Hour::Dusk => (
                [[0.13, 0.12, 0.34], [0.68, 0.30, 0.46], [1.0, 0.70, 0.38]],
                [1.0, 0.86, 0.55],
                [0.58, 0.40, 0.48],
            ),
            Hour::Neon => (
                [[0.04, 0.02, 0.14], [0.36, 0.05, 0.46], [0.98, 0.28, 0.56]],
                [1.0, 0.55, 0.45],
                [0.45, 0.30, 0.70],
            ),
            Hour::Night => (
                [[0.015, 0.025, 0.09], [0.06, 0.10, 0.25], [0.20, 0.29, 0.44]],
                [0.96, 0.95, 0.86],
                [0.32, 0.40, 0.62],
            ),
        };
        let ground: Colour = match place {
            Scenery::City => [0.10, 0.10, 0.17],
            Scenery::Desert => [0.72, 0.40, 0.18],
            Scenery::Forest => [0.04, 0.19, 0.13],
            Scenery::Hills => [0.12, 0.33, 0.15],
            Scenery::Mountains => [0.17, 0.22, 0.30],
            Scenery::Sea => [0.02, 0.19, 0.30],
        };
        // Prompts with the same words in another order get slightly different colours.
        let by = random.between(-0.045, 0.045);
        let sky = sky.map(|colour| turn(colour, by));
        let ground = turn(ground, random.between(-0.04, 0.04));
        let near = [0, 1, 2].map(|part| ground[part] * light[part]);
        let haze = super::canvas::mix(sky[2], sky[1], 0.25);
        Self {
            place,
            hour,
            snow,
            cat: false,
            lighthouse: false,
            boat: false,
            sky,
            sun,
            haze,
            near,
            hash,
        }
    }

    /// Whether there are stars and a moon instead of a sun.
    pub(super) fn is_dark(&self) -> bool {
        matches!(self.hour, Hour::Neon | Hour::Night)
    }
}
