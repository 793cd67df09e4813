//! One layer: its parameters by name, and packed for the kernels.

use crate::spec::{Config, Error, Pack, Tensors};
use gatewise_kernels::{Kernels, PackedCell, Weights};

/// A layer, packed.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub(crate) packed: PackedCell,
    /// Features of its input.
    pub(crate) input: usize,
}

/// The parameters of a network, all zeros, under PyTorch's names and in its order.
pub(crate) fn parameters(config: &Config) -> Result<Tensors, Error> {
    let mut all = Tensors::default();
    let hidden = config.hidden_size;
    let rows = crate::spec::shape::product("a parameter", &[config.cell.gates(), hidden])?;
    for layer in 0..config.num_layers {
        all.push(format!("weight_ih_l{layer}"), &[rows, config.layer_input(layer)])?;
        all.push(format!("weight_hh_l{layer}"), &[rows, hidden])?;
        if config.bias {
            all.push(format!("bias_ih_l{layer}"), &[rows])?;
            all.push(format!("bias_hh_l{layer}"), &[rows])?;
        }
    }
    Ok(all)
}

/// Where the parameters of a layer stand in the list.
pub(crate) fn first_parameter(config: &Config, layer: usize) -> usize {
    layer * if config.bias { 4 } else { 2 }
}

fn weights<'a>(config: &Config, params: &'a Tensors, layer: usize) -> Weights<'a> {
    let mut of_layer = params.iter().skip(first_parameter(config, layer)).map(|tensor| tensor.data());
    let mut next = || of_layer.next().expect("a network's parameters are complete");
    let (w_ih, w_hh) = (next(), next());
    let (b_ih, b_hh) = if config.bias { (Some(next()), Some(next())) } else { (None, None) };
    Weights { w_ih, w_hh, b_ih, b_hh }
}

/// Packs all layers; for training as well, if asked to.
pub(crate) fn layers(
    kernels: &Kernels,
    config: &Config,
    params: &Tensors,
    training: bool,
) -> Result<Vec<Layer>, Error> {
    let pack = |layer| {
        let (input, weights) = (config.layer_input(layer), weights(config, params, layer));
        let mut packed = kernels.pack_cell(config.cell, input, config.hidden_size, weights)?;
        if training {
            packed.prepare_training(weights)?;
        }
        Ok(Layer { packed, input })
    };
    (0..config.num_layers).map(pack).collect()
}

impl Pack for super::Stack {
    fn repack(&mut self, params: &Tensors) {
        for (i, layer) in self.layers.iter_mut().enumerate() {
            let packed = layer.packed.repack(weights(&self.config, params, i));
            packed.expect("a network's parameters keep their sizes");
        }
    }
}
