//! What is promised not to allocate does not, once its room has grown: counted by an allocator of these tests' own.
//!
//! On a pool of one thread nothing is allocated at all. With more threads rayon works the queues of its own: a call from within
//! the pool allocates nothing either; one from outside goes through the pool's injector, which takes a block of memory for every
//! 63 calls.

use allocations::counting::{allocations, alone, pool};
use gatewise::{
    Cell, ClipLedger, Kernels, LagProbe, Linear, LinearRoom, Network, NonFinite, Norm, Observer, Probes,
    Sequence, SpikeDetector, State, StepClip, Tape, Tokens, TruncatedBptt, Truncation, Upstream, View,
    Workspace,
};
use rayon::ThreadPool;
use tests::problem::Problem;
use tests::setup::Setup;

mod allocations {
    pub(crate) mod counting;
}

/// All options that have room of their own: layers, directions, layout, lengths, resets, dropout; and none of them.
fn problems() -> Vec<Problem> {
    let plain = Setup { hidden: 24, input: 9, steps: 20, batch: 6, ..Setup::default() };
    let mut all = Vec::new();
    for cell in Cell::ALL {
        let plain = Setup { cell, ..plain.clone() };
        let deep = Setup { layers: 3, dropout: 0.5, resets: true, ..plain.clone() };
        let full = Setup { bidirectional: true, batch_first: true, ragged: true, ..deep.clone() };
        all.extend([plain, deep, full].map(|setup| setup.problem()));
    }
    all
}

/// A forward pass and a training pass in room that is used again.
struct Passes {
    problem: Problem,
    network: Network<gatewise::Any>,
    x: Vec<f32>,
    dy: Vec<f32>,
    state: State,
    start: State,
    y: Sequence,
    workspace: Workspace,
    tape: Tape,
    grads: gatewise::Tensors,
}

impl Passes {
    fn new(problem: Problem, kernels: Kernels) -> Passes {
        let network = problem.network(kernels);
        let width = problem.setup.output();
        let start = problem.state(&network).unwrap();
        let shape = problem.shape(width);
        Passes {
            x: problem.layout(&problem.x, problem.setup.input),
            dy: problem.layout(problem.dy.as_ref().unwrap(), width),
            state: start.clone(),
            start,
            y: Sequence::new(vec![0.0; shape.iter().product()], shape).unwrap(),
            workspace: Workspace::default(),
            tape: Tape::default(),
            grads: network.params().zeros_like(),
            network,
            problem,
        }
    }

    fn infer(&mut self, y: &mut [f32]) {
        let input = self.problem.input(&self.x);
        self.network.forward_into(input, &mut self.state, y, &mut self.workspace).unwrap();
    }

    fn train(&mut self) {
        let input = self.problem.input(&self.x);
        self.network.forward_train_into(input, Some(&self.start), &mut self.tape).unwrap();
        self.tape.final_state(&mut self.state).unwrap();
        let dy = View::new(&self.dy, self.y.shape()).unwrap();
        let (h_n, c_n) = (self.problem.dh_n.as_deref(), self.problem.dc_n.as_deref());
        let upstream = Upstream { h_n, c_n, ..Upstream::output(dy) };
        self.network.backward(&mut self.tape, upstream, &mut self.grads).unwrap();
    }
}

/// The counter counts: otherwise nothing below would prove anything.
#[test]
fn the_counter_counts() {
    let _turn = alone();
    assert_eq!(allocations(|| drop(std::hint::black_box(vec![1_u8; 100]))), 1);
    let mut grown = Vec::with_capacity(1);
    assert!(allocations(|| (0..100).for_each(|i| grown.push(i))) > 0);
    assert!(pool(2).install(|| allocations(|| drop(std::hint::black_box(Box::new(7))))) > 0);
}

/// `forward_into`, and `forward_train_into` with `final_state` and `backward`, of every cell with and without options.
#[test]
fn passes_of_one_thread_allocate_nothing() {
    let _turn = alone();
    let pool = pool(1);
    for kernels in Kernels::available().unwrap() {
        for problem in problems() {
            let mut passes = Passes::new(problem, kernels);
            let mut y = passes.y.data().to_vec();
            let counts = pool.install(|| {
                passes.infer(&mut y);
                passes.train();
                let infer = allocations(|| (0..3).for_each(|_| passes.infer(&mut y)));
                (infer, allocations(|| (0..3).for_each(|_| passes.train())))
            });
            assert_eq!(counts, (0, 0), "{:?} on {}", passes.problem.setup, kernels.isa());
        }
    }
}

/// Allocations of six training steps that everything looks at, once its room is there: the observer, a limit on each step, the ledger, the
/// detector of spikes, and the probe of lags.
fn of_observations(problem: Problem, pool: &ThreadPool) -> usize {
    let mut passes = Passes::new(problem, Kernels::auto().unwrap());
    let steps = passes.problem.setup.steps;
    let shortest = passes.problem.lengths.as_ref().map_or(steps, |lengths| *lengths.iter().min().unwrap());
    let mut observer = Observer::new(&passes.network);
    let mut probe = LagProbe::new(&passes.network, shortest.saturating_sub(1), Probes::Random(2), 1).unwrap();
    let mut ledger = ClipLedger::new(Norm::L2, NonFinite::Skip, 4);
    let mut spikes = SpikeDetector::new(8, 6.0);
    let mut all = |clip: Option<StepClip>| {
        let Passes { problem, network, x, dy, start, y, tape, grads, .. } = &mut passes;
        network.forward_train_into(problem.input(x), Some(start), tape).unwrap();
        if shortest > 0 {
            probe.measure(network, tape).unwrap();
        }
        let upstream = Upstream { clip, ..Upstream::output(View::new(dy, y.shape()).unwrap()) };
        observer.backward(network, tape, upstream, grads).unwrap();
        let clipped = ledger.clip("all", &mut [grads], 1.0, Some(observer.flow())).unwrap();
        spikes.push(clipped.norm);
    };
    pool.install(|| {
        // Which thread takes what is chance: after some rounds each has had its turn.
        for _ in 0..5 {
            all(None);
            all(Some(StepClip::Norm(1.0)));
        }
        allocations(|| {
            for clip in [None, Some(StepClip::Value(1.0)), None, Some(StepClip::Norm(0.1)), None, None] {
                all(clip);
            }
        })
    })
}

#[test]
fn observations_allocate_nothing() {
    let _turn = alone();
    let pool = pool(1);
    for problem in problems() {
        let setup = problem.setup.clone();
        assert_eq!(of_observations(problem, &pool), 0, "{setup:?}");
    }
}

/// Nor do those of passes that four threads share out.
#[test]
fn observations_of_more_threads_allocate_nothing() {
    let _turn = alone();
    let pool = pool(4);
    for cell in Cell::ALL {
        let setup = Setup { cell, hidden: 96, input: 32, steps: 40, batch: 32, ..Setup::default() };
        let problem = setup.problem();
        let network = problem.network(Kernels::auto().unwrap());
        let of = |threads| network.explain(setup.steps, setup.batch, threads).unwrap();
        assert_ne!(of(1), of(4), "these passes are shared out");
        assert_eq!(of_observations(problem, &pool), 0, "{setup:?}");
    }
}

/// Whoever looks at the windows of a stream allocates nothing: the stream allocates as much with an observer as without.
#[test]
fn an_observer_of_a_stream_allocates_nothing() {
    let _turn = alone();
    let pool = pool(1);
    for cell in Cell::ALL {
        let network = Network::with_cell(cell, 3, 24).num_layers(2).seed(1).build().unwrap();
        let mut grads = network.params().zeros_like();
        let mut count = |mut observer: Option<Observer>| {
            let start = network.zero_state(4).unwrap();
            let mut bptt = TruncatedBptt::new(&network, Truncation { k1: 5, k2: 13 }, start).unwrap();
            let (x, dy) = ([0.5; 40 * 4 * 3], [0.1; 5 * 4 * 24]);
            bptt.push(View::new(&x, [40, 4, 3]).unwrap()).unwrap();
            let mut windows = |count: usize| {
                for _ in 0..count {
                    assert!(bptt.forward(&network).unwrap());
                    let upstream = Upstream::output(View::new(&dy, [5, 4, 24]).unwrap());
                    let grads = &mut grads;
                    match &mut observer {
                        None => bptt.backward(&network, upstream, grads).unwrap(),
                        Some(observer) => {
                            observer.backward_truncated(&mut bptt, &network, upstream, grads).unwrap();
                        }
                    }
                }
            };
            pool.install(|| {
                windows(4);
                allocations(|| windows(4))
            })
        };
        assert_eq!(count(Some(Observer::new(&network))), count(None), "{cell:?}");
    }
}

/// A shorter and narrower pass fits into the room of a longer one.
#[test]
fn smaller_passes_fit_into_the_room_of_larger_ones() {
    let _turn = alone();
    let large = problems().swap_remove(8);
    let small = Problem::new(&Setup { steps: 7, batch: 4, ..large.setup.clone() });
    let kernels = Kernels::auto().unwrap();
    let (mut large, mut small) = (Passes::new(large, kernels), Passes::new(small, kernels));
    let (mut y, mut small_y) = (large.y.data().to_vec(), small.y.data().to_vec());
    pool(1).install(|| {
        large.infer(&mut y);
        large.train();
        std::mem::swap(&mut small.workspace, &mut large.workspace);
        std::mem::swap(&mut small.tape, &mut large.tape);
        assert_eq!(allocations(|| small.infer(&mut small_y)), 0);
        assert_eq!(allocations(|| small.train()), 0);
    });
}

/// `step`, from the first call on: its room is the state's. Only rayon's pool of all threads has to be there, which a step of several
/// rows asks for its size.
#[test]
fn steps_allocate_nothing() {
    let _turn = alone();
    rayon::current_num_threads();
    for kernels in Kernels::available().unwrap() {
        for cell in Cell::ALL {
            for (layers, batch, hidden) in [(1, 1, 8), (1, 1, 21), (3, 1, 16), (2, 5, 40)] {
                let network =
                    Network::with_cell(cell, 3, hidden).num_layers(layers).kernels(kernels).build().unwrap();
                let mut state = network.zero_state(batch).unwrap();
                let (x, mut y) = (vec![0.5; batch * 3], vec![0.0; batch * hidden]);
                let count = allocations(|| {
                    for _ in 0..10 {
                        network.step(&x, &mut state, &mut y).unwrap();
                    }
                });
                assert_eq!(count, 0, "{cell:?} of {layers} layers, {batch} rows, on {}", kernels.isa());
            }
        }
    }
}

/// Tokens: `forward_tokens_into` once its workspace has grown, `step_tokens` from the first call on.
#[test]
fn tokens_allocate_nothing() {
    let _turn = alone();
    let pool = pool(1);
    for kernels in Kernels::available().unwrap() {
        for problem in problems() {
            let network = problem.network(kernels);
            let (vocabulary, mut state) = (7, network.zero_state(problem.setup.batch).unwrap());
            let table = vec![0.5; vocabulary * problem.setup.input];
            let table = network.project_table(vocabulary, &table).unwrap();
            let [first, second, width] = problem.shape(problem.setup.output());
            let ids: Vec<usize> = (0..first * second).map(|i| i % vocabulary).collect();
            let (mut y, mut workspace) = (vec![0.0; first * second * width], Workspace::default());
            let mut tokens = Tokens::new(&ids, [first, second]).unwrap();
            if let (Some(lengths), Some(resets)) = (&problem.lengths, &problem.resets) {
                tokens = tokens.lengths(lengths).resets(resets);
            }
            let mut run = || {
                network.forward_tokens_into(&table, tokens, &mut state, &mut y, &mut workspace).unwrap();
            };
            let count = pool.install(|| {
                run();
                allocations(|| (0..3).for_each(|_| run()))
            });
            assert_eq!(count, 0, "{:?} on {}", problem.setup, kernels.isa());
            if problem.setup.bidirectional {
                continue;
            }
            let (ids, y) = (&ids[..problem.setup.batch], &mut y[..problem.setup.batch * width]);
            let count = pool.install(|| {
                let mut step = || network.step_tokens(&table, ids, &mut state, y).unwrap();
                allocations(|| (0..3).for_each(|_| step()))
            });
            assert_eq!(count, 0, "steps of {:?} on {}", problem.setup, kernels.isa());
        }
    }
}

/// A linear layer forward, and backward with its room.
#[test]
fn linear_layers_allocate_nothing() {
    let _turn = alone();
    let pool = pool(1);
    for kernels in Kernels::available().unwrap() {
        let linear = Linear::with_kernels(20, 12, 1, kernels).unwrap();
        let (x, dy, rows) = (vec![0.5; 30 * 20], vec![0.25; 30 * 12], 30);
        let (mut y, mut dx) = (vec![0.0; 30 * 12], vec![0.0; 30 * 20]);
        let (mut grads, mut room) = (linear.params().zeros_like(), LinearRoom::default());
        let mut both = || {
            linear.forward(rows, &x, &mut y).unwrap();
            linear.backward(rows, &x, &dy, Some(&mut dx), &mut grads, &mut room).unwrap();
        };
        let count = pool.install(|| {
            both();
            allocations(&mut both)
        });
        assert_eq!(count, 0, "on {}", kernels.isa());
    }
}

/// Four threads, passes that are shared out: none from within the pool; from outside rayon's injector takes a block of memory now
/// and then, less than one for every ten calls.
#[test]
fn what_rayon_allocates_with_more_threads() {
    let _turn = alone();
    let pool = pool(4);
    let setup = Setup { hidden: 64, input: 16, steps: 40, batch: 8, ..Setup::default() };
    let mut passes = Passes::new(setup.problem(), Kernels::auto().unwrap());
    let of = |threads| passes.network.explain(setup.steps, setup.batch, threads).unwrap();
    assert_ne!(of(1), of(4), "these passes are shared out");
    let mut y = passes.y.data().to_vec();
    let mut both = |passes: &mut Passes| {
        passes.infer(&mut y);
        passes.train();
    };
    pool.install(|| (0..10).for_each(|_| both(&mut passes)));
    let within = pool.install(|| allocations(|| (0..20).for_each(|_| both(&mut passes))));
    assert_eq!(within, 0, "from within the pool");
    let outside = allocations(|| (0..100).for_each(|_| pool.install(|| both(&mut passes))));
    assert!(outside <= 10, "{outside} allocations in 100 calls from outside the pool");
}
