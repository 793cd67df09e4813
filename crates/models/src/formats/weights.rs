//! Safetensors files, with PyTorch's names: what `safetensors.torch.save_file(model.state_dict(), ..)` writes.

use super::whole::write_whole;
use crate::spec::{Error, Tensors};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::HashMap;
use std::path::Path;

fn problem(what: impl Into<String>, problem: impl std::fmt::Display) -> Error {
    Error::WeightFile { what: what.into(), problem: problem.to_string() }
}

/// Writes parameters as a safetensors file, each list under a prefix such as `"lstm."`. The same parameters always give the same
/// bytes. The file is written whole or not at all: what was there before stays until the new one is complete.
///
/// # Errors
/// [`Error::WeightFile`] if the file cannot be written, or two tensors have the same name.
///
/// # Examples
/// There and back; the same file fills a `torch.nn.Module` of such parts.
/// ```
/// use gatewise::{Gru, Linear, WeightFile, save_weights};
///
/// let (gru, head) = (Gru::builder(2, 4).seed(1).build()?, Linear::new(4, 1, 2)?);
/// let path = std::env::temp_dir().join(format!("gatewise-{}.safetensors", std::process::id()));
/// save_weights(&path, &[("gru.", gru.params()), ("head.", head.params())])?;
///
/// let (file, mut other) = (WeightFile::read(&path)?, Gru::new(2, 4)?);
/// file.load("gru.", &mut other.params_mut())?;
/// assert_eq!(other.params(), gru.params());
/// assert_eq!(file.list()[0], ("gru.bias_hh_l0".to_string(), vec![3 * 4]));
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), gatewise::Error>(())
/// ```
pub fn save_weights(path: impl AsRef<Path>, lists: &[(&str, &Tensors)]) -> Result<(), Error> {
    save(path.as_ref(), lists, None)
}

/// As [`save_weights`], with an entry of the file's metadata, (key, text): what a program has to know of a model besides its
/// parameters. [`WeightFile::metadata`] answers it.
///
/// # Errors
/// As [`save_weights`].
///
/// # Examples
/// ```
/// use gatewise::{Gru, WeightFile, save_weights_with};
///
/// let path = std::env::temp_dir().join(format!("gatewise-with-{}.safetensors", std::process::id()));
/// save_weights_with(&path, &[("", Gru::new(2, 4)?.params())], ("alphabet", "abc"))?;
/// assert_eq!(WeightFile::read(&path)?.metadata("alphabet").as_deref(), Some("abc"));
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), gatewise::Error>(())
/// ```
pub fn save_weights_with(
    path: impl AsRef<Path>,
    lists: &[(&str, &Tensors)],
    metadata: (&str, &str),
) -> Result<(), Error> {
    save(path.as_ref(), lists, Some(metadata))
}

/// One entry of metadata at most: the crate would write several in an order that changes from run to run.
fn save(path: &Path, lists: &[(&str, &Tensors)], metadata: Option<(&str, &str)>) -> Result<(), Error> {
    let mut tensors = Vec::new();
    for (prefix, list) in lists {
        for tensor in list.iter() {
            let bytes: Vec<u8> = tensor.data().iter().flat_map(|x| x.to_le_bytes()).collect();
            tensors.push((format!("{prefix}{}", tensor.name()), tensor.shape().to_vec(), bytes));
        }
    }
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    if let Some(pair) = tensors.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(problem(&pair[0].0, "a tensor of this name is there already"));
    }
    let views: Result<Vec<_>, _> = tensors
        .iter()
        .map(|(name, shape, bytes)| Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
        .collect();
    let name = path.display().to_string();
    let metadata = metadata.map(|(key, text)| HashMap::from([(key.to_string(), text.to_string())]));
    let bytes = views
        .and_then(|views| safetensors::serialize(views, metadata))
        .map_err(|error: safetensors::SafeTensorError| problem(&name, error))?;
    write_whole(path, &bytes).map_err(|error| problem(name, error))
}

/// A safetensors file in memory; [`save_weights`] has an example.
///
/// # Examples
/// ```
/// use gatewise::{Gru, WeightFile, save_weights};
///
/// let path = std::env::temp_dir().join(format!("gatewise-file-{}.safetensors", std::process::id()));
/// save_weights(&path, &[("gru.", Gru::new(2, 4)?.params())])?;
/// let mut gru = Gru::builder(2, 4).seed(9).build()?;
/// WeightFile::read(&path)?.load("gru.", &mut gru.params_mut())?;
/// assert_eq!(gru.params(), Gru::new(2, 4)?.params());
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Debug)]
pub struct WeightFile {
    name: String,
    bytes: Vec<u8>,
}

impl WeightFile {
    /// Reads a file and checks its header.
    ///
    /// # Errors
    /// [`Error::WeightFile`] if it cannot be read or is no safetensors file.
    ///
    /// # Examples
    /// ```
    /// let error = gatewise::WeightFile::read("no/such/file").unwrap_err();
    /// assert!(error.to_string().starts_with("no/such/file: "));
    /// ```
    pub fn read(path: impl AsRef<Path>) -> Result<WeightFile, Error> {
        let name = path.as_ref().display().to_string();
        let bytes = std::fs::read(path).map_err(|error| problem(&name, error))?;
        let file = WeightFile { name, bytes };
        file.tensors()?;
        Ok(file)
    }

    fn tensors(&self) -> Result<SafeTensors<'_>, Error> {
        SafeTensors::deserialize(&self.bytes).map_err(|error| problem(&self.name, error))
    }

    /// Names and shapes of all tensors, by name.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gru, WeightFile, save_weights};
    ///
    /// let path = std::env::temp_dir().join(format!("gatewise-list-{}.safetensors", std::process::id()));
    /// save_weights(&path, &[("gru.", Gru::new(2, 4)?.params())])?;
    /// let list = WeightFile::read(&path)?.list();
    /// assert_eq!((list.len(), &list[3]), (4, &("gru.weight_ih_l0".to_string(), vec![3 * 4, 2])));
    /// # std::fs::remove_file(path).ok();
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn list(&self) -> Vec<(String, Vec<usize>)> {
        let tensors = self.tensors().map(|tensors| tensors.tensors()).unwrap_or_default();
        let mut list: Vec<_> =
            tensors.into_iter().map(|(name, view)| (name, view.shape().to_vec())).collect();
        list.sort();
        list
    }

    /// The entry of the file's metadata under a key.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gru, WeightFile, save_weights_with};
    ///
    /// let path = std::env::temp_dir().join(format!("gatewise-metadata-{}.safetensors", std::process::id()));
    /// save_weights_with(&path, &[("", Gru::new(2, 4)?.params())], ("alphabet", "abc"))?;
    /// let file = WeightFile::read(&path)?;
    /// assert_eq!((file.metadata("alphabet").as_deref(), file.metadata("epoch")), (Some("abc"), None));
    /// # std::fs::remove_file(path).ok();
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn metadata(&self, key: &str) -> Option<String> {
        let (_, header) = SafeTensors::read_metadata(&self.bytes).ok()?;
        header.metadata().as_ref()?.get(key).cloned()
    }

    /// All tensors whose names begin with `prefix`, without it, by name: for what has no list of parameters to fill, such as an
    /// optimizer's state.
    ///
    /// # Errors
    /// [`Error::WeightFile`] names a tensor that is not f32.
    ///
    /// # Examples
    /// An optimizer's state beside the parameters:
    /// ```
    /// use gatewise::{Adam, Gru, Optimizer, OptimizerState, WeightFile, save_weights};
    ///
    /// let (mut gru, mut adam) = (Gru::new(2, 4)?, Adam::new(1e-3));
    /// let grads = gru.params().zeros_like();
    /// adam.step(&mut [&mut gru.params_mut()], &[&grads])?;
    /// let path = std::env::temp_dir().join(format!("gatewise-take-{}.safetensors", std::process::id()));
    /// save_weights(&path, &[("gru.", gru.params()), ("adam.", &adam.state().tensors)])?;
    /// let tensors = WeightFile::read(&path)?.take("adam.")?;
    /// assert_eq!(tensors.len(), 2 * 4);
    /// adam.set_state(&OptimizerState { steps: 1, tensors })?;
    /// # std::fs::remove_file(path).ok();
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn take(&self, prefix: &str) -> Result<Tensors, Error> {
        let (file, mut taken) = (self.tensors()?, Tensors::default());
        let mut names = file.names();
        names.sort_unstable();
        for (name, rest) in names.into_iter().filter_map(|name| Some((name, name.strip_prefix(prefix)?))) {
            let view = file.tensor(name).map_err(|error| problem(name, error))?;
            check_dtype(name, &view)?;
            taken.push(rest.to_string(), view.shape())?;
            if let Some(tensor) = taken.iter_mut().last() {
                copy(&view, tensor.data_mut());
            }
        }
        Ok(taken)
    }

    /// Fills a list of parameters from the tensors whose names are `prefix` and the parameter's name.
    ///
    /// # Errors
    /// [`Error::WeightFile`] names a tensor that is missing, of another shape or not f32, or one under the prefix that the model
    /// does not have. Nothing is written then.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Gru, WeightFile, save_weights};
    ///
    /// let path = std::env::temp_dir().join(format!("gatewise-load-{}.safetensors", std::process::id()));
    /// save_weights(&path, &[("gru.", Gru::new(2, 4)?.params())])?;
    /// let (file, mut wider) = (WeightFile::read(&path)?, Gru::new(2, 5)?);
    /// let error = file.load("gru.", &mut wider.params_mut()).unwrap_err();
    /// assert_eq!(error.to_string(), "gru.weight_ih_l0: its shape is [12, 2], expected [15, 2]");
    /// # std::fs::remove_file(path).ok();
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn load(&self, prefix: &str, params: &mut Tensors) -> Result<(), Error> {
        let tensors = self.tensors()?;
        let mut views = Vec::with_capacity(params.len());
        for tensor in params.iter() {
            let name = format!("{prefix}{}", tensor.name());
            let view = tensors.tensor(&name).map_err(|error| problem(&name, error))?;
            check_dtype(&name, &view)?;
            if view.shape() != tensor.shape() {
                let (got, expected) = (view.shape(), tensor.shape());
                return Err(problem(name, format!("its shape is {got:?}, expected {expected:?}")));
            }
            views.push(view);
        }
        let is_known = |name: &str| params.iter().any(|tensor| tensor.name() == name);
        let of_prefix = |name: &&str| name.strip_prefix(prefix).is_some_and(|rest| !is_known(rest));
        // An empty prefix takes the parameters out of a larger model's file: the rest is none of its business.
        if let Some(extra) =
            tensors.names().into_iter().filter(|_| !prefix.is_empty()).filter(of_prefix).min()
        {
            return Err(problem(extra, "the model has no such parameter"));
        }
        for (tensor, view) in params.iter_mut().zip(views) {
            copy(&view, tensor.data_mut());
        }
        Ok(())
    }
}

fn check_dtype(name: &str, view: &TensorView<'_>) -> Result<(), Error> {
    match view.dtype() {
        Dtype::F32 => Ok(()),
        other => Err(problem(name, format!("its dtype is {other:?}, expected F32"))),
    }
}

fn copy(view: &TensorView<'_>, to: &mut [f32]) {
    for (to, from) in to.iter_mut().zip(view.data().chunks_exact(4)) {
        *to = f32::from_le_bytes([from[0], from[1], from[2], from[3]]);
    }
}
