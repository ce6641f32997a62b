//! A net divided into steps: which step reads what from where, and which tensors share memory.
//!
//! `model` reads a [`Graph`], this module makes a [`Plan`] of it, and `cpu` or `cuda` carries the plan out, with layouts,
//! kernels and weights of its own.

use crate::model::{Convolution, Graph, Layer, Operation, Tensor};

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
    /// The tensors that it reads, as if they were one. Pooling reads a single one.
    pub sources: Vec<Place>,
    /// The tensor that it writes, in a slot that none of its sources is in. `None` if nothing reads it from there.
    pub target: Option<Place>,
    /// The index of its first channel among the net's results, if it is among them.
    pub first_plane: Option<usize>,
    /// Whether only the maximum of each 2 × 2 results of a convolution is kept.
    pub pools: bool,
}

impl Step {
    /// Net stride of the tensors that it reads.
    pub fn stride(&self) -> usize {
        self.sources.first().map_or(1, |source| source.stride)
    }
}

/// How a net's results leave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Results {
    /// They are read after the last step, and stay in their slots until then.
    Collected,
    /// Each step writes its own to where they are needed, and to a slot only if another step reads them.
    #[cfg_attr(not(feature = "cuda"), allow(dead_code, reason = "only GPUs do so"))]
    Written,
}

/// All steps, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
    /// For each buffer, the tensors that it holds, one after another. The first in slot 0 is the net's input.
    pub slots: Vec<Vec<Place>>,
    /// The tensors that form the result, if it is [collected](Results::Collected).
    pub results: Vec<Place>,
    /// Number of planes of the result.
    pub planes: usize,
}

impl Plan {
    /// Divides a net into steps. `can_pool` says for which convolutions the pooling after them is done in the same step.
    pub fn new(graph: &Graph, results: Results, can_pool: impl Fn(&Convolution) -> bool) -> Self {
        let Draft { steps: drafts, mut tensors, results: parts } = Draft::new(graph, can_pool);
        let mut last_read = vec![None; tensors.len()];
        for (index, draft) in drafts.iter().enumerate() {
            draft.sources.iter().for_each(|&source| last_read[source] = Some(index));
        }
        if results == Results::Collected {
            parts.iter().for_each(|&tensor| last_read[tensor] = Some(drafts.len()));
        }
        let mut planes = 0;
        let mut first_plane = vec![None; tensors.len()];
        for &tensor in &parts {
            first_plane[tensor].get_or_insert(planes);
            planes += tensors[tensor].channels;
        }

        let mut slots = Slots { smallest_input: graph.largest_stride(), slots: Vec::new() };
        slots.add(&mut tensors[0], 0, last_read[0].unwrap_or(0));
        let mut steps = Vec::new();
        for (index, draft) in drafts.into_iter().enumerate() {
            let made = index + 1;
            let target = last_read[made].map(|last| slots.add(&mut tensors[made], index, last));
            // If neither, nothing depends on it.
            if target.is_some() || first_plane[made].is_some() {
                let sources = draft.sources.iter().map(|&source| tensors[source]).collect();
                let (layer, pools) = (draft.layer, draft.pools);
                steps.push(Step { layer, sources, target, first_plane: first_plane[made], pools });
            }
        }
        let results = match results {
            Results::Collected => parts.iter().map(|&tensor| tensors[tensor]).collect(),
            Results::Written => Vec::new(),
        };
        Self { steps, slots: slots.slots.into_iter().map(|slot| slot.tensors).collect(), results, planes }
    }
}

/// The steps before it is known where tensors are. Tensor 0 is the net's input, and tensor n + 1 is made by step n.
#[derive(Default)]
struct Draft {
    steps: Vec<DraftStep>,
    /// All of them still in slot 0.
    tensors: Vec<Place>,
    results: Vec<usize>,
}

struct DraftStep {
    layer: usize,
    sources: Vec<usize>,
    pools: bool,
}

impl Draft {
    fn new(graph: &Graph, can_pool: impl Fn(&Convolution) -> bool) -> Self {
        let input = Place { slot: 0, channels: graph.input_channels(), stride: 1 };
        let mut draft = Self { tensors: vec![input], ..Self::default() };
        // For each tensor of the graph, those that it consists of.
        let mut parts = vec![Vec::new(); graph.tensors.len()];
        parts[0] = vec![0];
        for (index, layer) in graph.layers.iter().enumerate() {
            let sources: Vec<usize> = layer.inputs.iter().flat_map(|&input| parts[input].clone()).collect();
            let Tensor { channels, stride, .. } = &graph.tensors[layer.output];
            parts[layer.output] = match &layer.operation {
                Operation::Concatenation => sources,
                Operation::Convolution(_) => vec![draft.add(index, sources, *channels, *stride)],
                Operation::MaxPooling if convolution_alone(graph, layer).is_some_and(&can_pool) => {
                    for &source in &sources {
                        draft.steps[source - 1].pools = true;
                        draft.tensors[source].stride = *stride;
                    }
                    sources
                }
                Operation::MaxPooling => {
                    let pool = |source: usize| {
                        let Place { channels, .. } = draft.tensors[source];
                        draft.add(index, vec![source], channels, *stride)
                    };
                    sources.into_iter().map(pool).collect()
                }
            };
        }
        draft.results = parts.swap_remove(graph.output);
        draft
    }

    /// Adds a step, and returns the index of the tensor that it makes.
    fn add(&mut self, layer: usize, sources: Vec<usize>, channels: usize, stride: usize) -> usize {
        self.steps.push(DraftStep { layer, sources, pools: false });
        self.tensors.push(Place { slot: 0, channels, stride });
        self.steps.len()
    }
}

/// The convolution whose result a pooling layer alone reads.
fn convolution_alone<'a>(graph: &'a Graph, pooling: &Layer) -> Option<&'a Convolution> {
    let input = *pooling.inputs.first()?;
    let readers = graph.layers.iter().filter(|layer| layer.inputs.contains(&input)).count();
    let maker = graph.layers.iter().find(|layer| layer.output == input)?;
    match &maker.operation {
        Operation::Convolution(convolution) if readers == 1 && graph.output != input => Some(convolution),
        _ => None,
    }
}

/// The buffers in use.
struct Slots {
    /// Width and height of the smallest input.
    smallest_input: usize,
    slots: Vec<Slot>,
}

#[derive(Default)]
struct Slot {
    tensors: Vec<Place>,
    /// The last step that reads the tensor in it.
    last_read: usize,
}

impl Slots {
    /// Finds a slot for a tensor that `step` makes: the free one whose size fits best, or a new one.
    fn add(&mut self, tensor: &mut Place, step: usize, last_read: usize) -> Place {
        let values = |tensor: &Place| tensor.channels * (self.smallest_input / tensor.stride).pow(2);
        let size = |slot: &Slot| slot.tensors.iter().map(values).max().unwrap_or(0);
        let wanted = values(tensor);
        let free = self.slots.iter().enumerate().filter(|(_, slot)| slot.last_read < step);
        let best = free.min_by_key(|(_, slot)| size(slot).abs_diff(wanted));
        tensor.slot = best.map(|(index, _)| index).unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() - 1
        });
        let slot = &mut self.slots[tensor.slot];
        slot.tensors.push(*tensor);
        slot.last_read = last_read;
        *tensor
    }
}

#[cfg(test)]
pub mod tests {
    use std::iter;

    use proptest::prelude::*;

    use super::*;
    use crate::model::Activation;

    /// What is in a channel: the layers that it has been through, as a hash.
    type Channels = Vec<u64>;

    fn hash(values: impl IntoIterator<Item = u64>) -> u64 {
        // FNV-1a, over whole numbers.
        values
            .into_iter()
            .fold(0xcbf2_9ce4_8422_2325, |hash, value| (hash ^ value).wrapping_mul(0x100_0000_01b3))
    }

    fn input(graph: &Graph) -> Channels {
        (0..graph.input_channels() as u64).collect()
    }

    fn convolve(layer: usize, convolution: &Convolution, input: &[u64]) -> Channels {
        let input = hash(input.iter().copied());
        (0..convolution.bias.len()).map(|channel| hash([layer as u64, channel as u64, input])).collect()
    }

    fn pool(input: &[u64]) -> Channels {
        input.iter().map(|&channel| hash([channel])).collect()
    }

    /// The result of a net, layer by layer.
    fn run_graph(graph: &Graph) -> Channels {
        let mut tensors = vec![Vec::new(); graph.tensors.len()];
        tensors[0] = input(graph);
        for (index, layer) in graph.layers.iter().enumerate() {
            let input: Channels = layer.inputs.iter().flat_map(|&input| tensors[input].clone()).collect();
            tensors[layer.output] = match &layer.operation {
                Operation::Convolution(convolution) => convolve(index, convolution, &input),
                Operation::MaxPooling => pool(&input),
                Operation::Concatenation => input,
            };
        }
        tensors.swap_remove(graph.output)
    }

    /// The result of a net, step by step, and the results that steps write themselves. Fails if a slot does not hold what
    /// a step reads.
    fn run_plan(graph: &Graph, plan: &Plan) -> (Channels, Vec<Option<u64>>) {
        let mut slots: Vec<Option<(Place, Channels)>> = vec![None; plan.slots.len()];
        slots[0] = Some((plan.slots[0][0], input(graph)));
        let read = |slots: &[Option<(Place, Channels)>], places: &[Place]| -> Channels {
            let held =
                places.iter().map(|place| slots[place.slot].as_ref().filter(|(held, _)| held == place));
            held.flat_map(|held| held.expect("a tensor that is still in its slot").1.clone()).collect()
        };
        let mut written = vec![None; plan.planes];
        for step in &plan.steps {
            let input = read(&slots, &step.sources);
            let made = match &graph.layers[step.layer].operation {
                Operation::Convolution(convolution) if step.pools => {
                    pool(&convolve(step.layer, convolution, &input))
                }
                Operation::Convolution(convolution) => convolve(step.layer, convolution, &input),
                _ => pool(&input),
            };
            if let Some(first) = step.first_plane {
                written[first..][..made.len()]
                    .iter_mut()
                    .zip(&made)
                    .for_each(|(to, &value)| *to = Some(value));
            }
            if let Some(target) = step.target {
                assert!(step.sources.iter().all(|source| source.slot != target.slot), "in place: {step:?}");
                assert!(
                    plan.slots[target.slot].contains(&target) && made.len() == target.channels,
                    "{step:?}"
                );
                slots[target.slot] = Some((target, made));
            }
        }
        (read(&slots, &plan.results), written)
    }

    /// A net that begins with an image of three channels, and grows layer by layer. Its last layer makes the result.
    pub struct Builder(pub Graph);

    impl Builder {
        pub fn new() -> Self {
            let tensors = vec![Tensor { name: "image".into(), channels: 3, stride: 1 }];
            Self(Graph { tensors, layers: Vec::new(), output: 0 })
        }

        fn add(&mut self, operation: Operation, inputs: &[usize], channels: usize, stride: usize) -> usize {
            let (inputs, output) = (inputs.to_vec(), self.0.tensors.len());
            let name = format!("layer {output}");
            self.0.tensors.push(Tensor { name: name.clone(), channels, stride });
            self.0.layers.push(Layer { name, inputs, output, operation });
            self.0.output = output;
            output
        }

        pub fn convolution(&mut self, input: usize, channels: usize) -> usize {
            let Tensor { channels: from, stride, .. } = self.0.tensors[input];
            let (weights, bias) = (vec![0.0; from * channels], vec![0.0; channels]);
            let convolution = Convolution { kernel: 1, weights, bias, activation: Activation::Relu };
            self.add(Operation::Convolution(convolution), &[input], channels, stride)
        }

        pub fn pooling(&mut self, input: usize) -> usize {
            let Tensor { channels, stride, .. } = self.0.tensors[input];
            self.add(Operation::MaxPooling, &[input], channels, 2 * stride)
        }

        pub fn concatenation(&mut self, inputs: &[usize]) -> usize {
            let channels = inputs.iter().map(|&input| self.0.tensors[input].channels).sum();
            self.add(Operation::Concatenation, inputs, channels, self.0.tensors[inputs[0]].stride)
        }
    }

    /// Any net: each layer reads some of the latest tensors, and one of the last ones is the result.
    fn graphs() -> impl Strategy<Value = Graph> {
        let layer = (0..4, 1..40usize, prop::collection::vec(0..6usize, 1..5));
        (prop::collection::vec(layer, 1..30), 0..4usize).prop_map(|(layers, back)| {
            let mut builder = Builder::new();
            for (kind, channels, back) in layers {
                let last = builder.0.tensors.len() - 1;
                let inputs: Vec<usize> = back.iter().map(|back| last.saturating_sub(*back)).collect();
                let stride = |&input: &usize| builder.0.tensors[input].stride;
                let same_size = |other: &&usize| stride(other) == stride(&inputs[0]);
                match kind {
                    0 if stride(&inputs[0]) < 16 => builder.pooling(inputs[0]),
                    1 => {
                        let inputs: Vec<usize> = inputs.iter().filter(same_size).copied().collect();
                        builder.concatenation(&inputs)
                    }
                    _ => builder.convolution(inputs[0], channels),
                };
            }
            builder.0.output = builder.0.output.saturating_sub(back);
            builder.0
        })
    }

    proptest! {
        #[test]
        fn a_plan_computes_what_its_graph_does(graph in graphs(), most in 0..40usize) {
            let expected = run_graph(&graph);
            let can_pool = |convolution: &Convolution| convolution.bias.len() <= most;
            let collected = Plan::new(&graph, Results::Collected, can_pool);
            prop_assert_eq!(&run_plan(&graph, &collected).0, &expected);
            let plan = Plan::new(&graph, Results::Written, can_pool);
            let (_, written) = run_plan(&graph, &plan);
            prop_assert_eq!(written.len(), expected.len());
            let known: Vec<u64> = written.iter().copied().flatten().chain(input(&graph)).collect();
            for (found, expected) in iter::zip(written, expected) {
                // What no step writes is the input, or repeats what a step writes elsewhere.
                prop_assert!(found.map_or(known.contains(&expected), |found| found == expected));
            }
            prop_assert!(plan.steps.iter().all(|step| step.target.is_some() || step.first_plane.is_some()));
        }
    }

    /// image(3) -> a(8) -> pooled -> b(4), c(6) of b; d(2) of the joined pooled, b and c; the result is d, b.
    fn example() -> Graph {
        let mut builder = Builder::new();
        let wide = builder.convolution(0, 8);
        let pooled = builder.pooling(wide);
        let b = builder.convolution(pooled, 4);
        let c = builder.convolution(b, 6);
        let joined = builder.concatenation(&[pooled, b, c]);
        let d = builder.convolution(joined, 2);
        builder.concatenation(&[d, b]);
        builder.0
    }

    #[test]
    fn concatenations_and_pooling_take_no_steps() {
        let plan = Plan::new(&example(), Results::Written, |convolution| convolution.bias.len() == 8);
        let [first, b, _, d] = &plan.steps[..] else { panic!("{plan:?}") };
        assert!(first.pools && first.target.is_some_and(|target| (target.channels, target.stride) == (8, 2)));
        assert_eq!(d.sources.iter().map(|source| source.channels).collect::<Vec<_>>(), [8, 4, 6]);
        assert_eq!((d.target, d.first_plane, b.first_plane, plan.planes), (None, Some(0), Some(2), 6));
        assert_eq!(Plan::new(&example(), Results::Written, |_| false).steps.len(), 5);
    }

    #[test]
    fn a_tensor_gets_the_free_slot_that_fits_best() {
        let mut builder = Builder::new();
        let (wide, narrow) = (builder.convolution(0, 64), builder.convolution(0, 8));
        let joined = builder.concatenation(&[wide, narrow]);
        [9, 7, 60].into_iter().fold(joined, |last, channels| builder.convolution(last, channels));
        let plan = Plan::new(&builder.0, Results::Collected, |_| false);
        let slots = plan.steps.iter().filter_map(|step| step.target).map(|target| target.slot);
        assert_eq!(slots.collect::<Vec<_>>(), [1, 2, 0, 2, 1]);
    }
}
