//! Removes unused outputs of a net together with the operators that only they need, and extracts a part of a net.
//!
//! The body net also computes a 256 × 256 mask of the person, which a pose does not need but the runtime would
//! compute for every frame. The `.tflite` file is edited in memory.

use crate::flat_buffer::{FlatBuffer, field};

/// Keeps only the outputs whose indices are in `keep` (in their order), and only the operators they need.
///
/// Returns how many operators were dropped, or `None`, with the model unchanged, if it is not a `.tflite` file of one
/// graph without signatures, or has no such outputs.
pub fn keep_outputs(model: &mut [u8], keep: &[usize]) -> Option<usize> {
    let file = FlatBuffer(model);
    let graph = file.only_graph()?;
    let outputs = file.vector(graph, field::SUBGRAPH_OUTPUTS)?;
    let kept = keep.iter().map(|&i| file.u32(outputs.item(i)?)).collect::<Option<Vec<_>>>()?;
    let (mut changes, dropped) = file.only_needed_for(graph, &kept, &[])?;
    changes.push((outputs.start, kept.len() as u32));
    for (i, tensor) in kept.iter().enumerate() {
        changes.push((outputs.item(i)?, *tensor));
    }
    apply(model, &changes)?;
    Some(dropped)
}

/// Keeps only the part of a net that computes the tensors `outputs` from the tensors `inputs`, which are numbered
/// as in the file.
///
/// Returns how many operators were dropped, or `None` if it is not a `.tflite` file of one graph without signatures;
/// then the model is unchanged, except that some unused bytes may have been appended.
pub fn cut(model: &mut Vec<u8>, inputs: &[u32], outputs: &[u32]) -> Option<usize> {
    let file = FlatBuffer(model);
    let graph = file.only_graph()?;
    let (mut changes, dropped) = file.only_needed_for(graph, outputs, inputs)?;
    let positions = [
        (file.field(graph, field::SUBGRAPH_INPUTS)?, inputs),
        (file.field(graph, field::SUBGRAPH_OUTPUTS)?, outputs),
    ];
    // The new lists may be longer than the old ones, so they are appended to the file.
    model.resize(model.len().next_multiple_of(4), 0);
    for (position, tensors) in positions {
        changes.push((position, u32::try_from(model.len().checked_sub(position)?).ok()?));
        for value in [tensors.len() as u32].iter().chain(tensors) {
            model.extend(value.to_le_bytes());
        }
    }
    apply(model, &changes)?;
    Some(dropped)
}

/// Removes a model's metadata. That of MediaPipe's nets allows XNNPACK to compute in half precision if the CPU supports it,
/// as many on aarch64 do, so results would differ from those of other CPUs.
///
/// Returns how many entries were removed, or `None` if this is not a `.tflite` file.
pub fn remove_metadata(model: &mut [u8]) -> Option<usize> {
    let file = FlatBuffer(model);
    let Some(metadata) = file.vector(file.follow(0)?, field::MODEL_METADATA) else { return Some(0) };
    apply(model, &[(metadata.start, 0)])?;
    Some(metadata.length)
}

/// Writes values to their positions, all or none.
fn apply(model: &mut [u8], changes: &[(usize, u32)]) -> Option<()> {
    if changes.iter().any(|&(position, _)| model.get(position..position + 4).is_none()) {
        return None;
    }
    for &(position, value) in changes {
        model[position..position + 4].copy_from_slice(&value.to_le_bytes());
    }
    Some(())
}

impl FlatBuffer<'_> {
    /// The changes that leave only the operators needed to compute `wanted` from `given`, as positions and values, and
    /// how many operators they drop.
    fn only_needed_for(
        &self,
        graph: usize,
        wanted: &[u32],
        given: &[u32],
    ) -> Option<(Vec<(usize, u32)>, usize)> {
        let operators = self.vector(graph, field::SUBGRAPH_OPERATORS)?;
        let mut needed = vec![false; self.vector(graph, field::SUBGRAPH_TENSORS)?.length];
        for &tensor in wanted {
            *needed.get_mut(tensor as usize)? = true;
        }
        let is_given = |tensor: usize| given.iter().any(|&given| given as usize == tensor);
        // Operators are in the order in which they run, so going backwards, all consumers of a tensor come before its
        // producer.
        let mut live = Vec::with_capacity(operators.length);
        for i in (0..operators.length).rev() {
            let operator = self.follow(operators.item(i)?)?;
            let produced = self.tensors(operator, field::OPERATOR_OUTPUTS)?;
            let is_needed = |&tensor: &usize| needed.get(tensor) == Some(&true) && !is_given(tensor);
            if produced.iter().any(is_needed) {
                live.push(operator);
                for tensor in self.tensors(operator, field::OPERATOR_INPUTS)? {
                    *needed.get_mut(tensor)? = true;
                }
            }
        }
        // Offsets are relative to their own position, and tables come after the vectors that refer to them.
        let mut changes = vec![(operators.start, live.len() as u32)];
        for (i, operator) in live.iter().rev().enumerate() {
            let position = operators.item(i)?;
            changes.push((position, u32::try_from(operator.checked_sub(position)?).ok()?));
        }
        Some((changes, operators.length - live.len()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Appends a table with the given fields, each a vector; returns the position of the table.
    fn table(file: &mut Vec<u8>, fields: &[Option<Vec<u32>>]) -> usize {
        let positions = file.len();
        let size = 4 + 2 * fields.len() as u16;
        file.extend(size.to_le_bytes());
        file.extend((4 + 4 * fields.len() as u16).to_le_bytes());
        for (i, field) in fields.iter().enumerate() {
            file.extend(if field.is_some() { 4 + 4 * i as u16 } else { 0 }.to_le_bytes());
        }
        let start = file.len();
        file.extend(((start - positions) as i32).to_le_bytes());
        file.resize(start + 4 + 4 * fields.len(), 0);
        for (i, field) in fields.iter().enumerate() {
            let Some(items) = field else { continue };
            let (position, vector) = (start + 4 + 4 * i, file.len());
            file[position..position + 4].copy_from_slice(&((vector - position) as u32).to_le_bytes());
            file.extend((items.len() as u32).to_le_bytes());
            file.extend(items.iter().flat_map(|item| item.to_le_bytes()));
        }
        start
    }

    /// Makes item `i` of the vector in field `field` of the table at `from` refer to `to`.
    fn point(file: &mut [u8], from: usize, field: usize, i: usize, to: usize) {
        let item = FlatBuffer(file).vector(from, field).unwrap().item(i).unwrap();
        file[item..item + 4].copy_from_slice(&((to - item) as u32).to_le_bytes());
    }

    /// A graph that computes tensor 1 from 0, 2 and 3 from 1, and 4 from 3; its outputs are 2 and 4.
    fn forked() -> Vec<u8> {
        let mut file = vec![0; 4];
        let model = table(&mut file, &[None, None, Some(vec![0])]);
        file[..4].copy_from_slice(&(model as u32).to_le_bytes());
        let graph = table(&mut file, &[Some(vec![0; 5]), Some(vec![0]), Some(vec![2, 4]), Some(vec![0; 4])]);
        point(&mut file, model, field::MODEL_SUBGRAPHS, 0, graph);
        for (i, (from, to)) in [(0, 1), (1, 2), (1, 3), (3, 4)].into_iter().enumerate() {
            let operator = table(&mut file, &[None, Some(vec![from, u32::MAX]), Some(vec![to])]);
            point(&mut file, graph, field::SUBGRAPH_OPERATORS, i, operator);
        }
        file
    }

    /// The output of each operator, and the outputs of the graph.
    fn read(file: &[u8]) -> (Vec<usize>, Vec<u32>) {
        let file = FlatBuffer(file);
        let graphs = file.vector(file.follow(0).unwrap(), field::MODEL_SUBGRAPHS).unwrap();
        let graph = file.follow(graphs.item(0).unwrap()).unwrap();
        let operators = file.vector(graph, field::SUBGRAPH_OPERATORS).unwrap();
        let outputs = file.vector(graph, field::SUBGRAPH_OUTPUTS).unwrap();
        let produced = |i| {
            let operator = file.follow(operators.item(i).unwrap()).unwrap();
            file.tensors(operator, field::OPERATOR_OUTPUTS).unwrap()[0]
        };
        (
            (0..operators.length).map(produced).collect(),
            (0..outputs.length).map(|i| file.u32(outputs.item(i).unwrap()).unwrap()).collect(),
        )
    }

    #[test]
    fn operators_needed_only_for_a_dropped_output_are_dropped() {
        let mut file = forked();
        assert_eq!(keep_outputs(&mut file, &[0]), Some(2));
        assert_eq!(read(&file), (vec![1, 2], vec![2]));
        let mut file = forked();
        assert_eq!(keep_outputs(&mut file, &[1]), Some(1));
        assert_eq!(read(&file), (vec![1, 3, 4], vec![4]));
    }

    #[test]
    fn keeping_all_outputs_changes_nothing() {
        let mut file = forked();
        assert_eq!(keep_outputs(&mut file, &[0, 1]), Some(0));
        assert_eq!(file, forked());
    }

    #[test]
    fn a_part_of_the_middle_is_extracted() {
        let mut file = forked();
        assert_eq!(cut(&mut file, &[1], &[3, 2, 1]), Some(2));
        assert_eq!(read(&file), (vec![2, 3], vec![3, 2, 1]));
        let mut file = forked();
        assert_eq!(cut(&mut file, &[0], &[5]), None, "there is no tensor 5");
    }

    #[test]
    fn an_unknown_output_leaves_the_model_unchanged() {
        let mut file = forked();
        assert_eq!(keep_outputs(&mut file, &[0, 2]), None);
        assert_eq!(file, forked());
    }

    #[test]
    fn metadata_is_removed() {
        let mut file = vec![0; 4];
        let model = table(&mut file, &[None, None, Some(vec![0]), None, None, None, Some(vec![7, 8])]);
        file[..4].copy_from_slice(&(model as u32).to_le_bytes());
        assert_eq!(remove_metadata(&mut file), Some(2));
        assert_eq!(FlatBuffer(&file).vector(model, field::MODEL_METADATA).unwrap().length, 0);
        let mut file = forked();
        assert_eq!(remove_metadata(&mut file), Some(0), "it has none");
        assert_eq!(file, forked());
    }

    proptest! {
        #[test]
        fn damaged_files_never_panic(at in 0usize..400, value: u8, short in 0usize..400) {
            let mut file = forked();
            let at = at % file.len();
            file[at] = value;
            file.truncate(file.len() - short % file.len());
            let _ = keep_outputs(&mut file, &[0]);
            let _ = cut(&mut file, &[1], &[3, 2]);
            let _ = remove_metadata(&mut file);
        }
    }
}
