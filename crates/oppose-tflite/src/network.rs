//! Computes most nets itself, faster than the runtime does and to the same last bit.
//!
//! The runtime goes through a net operator by operator, and each reads its whole input from memory and writes its
//! whole output back. Here a depthwise convolution runs together with the pointwise convolutions around it, strip by
//! strip, so that the many channels between them never leave the cache ([`layers`]). Sums are computed in XNNPACK's
//! order ([`avx512`]).
//!
//! Only the operators that take time are computed here. Those that follow, such as the mean and the logistic function at
//! the end of a net, are left to the runtime: [`Network::rest`] says which tensors it gets and which it computes.

mod avx512;
mod graph;
mod layers;
mod silent;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use self::avx512::{Avx512, DepthwiseWeights, Range, SLACK, Summand, Turn, Values, Weights, vectorized};
use self::graph::{Graph, Kind, Operator};
use self::layers::{Convolution, Depthwise, Geometry, Layer, Operations, Scratch, Source};

/// A net, or most of one, ready to run. Clones share the weights.
#[derive(Clone, Debug)]
pub struct Network {
    proof: Avx512,
    steps: Arc<[Step]>,
    /// The buffer of each tensor that has one.
    places: Vec<Option<usize>>,
    buffers: Vec<Values>,
    /// One for each part of a divided layer.
    scratch: Vec<Scratch>,
    /// Holds the [expanded](Layer::expanded) image of a divided layer.
    expanded: Values,
    input: usize,
    outputs: Vec<usize>,
    rest: Option<Rest>,
}

/// What is left to the runtime: the tensors that it reads and writes, by their number in the file, with their sizes.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Rest {
    /// The tensors it reads.
    pub inputs: Vec<(u32, usize)>,
    /// The tensors it computes.
    pub outputs: Vec<(u32, usize)>,
}

/// Computes one tensor from another.
#[derive(Debug)]
struct Step {
    action: Action,
    input: usize,
    output: usize,
    /// A tensor that is added to the result, and the range of the sum.
    summand: Option<(usize, Range)>,
}

#[derive(Debug)]
enum Action {
    Layer(Box<dyn Layer>),
    Simple(Simple),
}

/// What takes little arithmetic, in plain loops. Images are given by their height, width and number of channels.
#[derive(Debug)]
enum Simple {
    MaxPool([usize; 3]),
    Double([usize; 3]),
    Channelwise(Operations),
    /// Adds channels of zeros: the number of channels before and after.
    Widen([usize; 2]),
    /// Only adds the summand, or changes the shape.
    Copy,
}

impl Simple {
    #[inline(always)]
    fn run(&self, input: &[f32], summand: Summand<'_>, output: &mut [f32]) {
        match (self, summand) {
            (Self::MaxPool(image), _) => layers::max_pool(input, *image, output),
            (Self::Double(image), _) => layers::double(input, *image, output),
            (Self::Channelwise(operations), _) => {
                layers::channelwise(operations, layers::copy(input, output));
            }
            (Self::Widen(channels), _) => layers::widen(input, *channels, output),
            (Self::Copy, Some((summand, range))) => layers::add(input, summand, output, range),
            (Self::Copy, None) => {
                layers::copy(input, output);
            }
        }
    }
}

impl Network {
    /// Prepares the net in the bytes of a `.tflite` file to run on up to this many threads; the results do not depend on
    /// their number. `None` if the processor lacks AVX-512 or the net has none of the operators that this crate computes.
    pub fn load(bytes: &[u8], threads: usize) -> Option<Self> {
        let proof = Avx512::detect()?;
        let graph = Graph::read(bytes)?;
        let &[input] = &*graph.inputs else { return None };
        let plan = Plan::new(&graph, input)?;
        let steps = plan.steps();
        if steps.is_empty() {
            return None;
        }
        let rest = plan.rest();
        let threads = threads.max(1);
        let mut scratch: Vec<Scratch> =
            (0..threads).map(|part| Scratch::new(Turn { part, parts: threads })).collect();
        for scratch in &mut scratch {
            for step in &steps {
                if let Action::Layer(layer) = &step.action {
                    layer.reserve(scratch);
                }
            }
        }
        let expanded = steps.iter().filter_map(|step| match &step.action {
            Action::Layer(layer) if threads > 1 => layer.expanded(),
            _ => None,
        });
        let expanded = expanded.map(|[rows, row]| rows * row + SLACK).max();
        let mut kept = graph.outputs.clone();
        kept.extend(rest.iter().flat_map(|rest| &rest.inputs).map(|&(tensor, _)| tensor as usize));
        kept.push(input);
        let (places, sizes) = assign(&graph, input, &steps, &kept);
        let buffers = sizes.into_iter().map(|size| Values::zeros(size + SLACK)).collect();
        let expanded = Values::zeros(expanded.unwrap_or(0));
        Some(Self {
            proof,
            steps: steps.into(),
            places,
            buffers,
            scratch,
            expanded,
            input,
            outputs: graph.outputs,
            rest,
        })
    }

    /// Whether idle threads of a rayon pool can help to [`run`](Self::run) it.
    pub fn is_divided(&self) -> bool {
        self.scratch.len() > 1
    }

    /// What is left to the runtime, if anything.
    pub fn rest(&self) -> Option<&Rest> {
        self.rest.as_ref()
    }

    /// The tensors that are the net's outputs, whether computed here or by the [`rest`](Self::rest).
    pub fn outputs(&self) -> &[usize] {
        &self.outputs
    }

    /// The values of the input. Fill them before [`run`](Self::run).
    pub fn input_mut(&mut self) -> &mut [f32] {
        match self.places[self.input] {
            Some(place) => {
                let buffer = &mut self.buffers[place];
                let end = buffer.len() - SLACK;
                &mut buffer[..end]
            }
            None => &mut [],
        }
    }

    /// The values of a tensor that is an output, or an input of the [`rest`](Self::rest). More values may follow them.
    pub fn tensor(&self, tensor: usize) -> Option<&[f32]> {
        let buffer = &self.buffers[(*self.places.get(tensor)?)?];
        Some(&buffer[..buffer.len() - SLACK])
    }

    /// Computes all tensors from the input, on the calling thread. If that thread belongs to a rayon pool, the pool's idle
    /// threads help.
    pub fn run(&mut self) {
        let parts = if rayon::current_thread_index().is_some() { self.scratch.len() } else { 1 };
        let (proof, scratch) = (self.proof, &mut self.scratch[..parts]);
        for step in &*self.steps {
            let place =
                |tensor: usize| self.places[tensor].unwrap_or_else(|| unreachable!("{tensor} has no buffer"));
            let mut output = std::mem::take(&mut self.buffers[place(step.output)]);
            let input = &*self.buffers[place(step.input)];
            let summand = step.summand.map(|(tensor, range)| (&*self.buffers[place(tensor)], range));
            match &step.action {
                Action::Layer(layer) => {
                    let source = Source { input, expanded: None, summand };
                    share(proof, &**layer, source, &mut output, &mut self.expanded, scratch);
                }
                Action::Simple(simple) => vectorized(proof, || simple.run(input, summand, &mut output)),
            }
            self.buffers[place(step.output)] = output;
        }
    }
}

/// The fewest multiplications that are worth a second thread: about twenty microseconds of work.
const SHARE: usize = 1_000_000;

/// Runs a layer, divided into at most as many parts as there are scratch buffers.
fn share<'a>(
    proof: Avx512,
    layer: &dyn Layer,
    mut source: Source<'a>,
    output: &mut [f32],
    expanded: &'a mut [f32],
    scratch: &mut [Scratch],
) {
    let height = layer.rows();
    let parts = (height * layer.work() / SHARE).clamp(1, scratch.len().min(height));
    let scratch = &mut scratch[..parts];
    if let [scratch] = scratch {
        return layer.run(proof, source, 0..height, output, scratch);
    }
    if let Some([rows, row]) = layer.expanded() {
        divide([rows, row], expanded, scratch, |rows, output, scratch| {
            layer.expand(proof, source.input, rows, output, scratch);
        });
        source.expanded = Some(expanded);
    }
    divide([height, layer.row()], output, scratch, |rows, output, scratch| {
        layer.run(proof, source, rows, output, scratch);
    });
}

/// Computes an image of `height` rows of `row` values in one part for each scratch buffer. The idle threads of the current
/// thread's pool help.
fn divide(
    [height, row]: [usize; 2],
    image: &mut [f32],
    scratch: &mut [Scratch],
    make: impl Fn(std::ops::Range<usize>, &mut [f32], &mut Scratch) + Sync,
) {
    let parts = scratch.len();
    let unfinished = AtomicUsize::new(parts - 1);
    rayon::scope(|scope| {
        let (make, unfinished, mut image) = (&make, &unfinished, image);
        for (part, scratch) in scratch.iter_mut().enumerate() {
            let rows = part * height / parts..(part + 1) * height / parts;
            let (mine, others) = image.split_at_mut(rows.len() * row);
            image = others;
            if part + 1 == parts {
                make(rows, mine, scratch);
            } else {
                scope.spawn(move |_| {
                    make(rows, mine, scratch);
                    unfinished.fetch_sub(1, Ordering::Relaxed);
                });
            }
        }
        // At the end of the scope this thread would go to sleep, and waking up takes longer than most layers.
        for _ in 0..PATIENCE {
            if unfinished.load(Ordering::Relaxed) == 0 {
                break;
            }
            if rayon::yield_now() != Some(rayon::Yield::Executed) {
                std::hint::spin_loop();
            }
        }
    });
}

/// How often a thread checks whether the others have finished before it sleeps: for about half a millisecond.
const PATIENCE: usize = 10_000;

/// Assigns a buffer to each tensor, reusing those of tensors that are no longer read. Returns the buffer of each tensor
/// and the size of each buffer.
fn assign(graph: &Graph, input: usize, steps: &[Step], kept: &[usize]) -> (Vec<Option<usize>>, Vec<usize>) {
    let mut last_read = vec![0; graph.tensors.len()];
    for (i, step) in steps.iter().enumerate() {
        last_read[step.input] = i;
        if let Some((tensor, _)) = step.summand {
            last_read[tensor] = i;
        }
    }
    for &tensor in kept {
        last_read[tensor] = usize::MAX;
    }
    let mut places = vec![None; graph.tensors.len()];
    let mut sizes: Vec<usize> = Vec::new();
    let mut free: Vec<usize> = Vec::new();
    let made = steps.iter().map(|step| step.output);
    for (i, tensor) in std::iter::once(input).chain(made).enumerate() {
        let size = graph.tensors[tensor].values();
        // The smallest buffer that is large enough; failing that the largest, which grows.
        let fits =
            |&&place: &&usize| if sizes[place] >= size { sizes[place] } else { usize::MAX - sizes[place] };
        let place = match free.iter().min_by_key(fits).copied() {
            Some(place) if !kept.contains(&tensor) => {
                free.retain(|&other| other != place);
                sizes[place] = sizes[place].max(size);
                place
            }
            _ => {
                sizes.push(size);
                sizes.len() - 1
            }
        };
        places[tensor] = Some(place);
        let Some(step) = i.checked_sub(1).map(|i| &steps[i]) else { continue };
        for read in [Some(step.input), step.summand.map(|(tensor, _)| tensor)].into_iter().flatten() {
            if last_read[read] == i - 1
                && let Some(place) = places[read]
                && !free.contains(&place)
            {
                free.push(place);
            }
        }
    }
    (places, sizes)
}

/// A convolution of the file that this crate can compute.
struct Filter<'a> {
    input: usize,
    geometry: Geometry,
    weights: Cow<'a, [f32]>,
    bias: Cow<'a, [f32]>,
    range: Range,
}

impl Filter<'_> {
    fn pack(&self) -> Weights {
        Weights::pack(&self.weights, &self.bias, self.range)
    }

    fn pack_depthwise(&self) -> DepthwiseWeights {
        DepthwiseWeights::pack(&self.weights, &self.bias, self.geometry.stride, self.range)
    }
}

/// Decides which operators of a graph are computed here.
struct Plan<'a> {
    graph: &'a Graph,
    /// The operator that computes each tensor.
    makers: Vec<Option<usize>>,
    /// Whether each tensor is the input or computed here.
    here: Vec<bool>,
}

impl<'a> Plan<'a> {
    /// `None` if two operators compute the same tensor.
    fn new(graph: &'a Graph, input: usize) -> Option<Self> {
        let mut plan =
            Self { graph, makers: vec![None; graph.tensors.len()], here: vec![false; graph.tensors.len()] };
        plan.here[input] = true;
        for (i, operator) in graph.operators.iter().enumerate() {
            for &output in &operator.outputs {
                if output == input || plan.makers[output].replace(i).is_some() {
                    return None;
                }
                plan.here[output] = plan.can(operator);
            }
        }
        Some(plan)
    }

    /// Whether an operator can be computed here. Padding cannot: it becomes part of the convolutions that follow it.
    fn can(&self, operator: &Operator) -> bool {
        let is_here = |i: usize| operator.inputs.get(i).is_some_and(|&tensor| self.here[tensor]);
        operator.outputs.len() == 1
            && match operator.kind {
                Kind::Convolution(..) | Kind::Depthwise(..) => {
                    self.filter(operator).is_some_and(|filter| self.here[filter.input])
                }
                Kind::Add(_) => is_here(0) && is_here(1),
                Kind::MaxPool | Kind::Double | Kind::Channelwise(_) | Kind::Widen | Kind::Reshape => {
                    is_here(0)
                }
                Kind::Pad(_) | Kind::Relu | Kind::Other => false,
            }
    }

    /// A convolution, depthwise or not, together with the padding before it. `None` if its kind is not supported.
    fn filter(&self, operator: &Operator) -> Option<Filter<'a>> {
        let (window, activation, is_depthwise) = match operator.kind {
            Kind::Convolution(window, activation) => (window, activation, false),
            Kind::Depthwise(window, activation) => (window, activation, true),
            _ => return None,
        };
        let [mut input, weights, bias] = *operator.inputs else { return None };
        let [height, width, made] = self.graph.tensors[*operator.outputs.first()?].image()?;
        let [weights, bias] = [weights, bias].map(|tensor| &self.graph.tensors[tensor]);
        let [filters, window_height, window_width, channels] = *weights.shape else { return None };
        let (weights, bias) = (weights.constant.as_deref()?, bias.constant.as_deref()?);

        let mut padding = [0, 0];
        if !window.same
            && let Some(maker) = self.makers[input].map(|i| &self.graph.operators[i])
            && let Kind::Pad([above, _, left, _]) = maker.kind
        {
            input = *maker.inputs.first()?;
            padding = [above, left];
        }
        let read = self.graph.tensors[input].image()?;
        if window.same {
            let zeros = |made: usize, side: usize, read: usize| {
                ((made - 1) * window.stride + side).saturating_sub(read) / 2
            };
            padding = [zeros(height, window_height, read[0]), zeros(width, window_width, read[1])];
        }
        let is_covered = match is_depthwise {
            true => {
                filters == 1
                    && made == channels
                    && DepthwiseWeights::has_code_for([window_height, window_width], window.stride)
            }
            // For one and two columns, XNNPACK has kernels that add in a different order.
            false => {
                filters > 2
                    && made == filters
                    && (1..=16).contains(&window_height)
                    && (1..=16).contains(&window_width)
            }
        };
        let geometry = Geometry {
            input: read,
            output: [height, width],
            window: [window_height, window_width],
            stride: window.stride,
            padding,
        };
        let fits = read[2] == channels && bias.len() == made;
        (is_covered && fits).then(|| Filter {
            input,
            geometry,
            weights: weights.into(),
            bias: bias.into(),
            range: activation.range(),
        })
    }

    /// The only operator that reads a tensor or its padded copy, if it is computed here and the tensor is not an output.
    fn only_reader(&self, tensor: usize) -> Option<usize> {
        let mut readers = self.graph.readers(tensor);
        let reader = readers.next()?;
        if readers.next().is_some() || self.graph.outputs.contains(&tensor) {
            return None;
        }
        let operator = &self.graph.operators[reader];
        match operator.kind {
            Kind::Pad(_) => self.only_reader(operator.outputs[0]),
            _ => self.here[operator.outputs[0]].then_some(reader),
        }
    }

    /// The filter of an operator that is a pointwise convolution.
    fn pointwise(&self, operator: &Operator) -> Option<Filter<'a>> {
        let is_convolution = matches!(operator.kind, Kind::Convolution(..));
        self.filter(operator).filter(|filter| is_convolution && filter.geometry.is_pointwise())
    }

    /// Everything that is computed here, in order.
    fn steps(&self) -> Vec<Step> {
        let operators = &self.graph.operators;
        let mut done = vec![false; operators.len()];
        // A step takes the place of its last operator: by then, everything that it reads has been computed.
        let mut steps: Vec<(usize, Step)> = Vec::new();
        // Depthwise convolutions first, because they absorb the operators around them.
        for (i, operator) in operators.iter().enumerate() {
            let Kind::Depthwise(..) = operator.kind else { continue };
            let Some(mut filter) = self.filter(operator).filter(|_| self.here[operator.outputs[0]]) else {
                continue;
            };
            done[i] = true;
            let (mut input, mut geometry) = (filter.input, filter.geometry);
            let mut expand = None;
            if let Some(maker) = self.makers[input]
                && !done[maker]
                && self.only_reader(input) == Some(i)
                && let Some(before) = self.pointwise(&operators[maker])
            {
                done[maker] = true;
                input = before.input;
                geometry.input[2] = before.geometry.input[2];
                expand = Some(before);
            }
            let (mut last, mut output) = (i, operator.outputs[0]);
            let mut project = None;
            if let Some(reader) = self.only_reader(output)
                && let Some(after) = self.pointwise(&operators[reader])
            {
                done[reader] = true;
                (last, output) = (reader, operators[reader].outputs[0]);
                project = Some(after);
            }
            let summand =
                project.is_some().then(|| self.summand(&mut last, &mut output, &mut done)).flatten();
            if let Some(project) = &mut project {
                silent::remove(expand.as_mut(), &mut filter, project);
            }
            let skips_zeros = filter.range[0] == 0.0
                && project.as_ref().is_some_and(|project| silent::may_skip(&project.weights, &project.bias));
            let [expand, mut project] = [expand, project].map(|filter| filter.map(|filter| filter.pack()));
            if let Some(project) = &mut project {
                project.skips_zeros = skips_zeros;
            }
            let action =
                Action::Layer(Box::new(Depthwise::new(geometry, expand, filter.pack_depthwise(), project)));
            steps.push((last, Step { action, input, output, summand }));
        }
        for (i, operator) in operators.iter().enumerate() {
            let [output] = *operator.outputs else { continue };
            if done[i] || !self.here[output] {
                continue;
            }
            done[i] = true;
            let (mut last, mut output, mut input) = (i, output, operator.inputs[0]);
            let mut summand = None;
            let image = || self.graph.tensors[operator.inputs[0]].image().unwrap_or_default();
            let channels =
                |tensor: usize| self.graph.tensors[tensor].image().map_or(1, |[_, _, channels]| channels);
            let action = match operator.kind {
                Kind::Convolution(..) => {
                    let Some(filter) = self.filter(operator) else { continue };
                    input = filter.input;
                    summand = self.summand(&mut last, &mut output, &mut done);
                    let mut operations = Vec::new();
                    if let Some(reader) = self.only_reader(output)
                        && matches!(operators[reader].kind, Kind::Channelwise(_))
                    {
                        operations = self.operations(reader, &mut last, &mut output, &mut done);
                    }
                    let (geometry, weights) = (filter.geometry, filter.pack());
                    Action::Layer(Box::new(Convolution { geometry, weights, operations }))
                }
                Kind::Add(activation) => {
                    summand = Some((operator.inputs[1], activation.range()));
                    Action::Simple(Simple::Copy)
                }
                Kind::MaxPool => Action::Simple(Simple::MaxPool(image())),
                Kind::Double => Action::Simple(Simple::Double(image())),
                Kind::Widen => Action::Simple(Simple::Widen([operator.inputs[0], output].map(channels))),
                Kind::Reshape => Action::Simple(Simple::Copy),
                Kind::Channelwise(_) => {
                    Action::Simple(Simple::Channelwise(self.operations(i, &mut last, &mut output, &mut done)))
                }
                Kind::Depthwise(..) | Kind::Pad(_) | Kind::Relu | Kind::Other => continue,
            };
            steps.push((last, Step { action, input, output, summand }));
        }
        steps.sort_by_key(|&(last, _)| last);
        steps.into_iter().map(|(_, step)| step).collect()
    }

    /// This channelwise operation and those directly after it, as long as nothing else reads the tensors in between.
    fn operations(
        &self,
        first: usize,
        last: &mut usize,
        output: &mut usize,
        done: &mut [bool],
    ) -> Operations {
        let mut operations = Vec::new();
        let mut next = Some(first);
        while let Some(i) = next {
            let operator = &self.graph.operators[i];
            let (Kind::Channelwise(operation), &[_, constants]) = (operator.kind, &*operator.inputs) else {
                break;
            };
            let constants = self.graph.tensors[constants].constant.as_deref().unwrap_or_default();
            operations.push((operation, layers::repeated(constants)));
            done[i] = true;
            (*last, *output) = (i, operator.outputs[0]);
            next = self.only_reader(*output);
        }
        operations
    }

    /// Absorbs the addition that follows a step, if nothing else reads the step's output.
    fn summand(&self, last: &mut usize, output: &mut usize, done: &mut [bool]) -> Option<(usize, Range)> {
        let reader = self.only_reader(*output)?;
        let operator = &self.graph.operators[reader];
        let Kind::Add(activation) = operator.kind else { return None };
        if done[reader] {
            return None;
        }
        // The other summand is computed before the addition, which is where this step now runs. The step that computes it may
        // have absorbed the addition already.
        let other = match *operator.inputs {
            [one, other] if one == *output => other,
            [other, one] if one == *output => other,
            _ => return None,
        };
        done[reader] = true;
        *last = reader;
        *output = operator.outputs[0];
        Some((other, activation.range()))
    }

    /// What is left to the runtime: the outputs that are not computed here, and the tensors they are computed from.
    fn rest(&self) -> Option<Rest> {
        let numbered = |tensor: usize| (tensor as u32, self.graph.tensors[tensor].values());
        let is_left = |tensor: &usize| !self.here[*tensor];
        let outputs: Vec<_> = self.graph.outputs.iter().copied().filter(is_left).collect();
        let mut needed = outputs.clone();
        let mut inputs = Vec::new();
        for operator in self.graph.operators.iter().rev() {
            if !operator.outputs.iter().any(|tensor| needed.contains(tensor)) {
                continue;
            }
            for &tensor in &operator.inputs {
                match self.here[tensor] {
                    true if !inputs.contains(&numbered(tensor)) => inputs.push(numbered(tensor)),
                    true => {}
                    false => needed.push(tensor),
                }
            }
        }
        let outputs: Vec<_> = outputs.into_iter().map(numbered).collect();
        (!outputs.is_empty()).then_some(Rest { inputs, outputs })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn other_bytes_are_no_network(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(Network::load(&bytes, 1).is_none());
        }
    }

    /// A real net, if the models are there.
    fn real(name: &str) -> Option<Vec<u8>> {
        let folder = std::env::var_os("OPPOSE_MODELS").map_or_else(
            || concat!(env!("CARGO_MANIFEST_DIR"), "/../../models").into(),
            std::path::PathBuf::from,
        );
        std::fs::read(folder.join("holistic").join(name)).ok()
    }

    #[test]
    fn only_the_end_of_a_body_net_is_left_to_the_runtime() {
        if Avx512::detect().is_none() {
            return eprintln!("skipped: this processor has no AVX-512");
        }
        for name in ["pose_landmark_lite.tflite", "pose_landmark_full.tflite", "pose_landmark_heavy.tflite"] {
            let Some(mut net) = real(name) else {
                return eprintln!("skipped: models/holistic/{name} is missing");
            };
            // All outputs but the person mask.
            crate::keep_outputs(&mut net, &[0, 1, 3, 4]).unwrap();
            let network = Network::load(&net, 1).unwrap();
            let rest = network.rest().unwrap();
            assert_eq!(rest.outputs.len(), 1, "{name}: only the presence of a person");
            let read: usize = rest.inputs.iter().map(|&(_, values)| values).sum();
            assert!(read <= 2 * 2 * 288, "{name}: {read} values are read");
        }
    }

    #[test]
    fn a_damaged_net_is_refused_or_runs() {
        let Some(net) = real("pose_landmark_lite.tflite") else {
            return eprintln!("skipped: models/holistic/pose_landmark_lite.tflite is missing");
        };
        // Damages the tables, which are at the end of the file, after the weights.
        for i in 0..300 {
            let mut damaged = net.clone();
            let place = damaged.len() - 1 - i * 7919 % 60_000;
            damaged[place] ^= 1 << (i % 8);
            if let Some(mut network) = Network::load(&damaged, 1) {
                network.run();
            }
        }
    }
}
