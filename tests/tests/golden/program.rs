//! The program `golden`: what it counts, and what it says of folders and cases that are not as they should be.

use gatewise::CEILING_VARIABLE;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use tests::golden::{Data, read_tensors};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/torch-golden");

/// The program with these arguments and ceiling: exit code, standard output, standard error.
fn program(arguments: &[&str], ceiling: &str) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_golden"));
    let output = command.args(arguments).env(CEILING_VARIABLE, ceiling).output().expect("golden starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("golden writes UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// An empty folder for a test.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("golden-program").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn index() -> Vec<Value> {
    let text = std::fs::read_to_string(format!("{FOLDER}/index.json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["configs"].as_array().unwrap().clone()
}

/// The tensors of a case as the file has them: shape, type, bytes.
type File = Vec<(String, (Vec<usize>, Dtype, Vec<u8>))>;

fn file(name: &str) -> File {
    let tensors = read_tensors(format!("{FOLDER}/{name}.safetensors")).unwrap();
    let bytes = |data: &Data| match data {
        Data::F32(data) => (Dtype::F32, data.iter().flat_map(|x| x.to_le_bytes()).collect()),
        Data::F64(data) => (Dtype::F64, data.iter().flat_map(|x| x.to_le_bytes()).collect()),
        Data::I64(data) => (Dtype::I64, data.iter().flat_map(|x| x.to_le_bytes()).collect()),
    };
    let named = tensors.into_iter().map(|(name, tensor)| {
        let (dtype, bytes) = bytes(&tensor.data);
        (name, (tensor.shape, dtype, bytes))
    });
    named.collect()
}

/// A folder of the case `name` and another one that is as it should be, after a change of the first: the program must count one of
/// two, say these words of the other on one line, and not panic.
#[track_caller]
fn says(case: &str, what: &str, words: &str, change: impl FnOnce(&mut Value, &mut File)) {
    let folder = folder(&format!("{case}-{what}"));
    let mut entries = Vec::new();
    let mut change = Some(change);
    for name in [case, "rnn_tanh-cell-1"] {
        let mut entry = index().into_iter().find(|entry| entry["name"] == name).unwrap();
        let mut tensors = file(name);
        if let Some(change) = change.take() {
            change(&mut entry, &mut tensors);
        }
        let views = tensors.iter().map(|(name, (shape, dtype, bytes))| {
            (name, TensorView::new(*dtype, shape.clone(), bytes).unwrap())
        });
        let bytes = safetensors::serialize(views, None).unwrap();
        std::fs::write(folder.join(format!("{name}.safetensors")), bytes).unwrap();
        entries.push(entry);
    }
    std::fs::write(folder.join("index.json"), json!({ "configs": entries }).to_string()).unwrap();
    let (code, out, error) = program(&[folder.to_str().unwrap()], "portable");
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines.iter().any(|line| line.contains(case) && line.contains(words)), "{what}: {out}{error}");
    assert!(lines.last().unwrap().starts_with("golden 1/2 max_rel "), "{what}: {out}");
    assert_eq!((code, &error[..]), (Some(1), ""), "{what}");
}

fn tensor<'a>(file: &'a mut File, name: &str) -> &'a mut (Vec<usize>, Dtype, Vec<u8>) {
    let found = file.iter_mut().find(|(of, _)| of == name);
    &mut found.unwrap_or_else(|| panic!("no {name}")).1
}

/// Zeros of another type and as many.
fn retype(file: &mut File, name: &str, dtype: Dtype) {
    let (shape, of, bytes) = tensor(file, name);
    *of = dtype;
    let size = if dtype == Dtype::F32 { 4 } else { 8 };
    *bytes = vec![0; shape.iter().product::<usize>() * size];
}

/// One step or row less.
fn shorten(file: &mut File, name: &str) {
    let (shape, _, bytes) = tensor(file, name);
    bytes.truncate(bytes.len() / shape[0] * (shape[0] - 1));
    shape[0] -= 1;
}

/// `golden DIR` ends with the count of cases that pass, and its exit code is 1 exactly if one of them failed.
#[test]
fn it_counts_what_passes() {
    let (code, out, _) = program(&[FOLDER], "portable");
    let all = index().len();
    let last = out.lines().last().expect("a last line");
    assert!(last.starts_with(&format!("golden {all}/{all} max_rel ")), "{last}");
    assert_eq!(code, Some(0));
    says("gru-02-l3", "another input", "PyTorch has", |_, file| {
        let (_, _, bytes) = tensor(file, "x");
        bytes[..4].copy_from_slice(&1e3_f32.to_le_bytes());
    });
}

/// A ceiling that names no instruction set, no folder, too much: said in words, and no exit code 0.
#[test]
fn it_says_what_is_wrong_with_the_call() {
    let (code, _, error) = program(&[FOLDER], "avx3");
    assert!(code == Some(1) && error.contains("avx3"), "{code:?} {error}");
    for arguments in [&[][..], &[FOLDER, "more"]] {
        let (code, out, error) = program(arguments, "portable");
        assert_eq!((code, &out[..]), (Some(2), ""));
        assert_eq!(error, "golden: expected a folder of cases: golden DIR\n");
    }
}

/// Folders of no use: one line that names what is wrong, and exit code 1.
#[test]
fn it_says_what_is_wrong_with_a_folder() {
    let refused = |folder: &Path, words: &str| {
        let (code, out, error) = program(&[folder.to_str().unwrap()], "portable");
        assert_eq!((code, &out[..], error.lines().count()), (Some(1), "", 1), "{error}");
        assert!(error.starts_with("golden: ") && error.contains(words), "{error}");
    };
    refused(Path::new("no-such-folder"), "no-such-folder");
    let empty = folder("empty");
    refused(&empty, "index.json");
    let index = empty.join("index.json");
    for (text, words) in [
        ("{", "index.json: "),
        ("[]", "no list `configs`"),
        (r#"{"configs": 3}"#, "no list `configs`"),
        (r#"{"configs": []}"#, "no cases in the index"),
    ] {
        std::fs::write(&index, text).unwrap();
        refused(&empty, words);
    }
    std::fs::write(&index, [0xff, 0xfe]).unwrap();
    refused(&empty, "index.json: ");
    refused(&index, "index.json");
}

/// What is missing or unreadable of one case is that case's failure, and so is a file that no case has.
#[test]
fn it_says_what_is_wrong_with_files() {
    let folder = folder("files");
    let name = "rnn_tanh-cell-1";
    let good = index().into_iter().find(|entry| entry["name"] == name).unwrap();
    let entries =
        json!([good, {"name": "gone", "kind": "gru"}, {"kind": "gru"}, {"name": "torn", "kind": "gru"}, 7]);
    std::fs::write(folder.join("index.json"), json!({ "configs": entries }).to_string()).unwrap();
    std::fs::copy(format!("{FOLDER}/{name}.safetensors"), folder.join(format!("{name}.safetensors")))
        .unwrap();
    std::fs::write(folder.join("torn.safetensors"), [9; 20]).unwrap();
    std::fs::write(folder.join("stray.safetensors"), [9; 20]).unwrap();
    let (code, out, error) = program(&[folder.to_str().unwrap()], "portable");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!((code, &error[..], lines.len()), (Some(1), "", 6), "{out}");
    for (line, words) in lines.iter().zip([
        "gone.safetensors: ",
        "an entry without a name",
        "torn.safetensors: ",
        "an entry without a name",
        "stray.safetensors: not in the index",
        "golden 1/6 max_rel ",
    ]) {
        assert!(line.contains(words), "{line}: {words}");
    }
}

/// Tensors of another type or shape, or not there.
#[test]
fn it_says_what_is_wrong_with_tensors() {
    let case = "lstm-05-l2-bi-nobias-bf-pack-init";
    for name in ["x", "h0", "c0", "R_out", "R_h", "R_c", "w.weight_hh_l1"] {
        says(case, &format!("f64 {name}"), &format!("{name} has type f64, expected f32"), |_, file| {
            retype(file, name, Dtype::F64);
        });
        says(case, &format!("integer {name}"), &format!("{name} holds integers"), |_, file| {
            retype(file, name, Dtype::I64);
        });
    }
    for name in ["x", "R_out", "w.weight_ih_l0"] {
        says(case, &format!("short {name}"), &format!("{name} is ["), |_, file| shorten(file, name));
    }
    for name in ["h0", "c0"] {
        says(case, &format!("short {name}"), &format!("{name} has"), |_, file| shorten(file, name));
    }
    says(case, "short R_h", "grad_h_n has inconsistent length", |_, file| shorten(file, "R_h"));
    for name in ["f64.out", "f64.h_n", "f64.grad.x", "f64.grad.w.weight_hh_l0", "f64.clip.total_norm"] {
        says(case, &format!("integer {name}"), &format!("{name} holds integers"), |_, file| {
            retype(file, name, Dtype::I64);
        });
        says(case, &format!("short {name}"), "expected", |_, file| shorten(file, name));
    }
    for (name, words) in
        [("x", "no x"), ("c0", "an initial state, but no c0"), ("w.weight_hh_l1", "no w.weight_hh_l1")]
    {
        says(case, &format!("no {name}"), words, |_, file| file.retain(|(of, _)| of != name));
    }
    says(case, "misspelt", "f64.oout is of no use here", |_, file| {
        file.iter_mut().find(|(name, _)| name == "f64.out").unwrap().0 = "f64.oout".to_string();
    });
    says(case, "nothing", "nothing to compare", |_, file| file.retain(|(name, _)| !name.starts_with("f64")));
    says("clip-special", "integers", "tiny.grad0 holds integers", |_, file| {
        retype(file, "tiny.grad0", Dtype::I64);
    });
    says("clip-special", "short", "expected 1", |_, file| {
        let norm = tensor(file, "ordinary.f64.l2.total_norm");
        *norm = (vec![0], Dtype::F64, vec![]);
    });
}

/// Options of the index that are of another type, impossible, or not known.
#[test]
fn it_says_what_is_wrong_with_options() {
    let case = "lstm-05-l2-bi-nobias-bf-pack-init";
    let set = |key: &str, value: Value, words: &str| {
        says(case, &format!("{key} {value}"), words, |entry, _| entry[key] = value);
    };
    set("layers", json!("two"), "`layers` in the index must be whole numbers");
    set("hidden", json!(-3), "`hidden` in the index must be whole numbers");
    set("bias", json!(1), "`bias` in the index must be true or false");
    set("lengths", json!([1, "x"]), "`lengths` in the index must be whole numbers");
    set("lengths", json!({}), "`lengths` in the index must be a list");
    set("lengths", json!([99]), "lengths has inconsistent batch size");
    set("max_abs_f32_f64", json!({"out": "small"}), "`max_abs_f32_f64` in the index must be numbers");
    set("layers", json!(0), "num_layers must be greater than zero");
    set("hidden", json!(1_u64 << 40), "does not fit in memory");
    set("hidden", json!(null), "hidden_size must be greater than zero");
    set("T", json!(0), "x is [");
    set("B", json!(1_u64 << 60), "x is [");
    set("kind", json!("mamba"), "kind \"mamba\" is not known");
    set("kind", json!(4), "no kind in the index");
    says(case, "unknown", "`zoneout` in the index is not known", |entry, file| {
        entry["zoneout"] = json!(0.1);
        retype(file, "f64.out", Dtype::F64);
    });
    says("clip-special", "max_norm", "no number `max_norm`", |entry, _| entry["max_norm"] = json!("big"));
    says("clip-special", "negative", "max_norm must be a number", |entry, _| entry["max_norm"] = json!(-1));
}
