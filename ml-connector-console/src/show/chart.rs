//! Bars and meters: SVG by attributes alone, with the same in words for whoever does not see them.

use maud::{Markup, html};

/// One bar: what it is called, how high it is in words, and how much of each part it has, from the bottom up.
pub(crate) struct Bar {
    pub name: String,
    pub told: String,
    /// A class and an amount.
    pub parts: Vec<(&'static str, u64)>,
}

/// Bars beside each other, as wide as there is room.
pub(crate) fn bars(title: &str, told: &str, bars: &[Bar]) -> Markup {
    const HEIGHT: u64 = 96;
    const WIDTH: usize = 480;
    let most = bars.iter().map(|bar| bar.parts.iter().map(|(_, part)| part).sum::<u64>()).max();
    let most = most.unwrap_or_default().max(1);
    let step = WIDTH / bars.len().max(1);
    html! {
        figure.chart {
            figcaption { b { (title) } " " span.faint { (told) } }
            svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT + 18) } role="img" aria-label={ (title) ": " (told) } preserveAspectRatio="none" {
                line.axis x1="0" y1=(HEIGHT) x2=(WIDTH) y2=(HEIGHT) {}
                @for (i, bar) in bars.iter().enumerate() {
                    g {
                        title { (bar.name) ": " (bar.told) }
                        // So that there is something to point at where there is no bar.
                        rect.none x=(i * step) y="0" width=(step) height=(HEIGHT) {}
                        @for (class, y, height) in stack(&bar.parts, most, HEIGHT) {
                            rect.(class) x=(i * step + 1) y=(y) width=(step.saturating_sub(2).max(1)) height=(height) rx="1" {}
                        }
                    }
                }
                @if let (Some(first), Some(last)) = (bars.first(), bars.last()) {
                    text.tick x="0" y=(HEIGHT + 14) { (first.name) }
                    text.tick.end x=(WIDTH) y=(HEIGHT + 14) { (last.name) }
                }
            }
        }
    }
}

/// Where the parts of a bar are: from the bottom up, none of what is there invisible.
fn stack(parts: &[(&'static str, u64)], most: u64, height: u64) -> Vec<(&'static str, u64, u64)> {
    let mut y = height;
    let mut placed = Vec::new();
    for (class, part) in parts.iter().filter(|(_, part)| *part > 0) {
        let tall = (part.saturating_mul(height - 4) / most).clamp(2, y.max(2));
        y = y.saturating_sub(tall);
        placed.push((*class, y, tall));
    }
    placed
}

/// How much of a limit is spent.
pub(crate) fn meter(used: u64, limit: u64) -> Markup {
    let width = used.min(limit).saturating_mul(100) / limit.max(1);
    let class = if used >= limit {
        "bad"
    } else if width >= 80 {
        "wait"
    } else {
        "good"
    };
    html! {
        svg.meter viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label={ (used) " of " (limit) } {
            rect.rest x="0" y="0" width="100" height="8" rx="2" {}
            rect.(class) x="0" y="0" width=(width) height="8" rx="2" {}
        }
    }
}
