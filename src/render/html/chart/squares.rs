//! Values by two labels: a square each, the darker the more.

use std::collections::{BTreeMap, BTreeSet};

use super::points::{Point, Points, X, largest};
use super::svg::{Anchor, Area, Svg, amount};

/// Shades of a square, the empty one not counted.
const SHADES: usize = 5;
const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
/// Days that are drawn.
const DAYS: usize = 35;
const MATRIX_ROWS: usize = 20;
const MATRIX_COLUMNS: usize = 15;
const LINE_LABEL_CHARACTERS: usize = 33;
const COLUMN_LABEL_CHARACTERS: usize = 20;

/// Squares in lines and columns with their values, and where they begin.
struct Grid {
    lines: Vec<String>,
    columns: Vec<String>,
    /// By line and column.
    values: BTreeMap<(usize, usize), f64>,
    left: f64,
    top: f64,
    /// Width and height of a square.
    size: (f64, f64),
    /// What is too much for the drawing.
    not_drawn: Option<String>,
}

impl Grid {
    /// Lines of 24 hours each.
    fn of_hours(lines: Vec<String>) -> Self {
        Self {
            lines,
            columns: (0..24).map(|hour| format!("{hour:02}")).collect(),
            values: BTreeMap::new(),
            left: 80.0,
            top: 40.0,
            size: (27.5, 27.0),
            not_drawn: None,
        }
    }

    fn highest(&self) -> f64 {
        self.values.values().copied().fold(0.0, f64::max)
    }

    fn right(&self) -> f64 {
        self.left + self.size.0 * self.columns.len() as f64
    }

    fn bottom(&self) -> f64 {
        self.top + self.size.1 * self.lines.len() as f64
    }

    /// Draws the squares, each with its value in figures.
    fn draw(&self, svg: &mut Svg, value_name: &str) {
        let highest = self.highest();
        for (line, line_name) in self.lines.iter().enumerate() {
            for (column, column_name) in self.columns.iter().enumerate() {
                let value = self.values.get(&(line, column)).copied().unwrap_or(0.0);
                let shade = shade(value, highest);
                let (x, y) = (
                    self.left + self.size.0 * column as f64,
                    self.top + self.size.1 * line as f64,
                );
                let area = Area {
                    x: x + 1.0,
                    y: y + 1.0,
                    width: self.size.0 - 2.0,
                    height: self.size.1 - 2.0,
                };
                let title = format!("{line_name}, {column_name}: {} {value_name}", amount(value));
                svg.rectangle(area, &format!("shade-{shade}"), &title);
                if value > 0.0 {
                    let place = (x + self.size.0 / 2.0, y + self.size.1 / 2.0 + 3.5);
                    let class = format!("figure on-shade-{shade}");
                    svg.text(place, Anchor::Middle, &class, &figure(value));
                }
            }
        }
    }

    /// Draws what the shades mean, and gives the height of the whole.
    fn legend(&self, svg: &mut Svg, value_name: &str) -> f64 {
        let y = self.bottom() + 22.0;
        let highest = amount(self.highest());
        svg.text((self.left, y + 11.0), Anchor::Start, "tick", "0");
        let mut x = self.left + 14.0;
        for shade in 0..=SHADES {
            let area = Area {
                x,
                y,
                width: 22.0,
                height: 14.0,
            };
            svg.rectangle(area, &format!("shade-{shade}"), "");
            x += 24.0;
        }
        let text = format!("{highest} {value_name}");
        svg.text((x + 4.0, y + 11.0), Anchor::Start, "tick", &text);
        y + 26.0
    }

    /// The lines in words, for those who do not see the squares.
    fn in_words(&self) -> String {
        let mut text = String::new();
        for (line, name) in self.lines.iter().enumerate() {
            let values =
                (0..self.columns.len()).filter_map(|column| self.values.get(&(line, column)));
            let sum: f64 = values.sum();
            text.push_str(&format!(" {name}: {};", amount(sum)));
        }
        let more = self.not_drawn.as_ref();
        let more = more.map(|text| format!(" {text}.")).unwrap_or_default();
        format!("{}.{more}", text.trim_end_matches(';'))
    }
}

/// From 0 for nothing to `SHADES` for the highest value.
fn shade(value: f64, highest: f64) -> usize {
    if value <= 0.0 || highest <= 0.0 {
        return 0;
    }
    let share = (value / highest * SHADES as f64).ceil();
    (share as usize).clamp(1, SHADES)
}

/// A value in at most four characters or so.
fn figure(value: f64) -> String {
    match value {
        _ if value >= 1e6 => amount(value),
        _ if value >= 1e4 => format!("{:.0}k", value / 1e3),
        _ if value >= 1e3 => format!("{:.1}k", value / 1e3),
        _ if value.fract() == 0.0 => format!("{value:.0}"),
        _ => format!("{value:.1}"),
    }
}

/// Hours of the day by weekdays.
pub fn heat_map(points: &Points, id: &str) -> Option<String> {
    let mut grid = Grid::of_hours(WEEKDAYS.map(str::to_owned).to_vec());
    for point in &points.points {
        if let Some(square) = hour_and_weekday(point) {
            *grid.values.entry(square).or_default() += point.value;
        }
    }
    let title = format!("{} by hour of the day and weekday", points.value_name);
    hours(points, &grid, &title, id)
}

fn days(points: &Points) -> BTreeSet<&str> {
    points.points.iter().map(|point| point.y.as_str()).collect()
}

/// How many days are too old to be drawn by `hours_by_day`, if any are.
pub fn days_not_drawn(points: &Points) -> Option<String> {
    let older = days(points).len().saturating_sub(DAYS);
    (older > 0).then(|| format!("not drawn: {older} earlier days"))
}

/// Hours of the day by days, the newest ones.
pub fn hours_by_day(points: &Points, id: &str) -> Option<String> {
    let days = days(points);
    let newest = days.iter().skip(days.len().saturating_sub(DAYS));
    let mut grid = Grid::of_hours(newest.map(|day| (*day).to_owned()).collect());
    grid.not_drawn = days_not_drawn(points);
    for point in &points.points {
        let line = grid.lines.iter().position(|day| *day == point.y);
        if let (Some(line), Some(hour)) = (line, hour_of(point)) {
            *grid.values.entry((line, hour)).or_default() += point.value;
        }
    }
    let title = format!("{} by hour of the day and day", points.value_name);
    hours(points, &grid, &title, id)
}

fn hours(points: &Points, grid: &Grid, title: &str, id: &str) -> Option<String> {
    if grid.values.is_empty() {
        return None;
    }
    let mut svg = Svg::new(760.0);
    let middle = (grid.left + grid.right()) / 2.0;
    let x_name = format!("{} (hour of the day, UTC)", points.x_name);
    svg.text((middle, 14.0), Anchor::Middle, "axis-name", &x_name);
    for (column, name) in grid.columns.iter().enumerate() {
        let x = grid.left + grid.size.0 * (column as f64 + 0.5);
        svg.text((x, grid.top - 8.0), Anchor::Middle, "tick", name);
    }
    for (line, name) in grid.lines.iter().enumerate() {
        let y = grid.top + grid.size.1 * (line as f64 + 0.5) + 4.0;
        svg.text((grid.left - 10.0, y), Anchor::End, "tick", name);
    }
    grid.draw(&mut svg, &points.value_name);
    let height = grid.legend(&mut svg, &points.value_name);
    let description = format!("{title}:{}", grid.in_words());
    Some(svg.finish(height, id, title, &description))
}

fn hour_of(point: &Point) -> Option<usize> {
    let X::Number(hour) = point.x else {
        return None;
    };
    usize::try_from(hour).ok().filter(|hour| *hour < 24)
}

/// The line and column of a row, where its hour and ISO weekday are such.
fn hour_and_weekday(point: &Point) -> Option<(usize, usize)> {
    let weekday: usize = point.y.parse().ok()?;
    let hour = hour_of(point)?;
    (1..=7).contains(&weekday).then(|| (weekday - 1, hour))
}

/// The largest labels of x, a line each, by the largest of y, a column each.
pub fn matrix(points: &Points, id: &str) -> Option<String> {
    let (by_x, by_y) = (points.by_x(), points.by_y());
    let lines = largest(&by_x, MATRIX_ROWS);
    let columns = largest(&by_y, MATRIX_COLUMNS);
    if lines.is_empty() {
        return None;
    }
    let mut grid = Grid {
        lines: lines.iter().map(|(label, _)| (*label).to_owned()).collect(),
        columns: columns
            .iter()
            .map(|(label, _)| (*label).to_owned())
            .collect(),
        values: BTreeMap::new(),
        left: 236.0,
        top: matrix_top(&columns),
        size: (29.0, 24.0),
        not_drawn: not_drawn(points, by_x.len() - lines.len(), by_y.len() - columns.len()),
    };
    for point in &points.points {
        let X::Label(x) = &point.x else {
            continue;
        };
        let line = lines.iter().position(|(label, _)| label == x);
        let column = columns.iter().position(|(label, _)| *label == point.y);
        if let (Some(line), Some(column)) = (line, column) {
            *grid.values.entry((line, column)).or_default() += point.value;
        }
    }
    let y_name = points.y_name.as_deref().unwrap_or_default();
    let mut svg = Svg::new(760.0);
    svg.text(
        (grid.left - 10.0, grid.top - 8.0),
        Anchor::End,
        "axis-name",
        &points.x_name,
    );
    svg.text((grid.left, 12.0), Anchor::Start, "axis-name", y_name);
    for (column, name) in grid.columns.iter().enumerate() {
        let x = grid.left + grid.size.0 * (column as f64 + 0.5) + 3.0;
        svg.rising_label((x, grid.top - 8.0), COLUMN_LABEL_CHARACTERS, name);
    }
    for (line, name) in grid.lines.iter().enumerate() {
        let y = grid.top + grid.size.1 * (line as f64 + 0.5) + 4.0;
        svg.label(
            (grid.left - 10.0, y),
            Anchor::End,
            LINE_LABEL_CHARACTERS,
            name,
        );
    }
    grid.draw(&mut svg, &points.value_name);
    let mut height = grid.legend(&mut svg, &points.value_name);
    if let Some(text) = &grid.not_drawn {
        svg.text((grid.left, height + 8.0), Anchor::Start, "tick", text);
        height += 20.0;
    }
    let title = format!("{} by {} and {y_name}", points.value_name, points.x_name);
    let description = format!("{title}. By {}:{}", points.x_name, grid.in_words());
    Some(svg.finish(height, id, &title, &description))
}

/// Room for the slanted labels of the columns.
fn matrix_top(columns: &[(&str, f64)]) -> f64 {
    let lengths = columns.iter().map(|(label, _)| label.chars().count());
    let longest = lengths.max().unwrap_or(0).min(COLUMN_LABEL_CHARACTERS);
    38.0 + 5.0 * longest as f64
}

/// What of a matrix is too much for the drawing.
fn not_drawn(points: &Points, lines: usize, columns: usize) -> Option<String> {
    let mut parts = Vec::new();
    if lines > 0 {
        parts.push(format!("{lines} more of {}", points.x_name));
    }
    if columns > 0 {
        let name = points.y_name.as_deref().unwrap_or_default();
        parts.push(format!("{columns} more of {name}"));
    }
    (!parts.is_empty()).then(|| format!("not drawn: {}", parts.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_a_shade() {
        for (value, expected) in [(0.0, 0), (0.1, 1), (20.0, 1), (20.5, 2), (100.0, 5)] {
            assert_eq!(shade(value, 100.0), expected, "{value}");
        }
    }

    fn of_days(days: i64) -> Points {
        let first = jiff::civil::date(2025, 1, 1);
        let point = |day| Point {
            x: X::Number(10),
            y: (first + jiff::Span::new().days(day)).to_string(),
            value: 1.0,
        };
        Points {
            points: (0..days).map(point).collect(),
            x_name: "hour_of_day".to_owned(),
            y_name: Some("day".to_owned()),
            value_name: "objects".to_owned(),
            left_out: 0,
        }
    }

    #[test]
    fn days_that_are_not_drawn_are_told() {
        assert_eq!(days_not_drawn(&of_days(DAYS as i64)), None);
        let svg = hours_by_day(&of_days(DAYS as i64), "id").expect("a drawing");
        assert!(svg.contains("2025-01-01") && !svg.contains("not drawn"));
        let svg = hours_by_day(&of_days(DAYS as i64 + 2), "id").expect("a drawing");
        assert!(!svg.contains("2025-01-02") && svg.contains("2025-01-03"));
        let description = svg.split("<desc").nth(1).expect("a description");
        let description = description.split("</desc>").next().unwrap_or_default();
        assert!(
            description.ends_with("not drawn: 2 earlier days."),
            "{description}"
        );
    }
}
