//! One layer: its parameters by name, and packed for the kernels.

use crate::spec::shape::product;
use crate::spec::{Config, Error, Pack, Tensors};
use gatewise_kernels::{Kernels, PackedCell, Weights};

/// A layer, packed: one set of weights for each direction.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub(crate) directions: Vec<PackedCell>,
    /// Features of its input.
    pub(crate) input: usize,
}

/// The parameters of a network, all zeros, under PyTorch's names and in its order.
pub(crate) fn parameters(config: &Config) -> Result<Tensors, Error> {
    let mut all = Vec::new();
    for layer in 0..config.num_layers {
        let (hidden, features) = (config.hidden_size_of(layer), config.state_size_of(layer));
        product("a parameter", &[hidden, config.directions()])?;
        let rows = product("a parameter", &[config.cell.gates(), hidden])?;
        for suffix in ["", "_reverse"].into_iter().take(config.directions()) {
            all.push((format!("weight_ih_l{layer}{suffix}"), vec![rows, config.layer_input(layer)]));
            all.push((format!("weight_hh_l{layer}{suffix}"), vec![rows, features]));
            if config.bias {
                all.push((format!("bias_ih_l{layer}{suffix}"), vec![rows]));
                all.push((format!("bias_hh_l{layer}{suffix}"), vec![rows]));
            }
            if config.proj_size > 0 {
                all.push((format!("weight_hr_l{layer}{suffix}"), vec![features, hidden]));
            }
        }
    }
    Tensors::zeros(all)
}

/// Where the parameters of a layer in a direction stand in the list.
pub(crate) fn first_parameter(config: &Config, layer: usize, direction: usize) -> usize {
    (layer * config.directions() + direction) * config.parameters_a_direction()
}

fn weights<'a>(config: &Config, params: &'a Tensors, layer: usize, direction: usize) -> Weights<'a> {
    let first = first_parameter(config, layer, direction);
    let bias = |place| config.bias.then(|| params.at(first + place));
    let w_hr = (config.proj_size > 0).then(|| params.at(first + config.parameters_a_direction() - 1));
    Weights { w_ih: params.at(first), w_hh: params.at(first + 1), b_ih: bias(2), b_hh: bias(3), w_hr }
}

/// Packs all layers; for training as well, if asked to.
pub(crate) fn layers(
    kernels: &Kernels,
    config: &Config,
    params: &Tensors,
    training: bool,
) -> Result<Vec<Layer>, Error> {
    let pack = |layer, direction| {
        let weights = weights(config, params, layer, direction);
        let mut packed = kernels.pack_cell(
            config.spec(),
            config.layer_input(layer),
            config.hidden_size_of(layer),
            weights,
        )?;
        if training {
            packed.prepare_training(weights)?;
        }
        Ok(packed)
    };
    let layer = |layer| {
        let directions: Result<Vec<_>, Error> = (0..config.directions()).map(|d| pack(layer, d)).collect();
        Ok(Layer { directions: directions?, input: config.layer_input(layer) })
    };
    (0..config.num_layers).map(layer).collect()
}

impl Pack for super::Stack {
    fn mark_changed(&mut self) {
        self.stamp = super::next_stamp();
    }

    fn repack(&mut self, params: &Tensors) {
        for (l, layer) in self.layers.iter_mut().enumerate() {
            for (d, packed) in layer.directions.iter_mut().enumerate() {
                let packed = packed.repack(weights(&self.config, params, l, d));
                packed.expect("a network's parameters keep their sizes");
            }
        }
    }
}
