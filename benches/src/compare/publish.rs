//! The results of a run as a page: `BENCHMARKS.md`, with a table and a picture for each group.

use super::results::Results;
use super::{Origin, Row, chart, shapes, table};
use std::fmt::Write;
use std::path::Path;

/// Where the pictures are, from the root.
const CHARTS: &str = "benches/charts";

/// Writes the page and its pictures below the root of the workspace.
///
/// # Errors
/// One line that names the file that cannot be written.
pub fn publish(results: &Results, root: &Path) -> Result<(), String> {
    let charts = root.join(CHARTS);
    std::fs::create_dir_all(&charts).map_err(|error| format!("{}: {error}", charts.display()))?;
    draw_charts(results, &charts)?;
    let path = root.join("BENCHMARKS.md");
    std::fs::write(&path, page(results)).map_err(|error| format!("{}: {error}", path.display()))
}

/// Draws a picture of each group into a folder.
///
/// # Errors
/// One line that names the file that cannot be written.
pub fn draw_charts(results: &Results, folder: &Path) -> Result<(), String> {
    for (group, cases) in results.groups() {
        let path = folder.join(chart_name(group));
        let title = format!("Gatewise and its peers: {group}");
        chart::draw(&path, &title, &shown(&cases)).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// Cases of a picture whose group has none of the dozen in it.
const MOST_SHOWN: usize = 6;

/// What of a group a picture shows: those of the dozen of a quick run on one thread, or the first few. The table has all.
fn shown<'a>(cases: &[&'a [Row]]) -> Vec<&'a [Row]> {
    let dozen: Vec<String> = shapes::quick(1).iter().map(|shape| shapes::text(&shape.work)).collect();
    let is_shown = |rows: &&&[Row]| rows.first().is_some_and(|row| dozen.contains(&row.shape));
    let shown: Vec<&[Row]> = cases.iter().filter(is_shown).copied().collect();
    if shown.is_empty() { cases.iter().take(MOST_SHOWN).copied().collect() } else { shown }
}

fn chart_name(group: &str) -> String {
    format!("{}.svg", group.replace(' ', "-"))
}

/// The page.
pub fn page(results: &Results) -> String {
    let peaks: Vec<String> = results
        .fma_peaks
        .iter()
        .map(|(threads, peak)| {
            format!("{peak:.0} GFLOP/s on {threads} thread{}", if *threads == 1 { "" } else { "s" })
        })
        .collect();
    let mut text = format!(
        "# Benchmarks\n\n\
         Measured on {} by `{}`; written by `cargo xtask compare --publish`.\n\n\
         - Processor: {}, {} cores, {}. Gatewise runs {}. FMA peak of the best instruction set: {}.\n\
         - Systems: {}.\n\
         - `torch-no-onednn` is PyTorch with its oneDNN backend switched off (`torch.backends.mkldnn`).\n\
         - Every system gets the same numbers, weights prepared beforehand where its interface allows, and as many threads, each\n\
         \u{20}\u{20}on a core of its own; its outputs are compared with Gatewise's (1e-4; gradients through relu as a whole, 1e-3) before it is timed. All take turns, round after\n\
         \u{20}\u{20}round.\n\
         - The tables give Gatewise's median time of a call, and of the others the median over the rounds of their time over\n\
         \u{20}\u{20}Gatewise's: above 1 Gatewise is faster. A star: recorded on another machine\n\
         \u{20}\u{20}([where from](benches/data/README.md)), scaled by the FMA peaks for batches of 8 and more and as recorded for steps\n\
         \u{20}\u{20}and smaller batches; those of JAX and TensorFlow (tf) come from no program in the repository.\n\
         \u{20}\u{20}No figure: the system does not do that. A picture shows a few cases of its group.\n",
        results.date,
        results.command,
        results.cpu,
        results.cores,
        results.system,
        results.isa,
        peaks.join(", "),
        versions(results).join(", "),
    );
    for (group, cases) in results.groups() {
        write!(
            text,
            "\n## {group}\n\n{}\n![{group}]({CHARTS}/{})\n",
            table::markdown(&cases),
            chart_name(group)
        )
        .expect("a string takes all");
    }
    text
}

/// The systems that were measured, each with its version.
fn versions(results: &Results) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for row in results.cases.iter().flatten().filter(|row| row.origin == Origin::Measured) {
        let version = format!("{} {}", row.system, row.version).trim().to_string();
        if !all.contains(&version) {
            all.push(version);
        }
    }
    all
}
