//! Draws curves as SVG: a logarithmic axis across, a linear one up from zero.

use crate::figures::median;
use crate::scenario::Outcome;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 56.0;

/// Colours that differ for most eyes, on light and on dark ground.
const COLOURS: [&str; 8] = ["#0a7cff", "#8a8f98", "#e2711d", "#2a9d5c", "#b5469f", "#c9a100", "#00a3a3", "#d1495b"];

const STYLE: &str = "\
<style>
text { font: 13px system-ui, sans-serif; fill: #24292f } .title { font-weight: 600; font-size: 15px }
.grid { stroke: #d0d7de; stroke-width: 1 } .line { fill: none; stroke-width: 2.5 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .grid { stroke: #3d444d } }
</style>
";

/// A picture.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Plot {
    pub title: String,
    pub across: String,
    pub up: String,
    /// Names, and their points from left to right.
    pub series: Vec<(String, Vec<(f64, f64)>)>,
}

/// A picture that was drawn.
#[derive(Clone, PartialEq, Debug)]
pub struct Drawn {
    pub path: PathBuf,
    /// Switchboard's cost over the floor's, from left to right, where both are drawn.
    pub ratios: Vec<(f64, f64)>,
}

impl Drawn {
    /// How far the ratios are from the middle of the least and the most, as a share of it; 0 for none.
    pub fn unevenness(&self) -> f64 {
        let least = self.ratios.iter().map(|(_, ratio)| *ratio).fold(f64::INFINITY, f64::min);
        let most = self.ratios.iter().map(|(_, ratio)| *ratio).fold(0.0, f64::max);
        if most > 0.0 { (most - least) / (most + least) } else { 0.0 }
    }
}

/// Subscribers that the curve over channels spreads.
pub const SPREAD: usize = 10_000;

/// Draws cost per delivery over subscribers and over channels, for each transport and size that the records have.
pub fn curves(outcomes: &[Outcome], folder: &Path) -> Result<Vec<Drawn>, String> {
    let kinds: BTreeSet<(&str, usize)> = outcomes.iter().map(|one| (one.transport.as_str(), one.size)).collect();
    let mut written = Vec::new();
    for (transport, size) in kinds {
        let all = outcomes.iter().filter(|one| one.transport == transport && one.size == size);
        let all = all.filter(|one| matches!(&*one.scenario, "fanout" | "many"));
        let by_subscribers = series(all.clone().filter(|one| one.channels == 1), |outcome| outcome.subscribers);
        let by_channels = series(all.filter(|one| one.subscribers == SPREAD), |outcome| outcome.channels);
        for (name, across, series) in [
            ("subscribers", "subscribers of one channel", by_subscribers),
            ("channels", "channels, 10,000 subscribers in all", by_channels),
        ] {
            if series.iter().all(|(_, points)| points.len() < 2) {
                continue;
            }
            let ratios = ratios(&series);
            let title = format!("Server CPU per delivery over {name}: {transport}, {size} B");
            let plot = Plot { title, across: across.into(), up: "µs".into(), series };
            let path = folder.join(format!("cost-by-{name}-{transport}-{size}.svg"));
            std::fs::write(&path, plot.svg()).map_err(|error| format!("{}: {error}", path.display()))?;
            written.push(Drawn { path, ratios });
        }
    }
    Ok(written)
}

fn ratios(series: &[(String, Vec<(f64, f64)>)]) -> Vec<(f64, f64)> {
    let of = |name| series.iter().find(|(target, _)| target == name).map(|(_, points)| points.as_slice());
    let (Some(ours), Some(floor)) = (of("switchboard"), of("floor")) else { return Vec::new() };
    let beneath = |x: f64| floor.iter().find(|point| point.0 == x).map(|point| point.1);
    ours.iter().filter_map(|(x, cost)| Some((*x, cost / beneath(*x)?))).collect()
}

/// Medians of cost per delivery for each target.
fn series<'o>(
    outcomes: impl Iterator<Item = &'o Outcome>,
    across: impl Fn(&Outcome) -> usize,
) -> Vec<(String, Vec<(f64, f64)>)> {
    let mut found: BTreeMap<&str, BTreeMap<usize, Vec<f64>>> = BTreeMap::new();
    for outcome in outcomes {
        if let Some(cost) = outcome.figure("cpu_us_per_delivery") {
            found.entry(&outcome.target).or_default().entry(across(outcome)).or_default().push(cost);
        }
    }
    let points = |values: BTreeMap<usize, Vec<f64>>| values.iter().map(|(x, y)| (*x as f64, median(y))).collect();
    let mut series: Vec<_> = found.into_iter().map(|(target, values)| (target.to_owned(), points(values))).collect();
    // Ours first, so that it has the first colour.
    series.sort_by_key(|(target, _)| target != "switchboard");
    series
}

impl Plot {
    /// The picture as SVG.
    pub fn svg(&self) -> String {
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n{STYLE}<title>{}</title>\n",
            escape(&self.title)
        );
        let points = || self.series.iter().flat_map(|(_, points)| points);
        let (first, last) = (
            points().map(|(x, _)| *x).fold(f64::INFINITY, f64::min).max(1.0),
            points().map(|(x, _)| *x).fold(1.0, f64::max),
        );
        let step = step(points().map(|(_, y)| *y).fold(0.0, f64::max) / 5.0);
        let top = (points().map(|(_, y)| *y).fold(0.0, f64::max) / step).ceil().max(1.0) * step;
        let decades = (last / first).log10().max(f64::EPSILON);
        let x = |value: f64| LEFT + (value / first).log10() / decades * (WIDTH - LEFT - RIGHT);
        let y = |value: f64| HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM);
        let _ = writeln!(svg, "<text class=\"title\" x=\"{LEFT}\" y=\"24\">{}</text>", escape(&self.title));
        self.axes(&mut svg, (step, top), &x, &y);
        self.lines(&mut svg, &x, &y);
        svg.push_str("</svg>\n");
        svg
    }

    fn axes(&self, svg: &mut String, (step, top): (f64, f64), x: &dyn Fn(f64) -> f64, y: &dyn Fn(f64) -> f64) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let mut value = 0.0;
        while value <= top + step / 2.0 {
            let (at, label) = (y(value), (value * 100.0).round() / 100.0);
            let _ = writeln!(svg, "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{right}\" y2=\"{at:.1}\"/>");
            let _ =
                writeln!(svg, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>", LEFT - 8.0, at + 4.0);
            value += step;
        }
        let ticks: BTreeSet<u64> = self.series.iter().flat_map(|(_, points)| points).map(|(x, _)| *x as u64).collect();
        for tick in ticks {
            let label = thousands(tick);
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>",
                x(tick as f64),
                bottom + 20.0
            );
        }
        let middle = f64::midpoint(LEFT, right);
        let across = escape(&self.across);
        let _ =
            writeln!(svg, "<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{across}</text>", bottom + 42.0);
        let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"{:.1}\">{}</text>", LEFT - 32.0, TOP - 8.0, escape(&self.up));
    }

    fn lines(&self, svg: &mut String, x: &dyn Fn(f64) -> f64, y: &dyn Fn(f64) -> f64) {
        let mut labels: Vec<(f64, &str, &str)> = Vec::new();
        for ((name, points), colour) in self.series.iter().zip(COLOURS.iter().cycle()) {
            let path: Vec<String> = points.iter().map(|point| format!("{:.1},{:.1}", x(point.0), y(point.1))).collect();
            let _ = writeln!(svg, "<polyline class=\"line\" stroke=\"{colour}\" points=\"{}\"/>", path.join(" "));
            for point in points {
                let (x, y) = (x(point.0), y(point.1));
                let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>");
            }
            labels.extend(points.last().map(|last| (y(last.1), name.as_str(), *colour)));
        }
        // Names stand at the lines' ends, none upon another.
        labels.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut free = TOP;
        for (at, name, colour) in labels {
            let at = at.max(free);
            free = at + 17.0;
            let (left, name) = (WIDTH - RIGHT + 12.0, escape(name));
            let _ = writeln!(svg, "<text x=\"{left}\" y=\"{:.1}\" style=\"fill: {colour}\">{name}</text>", at + 4.0);
        }
    }
}

/// A round number near this one: 1, 2 or 5 times a power of ten.
fn step(rough: f64) -> f64 {
    let power = 10_f64.powf(rough.max(1e-9).log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| *step >= rough).unwrap_or(power)
}

fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_its_lines_names_and_ticks() {
        let plot = Plot {
            title: "cost <per> delivery".into(),
            across: "subscribers".into(),
            up: "µs".into(),
            series: vec![
                ("ours".into(), vec![(100.0, 5.0), (10_000.0, 4.0)]),
                ("floor".into(), vec![(100.0, 4.0), (10_000.0, 4.0)]),
            ],
        };
        let svg = plot.svg();
        assert!(
            svg.contains("cost &lt;per> delivery") && svg.contains(">10,000</text>") && svg.contains(">ours</text>")
        );
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert_eq!(svg.matches("<circle").count(), 4);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn ratios_are_taken_where_both_are_drawn() {
        let series = [
            ("switchboard".to_owned(), vec![(10.0, 6.0), (100.0, 5.0), (1000.0, 4.0)]),
            ("floor".to_owned(), vec![(10.0, 4.0), (100.0, 4.0)]),
        ];
        let drawn = Drawn { path: PathBuf::new(), ratios: ratios(&series) };
        assert_eq!(drawn.ratios, [(10.0, 1.5), (100.0, 1.25)]);
        assert!((drawn.unevenness() - 0.25 / 2.75).abs() < 1e-12);
        assert_eq!(Drawn { path: PathBuf::new(), ratios: ratios(&series[..1]) }.unevenness(), 0.0);
    }

    #[test]
    fn steps_are_round() {
        for (rough, round) in [(0.9, 1.0), (1.1, 2.0), (3.0, 5.0), (7.0, 10.0), (0.03, 0.05), (240.0, 500.0)] {
            assert!((step(rough) - round).abs() < 1e-9, "{rough}");
        }
        assert_eq!(thousands(19_000), "19,000");
    }
}
