//! The pictures say what they show, and stand in the folder for temporary files of the tests to be looked at.

use gatewise::{
    Cell, ClipLedger, GateReport, LagHistory, LagProbe, Network, NonFinite, Norm, Observer, Probes, Upstream,
    View, plot,
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
        keep(&format!("lags-{name}"), &svg, &["lag k", "influence", "layer 0", "the input x"]);

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
        plot::clipping(&gatewise::ClipGroup::default(), "").unwrap_err(),
    ] {
        assert!(error.to_string().ends_with("must be one with something to draw: got nothing"), "{error}");
    }
}
