//! An SVG drawing that is put together piece by piece. Colours are the style sheet's.

use std::fmt::Write as _;

use crate::render::html::escape::{markup, shortened};

/// Which end of a text stands at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

impl Anchor {
    fn class(self) -> &'static str {
        match self {
            Self::Start => "at-start",
            Self::Middle => "at-middle",
            Self::End => "at-end",
        }
    }
}

/// The left upper corner and the size of a rectangle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Area {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

pub struct Svg {
    width: f64,
    body: String,
}

impl Svg {
    pub fn new(width: f64) -> Self {
        Self {
            width,
            body: String::new(),
        }
    }

    pub fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, class: &str, text: &str) {
        let (anchor, text) = (anchor.class(), markup(text));
        self.push(&format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class} {anchor}\">{text}</text>"
        ));
    }

    /// A text of at most `limit` characters, whose whole is its title.
    pub fn label(&mut self, place: (f64, f64), anchor: Anchor, limit: usize, text: &str) {
        let brief = shortened(text, limit);
        if brief == text {
            self.text(place, anchor, "label", text);
            return;
        }
        let ((x, y), anchor) = (place, anchor.class());
        let (brief, whole) = (markup(&brief), markup(text));
        self.push(&format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"label {anchor}\"><title>{whole}</title>{brief}</text>"
        ));
    }

    /// A label that runs upwards from its place.
    pub fn rising_label(&mut self, (x, y): (f64, f64), limit: usize, text: &str) {
        let (brief, whole) = (markup(&shortened(text, limit)), markup(text));
        self.push(&format!(
            "<text transform=\"translate({x:.1} {y:.1}) rotate(-45)\" class=\"label at-start\">\
             <title>{whole}</title>{brief}</text>"
        ));
    }

    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        self.push(&format!(
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" class=\"{class}\"/>",
            from.0, from.1, to.0, to.1
        ));
    }

    /// A rectangle; its title says what it stands for.
    pub fn rectangle(&mut self, area: Area, class: &str, title: &str) {
        let Area {
            x,
            y,
            width,
            height,
        } = area;
        self.push(&format!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"2\" \
             class=\"{class}\"><title>{}</title></rect>",
            markup(title)
        ));
    }

    /// A path of straight lines.
    pub fn path(&mut self, points: &[(f64, f64)], class: &str) {
        let mut steps = String::new();
        for (number, (x, y)) in points.iter().enumerate() {
            let command = if number == 0 { 'M' } else { 'L' };
            let _ = write!(steps, "{command}{x:.1} {y:.1}");
        }
        self.push(&format!("<path d=\"{steps}\" class=\"{class}\"/>"));
    }

    /// A mark of one of seven shapes, so that a series is known without its colour.
    pub fn mark(&mut self, (x, y): (f64, f64), shape: usize, title: &str) {
        let r = 3.5;
        let corners: &[(f64, f64)] = match shape {
            1 => &[(-r, -r), (r, -r), (r, r), (-r, r)],
            2 => &[(0.0, -1.3 * r), (1.2 * r, r), (-1.2 * r, r)],
            3 => &[
                (0.0, -1.4 * r),
                (1.4 * r, 0.0),
                (0.0, 1.4 * r),
                (-1.4 * r, 0.0),
            ],
            4 => &[(0.0, 1.3 * r), (1.2 * r, -r), (-1.2 * r, -r)],
            5 => &[(-r, -0.4 * r), (r, -0.4 * r), (r, 0.4 * r), (-r, 0.4 * r)],
            6 => &[(-0.4 * r, -r), (0.4 * r, -r), (0.4 * r, r), (-0.4 * r, r)],
            _ => &[],
        };
        let title = markup(title);
        if corners.is_empty() {
            self.push(&format!(
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{r}\" class=\"mark series-{shape}\">\
                 <title>{title}</title></circle>"
            ));
            return;
        }
        let mut points = String::new();
        for (right, down) in corners {
            let _ = write!(points, "{:.1},{:.1} ", x + right, y + down);
        }
        self.push(&format!(
            "<polygon points=\"{}\" class=\"mark series-{shape}\"><title>{title}</title></polygon>",
            points.trim_end()
        ));
    }

    fn push(&mut self, element: &str) {
        self.body.push_str(element);
        self.body.push('\n');
    }

    /// The whole drawing. `id` makes the ids of its title and description.
    pub fn finish(self, height: f64, id: &str, title: &str, description: &str) -> String {
        let (width, body) = (self.width, self.body);
        let (title, description) = (markup(title), markup(description));
        format!(
            "<svg viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" \
             aria-labelledby=\"{id}-chart-title {id}-chart-about\" class=\"chart\">\n\
             <title id=\"{id}-chart-title\">{title}</title>\n\
             <desc id=\"{id}-chart-about\">{description}</desc>\n{body}</svg>"
        )
    }
}

/// A sum as a label: whole numbers in groups, others with two digits, large ones shortened.
pub fn amount(value: f64) -> String {
    for (unit, name) in [(1e12, "T"), (1e9, "G"), (1e6, "M")] {
        if value >= unit {
            return format!("{:.1}{name}", value / unit);
        }
    }
    if value.fract() == 0.0 {
        // Below a million, as was seen above.
        return crate::render::html::grouped(value as u64);
    }
    format!("{value:.2}")
}

/// The step between lines of an axis that reaches `largest` in about four of them.
pub fn axis_step(largest: f64) -> f64 {
    let rough = (largest / 4.0).max(f64::MIN_POSITIVE);
    let power = 10_f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 2.5, 5.0, 10.0];
    let step = factor
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= rough);
    step.unwrap_or(rough)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_steps() {
        for (largest, step) in [
            (4.0, 1.0),
            (7.0, 2.0),
            (100.0, 25.0),
            (0.8, 0.2),
            (950.0, 250.0),
        ] {
            assert!((axis_step(largest) - step).abs() < 1e-9, "{largest}");
        }
    }

    #[test]
    fn amounts_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (1234.0, "1,234"),
            (0.5, "0.50"),
            (2.5e9, "2.5G"),
        ] {
            assert_eq!(amount(value), text);
        }
    }
}
