//! A table of vectors, chosen by number.

use crate::nets::Network;
use crate::run::ProjectedTable;
use crate::spec::shape::{expect, expect_len, product};
use crate::spec::{Error, Tensors, init};

/// `torch.nn.Embedding`: row n of `weight`, [num_embeddings, embedding_dim], stands for number n.
///
/// # Examples
/// ```
/// use gatewise::Embedding;
///
/// let letters = Embedding::new(26, 4, 0)?; // num_embeddings, embedding_dim, seed
/// let mut x = [0.0; 3 * 4];
/// letters.forward(&[0, 1, 0], &mut x)?;
/// assert_eq!(x[..4], x[8..]);
///
/// let mut grads = letters.params().zeros_like();
/// letters.backward(&[0, 1, 0], &[1.0; 3 * 4], &mut grads)?;
/// assert_eq!(grads.get("weight").unwrap().data()[..8], [2.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0]);
/// # Ok::<(), gatewise::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Embedding {
    num_embeddings: usize,
    embedding_dim: usize,
    params: Tensors,
}

impl Embedding {
    /// A table of normal numbers from a seed.
    ///
    /// # Errors
    /// [`Error::SizeOverflow`] if it does not fit in memory.
    ///
    /// # Examples
    /// ```
    /// let letters = gatewise::Embedding::new(26, 4, 0)?; // num_embeddings, embedding_dim, seed
    /// assert_eq!(letters.params().get("weight").unwrap().shape(), [26, 4]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn new(num_embeddings: usize, embedding_dim: usize, seed: u64) -> Result<Embedding, Error> {
        let mut params = Tensors::default();
        params.push("weight".to_string(), &[num_embeddings, embedding_dim])?;
        init::normal(&mut params, seed);
        Ok(Embedding { num_embeddings, embedding_dim, params })
    }

    /// The parameter `weight`, [num_embeddings, embedding_dim].
    ///
    /// # Examples
    /// ```
    /// assert_eq!(gatewise::Embedding::new(26, 4, 0)?.params().num_elements(), 26 * 4);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn params(&self) -> &Tensors {
        &self.params
    }

    /// The parameter, to change.
    ///
    /// # Examples
    /// ```
    /// let (mut letters, mut x) = (gatewise::Embedding::new(26, 4, 0)?, [0.0; 4]);
    /// letters.params_mut().fill(0.5);
    /// letters.forward(&[7], &mut x)?;
    /// assert_eq!(x, [0.5; 4]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn params_mut(&mut self) -> &mut Tensors {
        &mut self.params
    }

    /// `output`, [ids, embedding_dim], gets the row of each id.
    ///
    /// # Errors
    /// [`Error::Index`] if there is no such row, [`Error::Shape`] if `output` has another size. Nothing is written then.
    ///
    /// # Examples
    /// ```
    /// let (letters, mut x) = (gatewise::Embedding::new(26, 4, 0)?, [0.0; 2 * 4]);
    /// letters.forward(&[25, 0], &mut x)?;
    /// assert_eq!(x[4..], letters.params().get("weight").unwrap().data()[..4]);
    /// assert!(letters.forward(&[26, 0], &mut x).is_err());
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn forward(&self, ids: &[usize], output: &mut [f32]) -> Result<(), Error> {
        self.check(ids, "output", output.len())?;
        let width = self.embedding_dim;
        let weight = self.params.at(0);
        for (id, output) in ids.iter().zip(output.chunks_exact_mut(width.max(1))) {
            output.copy_from_slice(&weight[id * width..][..width]);
        }
        Ok(())
    }

    /// Adds dL/d output, [ids, embedding_dim], to the gradients of the rows, in the order of the ids.
    ///
    /// # Errors
    /// [`Error::Index`], [`Error::Shape`] or [`Error::TensorMismatch`] if an argument does not fit. Nothing is written then.
    ///
    /// # Examples
    /// ```
    /// let letters = gatewise::Embedding::new(3, 1, 0)?;
    /// let mut grads = letters.params().zeros_like();
    /// letters.backward(&[2, 0, 2], &[1.0, 2.0, 4.0], &mut grads)?;
    /// assert_eq!(grads.get("weight").unwrap().data(), [2.0, 0.0, 1.0 + 4.0]);
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn backward(&self, ids: &[usize], grad_output: &[f32], grads: &mut Tensors) -> Result<(), Error> {
        self.check(ids, "grad_output", grad_output.len())?;
        self.params.check_alike(grads)?;
        let width = self.embedding_dim;
        let weight = grads.at_mut(0);
        for (id, grad) in ids.iter().zip(grad_output.chunks_exact(width.max(1))) {
            for (sum, g) in weight[id * width..][..width].iter_mut().zip(grad) {
                *sum += g;
            }
        }
        Ok(())
    }

    fn check(&self, ids: &[usize], arg: &'static str, len: usize) -> Result<(), Error> {
        if let Some(&index) = ids.iter().find(|&&id| id >= self.num_embeddings) {
            return Err(Error::Index { arg: "ids", index, len: self.num_embeddings });
        }
        expect_len(arg, len, product(arg, &[ids.len(), self.embedding_dim])?)
    }
}

impl<K> Network<K> {
    /// [`project_table`](Network::project_table) of an embedding, its weights as they are.
    ///
    /// # Errors
    /// [`Error::Shape`] if embedding_dim is not input_size, [`Error::SizeOverflow`] if the projection does not fit in memory.
    ///
    /// # Examples
    /// New text, letter by letter: each step reads what the last one said.
    /// ```
    /// use gatewise::{Embedding, Gru, Linear};
    ///
    /// let (letters, gru, linear) = (Embedding::new(26, 4, 0)?, Gru::new(4, 8)?, Linear::new(8, 26, 0)?);
    /// let table = gru.project_embedding(&letters)?;
    /// let (mut state, mut h, mut logits, mut id) = (gru.zero_state(1)?, [0.0; 8], [0.0; 26], 7);
    /// for _ in 0..10 {
    ///     gru.step_tokens(&table, &[id], &mut state, &mut h)?;
    ///     linear.forward(1, &h, &mut logits)?;
    ///     id = (0..26).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
    /// }
    /// # Ok::<(), gatewise::Error>(())
    /// ```
    pub fn project_embedding(&self, embedding: &Embedding) -> Result<ProjectedTable, Error> {
        expect("embedding", "embedding_dim", embedding.embedding_dim, self.config().input_size)?;
        self.project_table(embedding.num_embeddings, embedding.params.at(0))
    }
}
