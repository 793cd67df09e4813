//! Golden cases made by PyTorch: a folder with an `index.json` and one `.safetensors` file per case.
//!
//! The tensors of a case (`x`, `w.NAME`, `f64.out`, `f32.grad.w.NAME`, ..) are kept under the names that they have
//! in the file. Nothing is assumed about which cases a folder holds, but index and files must match.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use crate::oracle::{Cell, Stack, StackRun, StackShape, Upstream, Weights};

/// The elements of a tensor.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// 64-bit floats.
    F64(Vec<f64>),
    /// 64-bit integers, or smaller ones widened.
    I64(Vec<i64>),
}

/// One tensor of a case, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Its sizes.
    pub shape: Vec<usize>,
    /// Its elements.
    pub data: Data,
}

impl Tensor {
    /// The elements of an f32 tensor; panics for another type.
    pub fn f32(&self) -> &[f32] {
        self.as_f32().unwrap_or_else(|error| panic!("{error}"))
    }

    /// The elements of an f64 tensor, or of an f32 tensor widened; panics for integers.
    pub fn f64(&self) -> Vec<f64> {
        self.as_f64().unwrap_or_else(|error| panic!("{error}"))
    }

    /// The elements of an f32 tensor, or what it is instead.
    pub fn as_f32(&self) -> Result<&[f32], String> {
        match &self.data {
            Data::F32(data) => Ok(data),
            Data::F64(_) => Err("has type f64, expected f32".to_string()),
            Data::I64(_) => Err("holds integers, expected f32".to_string()),
        }
    }

    /// The elements of an f64 tensor, or of an f32 tensor widened, or what it is instead.
    pub fn as_f64(&self) -> Result<Vec<f64>, String> {
        match &self.data {
            Data::F32(data) => Ok(data.iter().map(|&value| f64::from(value)).collect()),
            Data::F64(data) => Ok(data.clone()),
            Data::I64(_) => Err("holds integers, expected floats".to_string()),
        }
    }

    /// The elements of an i64 tensor; panics for another type.
    pub fn i64(&self) -> &[i64] {
        match &self.data {
            Data::I64(data) => data,
            other => panic!("not an i64 tensor: {other:?}"),
        }
    }
}

/// One case: an entry of the index and the tensors of its file.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// Name of the case and of its file.
    pub name: String,
    /// `rnn_tanh`, `rnn_relu`, `lstm`, `lstm_proj`, `gru`; anything else is no network.
    pub kind: String,
    /// A single step of RNNCell, LSTMCell or GRUCell: no time axis, parameter names without a layer.
    pub is_cell: bool,
    /// Input without a batch axis.
    pub unbatched: bool,
    /// Number of layers.
    pub layers: usize,
    /// Whether every layer also runs in reverse.
    pub bidirectional: bool,
    /// Whether there are biases.
    pub bias: bool,
    /// Whether `x`, `out` and their gradients are `[B, T, ..]`.
    pub batch_first: bool,
    /// Whether the sequence was packed, that is, has `lengths`.
    pub packed: bool,
    /// Whether `h0` (and `c0`) are given; else zeros.
    pub initial_state: bool,
    /// Whether `clip.*` covers all parameters, or only the second.
    pub full_clip: bool,
    /// `T`.
    pub steps: usize,
    /// `B`.
    pub batch: usize,
    /// `I`.
    pub input: usize,
    /// `H`.
    pub hidden: usize,
    /// `P`.
    pub proj: Option<usize>,
    /// Valid steps of each row, if packed.
    pub lengths: Option<Vec<usize>>,
    /// Largest difference between PyTorch's own f32 and f64 results: `out`, `h_n`, `c_n`, `grad.x`, `grad.w`.
    pub max_abs_f32_f64: BTreeMap<String, f64>,
    /// All tensors of the file.
    pub tensors: BTreeMap<String, Tensor>,
    /// The whole entry of the index, for what is not listed here.
    pub entry: Value,
}

/// Reads all cases of a folder, in the order of its index.
///
/// Fails on what it cannot read, on an entry without a file and on a `.safetensors` file without an entry.
pub fn load(folder: impl AsRef<Path>) -> Result<Vec<Case>, String> {
    load_each(folder)?.into_iter().collect()
}

/// The same, but what is wrong with one case, or a file without an entry, leaves the others.
pub fn load_each(folder: impl AsRef<Path>) -> Result<Vec<Result<Case, String>>, String> {
    let folder = folder.as_ref();
    let path = folder.join("index.json");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let index: Value = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let entries = index["configs"].as_array().ok_or(format!("{}: no list `configs`", path.display()))?;
    let mut cases: Vec<_> = entries.iter().map(|entry| Case::read(folder, entry)).collect();

    let mut files = Vec::new();
    for file in fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))? {
        files.push(file.map_err(|error| format!("{}: {error}", folder.display()))?.path());
    }
    files.sort();
    for file in files {
        let is_case =
            |entry: &Value| file.file_stem().is_some_and(|stem| entry["name"] == *stem.to_string_lossy());
        let is_tensors = file.extension().is_some_and(|extension| extension == "safetensors");
        if is_tensors && !entries.iter().any(is_case) {
            cases.push(Err(format!("{}: not in the index", file.display())));
        }
    }
    Ok(cases)
}

/// Reads `<crate>/data/torch-golden`, the folder that comes with these tests.
pub fn load_torch_golden() -> Result<Vec<Case>, String> {
    load(Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join("torch-golden"))
}

/// Keys of an entry of the index.
const KNOWN: [&str; 21] = [
    "name",
    "kind",
    "cell",
    "unbatched",
    "layers",
    "bidirectional",
    "bias",
    "batch_first",
    "packed",
    "initial_state",
    "full_clip",
    "T",
    "B",
    "input",
    "hidden",
    "proj",
    "lengths",
    "max_abs_f32_f64",
    "max_norm",
    "clip_value",
    "cases",
];

fn wrong(entry: &Value, key: &str, expected: &str, got: &Value) -> String {
    format!("{}: `{key}` in the index must be {expected}: got {got}", entry["name"].as_str().unwrap_or("?"))
}

/// A flag of an entry; off if it is not there.
fn flag(entry: &Value, key: &str) -> Result<bool, String> {
    match &entry[key] {
        Value::Null => Ok(false),
        Value::Bool(is_set) => Ok(*is_set),
        other => Err(wrong(entry, key, "true or false", other)),
    }
}

/// A size of an entry, if it is there.
fn size(entry: &Value, key: &str) -> Result<Option<usize>, String> {
    match &entry[key] {
        Value::Null => Ok(None),
        value => whole(entry, key, value).map(Some),
    }
}

fn whole(entry: &Value, key: &str, value: &Value) -> Result<usize, String> {
    let size = value.as_u64().and_then(|size| usize::try_from(size).ok());
    size.ok_or_else(|| wrong(entry, key, "whole numbers from 0 on", value))
}

/// The lengths that stand among the tensors only.
fn lengths_of(name: &str, tensors: &BTreeMap<String, Tensor>) -> Result<Vec<usize>, String> {
    let lengths = tensors.get("lengths").ok_or(format!("{name}: packed, but without lengths"))?;
    let Data::I64(lengths) = &lengths.data else { return Err(format!("{name}: lengths are no integers")) };
    let whole = |&len: &i64| usize::try_from(len).map_err(|_| format!("{name}: lengths: got {len}"));
    lengths.iter().map(whole).collect()
}

impl Case {
    fn read(folder: &Path, entry: &Value) -> Result<Case, String> {
        let name = entry["name"].as_str().ok_or(format!("an entry without a name: {entry}"))?;
        let kind = entry["kind"].as_str().ok_or(format!("{name}: no kind in the index"))?;
        let tensors = read_tensors(folder.join(format!("{name}.safetensors")))?;
        let packed = flag(entry, "packed")?;
        let lengths = match &entry["lengths"] {
            Value::Null if packed => Some(lengths_of(name, &tensors)?),
            Value::Null => None,
            Value::Array(all) => {
                Some(all.iter().map(|len| whole(entry, "lengths", len)).collect::<Result<_, _>>()?)
            }
            other => return Err(wrong(entry, "lengths", "a list", other)),
        };
        let max_abs_f32_f64 = match &entry["max_abs_f32_f64"] {
            Value::Null => BTreeMap::new(),
            Value::Object(all) => {
                let number = |v: &Value| v.as_f64().ok_or(wrong(entry, "max_abs_f32_f64", "numbers", v));
                all.iter().map(|(key, v)| Ok((key.clone(), number(v)?))).collect::<Result<_, String>>()?
            }
            other => return Err(wrong(entry, "max_abs_f32_f64", "numbers by name", other)),
        };
        Ok(Case {
            name: name.to_string(),
            kind: kind.to_string(),
            is_cell: flag(entry, "cell")?,
            unbatched: flag(entry, "unbatched")?,
            layers: size(entry, "layers")?.unwrap_or(1),
            bidirectional: flag(entry, "bidirectional")?,
            bias: flag(entry, "bias")?,
            batch_first: flag(entry, "batch_first")?,
            packed,
            initial_state: flag(entry, "initial_state")?,
            full_clip: flag(entry, "full_clip")?,
            steps: size(entry, "T")?.unwrap_or(0),
            batch: size(entry, "B")?.unwrap_or(0),
            input: size(entry, "input")?.unwrap_or(0),
            hidden: size(entry, "hidden")?.unwrap_or(0),
            proj: size(entry, "proj")?,
            lengths,
            max_abs_f32_f64,
            tensors,
            entry: entry.clone(),
        })
    }

    /// What the index says of the case and nothing here knows.
    pub fn unknown_options(&self) -> Vec<&str> {
        let keys = self.entry.as_object().into_iter().flat_map(|entry| entry.keys());
        keys.map(String::as_str).filter(|key| !KNOWN.contains(key)).collect()
    }

    /// The cell, or nothing if the case is no network.
    pub fn cell(&self) -> Option<Cell> {
        match self.kind.as_str() {
            "rnn_tanh" => Some(Cell::RnnTanh),
            "rnn_relu" => Some(Cell::RnnRelu),
            "lstm" | "lstm_proj" => Some(Cell::Lstm),
            "gru" => Some(Cell::Gru),
            _ => None,
        }
    }

    /// A tensor that must be there.
    pub fn tensor(&self, name: &str) -> &Tensor {
        self.tensors.get(name).unwrap_or_else(|| panic!("{}: no tensor {name}", self.name))
    }

    /// A tensor that must be there, as f64 in the layout of the file.
    pub fn f64(&self, name: &str) -> Vec<f64> {
        self.tensor(name).f64()
    }

    /// `x`, `R_out`, `f64.out`, `f32.grad.x`, ..: the same as f64 and time-major, `[T, B, ..]`.
    pub fn time_major(&self, name: &str) -> Vec<f64> {
        let data = self.f64(name);
        let (steps, batch) = (self.steps, self.batch);
        if !self.batch_first {
            return data;
        }
        let width = data.len() / (steps * batch);
        let rows = (0..steps).flat_map(|t| (0..batch).map(move |b| b * steps + t));
        rows.flat_map(|row| &data[row * width..][..width]).copied().collect()
    }

    /// Name of a parameter as this case has it: a cell's parameters have no `_l0`.
    pub fn parameter(&self, name: &str) -> String {
        if self.is_cell { name.trim_end_matches("_l0").to_string() } else { name.to_string() }
    }

    /// The sizes for the oracle, or nothing if the case is no network.
    pub fn stack_shape(&self) -> Option<StackShape> {
        let even = StackShape::new(self.cell()?, self.input, self.hidden, self.layers);
        Some(StackShape { proj: self.proj, bidirectional: self.bidirectional, ..even })
    }

    /// The weights for the oracle, or nothing if the case is no network.
    pub fn stack(&self) -> Option<Stack> {
        let shape = self.stack_shape()?;
        let weights = (0..shape.layers() * shape.directions()).map(|index| {
            let of = |tensor: &str| {
                let name = format!("w.{}", self.parameter(&shape.name(index, tensor)));
                self.tensors.get(&name).map(Tensor::f64)
            };
            Weights {
                w_ih: of("weight_ih").unwrap_or_default(),
                w_hh: of("weight_hh").unwrap_or_default(),
                b_ih: of("bias_ih"),
                b_hh: of("bias_hh"),
                w_hr: of("weight_hr"),
            }
        });
        let weights = weights.collect();
        Some(Stack { shape, weights })
    }

    /// What the oracle runs on.
    pub fn stack_run(&self) -> StackRun {
        StackRun {
            steps: self.steps,
            batch: self.batch,
            x: self.time_major("x"),
            h0: self.tensors.get("h0").map(Tensor::f64),
            c0: self.tensors.get("c0").map(Tensor::f64),
            lengths: self.lengths.clone(),
            ..StackRun::default()
        }
    }

    /// The gradients of the case's loss by `out`, `h_n`, `c_n`.
    pub fn upstream(&self) -> Upstream {
        Upstream {
            out: self.tensors.contains_key("R_out").then(|| self.time_major("R_out")),
            h_n: self.tensors.get("R_h").map(Tensor::f64),
            c_n: self.tensors.get("R_c").map(Tensor::f64),
        }
    }
}

/// Reads all tensors of a `.safetensors` file; f32, f64, i64, i16 and i8 are known.
pub fn read_tensors(path: impl AsRef<Path>) -> Result<BTreeMap<String, Tensor>, String> {
    let path = path.as_ref();
    let fail = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let bytes = fs::read(path).map_err(|error| fail(&error))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| fail(&error))?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.tensors() {
        let data = match view.dtype() {
            Dtype::F32 => Data::F32(elements(view.data(), f32::from_le_bytes)),
            Dtype::F64 => Data::F64(elements(view.data(), f64::from_le_bytes)),
            Dtype::I64 => Data::I64(elements(view.data(), i64::from_le_bytes)),
            Dtype::I16 => Data::I64(elements(view.data(), |bytes| i16::from_le_bytes(bytes).into())),
            Dtype::I8 => Data::I64(elements(view.data(), |bytes| i8::from_le_bytes(bytes).into())),
            other => return Err(fail(&format!("{name} has type {other:?}"))),
        };
        tensors.insert(name, Tensor { shape: view.shape().to_vec(), data });
    }
    Ok(tensors)
}

fn elements<const N: usize, E>(bytes: &[u8], from: fn([u8; N]) -> E) -> Vec<E> {
    bytes.as_chunks::<N>().0.iter().map(|chunk| from(*chunk)).collect()
}
