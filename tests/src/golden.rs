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
        match &self.data {
            Data::F32(data) => data,
            other => panic!("not an f32 tensor: {other:?}"),
        }
    }

    /// The elements of an f64 tensor, or of an f32 tensor widened; panics for integers.
    pub fn f64(&self) -> Vec<f64> {
        match &self.data {
            Data::F32(data) => data.iter().map(|&value| f64::from(value)).collect(),
            Data::F64(data) => data.clone(),
            Data::I64(_) => panic!("a tensor of integers, not of floats"),
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
    let folder = folder.as_ref();
    let path = folder.join("index.json");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let index: Value = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let entries = index["configs"].as_array().ok_or(format!("{}: no `configs`", path.display()))?;
    let cases = entries.iter().map(|entry| Case::read(folder, entry)).collect::<Result<Vec<_>, _>>()?;

    for file in fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))? {
        let file = file.map_err(|error| format!("{}: {error}", folder.display()))?.path();
        let known = cases.iter().any(|case| file.file_stem().is_some_and(|stem| *stem == *case.name));
        if file.extension().is_some_and(|extension| extension == "safetensors") && !known {
            return Err(format!("{}: not in the index", file.display()));
        }
    }
    Ok(cases)
}

/// Reads `<crate>/data/torch-golden`, the folder that comes with these tests.
pub fn load_torch_golden() -> Result<Vec<Case>, String> {
    load(Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join("torch-golden"))
}

impl Case {
    fn read(folder: &Path, entry: &Value) -> Result<Case, String> {
        let name = entry["name"].as_str().ok_or(format!("an entry without a name: {entry}"))?;
        let flag = |key: &str| entry[key].as_bool().unwrap_or(false);
        let size = |key: &str| entry[key].as_u64().map(|size| size as usize);
        let kind = entry["kind"].as_str().ok_or(format!("{name}: no kind"))?;
        let numbers = entry["max_abs_f32_f64"].as_object();
        Ok(Case {
            name: name.to_string(),
            kind: kind.to_string(),
            is_cell: flag("cell"),
            unbatched: flag("unbatched"),
            layers: size("layers").unwrap_or(1),
            bidirectional: flag("bidirectional"),
            bias: flag("bias"),
            batch_first: flag("batch_first"),
            packed: flag("packed"),
            initial_state: flag("initial_state"),
            full_clip: flag("full_clip"),
            steps: size("T").unwrap_or(0),
            batch: size("B").unwrap_or(0),
            input: size("input").unwrap_or(0),
            hidden: size("hidden").unwrap_or(0),
            proj: size("proj"),
            lengths: entry["lengths"]
                .as_array()
                .map(|all| all.iter().filter_map(Value::as_u64).map(|len| len as usize).collect()),
            max_abs_f32_f64: numbers
                .map(|all| all.iter().filter_map(|(key, v)| Some((key.clone(), v.as_f64()?))).collect())
                .unwrap_or_default(),
            tensors: read_tensors(folder.join(format!("{name}.safetensors")))?,
            entry: entry.clone(),
        })
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
