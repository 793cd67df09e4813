//! The pictures say what they show, and stand in the folder for temporary files of the tests to be looked at.

use gatewise::{
    Cell, ClipEntry, ClipGroup, ClipLedger, GateReport, LagHistory, LagProbe, Network, NonFinite, Norm,
    Observer, Probes, Upstream, View, plot,
};
use tests::rng::Rng;

/// Checks the words and keeps the picture.
fn keep(name: &str, svg: &str, words: &[&str]) {
    std::fs::write(format!("{}/{name}.svg", env!("CARGO_TARGET_TMPDIR")), svg).unwrap();
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{name} is no picture");
    assert!(!svg.contains("NaN") && !svg.contains("inf\""), "{name} has places that are none");
    for word in words {
        assert!(svg.contains(word), "{name} says nothing of {word}");
    }
}

#[test]
fn every_picture() {
    let mut rng = Rng::new(5);
    for (name, cell, layers, bidirectional) in
        [("rnn", Cell::RnnTanh, 1, false), ("lstm", Cell::Lstm, 2, false), ("gru", Cell::Gru, 2, true)]
    {
        let builder = Network::with_cell(cell, 2, 16).num_layers(layers).bidirectional(bidirectional);
        let network = builder.seed(1).build().unwrap();
        let (steps, batch) = (120, 4);
        let x: Vec<f32> = rng.vec(steps * batch * 2, -1.0, 1.0).iter().map(|x| *x as f32).collect();
        let x = View::new(&x, [steps, batch, 2]).unwrap();
        let mut tape = network.forward_train(x, None).unwrap();

        let report = GateReport::new(&network, &tape).unwrap();
        let words = ["mean", "saturated", "share of values", "value", "layer 0"];
        let title = format!("{}, untrained: gates", cell.name());
        keep(&format!("gates-{name}"), &plot::gates(&report, &title).unwrap(), &words);

        let mut probe = LagProbe::new(&network, 60, Probes::Random(4), 1).unwrap();
        let influence = probe.measure(&network, &tape).unwrap();
        let svg = plot::lag_influence(influence, "Influence by lag").unwrap();
        keep(
            &format!("lags-{name}"),
            &svg,
            &["lag k", "influence on the last h\n", "layer 0", "the input x"],
        );

        let h_n = vec![1.0; network.zero_state(batch).unwrap().h().len()];
        let mut observer = Observer::new(&network);
        let mut grads = network.params().zeros_like();
        let upstream = Upstream { h_n: Some(&h_n), ..Upstream::default() };
        observer.backward(&network, &mut tape, upstream, &mut grads).unwrap();
        let svg = plot::gradient_flow(observer.flow(), &format!("{}: gradient flow", cell.name())).unwrap();
        keep(&format!("flow-{name}"), &svg, &["time step t", "|dL/dh|", "|dL/dx|", "L2 norm", "1e-"]);
    }

    let mut history = LagHistory::default();
    for step in 0..25 {
        let base = 0.7 + 0.01 * f64::from(step);
        let row: Vec<f64> = (0..60).map(|lag| base.powi(lag)).collect();
        history.push(100 * step as u64, &row);
    }
    let svg = plot::lag_history(&history, "The network learns to look back").unwrap();
    keep("history", &svg, &["lag k", "training step", "influence", "2000"]);

    let mut ledger = ClipLedger::new(Norm::L2, NonFinite::Skip, 1000);
    let mut grads = Network::with_cell(Cell::Gru, 2, 4).build().unwrap().params().zeros_like();
    for update in 0..300 {
        let size = (0.05 * rng.uniform(-2.0, 2.0).exp()) as f32;
        grads.fill(if update % 97 == 96 { f32::NAN } else { size });
        ledger.clip("gru", &mut [&mut grads], 1.0, None).unwrap();
    }
    let svg = plot::clipping(ledger.group("gru").unwrap(), "Norms of the gradient").unwrap();
    keep("norms", &svg, &["threshold", "clipped", "update", "norm of the gradient", "not finite"]);
}

/// As many crosses as there are in a picture: each is two lines of one pixel.
fn crosses(svg: &str) -> usize {
    svg.matches("<line opacity=\"1\" stroke=\"#282828\" stroke-width=\"1\"").count() / 2
}

#[test]
fn what_is_not_finite_is_crossed() {
    let mut history = LagHistory::default();
    for step in 0..12 {
        history.push(step, &(0..50).map(|lag| 2.0_f64.powi(-lag)).collect::<Vec<f64>>());
    }
    let without = plot::lag_history(&history, "Memory").unwrap();
    // One value among all of them, and a whole corner.
    history.rows[2].influence[49] = f64::NAN;
    let one = plot::lag_history(&history, "Memory").unwrap();
    history.rows[6..].iter_mut().for_each(|row| row.influence[20..].fill(f64::INFINITY));
    let corner = plot::lag_history(&history, "Memory that explodes").unwrap();
    keep("history-exploding", &corner, &["not finite"]);
    assert!(!without.contains("not finite"));
    // One in the map and one in the swatch; in the corner, 30 of 50 columns wide, more than a hundred.
    let axes = crosses(&without);
    assert_eq!(crosses(&one) - axes, 2);
    assert!((100..=30 * 6 + 2).contains(&(crosses(&corner) - axes)), "{}", crosses(&corner) - axes);

    let h = (0..200).map(|t| if t == 77 { f64::INFINITY } else { 1.0 }).collect();
    let tracks = vec![gatewise::TrackFlow { h, ..gatewise::TrackFlow::default() }];
    let mut flow = gatewise::GradientFlow { tracks, ..gatewise::GradientFlow::default() };
    let one = plot::gradient_flow(&flow, "Flow").unwrap();
    flow.tracks[0].h[77] = 1.0;
    assert_eq!(crosses(&one) - crosses(&plot::gradient_flow(&flow, "Flow").unwrap()), 2);
}

/// The lowest shade is that of everything below it, and says so where there is such a thing.
#[test]
fn a_scale_that_is_cut_says_so() {
    let label = |h: &[f64]| {
        let tracks = vec![gatewise::TrackFlow { h: h.to_vec(), ..gatewise::TrackFlow::default() }];
        let flow = gatewise::GradientFlow { tracks, ..gatewise::GradientFlow::default() };
        let svg = plot::gradient_flow(&flow, "Flow").unwrap();
        let label = svg.lines().find(|line| line.trim().starts_with("&lt;= "));
        (label.map(|line| line.trim().to_string()), svg.contains("1e-12"))
    };
    let end = |text: &str| Some(text.to_string());
    assert_eq!(label(&[1.0, 1e-13]), (end("&lt;= 1e-12"), true));
    assert_eq!(label(&[1.0, 1e-12]), (None, true));
    assert_eq!(label(&[1.0, 0.0]), (end("&lt;= 1e-1"), false));
    assert_eq!(label(&[1.0, 0.5]), (None, false));
}

#[test]
fn a_legend_names_what_is_drawn() {
    let entry = |update, norm, max_norm, scale| ClipEntry { update, norm, max_norm, scale };
    let names = |entries: &[ClipEntry]| {
        let group = ClipGroup { entries: entries.to_vec().into(), ..ClipGroup::default() };
        let svg = plot::clipping(&group, "Norms").unwrap();
        ["norm before clipping", "clipped (", "threshold", "not finite"].map(|name| svg.contains(name))
    };
    const INF: f64 = f64::INFINITY;
    assert_eq!(names(&[entry(0, 1.0, INF, 1.0), entry(1, 2.0, INF, 1.0)]), [true, false, false, false]);
    assert_eq!(names(&[entry(0, 1.0, 4.0, 1.0), entry(1, 2.0, 4.0, 1.0)]), [true, false, true, false]);
    assert_eq!(names(&[entry(0, 1.0, 1.5, 1.0), entry(1, 2.0, 1.5, 0.75)]), [true, true, true, false]);
    assert_eq!(names(&[entry(0, INF, INF, 1.0)]), [false, false, false, true]);
    // One norm is no line, and yet to be seen: a mark in the picture and one in the legend.
    let one = ClipGroup { entries: [entry(0, 1.0, INF, 1.0)].into(), ..ClipGroup::default() };
    assert_eq!(plot::clipping(&one, "Norms").unwrap().matches("<circle").count(), 2);
    assert_eq!(names(&[entry(0, 0.0, INF, 1.0)]), [false; 4]);
}

/// What explodes, and what is all zero.
#[test]
fn pictures_of_extremes() {
    let track = gatewise::TrackFlow {
        h: (0..1000)
            .map(|t| if t < 30 { f64::INFINITY } else { 10_f64.powi((1000 - t) / 20 - 10) })
            .collect(),
        ..gatewise::TrackFlow::default()
    };
    let mut flow = gatewise::GradientFlow { tracks: vec![track], ..gatewise::GradientFlow::default() };
    let svg = plot::gradient_flow(&flow, "An exploding gradient").unwrap();
    keep("flow-exploding", &svg, &["not finite"]);
    flow.tracks[0].h = vec![0.0; 5];
    keep("flow-zero", &plot::gradient_flow(&flow, "No gradient").unwrap(), &["time step t"]);
    for error in [
        plot::gradient_flow(&gatewise::GradientFlow::default(), "").unwrap_err(),
        plot::lag_history(&LagHistory::default(), "").unwrap_err(),
        plot::lag_influence(&gatewise::LagInfluence::default(), "").unwrap_err(),
        plot::clipping(&ClipGroup::default(), "").unwrap_err(),
        plot::gates(&GateReport { tracks: vec![] }, "").unwrap_err(),
    ] {
        assert!(error.to_string().ends_with("must be one with something to draw: got nothing"), "{error}");
    }
}
