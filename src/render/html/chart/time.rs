//! Values over time: a line a series, by hour or by day.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::points::{Points, X, largest};
use super::svg::{Anchor, Svg, amount, axis_step};

const SERIES: usize = 6;
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 230.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 26.0;
const LEGEND_LINE: f64 = 20.0;
/// Columns of the drawing that can be told apart.
const MAX_BUCKETS: i64 = 700;
/// Up to here each value has its mark.
const MARKED_BUCKETS: i64 = 62;
/// Labels below the drawing, at most one more.
const TIME_LABELS: i64 = 7;
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// Time cut into pieces of equal length.
struct Buckets {
    first: i64,
    last: i64,
    seconds: i64,
}

impl Buckets {
    /// Hours for up to a week, days for up to two years, and more days beyond.
    fn of(earliest: i64, latest: i64) -> Self {
        let span = latest.saturating_sub(earliest);
        let seconds = if span <= 7 * DAY {
            HOUR
        } else {
            (span / DAY / MAX_BUCKETS + 1) * DAY
        };
        Self {
            first: earliest.div_euclid(seconds),
            last: latest.div_euclid(seconds),
            seconds,
        }
    }

    fn count(&self) -> i64 {
        self.last - self.first + 1
    }

    fn x(&self, bucket: i64) -> f64 {
        let width = WIDTH - LEFT - RIGHT;
        if self.count() == 1 {
            return LEFT + width / 2.0;
        }
        LEFT + width * (bucket - self.first) as f64 / (self.count() - 1) as f64
    }

    fn name(&self) -> String {
        match self.seconds {
            HOUR => "hour".to_owned(),
            DAY => "day".to_owned(),
            seconds => format!("{} days", seconds / DAY),
        }
    }

    fn label(&self, bucket: i64) -> String {
        let format = if self.seconds == HOUR {
            "%m-%d %H:00"
        } else {
            "%Y-%m-%d"
        };
        match Timestamp::from_second(bucket.saturating_mul(self.seconds)) {
            Ok(time) => time.strftime(format).to_string(),
            Err(_) => bucket.to_string(),
        }
    }
}

/// A line of the drawing.
struct Series<'a> {
    name: String,
    sums: BTreeMap<i64, f64>,
    label: Option<&'a str>,
}

pub fn draw(points: &Points, id: &str) -> Option<String> {
    let times = points.points.iter().filter_map(|point| match point.x {
        X::Number(seconds) => Some(seconds),
        X::Label(_) => None,
    });
    let buckets = Buckets::of(times.clone().min()?, times.max()?);
    let series = all_series(points, &buckets);
    let highest = series
        .iter()
        .flat_map(|one| one.sums.values())
        .copied()
        .fold(0.0, f64::max);
    let step = axis_step(highest);
    let top = (highest / step).ceil().max(1.0) * step;
    let y = |value: f64| HEIGHT - (HEIGHT - TOP) * value / top;

    let mut svg = Svg::new(WIDTH);
    svg.text(
        (LEFT - 8.0, 12.0),
        Anchor::End,
        "axis-name",
        &points.value_name,
    );
    let mut value = 0.0;
    while value <= top + step / 2.0 {
        svg.line((LEFT, y(value)), (WIDTH - RIGHT, y(value)), "grid");
        svg.text(
            (LEFT - 8.0, y(value) + 4.0),
            Anchor::End,
            "tick",
            &amount(value),
        );
        value += step;
    }
    time_axis(&mut svg, &buckets, &points.x_name);
    for (number, one) in series.iter().enumerate().rev() {
        line(&mut svg, &buckets, (number, one, series.len()), &y);
    }
    let height = legend(&mut svg, &series, points.y_name.as_deref());
    let title = format!("{} by {}", points.value_name, buckets.name());
    let description = description(points, &buckets, &series, highest);
    Some(svg.finish(height, id, &title, &description))
}

/// The largest series, largest first, and the others as one.
fn all_series<'a>(points: &'a Points, buckets: &Buckets) -> Vec<Series<'a>> {
    let sums = points.by_y();
    let mut series: Vec<Series<'_>> = largest(&sums, SERIES)
        .into_iter()
        .map(|(label, _)| Series {
            name: label.to_owned(),
            sums: BTreeMap::new(),
            label: Some(label),
        })
        .collect();
    if sums.len() > SERIES {
        series.push(Series {
            name: format!("{} others", sums.len() - SERIES),
            sums: BTreeMap::new(),
            label: None,
        });
    }
    for point in &points.points {
        let X::Number(seconds) = point.x else {
            continue;
        };
        let own = series
            .iter()
            .position(|one| one.label == Some(point.y.as_str()));
        let place = own.unwrap_or(series.len() - 1);
        let bucket = seconds.div_euclid(buckets.seconds);
        *series[place].sums.entry(bucket).or_default() += point.value;
    }
    series
}

fn time_axis(svg: &mut Svg, buckets: &Buckets, name: &str) {
    let step = (buckets.count() - 1) / TIME_LABELS + 1;
    let mut bucket = buckets.first;
    while bucket <= buckets.last {
        let x = buckets.x(bucket);
        svg.line((x, HEIGHT), (x, HEIGHT + 4.0), "axis");
        // A label in the middle of its tick would not fit at the right edge.
        let anchor = match x {
            x if x > WIDTH - RIGHT - 30.0 => Anchor::End,
            _ => Anchor::Middle,
        };
        svg.text((x, HEIGHT + 18.0), anchor, "tick", &buckets.label(bucket));
        bucket += step;
    }
    svg.line((LEFT, HEIGHT), (WIDTH - RIGHT, HEIGHT), "axis");
    let name = format!("{name} (UTC), by {}", buckets.name());
    svg.text(
        ((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT + 36.0),
        Anchor::Middle,
        "axis-name",
        &name,
    );
}

fn line(
    svg: &mut Svg,
    buckets: &Buckets,
    (number, series, count): (usize, &Series<'_>, usize),
    y: &dyn Fn(f64) -> f64,
) {
    let value = |bucket: i64| series.sums.get(&bucket).copied().unwrap_or(0.0);
    let points: Vec<(f64, f64)> = (buckets.first..=buckets.last)
        .map(|bucket| (buckets.x(bucket), y(value(bucket))))
        .collect();
    if count == 1 && points.len() > 1 {
        let mut area = points.clone();
        area.push((buckets.x(buckets.last), y(0.0)));
        area.push((buckets.x(buckets.first), y(0.0)));
        svg.path(&area, "area");
    }
    svg.path(&points, &format!("line series-{number}"));
    for (bucket, sum) in &series.sums {
        // In a long line only the highest value of a series is marked.
        let is_marked =
            buckets.count() <= MARKED_BUCKETS || Some(*bucket) == highest_bucket(&series.sums);
        if is_marked && *sum > 0.0 {
            let title = format!(
                "{} {}: {}",
                series.name,
                buckets.label(*bucket),
                amount(*sum)
            );
            svg.mark((buckets.x(*bucket), y(*sum)), number, title.trim());
        }
    }
}

/// The first bucket with the highest sum.
fn highest_bucket(sums: &BTreeMap<i64, f64>) -> Option<i64> {
    let mut highest: Option<(i64, f64)> = None;
    for (bucket, sum) in sums {
        if highest.is_none_or(|(_, so_far)| *sum > so_far) {
            highest = Some((*bucket, *sum));
        }
    }
    highest.map(|(bucket, _)| bucket)
}

/// Draws the legend where there are series, and gives the height of the whole.
fn legend(svg: &mut Svg, series: &[Series<'_>], name: Option<&str>) -> f64 {
    let top = HEIGHT + 60.0;
    let Some(name) = name else {
        return HEIGHT + 46.0;
    };
    svg.text((LEFT, top), Anchor::Start, "axis-name", name);
    for (number, one) in series.iter().enumerate() {
        let column = (number % 2) as f64 * (WIDTH - LEFT) / 2.0;
        let x = LEFT + column;
        let y = top + LEGEND_LINE * (1 + number / 2) as f64;
        let class = format!("line series-{number}");
        svg.path(&[(x, y - 4.0), (x + 30.0, y - 4.0)], &class);
        svg.mark((x + 15.0, y - 4.0), number, "");
        svg.label((x + 38.0, y), Anchor::Start, 46, &one.name);
    }
    top + LEGEND_LINE * series.len().div_ceil(2) as f64 + 10.0
}

fn description(points: &Points, buckets: &Buckets, series: &[Series<'_>], highest: f64) -> String {
    let mut text = format!(
        "{} by {} from {} to {}; the highest value is {}.",
        points.value_name,
        buckets.name(),
        buckets.label(buckets.first),
        buckets.label(buckets.last),
        amount(highest)
    );
    if points.y_name.is_some() {
        for one in series {
            let sum: f64 = one.sums.values().sum();
            text.push_str(&format!(" {}: {} in all.", one.name, amount(sum)));
        }
    }
    text
}
