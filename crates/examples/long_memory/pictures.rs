//! The pictures: four of each cell, and two that compare the cells.

use crate::report::Report;
use examples::chart::{Chart, Corner, Line};
use gatewise::plot;
use std::error::Error;

/// What a title says of a run.
fn title(report: &Report, what: &str) -> String {
    let setting = &report.setting;
    format!("{} on {}, T = {}: {what}", setting.cell, setting.task, setting.length)
}

/// The pictures of one cell, each with the end of its file's name.
pub(crate) fn draw(report: &Report) -> Result<Vec<(&'static str, String)>, Box<dyn Error>> {
    let mut pictures = vec![
        ("flow", plot::gradient_flow(&report.flow, &title(report, "gradient at each step"))?),
        ("lags", plot::lag_history(&report.lag_history, &title(report, "influence of earlier states"))?),
        ("gates", plot::gates(&report.gates, &title(report, "gates"))?),
    ];
    // A training that diverges at its first update has clipped nothing.
    if !report.clipping.entries.is_empty() {
        pictures.push(("norms", plot::clipping(&report.clipping, &title(report, "norm of the gradient"))?));
    }
    Ok(pictures)
}

/// The losses, and the influence by lag, of all cells.
pub(crate) fn compare(reports: &[Report]) -> Result<(String, String), Box<dyn Error>> {
    let Some(first) = reports.first() else { return Err("there is no run to compare".into()) };
    let about = format!("{}, T = {}", first.setting.task, first.setting.length);
    let lines = |points: &dyn Fn(&Report) -> Vec<(f64, f64)>| -> Vec<Line> {
        let line = |report: &Report| Line { name: report.setting.cell.to_string(), points: points(report) };
        reports.iter().map(line).collect()
    };
    let loss = Chart {
        title: &format!("{about}: loss on rows that are not learned from"),
        axes: ["updates", &format!("loss ({})", first.setting.unit)],
        lines: lines(&|report| report.test_loss.iter().map(|&(done, loss)| (done as f64, loss)).collect()),
        level: Some(("baseline", first.result.baseline)),
        decades: Some(8.0),
        legend: Corner::LowerLeft,
        size: (900, 480),
    };
    let memory = Chart {
        title: &format!("{about}: influence of the state k steps before, after training"),
        axes: ["lag k (steps)", "influence on the last h (lag 0: 1)"],
        lines: lines(&|report| {
            let state = report.influence.tracks[0].state();
            state.iter().enumerate().map(|(lag, influence)| (lag as f64, influence / state[0])).collect()
        }),
        level: Some(("a hundredth", crate::report::FADED)),
        decades: Some(12.0),
        legend: Corner::LowerLeft,
        size: (900, 480),
    };
    Ok((loss.draw()?, memory.draw()?))
}
