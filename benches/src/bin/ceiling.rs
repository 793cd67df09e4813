//! `cargo xtask ceiling`: what this machine can do.

use benches::machine;
use benches::say;
use gatewise_kernels::Kernels;
use std::process::ExitCode;

const FOOTPRINTS: [(&str, usize); 8] = [
    ("16 KiB", 16 << 10),
    ("64 KiB", 64 << 10),
    ("256 KiB", 256 << 10),
    ("512 KiB", 512 << 10),
    ("1 MiB", 1 << 20),
    ("4 MiB", 4 << 20),
    ("16 MiB", 16 << 20),
    ("256 MiB", 256 << 20),
];

fn main() -> ExitCode {
    let available = match Kernels::available() {
        Ok(available) => available,
        Err(error) => {
            eprintln!("ceiling: {error}");
            return ExitCode::FAILURE;
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads: Vec<usize> = [1, 2].into_iter().filter(|&n| n <= cores).collect();
    let gigahertz = machine::gigahertz();
    say!("clock while busy: {gigahertz:.2} GHz\n");

    say!("| FMA peak, GFLOP/s | {} |", headings(&threads));
    say!("|---|{}", "---|".repeat(threads.len()));
    for kernels in &available {
        let peaks = threads.iter().map(|&n| format!("{:.0}", machine::fma_peak(kernels.isa(), n)));
        say!("| {} | {} |", kernels.isa(), peaks.collect::<Vec<_>>().join(" | "));
    }

    let best = available.last().expect("portable is always there");
    say!("\n| read, GB/s, {} | {} |", best.isa(), headings(&threads));
    say!("|---|{}", "---|".repeat(threads.len()));
    for (name, bytes) in FOOTPRINTS {
        let rates = threads.iter().map(|&n| format!("{:.0}", machine::read_bandwidth(best.isa(), bytes, n)));
        say!("| {name} | {} |", rates.collect::<Vec<_>>().join(" | "));
    }

    say!("\n| cycles a vector | throughput | latency |");
    say!("|---|---|---|");
    for kernels in &available {
        for (name, map) in machine::ACTIVATIONS {
            let cost = machine::activation(*kernels, map);
            let (throughput, latency) = (cost.throughput * gigahertz, cost.latency * gigahertz);
            say!("| {name}, {}, {} lanes | {throughput:.1} | {latency:.0} |", kernels.isa(), kernels.lanes());
        }
        let (fma, broadcast) = machine::latencies(kernels.isa());
        say!("| multiply-add, {} | | {:.1} |", kernels.isa(), fma * gigahertz);
        say!("| store to broadcast load, {} | | {:.1} |", kernels.isa(), broadcast * gigahertz);
    }

    if cores >= 2 {
        let hand_off = machine::hand_off();
        say!("\n| between two threads | ns |");
        say!("|---|---|");
        say!("| rayon::join within the pool | {:.0} |", hand_off.join);
        say!("| entering a pool from outside | {:.0} |", hand_off.pool_entry);
        say!("| a cache line, one way | {:.0} |", hand_off.cache_line);
    }
    ExitCode::SUCCESS
}

fn headings(threads: &[usize]) -> String {
    threads.iter().map(|n| format!("{n} thread(s)")).collect::<Vec<_>>().join(" | ")
}
