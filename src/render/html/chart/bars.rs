//! Values by label: a bar each.

use super::points::{Points, largest};
use super::svg::{Anchor, Area, Svg, amount};

const BARS: usize = 20;
const WIDTH: f64 = 760.0;
const LABELS: f64 = 270.0;
const LABEL_CHARACTERS: usize = 36;
/// Room for the values behind the bars.
const VALUES: f64 = 70.0;
const LINE: f64 = 24.0;
const TOP: f64 = 24.0;

pub fn draw(points: &Points, id: &str) -> Option<String> {
    let sums = points.by_x();
    let mut bars: Vec<(String, f64, &str)> = largest(&sums, BARS)
        .into_iter()
        .map(|(label, sum)| (label.to_owned(), sum, "bar"))
        .collect();
    if sums.len() > BARS {
        let shown: f64 = bars.iter().map(|(_, sum, _)| sum).sum();
        let all: f64 = sums.values().sum();
        let others = format!("{} others", sums.len() - BARS);
        bars.push((others, (all - shown).max(0.0), "bar bar-other"));
    }
    let longest = bars.iter().map(|(_, sum, _)| *sum).fold(0.0, f64::max);
    if bars.is_empty() {
        return None;
    }
    let mut svg = Svg::new(WIDTH);
    svg.text(
        (LABELS - 10.0, 14.0),
        Anchor::End,
        "axis-name",
        &points.x_name,
    );
    svg.text(
        (LABELS, 14.0),
        Anchor::Start,
        "axis-name",
        &points.value_name,
    );
    for (number, (label, sum, class)) in bars.iter().enumerate() {
        let y = TOP + LINE * number as f64;
        let share = if longest > 0.0 { sum / longest } else { 0.0 };
        let width = (WIDTH - LABELS - VALUES) * share;
        svg.label(
            (LABELS - 10.0, y + 15.0),
            Anchor::End,
            LABEL_CHARACTERS,
            label,
        );
        let area = Area {
            x: LABELS,
            y: y + 3.0,
            width: width.max(1.0),
            height: LINE - 8.0,
        };
        svg.rectangle(area, class, &format!("{label}: {}", amount(*sum)));
        svg.text(
            (LABELS + width + 8.0, y + 15.0),
            Anchor::Start,
            "value",
            &amount(*sum),
        );
    }
    let height = TOP + LINE * bars.len() as f64 + 6.0;
    svg.line((LABELS, TOP), (LABELS, height - 6.0), "axis");
    let title = format!("{} by {}", points.value_name, points.x_name);
    let mut description = format!("{title}, largest first:");
    for (label, sum, _) in &bars {
        description.push_str(&format!(" {label}: {};", amount(*sum)));
    }
    let description = description.trim_end_matches(';').to_owned() + ".";
    Some(svg.finish(height, id, &title, &description))
}
