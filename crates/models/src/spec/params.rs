//! Named arrays of f32: the parameters of a model, and their gradients.

use super::Error;
use super::shape::{expect_len, product, reserve, zeros};
use std::ops::{Deref, DerefMut};

/// One named array, row-major.
///
/// # Examples
/// ```
/// let gru = gatewise::Gru::new(2, 3)?;
/// let weight = gru.params().get("weight_ih_l0").unwrap();
/// assert_eq!((weight.shape(), weight.data().len()), (&[3 * 3, 2][..], 3 * 3 * 2));
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    name: String,
    shape: Vec<usize>,
    data: Vec<f32>,
}

impl Tensor {
    /// The name, PyTorch's.
    ///
    /// # Examples
    /// ```
    /// let gru = gatewise::Gru::new(2, 3)?;
    /// assert_eq!(gru.params().iter().next().unwrap().name(), "weight_ih_l0");
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The sizes of its axes, as PyTorch has them: [rows, columns] of a weight, `[rows]` of a bias.
    ///
    /// # Examples
    /// ```
    /// let lstm = gatewise::Lstm::new(2, 4)?;
    /// assert_eq!(lstm.params().get("weight_ih_l0").unwrap().shape(), [4 * 4, 2]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The floats, row after row.
    ///
    /// # Examples
    /// ```
    /// let mut tensors = gatewise::Tensors::default();
    /// tensors.add("scale", &[1, 2], vec![1.0, 2.0])?;
    /// assert_eq!(tensors.get("scale").unwrap().data(), [1.0, 2.0]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// The floats, to change.
    ///
    /// # Examples
    /// ```
    /// let mut tensors = gatewise::Tensors::default();
    /// tensors.add("scale", &[2], vec![1.0, 2.0])?;
    /// tensors.get_mut("scale").unwrap().data_mut()[0] = 5.0;
    /// assert_eq!(tensors.get("scale").unwrap().data(), [5.0, 2.0]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }
}

/// A list of named arrays in a fixed order: the parameters of a layer or network, their gradients, or an optimizer's moments.
///
/// # Examples
/// ```
/// use gatewise::Lstm;
///
/// let lstm = Lstm::new(2, 4)?;
/// let names: Vec<&str> = lstm.params().iter().map(|tensor| tensor.name()).collect();
/// assert_eq!(names, ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]);
/// let grads = lstm.params().zeros_like(); // for backward to add to
/// assert_eq!(grads.num_elements(), 4 * 4 * (2 + 4 + 2));
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tensors {
    list: Vec<Tensor>,
}

impl Tensors {
    /// Arrays of zeros. All sizes are checked before any memory is asked for, and all of it is had before any is filled.
    pub(crate) fn zeros(named: Vec<(String, Vec<usize>)>) -> Result<Tensors, Error> {
        let what = "a parameter";
        let sizes: Result<Vec<usize>, Error> = named.iter().map(|(_, shape)| product(what, shape)).collect();
        let sizes = sizes?;
        let mut list = Vec::new();
        for ((name, shape), &size) in named.into_iter().zip(&sizes) {
            let mut data = Vec::new();
            reserve(what, &mut data, size)?;
            list.push(Tensor { name, shape, data });
        }
        for (tensor, size) in list.iter_mut().zip(sizes) {
            tensor.data.resize(size, 0.0);
        }
        Ok(Tensors { list })
    }

    /// Adds an array of zeros.
    pub(crate) fn push(&mut self, name: String, shape: &[usize]) -> Result<(), Error> {
        let data = zeros("a parameter", product("a parameter", shape)?)?;
        self.list.push(Tensor { name, shape: shape.to_vec(), data });
        Ok(())
    }

    /// Adds an array as it is.
    pub(crate) fn append(&mut self, tensor: Tensor) {
        self.list.push(tensor);
    }

    /// Adds an array of one's own: for parameters that no layer here has, and that an optimizer or clipping is to treat alike.
    ///
    /// # Errors
    /// [`Error::Shape`] if there are not as many floats as the shape says, [`Error::SizeOverflow`] if these cannot be
    /// counted; [`Error::TensorMismatch`] if the name is taken.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Error, Tensors};
    ///
    /// let mut tensors = Tensors::default();
    /// tensors.add("scale", &[2], vec![1.0, 2.0])?;
    /// let error = Error::TensorMismatch { name: "scale".to_string() };
    /// assert_eq!(tensors.add("scale", &[1], vec![0.0]), Err(error));
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn add(&mut self, name: &str, shape: &[usize], data: Vec<f32>) -> Result<(), Error> {
        expect_len("a tensor's data", data.len(), product("a parameter", shape)?)?;
        if self.get(name).is_some() {
            return Err(Error::TensorMismatch { name: name.to_string() });
        }
        self.list.push(Tensor { name: name.to_string(), shape: shape.to_vec(), data });
        Ok(())
    }

    /// The same names and shapes, all zeros.
    ///
    /// # Examples
    /// ```
    /// let gru = gatewise::Gru::new(2, 3)?;
    /// let grads = gru.params().zeros_like();
    /// assert!(gru.params().check_alike(&grads).is_ok());
    /// assert!(grads.iter().all(|grad| grad.data().iter().all(|&g| g == 0.0)));
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn zeros_like(&self) -> Tensors {
        let mut zeros = self.clone();
        zeros.fill(0.0);
        zeros
    }

    /// Sets every float.
    ///
    /// # Examples
    /// ```
    /// let mut grads = gatewise::Gru::new(2, 3)?.params().zeros_like();
    /// grads.fill(2.0);
    /// assert_eq!(grads.get("bias_ih_l0").unwrap().data(), [2.0; 3 * 3]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn fill(&mut self, value: f32) {
        for tensor in &mut self.list {
            tensor.data.fill(value);
        }
    }

    /// The arrays, in order.
    ///
    /// # Examples
    /// ```
    /// let gru = gatewise::Gru::new(2, 3)?;
    /// let sizes: Vec<usize> = gru.params().iter().map(|tensor| tensor.data().len()).collect();
    /// assert_eq!(sizes, [9 * 2, 9 * 3, 9, 9]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn iter(&self) -> std::slice::Iter<'_, Tensor> {
        self.list.iter()
    }

    /// The arrays, in order, to change.
    ///
    /// # Examples
    /// ```
    /// let mut grads = gatewise::Gru::new(2, 3)?.params().zeros_like();
    /// for tensor in grads.iter_mut().filter(|tensor| tensor.shape().len() == 1) {
    ///     tensor.data_mut().fill(1.0); // the biases
    /// }
    /// assert_eq!(grads.get("bias_hh_l0").unwrap().data(), [1.0; 9]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, Tensor> {
        self.list.iter_mut()
    }

    /// The array at a place in the list.
    pub(crate) fn at(&self, place: usize) -> &[f32] {
        &self.list[place].data
    }

    /// The array at a place in the list, to change.
    pub(crate) fn at_mut(&mut self, place: usize) -> &mut [f32] {
        &mut self.list[place].data
    }

    /// The array of that name.
    ///
    /// # Examples
    /// ```
    /// let gru = gatewise::Gru::new(2, 3)?;
    /// assert_eq!(gru.params().get("bias_hh_l0").map(|bias| bias.data().len()), Some(3 * 3));
    /// assert_eq!(gru.params().get("bias_hh_l1"), None);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.list.iter().find(|tensor| tensor.name == name)
    }

    /// The array of that name, to change.
    ///
    /// # Examples
    /// ```
    /// let mut grads = gatewise::Gru::new(2, 3)?.params().zeros_like();
    /// grads.get_mut("bias_hh_l0").unwrap().data_mut()[0] = 1.0;
    /// assert_eq!(grads.get("bias_hh_l0").unwrap().data()[..2], [1.0, 0.0]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Tensor> {
        self.list.iter_mut().find(|tensor| tensor.name == name)
    }

    /// How many arrays there are.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(gatewise::Gru::builder(2, 3).num_layers(2).build()?.params().len(), 2 * 4);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    ///
    /// # Examples
    /// ```
    /// assert!(gatewise::Tensors::default().is_empty());
    /// assert!(!gatewise::Gru::new(2, 3)?.params().is_empty());
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many floats there are in all arrays.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(gatewise::Rnn::new(2, 3)?.params().num_elements(), 3 * (2 + 3 + 1 + 1));
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn num_elements(&self) -> usize {
        self.list.iter().map(|tensor| tensor.data.len()).sum()
    }

    /// Checks that the other list has the same names and shapes.
    ///
    /// # Errors
    /// [`Error::TensorMismatch`] names the first difference.
    ///
    /// # Examples
    /// ```
    /// use gatewise::{Error, Gru};
    ///
    /// let (one, other) = (Gru::new(2, 3)?, Gru::new(2, 4)?);
    /// assert_eq!(one.params().check_alike(&one.params().zeros_like()), Ok(()));
    /// let error = Error::TensorMismatch { name: "weight_ih_l0".to_string() };
    /// assert_eq!(one.params().check_alike(other.params()), Err(error));
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn check_alike(&self, other: &Tensors) -> Result<(), Error> {
        for (i, tensor) in self.list.iter().enumerate() {
            let alike = other.list.get(i).is_some_and(|o| o.name == tensor.name && o.shape == tensor.shape);
            if !alike {
                return Err(Error::TensorMismatch { name: tensor.name.clone() });
            }
        }
        match other.list.get(self.list.len()) {
            Some(extra) => Err(Error::TensorMismatch { name: extra.name.clone() }),
            None => Ok(()),
        }
    }
}

/// What keeps parameters in a second form, made for the kernels.
pub(crate) trait Pack: std::fmt::Debug {
    /// Brings changed parameters into that form again.
    fn repack(&mut self, params: &Tensors);

    /// The parameters may be others from now on.
    fn mark_changed(&mut self) {}
}

/// The parameters of a network or layer, to change. When the guard goes they are packed for the kernels again.
///
/// # Examples
/// ```
/// use gatewise::{Gru, View};
///
/// let mut gru = Gru::new(1, 2)?;
/// let mut params = gru.params_mut();
/// params.fill(0.0);
/// drop(params); // packs them
/// let (y, _) = gru.forward(View::new(&[0.5; 3], [3, 1, 1])?, None)?;
/// assert_eq!(y.data(), [0.0; 3 * 2]);
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Debug)]
pub struct ParamsMut<'a> {
    packed: &'a mut dyn Pack,
    params: &'a mut Tensors,
}

impl<'a> ParamsMut<'a> {
    pub(crate) fn new(packed: &'a mut dyn Pack, params: &'a mut Tensors) -> ParamsMut<'a> {
        ParamsMut { packed, params }
    }
}

impl Deref for ParamsMut<'_> {
    type Target = Tensors;
    fn deref(&self) -> &Tensors {
        self.params
    }
}

impl DerefMut for ParamsMut<'_> {
    fn deref_mut(&mut self) -> &mut Tensors {
        self.packed.mark_changed();
        self.params
    }
}

impl Drop for ParamsMut<'_> {
    fn drop(&mut self) {
        self.packed.repack(self.params);
    }
}
