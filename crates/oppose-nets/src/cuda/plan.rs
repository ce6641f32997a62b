//! From a graph to steps: which step reads what from where, and which tensors share memory.

use super::CudaError;
use crate::model::{Convolution, Graph, Layer, Operation};

/// Largest number of inputs of a concatenation.
pub const MAX_SOURCES: usize = 4;

/// A tensor in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Index of the buffer that holds it.
    pub slot: usize,
    /// Number of channels.
    pub channels: usize,
    /// Net stride, in each direction.
    pub stride: usize,
}

/// A layer that computes something; concatenations are only lists of sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Index of the layer.
    pub layer: usize,
    /// The tensors that it reads, as if they were one.
    pub sources: Vec<Place>,
    /// The tensor that it writes for other layers.
    pub target: Option<Place>,
    /// The index of its first channel among the net's results, if it is among them.
    pub first_plane: Option<usize>,
    /// Whether only the maximum of each 2 × 2 results of a convolution is kept.
    pub pools: bool,
}

/// All steps, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
    /// For each buffer, the largest number of channels that it holds at each stride: pairs of channels and stride.
    pub slots: Vec<Vec<(usize, usize)>>,
    /// Number of planes of the result.
    pub planes: usize,
}

/// Tensor 0, the input, is in slot 0. `can_pool` says for which convolutions, given their number of input channels,
/// the pooling after them is done in the same step.
///
/// # Errors
/// The net has layers that cannot run on a GPU.
pub fn plan(graph: &Graph, can_pool: impl Fn(&Convolution, usize) -> bool) -> Result<Plan, CudaError> {
    let unsupported = |layer: &str, what: &'static str| CudaError::Net { layer: layer.into(), what };
    // For each tensor, the tensors that it consists of; all but concatenations consist of themselves.
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

    let pooling_of = |layer: &Layer| {
        let Operation::Convolution(convolution) = &layer.operation else { return None };
        let channels = layer.inputs.iter().map(|&input| graph.tensors[input].channels).sum();
        let mut readers = graph.layers.iter().filter(|reader| reader.inputs.contains(&layer.output));
        let reader = readers.next().filter(|reader| matches!(reader.operation, Operation::MaxPooling))?;
        let is_alone = readers.next().is_none() && first_plane[layer.output].is_none();
        (is_alone && can_pool(convolution, channels)).then_some(reader.output)
    };
    let pooled: Vec<Option<usize>> = graph.layers.iter().map(pooling_of).collect();
    let is_done = |layer: &Layer| pooled.contains(&Some(layer.output)) || is_concatenation(&layer.operation);
    let working = || graph.layers.iter().enumerate().filter(|(_, layer)| !is_done(layer));
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
        let made = pooled[index].unwrap_or(layer.output);
        if last_read[made].is_some() {
            let slot = slots.free();
            slots.held[slot] = Some(made);
            places[made] = Some(slots.place(graph, made, slot));
        }
        let (target, first_plane) = (places[made], first_plane[made]);
        steps.push(Step { layer: index, sources, target, first_plane, pools: pooled[index].is_some() });
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
            Some((max_channels, _)) => *max_channels = channels.max(*max_channels),
            None => self.sizes[slot].push((channels, stride)),
        }
        Place { slot, channels, stride }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Activation, Tensor};

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
        let plan = plan(&graph(), |_, _| false).unwrap();
        assert_eq!(plan.planes, 6);
        let last = plan.steps.last().unwrap();
        assert_eq!(last.sources.iter().map(|place| place.channels).collect::<Vec<_>>(), [8, 4, 6]);
        assert_eq!((last.target, last.first_plane), (None, Some(0)));
        assert_eq!(plan.steps[2].first_plane, Some(2));
        assert_nothing_is_lost(&plan);
    }

    /// No step overwrites what a later step still reads, or what it reads itself.
    fn assert_nothing_is_lost(plan: &Plan) {
        let mut held = vec![None; plan.slots.len()];
        held[0] = Some(Place { slot: 0, channels: 3, stride: 1 });
        for step in &plan.steps {
            for source in &step.sources {
                assert_eq!(held[source.slot], Some(*source), "{plan:?}");
            }
            if let Some(target) = step.target {
                assert!(step.sources.iter().all(|source| source.slot != target.slot), "in place: {step:?}");
                held[target.slot] = Some(target);
            }
        }
    }

    #[test]
    fn a_convolution_pools_if_nothing_else_reads_its_output() {
        let plan =
            plan(&graph(), |convolution, channels| channels == 3 && convolution.bias.len() == 8).unwrap();
        assert_eq!(plan.steps.len(), 4);
        assert!(plan.steps[0].pools && plan.steps[0].target.is_some_and(|target| target.stride == 2));
        assert_nothing_is_lost(&plan);
    }

    #[test]
    fn the_error_names_an_unsupported_layer() {
        let mut pooled = graph();
        pooled.layers[5] = Layer { operation: Operation::MaxPooling, ..pooled.layers[5].clone() };
        assert!(
            plan(&pooled, |_, _| false).unwrap_err().to_string().contains("layer 6 pools a concatenation")
        );
        let mut image = graph();
        image.layers[6].inputs = vec![6, 0];
        assert!(plan(&image, |_, _| false).is_err());
    }
}
