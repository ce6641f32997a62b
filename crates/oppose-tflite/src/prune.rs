//! Cutting unused outputs off a net, together with all operators that feed nothing else; and cutting a part out
//! of the middle of a net.
//!
//! The body net also paints a 256 × 256 mask of the person, which a pose has no use for, and the runtime would
//! compute it with every frame. This edits the `.tflite` file in memory.

use crate::flat_buffer::{FlatBuffer, field};

/// Keeps only the outputs whose indices are in `keep` (in their order), and only the operators they need.
///
/// Returns how many operators were dropped, or `None`, with the model untouched, where it is not a `.tflite`
/// file of one graph without signatures, or has no such outputs.
pub fn keep_outputs(model: &mut [u8], keep: &[usize]) -> Option<usize> {
    let file = FlatBuffer(model);
    let graph = file.only_graph()?;
    let outputs = file.vector(graph, field::SUBGRAPH_OUTPUTS)?;
    let kept = keep.iter().map(|&i| file.u32(outputs.item(i)?)).collect::<Option<Vec<_>>>()?;
    let (mut changes, dropped) = file.only_what_makes(graph, &kept, &[])?;
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
/// Returns how many operators were dropped, or `None` where it is not a `.tflite` file of one graph without
/// signatures; then the model is untouched or longer by some bytes that nothing refers to.
pub fn cut(model: &mut Vec<u8>, inputs: &[u32], outputs: &[u32]) -> Option<usize> {
    let file = FlatBuffer(model);
    let graph = file.only_graph()?;
    let (mut changes, dropped) = file.only_what_makes(graph, outputs, inputs)?;
    let places = [
        (file.field(graph, field::SUBGRAPH_INPUTS)?, inputs),
        (file.field(graph, field::SUBGRAPH_OUTPUTS)?, outputs),
    ];
    // The new lists may be longer than the old ones: they go to the end of the file.
    model.resize(model.len().next_multiple_of(4), 0);
    for (place, tensors) in places {
        changes.push((place, u32::try_from(model.len().checked_sub(place)?).ok()?));
        for value in [tensors.len() as u32].iter().chain(tensors) {
            model.extend(value.to_le_bytes());
        }
    }
    apply(model, &changes)?;
    Some(dropped)
}

/// Removes the notes beside the graph (`metadata`). Those of MediaPipe's nets allow XNNPACK to compute in half precision where
/// the processor has it, as many on aarch64 do: results would differ from those of every other processor.
///
/// Returns how many notes were removed, or `None` where this is not a `.tflite` file.
pub fn remove_metadata(model: &mut [u8]) -> Option<usize> {
    let file = FlatBuffer(model);
    let Some(notes) = file.vector(file.follow(0)?, field::MODEL_METADATA) else { return Some(0) };
    apply(model, &[(notes.start, 0)])?;
    Some(notes.length)
}

/// Writes values to their places, all or none.
fn apply(model: &mut [u8], changes: &[(usize, u32)]) -> Option<()> {
    if changes.iter().any(|&(place, _)| model.get(place..place + 4).is_none()) {
        return None;
    }
    for &(place, value) in changes {
        model[place..place + 4].copy_from_slice(&value.to_le_bytes());
    }
    Some(())
}

impl FlatBuffer<'_> {
    /// What to write where so that only the operators stay that make `wanted` when `given` are there; and how
    /// many go.
    fn only_what_makes(
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
        // Operators stand in the order they run in: seen from the end, all users of a tensor come before its
        // maker. The positions of those that stay are collected backwards.
        let mut live = Vec::with_capacity(operators.length);
        for i in (0..operators.length).rev() {
            let operator = self.follow(operators.item(i)?)?;
            let made = self.tensors(operator, field::OPERATOR_OUTPUTS)?;
            let is_needed = |&tensor: &usize| needed.get(tensor) == Some(&true) && !is_given(tensor);
            if made.iter().any(is_needed) {
                live.push(operator);
                for tensor in self.tensors(operator, field::OPERATOR_INPUTS)? {
                    *needed.get_mut(tensor)? = true;
                }
            }
        }
        // Offsets count from where they stand, and tables lie behind the vectors that refer to them.
        let mut changes = vec![(operators.start, live.len() as u32)];
        for (i, operator) in live.iter().rev().enumerate() {
            let place = operators.item(i)?;
            changes.push((place, u32::try_from(operator.checked_sub(place)?).ok()?));
        }
        Some((changes, operators.length - live.len()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A table with the given fields, each a vector's bytes; returns where the table stands.
    fn table(file: &mut Vec<u8>, fields: &[Option<Vec<u32>>]) -> usize {
        let places = file.len();
        let size = 4 + 2 * fields.len() as u16;
        file.extend(size.to_le_bytes());
        file.extend((4 + 4 * fields.len() as u16).to_le_bytes());
        for (i, field) in fields.iter().enumerate() {
            file.extend(if field.is_some() { 4 + 4 * i as u16 } else { 0 }.to_le_bytes());
        }
        let start = file.len();
        file.extend(((start - places) as i32).to_le_bytes());
        file.resize(start + 4 + 4 * fields.len(), 0);
        for (i, field) in fields.iter().enumerate() {
            let Some(items) = field else { continue };
            let (place, vector) = (start + 4 + 4 * i, file.len());
            file[place..place + 4].copy_from_slice(&((vector - place) as u32).to_le_bytes());
            file.extend((items.len() as u32).to_le_bytes());
            file.extend(items.iter().flat_map(|item| item.to_le_bytes()));
        }
        start
    }

    /// Points item `i` of the vector in field `field` of the table at `from` to `to`.
    fn point(file: &mut [u8], from: usize, field: usize, i: usize, to: usize) {
        let item = FlatBuffer(file).vector(from, field).unwrap().item(i).unwrap();
        file[item..item + 4].copy_from_slice(&((to - item) as u32).to_le_bytes());
    }

    /// A graph whose tensor 0 is made into 1, 1 into 2 and into 3, and 3 into 4; outputs 2 and 4.
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

    /// What each operator makes, and the outputs.
    fn read(file: &[u8]) -> (Vec<usize>, Vec<u32>) {
        let file = FlatBuffer(file);
        let graphs = file.vector(file.follow(0).unwrap(), field::MODEL_SUBGRAPHS).unwrap();
        let graph = file.follow(graphs.item(0).unwrap()).unwrap();
        let operators = file.vector(graph, field::SUBGRAPH_OPERATORS).unwrap();
        let outputs = file.vector(graph, field::SUBGRAPH_OUTPUTS).unwrap();
        let made = |i| {
            let operator = file.follow(operators.item(i).unwrap()).unwrap();
            file.tensors(operator, field::OPERATOR_OUTPUTS).unwrap()[0]
        };
        (
            (0..operators.length).map(made).collect(),
            (0..outputs.length).map(|i| file.u32(outputs.item(i).unwrap()).unwrap()).collect(),
        )
    }

    #[test]
    fn operators_that_only_feed_a_dropped_output_go() {
        let mut file = forked();
        assert_eq!(keep_outputs(&mut file, &[0]), Some(2));
        assert_eq!(read(&file), (vec![1, 2], vec![2]));
        let mut file = forked();
        assert_eq!(keep_outputs(&mut file, &[1]), Some(1));
        assert_eq!(read(&file), (vec![1, 3, 4], vec![4]));
    }

    #[test]
    fn keeping_all_changes_nothing() {
        let mut file = forked();
        assert_eq!(keep_outputs(&mut file, &[0, 1]), Some(0));
        assert_eq!(file, forked());
    }

    #[test]
    fn a_part_is_cut_out_of_the_middle() {
        let mut file = forked();
        assert_eq!(cut(&mut file, &[1], &[3, 2, 1]), Some(2));
        assert_eq!(read(&file), (vec![2, 3], vec![3, 2, 1]));
        let mut file = forked();
        assert_eq!(cut(&mut file, &[0], &[5]), None, "there is no tensor 5");
    }

    #[test]
    fn an_output_that_is_not_there_leaves_the_model_alone() {
        let mut file = forked();
        assert_eq!(keep_outputs(&mut file, &[0, 2]), None);
        assert_eq!(file, forked());
    }

    #[test]
    fn notes_are_removed() {
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
