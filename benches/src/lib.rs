//! What the measuring programs share: cases, their numbers, timing, the machine's ceilings and the floor
//! made of them, and the comparison with other systems.

pub mod allocations;
pub mod calls;
pub mod case;
pub mod compare;
pub mod floor;
pub mod machine;
pub mod matmul;
pub mod onnx;
pub mod output;
pub mod points;
pub mod problem;
pub mod report;
pub mod runner;
pub mod serve;
pub mod timing;

/// Runs a program in a pool of one thread, and says in one line why it failed, if it did.
pub fn on_one_thread<E: std::fmt::Display + Send>(
    program: &str,
    run: fn() -> Result<(), E>,
) -> std::process::ExitCode {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let result = pool
        .map_err(|error| error.to_string())
        .and_then(|pool| pool.install(run).map_err(|error| error.to_string()));
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{program}: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}
