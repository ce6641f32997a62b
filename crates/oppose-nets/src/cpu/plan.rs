//! From a graph to steps: which step reads what from where, and which tensors can share memory.

use super::super::model::{Graph, Operation};
use super::layout::Source;
use super::vector::WIDTH;

/// A layer that computes something; concatenations are only lists of sources.
pub struct Planned {
    /// Index of the layer.
    pub layer: usize,
    pub sources: Vec<Source>,
    /// The buffer of its result.
    pub slot: usize,
    /// Net stride of its sources.
    pub stride: usize,
    /// Blocks of its result.
    pub blocks: usize,
    /// Whether only the maximum of each 2 × 2 results is kept.
    pub pools: bool,
}

/// All steps, in order.
pub struct Plan {
    pub steps: Vec<Planned>,
    /// The sources that form the result.
    pub output: Vec<Source>,
    /// Number of buffers.
    pub slots: usize,
}

/// Tensor 0, the input, is in slot 0 until its last reader is done.
pub fn plan(graph: &Graph) -> Plan {
    let merged = pooled_by_convolution(graph);
    // For each tensor, the (tensor, block, channels) that it consists of; tensors in memory consist of themselves.
    let mut parts: Vec<Vec<Part>> = vec![Vec::new(); graph.tensors.len()];
    parts[0] = own_parts(graph, 0);
    let mut steps = Vec::new();
    for (index, layer) in graph.layers.iter().enumerate() {
        if matches!(layer.operation, Operation::Concatenation) {
            parts[layer.output] = layer.inputs.iter().flat_map(|&input| parts[input].clone()).collect();
            continue;
        }
        if merged.iter().flatten().any(|&pooling| pooling == index) {
            continue;
        }
        let pooling = merged[index];
        let made = pooling.map_or(layer.output, |pooling| graph.layers[pooling].output);
        parts[made] = match layer.operation {
            // Pooling keeps its input's blocks, whether all their channels are used or not.
            Operation::MaxPooling => (0..)
                .zip(&parts[layer.inputs[0]])
                .map(|(block, part)| Part { tensor: made, block, channels: part.channels })
                .collect(),
            _ => own_parts(graph, made),
        };
        steps.push(Step {
            layer: index,
            reads: parts[layer.inputs[0]].clone(),
            made,
            pools: pooling.is_some(),
        });
    }
    assign(graph, &steps, &parts)
}

#[derive(Clone)]
struct Part {
    tensor: usize,
    block: usize,
    channels: usize,
}

struct Step {
    layer: usize,
    reads: Vec<Part>,
    made: usize,
    pools: bool,
}

fn own_parts(graph: &Graph, tensor: usize) -> Vec<Part> {
    let channels = graph.tensors[tensor].channels;
    (0..channels.div_ceil(WIDTH))
        .map(|block| Part { tensor, block, channels: WIDTH.min(channels - block * WIDTH) })
        .collect()
}

/// For each convolution, the pooling layer that alone reads it, if there is one.
fn pooled_by_convolution(graph: &Graph) -> Vec<Option<usize>> {
    let alone = |layer: &super::super::model::Layer| {
        let Operation::Convolution(convolution) = &layer.operation else { return None };
        let mut readers = (0..).zip(&graph.layers).filter(|(_, other)| other.inputs.contains(&layer.output));
        let (index, reader) = readers.next()?;
        let is_pooling = matches!(reader.operation, Operation::MaxPooling);
        let is_alone = readers.next().is_none() && graph.output != layer.output;
        (is_pooling && is_alone && convolution.kernel > 1).then_some(index)
    };
    graph.layers.iter().map(alone).collect()
}

/// Assigns a slot to each tensor: the free one whose size fits best, or a new one.
fn assign(graph: &Graph, steps: &[Step], parts: &[Vec<Part>]) -> Plan {
    let mut last_use = vec![0; graph.tensors.len()];
    for (index, step) in steps.iter().enumerate() {
        step.reads.iter().for_each(|part| last_use[part.tensor] = index);
    }
    parts[graph.output].iter().for_each(|part| last_use[part.tensor] = steps.len());

    // Relative to the number of input pixels, in 1/4096 of a block.
    let size = |tensor: usize| {
        let stride = graph.tensors[tensor].stride;
        (parts[tensor].len() << 12) / (stride * stride).max(1)
    };
    let mut slot_of = vec![0; graph.tensors.len()];
    let mut sizes = vec![size(0)];
    let mut holds = vec![Some(0)];
    let mut planned = Vec::new();
    let sources = |parts_read: &[Part], slot_of: &[usize]| -> Vec<Source> {
        let source = |part: &Part| Source {
            slot: slot_of[part.tensor],
            block: part.block,
            blocks: parts[part.tensor].len(),
            channels: part.channels,
        };
        parts_read.iter().map(source).collect()
    };
    for (index, step) in steps.iter().enumerate() {
        let wanted = size(step.made);
        let free = (0..sizes.len()).filter(|&slot| holds[slot].is_none());
        let slot = free.min_by_key(|&slot| sizes[slot].abs_diff(wanted)).unwrap_or_else(|| {
            sizes.push(0);
            holds.push(None);
            sizes.len() - 1
        });
        sizes[slot] = sizes[slot].max(wanted);
        holds[slot] = Some(step.made);
        slot_of[step.made] = slot;
        planned.push(Planned {
            layer: step.layer,
            sources: sources(&step.reads, &slot_of),
            slot,
            stride: graph.tensors[graph.layers[step.layer].inputs[0]].stride,
            blocks: parts[step.made].len(),
            pools: step.pools,
        });
        for held in &mut holds {
            if held.is_some_and(|tensor| last_use[tensor] <= index) {
                *held = None;
            }
        }
    }
    Plan { steps: planned, output: sources(&parts[graph.output], &slot_of), slots: sizes.len() }
}
