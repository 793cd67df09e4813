//! Who is compared: Gatewise, the peers that the repository brings programs for, and those of one's own.

use super::cpp;
use super::peer::{Program, Spec, Speciality};
use std::path::{Path, PathBuf};

/// Where a Python with torch, onnxruntime and openvino is.
pub const PYTHON_VARIABLE: &str = "GATEWISE_PEERS_PYTHON";
/// Programs of one's own: `GATEWISE_PEER_<NAME>`.
pub const PEER_VARIABLE: &str = "GATEWISE_PEER_";

const RUST_PEERS: [(&str, Speciality); 6] = [
    ("burn", Speciality::Networks),
    ("candle", Speciality::Networks),
    ("tract", Speciality::Networks),
    ("rten", Speciality::Networks),
    ("gemm", Speciality::Matmuls),
    ("matrixmultiply", Speciality::Matmuls),
];

const PYTHON_PEERS: [(&str, Speciality); 4] = [
    ("torch", Speciality::Both),
    ("torch-no-onednn", Speciality::Both),
    ("ort", Speciality::Networks),
    ("openvino", Speciality::Networks),
];

/// Where programs are, and what the environment says.
#[derive(Clone, Debug)]
pub struct Places {
    /// The folder of this workspace's programs.
    pub programs: PathBuf,
    /// The root of the workspace.
    pub root: PathBuf,
    /// The environment.
    pub variables: Vec<(String, String)>,
}

/// Gatewise, then the peers of these names, or all of them if there are no names. An unknown name is a system that is absent.
pub fn systems(places: &Places, names: &[String]) -> Vec<Spec> {
    let mut peers = peers(places);
    if !names.is_empty() {
        let known: Vec<String> = peers.iter().map(|spec| spec.name.clone()).collect();
        peers.retain(|spec| names.contains(&spec.name));
        for name in names.iter().filter(|&name| !known.contains(name)) {
            let why = format!("no such peer; there are {}", known.join(", "));
            peers.push(Spec::new(name, Speciality::Both, Program::Absent(why)));
        }
    }
    let own = |name: &str, arguments: &[&str]| {
        let program = places.programs.join(name).display().to_string();
        Program::Served([program].into_iter().chain(arguments.iter().map(ToString::to_string)).collect())
    };
    let mut all = vec![
        Spec::new("gatewise", Speciality::Networks, own("measure", &["--serve"])),
        Spec::new("gatewise", Speciality::Matmuls, own("matmul", &[])),
        Spec::new("gatewise-packing", Speciality::Matmuls, own("matmul", &["--packing"])),
    ];
    all.extend(peers);
    all
}

fn peers(places: &Places) -> Vec<Spec> {
    let variable =
        |name: &str| places.variables.iter().find(|(other, _)| other == name).map(|(_, value)| value);
    let mut all = Vec::new();

    let rust = places.root.join("benches/peers/target/release/peers");
    for (name, speciality) in RUST_PEERS {
        let program = if rust.exists() {
            Program::Served(vec![rust.display().to_string(), name.to_string()])
        } else {
            Program::Absent("build it: cargo build --release, in benches/peers".to_string())
        };
        all.push(Spec::new(name, speciality, program));
    }

    let script = places.root.join("benches/peers/python/peers.py").display().to_string();
    let python = variable(PYTHON_VARIABLE).filter(|python| !python.is_empty());
    for (name, speciality) in PYTHON_PEERS {
        let program = match python {
            None => Program::Absent(format!("set {PYTHON_VARIABLE} to a Python that has it")),
            Some(python) if python.contains('/') && !Path::new(python).exists() => {
                Program::Absent(format!("{PYTHON_VARIABLE}: there is no {python}"))
            }
            Some(python) => Program::Served(vec![python.clone(), script.clone(), name.to_string()]),
        };
        all.push(Spec::new(name, speciality, program));
    }

    for (name, library) in cpp::PEERS {
        let program = cpp::program(library, &places.root, variable);
        all.push(Spec::new(name, Speciality::Networks, program));
    }

    let own = |(name, path): &(String, String)| {
        let name = name.strip_prefix(PEER_VARIABLE)?.to_lowercase();
        Some(Spec::new(&name, Speciality::Networks, Program::Measure(path.clone())))
    };
    let mut own: Vec<Spec> = places.variables.iter().filter_map(own).collect();
    own.sort_by(|a, b| a.name.cmp(&b.name));
    all.extend(own);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(variables: &[(&str, &str)]) -> Places {
        let variables = variables.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        Places { programs: PathBuf::new(), root: PathBuf::from("/nowhere"), variables }
    }

    #[test]
    fn what_is_not_there_is_absent_and_says_why() {
        let variables = [
            (PYTHON_VARIABLE, "/nowhere/python"),
            (cpp::ONEDNN_VARIABLE, "/nowhere"),
            ("GATEWISE_PEER_MINE", "/bin/mine"),
        ];
        let places = places(&variables);
        let all = systems(&places, &[]);
        let program = |name: &str| &all.iter().find(|spec| spec.name == name).unwrap().program;
        assert!(matches!(program("burn"), Program::Absent(why) if why.contains("cargo build")));
        assert!(
            matches!(program("onednn"), Program::Absent(why) if why.contains("there is no /nowhere/include"))
        );
        assert!(
            matches!(program("rtneural-xsimd"), Program::Absent(why) if why.contains("set GATEWISE_PEERS_RTN"))
        );
        assert!(matches!(program("ort"), Program::Absent(why) if why.contains("/nowhere/python")));
        assert_eq!(*program("mine"), Program::Measure("/bin/mine".to_string()));
    }

    #[test]
    fn names_choose_and_an_unknown_one_stays_in_sight() {
        let all = systems(&places(&[]), &["rten".to_string(), "tensorflow".to_string()]);
        let names: Vec<&str> = all.iter().map(|spec| &spec.name[..]).collect();
        assert_eq!(names, ["gatewise", "gatewise", "gatewise-packing", "rten", "tensorflow"]);
        assert!(matches!(&all[4].program, Program::Absent(why) if why.contains("openvino")));
    }
}
