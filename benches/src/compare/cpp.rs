//! Peers in C++: a program of `benches/peers/cpp` and the library it is compiled with, once the work is known.

use super::peer::Program;
use super::shapes::Work;
use crate::case::{Case, CellName, Lengths, Pass};
use gatewise::Isa;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where a checkout of RTNeural with its submodules is.
pub const RTNEURAL_VARIABLE: &str = "GATEWISE_PEERS_RTNEURAL";
/// Where oneDNN is installed: the folder with its `include` and `lib`.
pub const ONEDNN_VARIABLE: &str = "GATEWISE_PEERS_ONEDNN";

/// Names of the peers, and their libraries.
pub const PEERS: [(&str, Library); 3] = [
    ("rtneural-eigen", Library::RtNeural { backend: "Eigen" }),
    ("rtneural-xsimd", Library::RtNeural { backend: "xsimd" }),
    ("onednn", Library::OneDnn),
];

/// What a program is compiled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// RTNeural, its layers of sizes known to the compiler.
    RtNeural {
        /// What computes its vectors.
        backend: &'static str,
    },
    /// oneDNN.
    OneDnn,
}

impl Library {
    /// The variable that names its folder.
    pub fn variable(self) -> &'static str {
        match self {
            Library::RtNeural { .. } => RTNEURAL_VARIABLE,
            Library::OneDnn => ONEDNN_VARIABLE,
        }
    }

    /// The name of its program, `.cpp` in the sources.
    fn source(self) -> &'static str {
        match self {
            Library::RtNeural { .. } => "rtneural",
            Library::OneDnn => "onednn",
        }
    }

    /// Files that its folder must have.
    fn marks(self) -> &'static [&'static str] {
        match self {
            Library::RtNeural { backend: "xsimd" } => &["RTNeural/RTNeural.h", "modules/xsimd/include"],
            Library::RtNeural { .. } => &["RTNeural/RTNeural.h", "modules/Eigen"],
            Library::OneDnn => &["include/dnnl.hpp", "lib/libdnnl.so"],
        }
    }

    /// The case that it is to run.
    ///
    /// # Errors
    /// Why it does not do this work.
    pub fn case(self, work: &Work) -> Result<&Case, &'static str> {
        let Work::Network(case) = work else { return Err("it does no products of matrices") };
        if case.lengths == Lengths::Ragged || case.proj.is_some() {
            return Err("neither rows of different lengths nor projected states are compared");
        }
        match self {
            Library::OneDnn => Ok(case),
            _ if case.pass == Pass::Train => Err("it does inference only"),
            _ if !matches!(case.cell, CellName::Lstm | CellName::Gru) => Err("its layers are LSTM and GRU"),
            _ if case.batch > 1 => Err("it runs one row"),
            _ if case.bidirectional => Err("it runs one direction"),
            _ if case.layers > 1 => Err("one layer is compared"),
            _ if case.threads > 1 => Err("it runs on one thread"),
            _ => Ok(case),
        }
    }
}

/// Where what is compiled lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// What it is compiled with.
    pub library: Library,
    /// Where the library is.
    home: PathBuf,
    /// The compiler.
    compiler: String,
    /// The root of the workspace.
    root: PathBuf,
}

/// The program of a peer, or why it is absent; `variable` answers the environment's.
pub fn program<'a>(library: Library, root: &Path, variable: impl Fn(&str) -> Option<&'a String>) -> Program {
    let name = library.variable();
    let Some(home) = variable(name).filter(|home| !home.is_empty()) else {
        return Program::Absent(format!("set {name} to the folder that has it"));
    };
    let home = PathBuf::from(home);
    let mut marks = library.marks().iter().map(|mark| home.join(mark));
    if let Some(missing) = marks.find(|mark| !mark.exists()) {
        return Program::Absent(format!("{name}: there is no {}", missing.display()));
    }
    let compiler = variable("CXX").filter(|compiler| !compiler.is_empty());
    let compiler = compiler.map_or("c++", |compiler| compiler).to_string();
    Program::Compiled(Source { library, home, compiler, root: root.to_path_buf() })
}

/// What came of compiling.
#[derive(Debug, PartialEq, Eq)]
pub enum Built {
    /// The same program in one or more ways.
    Programs(Vec<PathBuf>),
    /// There is no compiler, and why.
    NoCompiler(String),
}

impl Source {
    /// Compiles the program for the sizes of a case, in each way that may be the fastest; what was compiled before is taken.
    ///
    /// # Errors
    /// One line: what the compiler says is wrong.
    pub fn build(&self, case: &Case) -> Result<Built, String> {
        let compiler = Command::new(&self.compiler).arg("--version").output();
        let Ok(version) = compiler.map(|output| output.stdout) else {
            return Ok(Built::NoCompiler(format!("no C++ compiler {}; CXX names one", self.compiler)));
        };
        let programs = self.ways(case).into_iter().map(|words| self.compile(&words, &version));
        Ok(Built::Programs(programs.collect::<Result<_, _>>()?))
    }

    /// Calls the compiler unless it was called so before, with the same files.
    fn compile(&self, words: &[String], version: &[u8]) -> Result<PathBuf, String> {
        let folder = self.root.join("target/compare/cpp");
        std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let name = self.library.source();
        let sources = self.root.join("benches/peers/cpp");
        let source = sources.join(format!("{name}.cpp"));
        let mut hasher = DefaultHasher::new();
        (version, words, git_head(&self.home)).hash(&mut hasher);
        for path in [&source, &sources.join("peer.hpp")] {
            let text = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
            text.hash(&mut hasher);
        }
        let program = folder.join(format!("{name}-{:016x}", hasher.finish()));
        if program.exists() {
            return Ok(program);
        }
        // Under another name until it is whole.
        let unfinished = program.with_extension("unfinished");
        let mut command = Command::new(&self.compiler);
        command.arg(&source).arg("-o").arg(&unfinished).args(words);
        let output = command.output().map_err(|error| format!("{}: {error}", self.compiler))?;
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr);
            let line = complaint.lines().find(|line| line.contains("error")).unwrap_or("");
            return Err(format!("{}: {}: {line}", self.compiler, output.status));
        }
        std::fs::rename(&unfinished, &program).map_err(|error| format!("{}: {error}", program.display()))?;
        Ok(program)
    }

    /// The compiler's arguments in each way.
    fn ways(&self, case: &Case) -> Vec<Vec<String>> {
        let plain = ["-std=c++17", "-O3", "-DNDEBUG", "-w"].map(str::to_string).to_vec();
        match self.library {
            Library::RtNeural { backend } => {
                let instructions: &[&str] = if Isa::Avx512.is_available() {
                    // Wider vectors are slower where a state fills half of one.
                    &["-march=native", "-mtune=native -mavx2 -mfma"]
                } else {
                    &["-march=native"]
                };
                let way = |&instructions: &&str| {
                    let mut words = plain.clone();
                    words.extend(instructions.split(' ').map(str::to_string));
                    words.extend(self.rtneural(backend, case));
                    words.push(format!(
                        "-DGATEWISE_NOTE=\"{backend}, {instructions}, compiled for its sizes\""
                    ));
                    words
                };
                instructions.iter().map(way).collect()
            }
            Library::OneDnn => {
                let library = self.home.join("lib").display().to_string();
                let include = format!("-I{}", self.home.join("include").display());
                // Libraries that it needs in turn are looked for in the same folder.
                let path = format!("-Wl,--disable-new-dtags,-rpath,{library}");
                let link = [format!("-L{library}"), path, "-ldnnl".to_string()];
                vec![plain.into_iter().chain([include]).chain(link).collect()]
            }
        }
    }

    /// Its sizes are its own variables; so are the backend and the alignment of its vectors, of which Eigen takes 32 at most.
    fn rtneural(&self, backend: &str, case: &Case) -> Vec<String> {
        let (modules, alignment) = if backend == "Eigen" { ("Eigen", 32) } else { ("xsimd/include", 64) };
        let layer = if case.cell == CellName::Gru { "GRULayerT" } else { "LSTMLayerT" };
        let include = |folder: &str| format!("-I{}", self.home.join(folder).display());
        vec![
            include("RTNeural"),
            include("modules/json"),
            include(&format!("modules/{modules}")),
            format!("-DRTNEURAL_USE_{}=1", backend.to_uppercase()),
            format!("-DRTNEURAL_DEFAULT_ALIGNMENT={alignment}"),
            // Large layers live on the heap, whatever Eigen fears for the stack.
            "-DEIGEN_STACK_ALLOCATION_LIMIT=0".to_string(),
            format!("-DGATEWISE_LAYER={layer}"),
            format!("-DGATEWISE_INPUT={}", case.input),
            format!("-DGATEWISE_HIDDEN={}", case.hidden),
            format!("-DGATEWISE_VERSION=\"{}\"", rtneural_version(&self.home)),
        ]
    }
}

/// Its version does not change from year to year: the commit, where there is one, says more.
fn rtneural_version(home: &Path) -> String {
    let text = std::fs::read_to_string(home.join("CMakeLists.txt")).unwrap_or_default();
    let version = text.split_once("project(RTNeural VERSION ").map_or("", |(_, rest)| rest);
    let version = version.split([')', ' ']).next().unwrap_or("");
    format!("{version} {}", git_head(home)).trim().to_string()
}

/// The commit of a checkout; nothing if the folder is none.
fn git_head(home: &Path) -> String {
    if !home.join(".git").exists() {
        return String::new();
    }
    let mut git = Command::new("git");
    git.arg("-C").arg(home).args(["rev-parse", "--short", "HEAD"]);
    let output = git.output().ok().filter(|output| output.status.success());
    output.map_or(String::new(), |output| String::from_utf8_lossy(&output.stdout).trim().to_string())
}

#[cfg(test)]
mod tests {
    use super::super::shapes::{parse, work};
    use super::*;

    const EIGEN: Library = PEERS[0].1;

    #[test]
    fn what_a_library_does_not_do_is_refused_before_it_is_compiled() {
        for (text, why) in [
            ("lstm train I=3 H=4", "inference only"),
            ("rnn_tanh step I=3 H=4", "LSTM and GRU"),
            ("gru step B=2 I=3 H=4", "one row"),
            ("gru forward T=5 I=3 H=4 dir=2", "one direction"),
            ("gru forward T=5 I=3 H=4 L=2", "one layer"),
            ("gru forward T=5 I=3 H=4 threads=2", "one thread"),
            ("matmul m=2 n=2 k=2", "no products"),
        ] {
            let refusal = EIGEN.case(&work(text, 1).unwrap()).unwrap_err();
            assert!(refusal.contains(why), "{text}: {refusal}");
        }
        assert!(EIGEN.case(&work("gru forward T=5 I=3 H=4", 1).unwrap()).is_ok());
        assert!(Library::OneDnn.case(&work("lstm train B=2 T=5 I=3 H=4 L=2 dir=2", 2).unwrap()).is_ok());
    }

    #[test]
    fn it_is_compiled_for_the_sizes_and_the_cell() {
        let home = PathBuf::from("/nowhere");
        let source = Source { library: EIGEN, home, compiler: "c++".to_string(), root: PathBuf::new() };
        for words in source.ways(&parse("gru step I=3 H=40", 1).unwrap()) {
            let has = |word: &str| words.iter().any(|other| other == word);
            assert!(has("-DGATEWISE_LAYER=GRULayerT") && has("-DGATEWISE_INPUT=3"), "{words:?}");
            assert!(has("-DGATEWISE_HIDDEN=40") && has("-DRTNEURAL_USE_EIGEN=1"), "{words:?}");
        }
    }

    #[test]
    fn without_a_compiler_it_is_absent() {
        let compiler = "/nowhere/c++".to_string();
        let source = Source { library: EIGEN, home: PathBuf::new(), compiler, root: PathBuf::new() };
        let built = source.build(&parse("gru step I=3 H=40", 1).unwrap());
        assert!(matches!(built, Ok(Built::NoCompiler(why)) if why.contains("/nowhere/c++")));
    }
}
