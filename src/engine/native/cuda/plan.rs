//! From a graph to steps: who reads what from where, and which tensors share memory.

use super::CudaError;
use crate::engine::native::model::{Graph, Operation};

/// The most inputs of a concatenation.
pub const MAX_SOURCES: usize = 4;

/// A tensor in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which buffer it lies in.
    pub slot: usize,
    /// Its channels.
    pub channels: usize,
    /// Input pixels to a pixel of it, in each direction.
    pub stride: usize,
}

/// A layer that does work: concatenations are only lists of sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Index of the layer.
    pub layer: usize,
    /// What it reads, as if it were one tensor.
    pub sources: Vec<Place>,
    /// What it writes for other layers.
    pub target: Option<Place>,
    /// Where its channels begin among the net's results, if they are some.
    pub first_plane: Option<usize>,
}

/// All steps, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What is done.
    pub steps: Vec<Step>,
    /// For each buffer the most channels it holds, a stride at a time: channels and stride.
    pub slots: Vec<Vec<(usize, usize)>>,
    /// Number of planes of the result.
    pub planes: usize,
}

/// Tensor 0, the input, is in slot 0.
///
/// # Errors
/// The net has layers that are not run on a GPU.
pub fn plan(graph: &Graph) -> Result<Plan, CudaError> {
    let unsupported = |layer: &str, what: &'static str| CudaError::Net { layer: layer.into(), what };
    // For each tensor those it consists of; all but concatenations hold themselves.
    let mut parts: Vec<Vec<usize>> = (0..graph.tensors.len()).map(|tensor| vec![tensor]).collect();
    for layer in &graph.layers {
        let read: Vec<usize> = layer.inputs.iter().flat_map(|&input| parts[input].clone()).collect();
        match layer.operation {
            Operation::Concatenation => parts[layer.output] = read,
            Operation::MaxPooling if read.len() > 1 => {
                return Err(unsupported(&layer.name, "pools a concatenation"));
            }
            _ if read.len() > MAX_SOURCES => {
                return Err(unsupported(&layer.name, "reads more than four concatenated tensors"));
            }
            _ => {}
        }
    }
    let results = &parts[graph.output];
    let mut planes = 0;
    let mut first_plane = vec![None; graph.tensors.len()];
    for &tensor in results {
        let maker = graph.layers.iter().find(|layer| layer.output == tensor);
        let is_convolution = maker.is_some_and(|maker| matches!(maker.operation, Operation::Convolution(_)));
        if !is_convolution || first_plane[tensor].is_some() {
            return Err(unsupported(
                &graph.tensors[tensor].name,
                "is a result that no convolution makes once",
            ));
        }
        first_plane[tensor] = Some(planes);
        planes += graph.tensors[tensor].channels;
    }

    let working = || graph.layers.iter().enumerate().filter(|(_, layer)| !is_concatenation(&layer.operation));
    let mut last_read = vec![None; graph.tensors.len()];
    for (index, layer) in working() {
        layer
            .inputs
            .iter()
            .flat_map(|&input| &parts[input])
            .for_each(|&tensor| last_read[tensor] = Some(index));
    }
    let mut slots = Slots { held: vec![Some(0)], sizes: vec![Vec::new()] };
    let mut places: Vec<Option<Place>> = vec![None; graph.tensors.len()];
    places[0] = Some(slots.place(graph, 0, 0));
    let mut steps = Vec::new();
    for (index, layer) in working() {
        let sources = layer.inputs.iter().flat_map(|&input| &parts[input]);
        let sources = sources.filter_map(|&tensor| places[tensor]).collect();
        let made = layer.output;
        if last_read[made].is_some() {
            let slot = slots.free();
            slots.held[slot] = Some(made);
            places[made] = Some(slots.place(graph, made, slot));
        }
        steps.push(Step { layer: index, sources, target: places[made], first_plane: first_plane[made] });
        for held in &mut slots.held {
            if held.is_some_and(|tensor| last_read[tensor].is_none_or(|last| last <= index)) {
                *held = None;
            }
        }
    }
    Ok(Plan { steps, slots: slots.sizes, planes })
}

fn is_concatenation(operation: &Operation) -> bool {
    matches!(operation, Operation::Concatenation)
}

/// Buffers, and which tensor each holds at the moment.
struct Slots {
    held: Vec<Option<usize>>,
    sizes: Vec<Vec<(usize, usize)>>,
}

impl Slots {
    fn free(&mut self) -> usize {
        self.held.iter().position(Option::is_none).unwrap_or_else(|| {
            self.held.push(None);
            self.sizes.push(Vec::new());
            self.held.len() - 1
        })
    }

    fn place(&mut self, graph: &Graph, tensor: usize, slot: usize) -> Place {
        let (channels, stride) = (graph.tensors[tensor].channels, graph.tensors[tensor].stride);
        match self.sizes[slot].iter_mut().find(|(_, other)| *other == stride) {
            Some((most, _)) => *most = channels.max(*most),
            None => self.sizes[slot].push((channels, stride)),
        }
        Place { slot, channels, stride }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::native::model::{Activation, Convolution, Layer, Tensor};

    /// image(3) -> a(8) -> pooled -> b(4), c(6) of b; d of concatenated (pooled, b, c); result: (d, b).
    fn graph() -> Graph {
        let tensor = |name: &str, channels, stride| Tensor { name: name.into(), channels, stride };
        let convolution = |from: usize, to: usize| {
            let weights = vec![0.0; from * to];
            let (bias, activation) = (vec![0.0; to], Activation::Relu);
            Operation::Convolution(Convolution { kernel: 1, weights, bias, activation })
        };
        let layer = |inputs: &[usize], output: usize, operation| Layer {
            name: format!("layer {output}"),
            inputs: inputs.to_vec(),
            output,
            operation,
        };
        Graph {
            tensors: vec![
                tensor("image", 3, 1),
                tensor("a", 8, 1),
                tensor("pooled", 8, 2),
                tensor("b", 4, 2),
                tensor("c", 6, 2),
                tensor("both", 18, 2),
                tensor("d", 2, 2),
                tensor("result", 6, 2),
            ],
            layers: vec![
                layer(&[0], 1, convolution(3, 8)),
                layer(&[1], 2, Operation::MaxPooling),
                layer(&[2], 3, convolution(8, 4)),
                layer(&[3], 4, convolution(4, 6)),
                layer(&[2, 3, 4], 5, Operation::Concatenation),
                layer(&[5], 6, convolution(18, 2)),
                layer(&[6, 3], 7, Operation::Concatenation),
            ],
            output: 7,
        }
    }

    #[test]
    fn a_tensor_lives_until_its_last_reader() {
        let plan = plan(&graph()).unwrap();
        assert_eq!(plan.planes, 6);
        let last = plan.steps.last().unwrap();
        assert_eq!(last.sources.iter().map(|place| place.channels).collect::<Vec<_>>(), [8, 4, 6]);
        assert_eq!((last.target, last.first_plane), (None, Some(0)));
        assert_eq!(plan.steps[2].first_plane, Some(2));
        for (index, step) in plan.steps.iter().enumerate() {
            let Some(target) = step.target else { continue };
            // Nobody writes over what a later step still reads.
            for later in &plan.steps[index..] {
                let is_rewritten =
                    plan.steps[index + 1..].iter().take_while(|other| other.layer <= later.layer);
                let is_rewritten =
                    is_rewritten.filter_map(|other| other.target).any(|other| other.slot == target.slot);
                if later.sources.contains(&target) && later.layer > step.layer {
                    assert!(
                        !is_rewritten || later.target.is_some_and(|made| made.slot == target.slot),
                        "{plan:?}"
                    );
                }
            }
            assert!(!step.sources.iter().any(|source| source.slot == target.slot), "in place: {step:?}");
        }
    }

    #[test]
    fn what_a_gpu_does_not_run_is_named() {
        let mut pooled = graph();
        pooled.layers[5] = Layer { operation: Operation::MaxPooling, ..pooled.layers[5].clone() };
        assert!(plan(&pooled).unwrap_err().to_string().contains("layer 6 pools a concatenation"));
        let mut image = graph();
        image.layers[6].inputs = vec![6, 0];
        assert!(plan(&image).is_err());
    }
}
