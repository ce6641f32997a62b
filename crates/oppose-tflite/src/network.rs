//! Computes the nets of hands and bodies itself, faster than the runtime does and to the same last bit.
//!
//! The runtime goes through a net operator by operator, and each reads its whole input from memory and writes its
//! whole output there. Here a depthwise convolution runs together with the pointwise convolutions around it, strip by
//! strip, so that the many channels between them never leave the cache ([`layers`]). The sums are made in
//! XNNPACK's order ([`avx512`]).
//!
//! Only the operators that take time are done here. What follows them, such as the mean and the logistic function at
//! the end of a net, stays with the runtime: [`Network::rest`] says from which tensors to which.

mod avx512;
mod graph;
mod layers;

use self::avx512::{Avx512, DepthwiseWeights, Range, SLACK, Weights};
use self::graph::{Graph, Kind, Operator, Window};
use self::layers::{Convolution, Depthwise, Geometry, Scratch};

/// A net, or the greater part of one, ready to run.
#[derive(Debug)]
pub struct Network {
    proof: Avx512,
    steps: Vec<Step>,
    /// For each tensor the buffer that holds it, if one does.
    places: Vec<Option<usize>>,
    buffers: Vec<Vec<f32>>,
    /// For each thread.
    scratch: Vec<Scratch>,
    pool: Option<rayon::ThreadPool>,
    input: usize,
    outputs: Vec<usize>,
    rest: Option<Rest>,
}

/// What is left to the runtime: the tensors it reads and those it makes, numbered as in the file, with their sizes.
#[derive(Clone, Debug, Default)]
pub struct Rest {
    /// What it reads.
    pub inputs: Vec<(u32, usize)>,
    /// What it makes.
    pub outputs: Vec<(u32, usize)>,
}

/// What happens from a tensor to another.
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
    Convolution(Convolution),
    Depthwise(Box<Depthwise>),
    MaxPool([usize; 3]),
    Double([usize; 3]),
    /// Nothing but the addition of the summand, or a change of shape.
    Copy,
}

impl Network {
    /// Prepares the net in the bytes of a `.tflite` file for this many threads; the results do not depend on their
    /// number. `None` where this program cannot compute it here: the processor lacks AVX-512, the net has none of the
    /// operators that it is worth it for, or the system gives no more threads.
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
        let mut scratch: Vec<Scratch> = (0..threads.max(1)).map(|_| Scratch::default()).collect();
        for scratch in &mut scratch {
            for step in &steps {
                match &step.action {
                    Action::Convolution(convolution) => convolution.reserve(scratch),
                    Action::Depthwise(depthwise) => depthwise.reserve(scratch),
                    _ => {}
                }
            }
        }
        let pool = match threads {
            0 | 1 => None,
            _ => Some(rayon::ThreadPoolBuilder::new().num_threads(threads).build().ok()?),
        };
        let mut kept = graph.outputs.clone();
        kept.extend(rest.iter().flat_map(|rest| &rest.inputs).map(|&(tensor, _)| tensor as usize));
        kept.push(input);
        let (places, sizes) = assign(&graph, &steps, &kept);
        let buffers = sizes.into_iter().map(|size| vec![0.0; size + SLACK]).collect();
        Some(Self { proof, steps, places, buffers, scratch, pool, input, outputs: graph.outputs, rest })
    }

    /// What is left to the runtime, if anything.
    pub fn rest(&self) -> Option<&Rest> {
        self.rest.as_ref()
    }

    /// The tensors that are the net's outputs, made here or by the [`rest`](Self::rest).
    pub fn outputs(&self) -> &[usize] {
        &self.outputs
    }

    /// The values of the input, to be filled before [`run`](Self::run).
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

    /// The values of a tensor that is an output or an input of the [`rest`](Self::rest), from its buffer's start on.
    pub fn tensor(&self, tensor: usize) -> Option<&[f32]> {
        let buffer = &self.buffers[(*self.places.get(tensor)?)?];
        Some(&buffer[..buffer.len() - SLACK])
    }

    /// Computes all tensors from the input.
    pub fn run(&mut self) {
        match self.pool.take() {
            Some(pool) => {
                pool.install(|| self.run_here());
                self.pool = Some(pool);
            }
            None => self.run_here(),
        }
    }

    /// On the calling thread, and the others of its pool if there is one.
    fn run_here(&mut self) {
        let (proof, scratch) = (self.proof, &mut *self.scratch);
        for step in &self.steps {
            let place = |tensor: usize| self.places[tensor].unwrap_or_default();
            let mut output = std::mem::take(&mut self.buffers[place(step.output)]);
            let input = &*self.buffers[place(step.input)];
            let summand = step.summand.map(|(tensor, range)| (&*self.buffers[place(tensor)], range));
            match &step.action {
                Action::Convolution(convolution) => {
                    let [height, width] = convolution.geometry.output;
                    let row = width * convolution.weights.columns;
                    share(height, convolution.work(), row, &mut output, scratch, |rows, output, scratch| {
                        convolution.run(proof, input, rows, output, summand, scratch);
                    });
                }
                Action::Depthwise(depthwise) => {
                    let (height, row) = (depthwise.rows(), depthwise.row());
                    share(height, depthwise.work(), row, &mut output, scratch, |rows, output, scratch| {
                        depthwise.run(proof, input, rows, output, summand, scratch);
                    });
                }
                Action::MaxPool(image) => layers::max_pool(input, *image, &mut output),
                Action::Double(image) => layers::double(input, *image, &mut output),
                Action::Copy => match summand {
                    Some((summand, range)) => layers::add(input, summand, &mut output, range),
                    None => {
                        let values = input.len().min(output.len());
                        output[..values].copy_from_slice(&input[..values]);
                    }
                },
            }
            self.buffers[place(step.output)] = output;
        }
    }
}

/// The fewest multiplications that are worth another thread: about a tenth of a millisecond.
const SHARE: usize = 4_000_000;

/// Makes an image's rows, of `row` values and `work` multiplications each, on as many threads as there is scratch
/// memory for.
fn share(
    height: usize,
    work: usize,
    row: usize,
    output: &mut [f32],
    scratch: &mut [Scratch],
    make: impl Fn(std::ops::Range<usize>, &mut [f32], &mut Scratch) + Sync,
) {
    let parts = (height * work / SHARE).clamp(1, scratch.len().min(height));
    if parts == 1 {
        return make(0..height, output, &mut scratch[0]);
    }
    rayon::scope(|scope| {
        let (mut output, make) = (output, &make);
        for (part, scratch) in scratch.iter_mut().enumerate().take(parts) {
            let rows = part * height / parts..(part + 1) * height / parts;
            let (mine, others) = output.split_at_mut(rows.len() * row);
            output = others;
            match part + 1 == parts {
                true => make(rows, mine, scratch),
                false => scope.spawn(move |_| make(rows, mine, scratch)),
            }
        }
    });
}

/// Gives each tensor a buffer, and buffers whose tensor nobody reads any more to later ones. Returns the buffer of
/// each tensor and the size of each buffer.
fn assign(graph: &Graph, steps: &[Step], kept: &[usize]) -> (Vec<Option<usize>>, Vec<usize>) {
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
    let first = steps.first().map(|step| step.input);
    let made = steps.iter().map(|step| step.output);
    for (i, tensor) in first.into_iter().chain(made).enumerate() {
        let size = graph.tensors[tensor].values();
        // The smallest that is large enough, or else the largest, which grows.
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

/// A convolution of the file.
struct Filter<'a> {
    input: usize,
    geometry: Geometry,
    weights: &'a [f32],
    bias: &'a [f32],
    range: Range,
}

impl Filter<'_> {
    fn pack(&self) -> Weights {
        Weights::pack(self.weights, self.bias, self.range)
    }
}

/// Which operators of a graph are done here.
struct Plan<'a> {
    graph: &'a Graph,
    /// For each tensor the operator that makes it.
    makers: Vec<Option<usize>>,
    /// For each tensor whether it is the input, or made here.
    here: Vec<bool>,
}

impl<'a> Plan<'a> {
    /// `None` where a tensor is made twice.
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
        // A padding that is not part of a convolution is for the runtime.
        for operator in graph.operators.iter().rev() {
            if let (Kind::Pad(_), [output]) = (operator.kind, &*operator.outputs)
                && (graph.outputs.contains(output)
                    || !graph.readers(*output).all(|i| plan.here[graph.operators[i].outputs[0]]))
            {
                plan.here[*output] = false;
            }
        }
        Some(plan)
    }

    /// Whether an operator whose inputs are made here can be done here.
    fn can(&self, operator: &Operator) -> bool {
        let is_here = |i: usize| operator.inputs.get(i).is_some_and(|&tensor| self.here[tensor]);
        let one_output = operator.outputs.len() == 1;
        one_output
            && is_here(0)
            && match operator.kind {
                Kind::Convolution(..) => self.convolution(operator).is_some(),
                Kind::Depthwise(..) => self.depthwise(operator).is_some(),
                Kind::Add(_) => is_here(1),
                Kind::Pad(_) => self.graph.readers(operator.outputs[0]).all(|i| {
                    matches!(
                        self.graph.operators[i].kind,
                        Kind::Convolution(Window { same: false, .. }, _)
                            | Kind::Depthwise(Window { same: false, .. }, _)
                    )
                }),
                Kind::MaxPool | Kind::Double | Kind::Reshape => true,
                Kind::Other => false,
            }
    }

    /// The tensor that an operator reads, without the padding before it, and how its window goes over it.
    fn geometry(&self, operator: &Operator, window: Window, sides: [usize; 2]) -> Option<(usize, Geometry)> {
        let mut tensor = *operator.inputs.first()?;
        let [height, width, _] = self.graph.tensors[*operator.outputs.first()?].image()?;
        if sides.iter().any(|side| !(1..=16).contains(side)) {
            return None;
        }
        let mut padding = [0, 0];
        if let Some(maker) = self.makers[tensor].map(|i| &self.graph.operators[i])
            && let Kind::Pad([above, _, left, _]) = maker.kind
            && self.here[tensor]
        {
            tensor = *maker.inputs.first()?;
            padding = [above, left];
        }
        let input = self.graph.tensors[tensor].image()?;
        if window.same {
            let zeros = |made: usize, side: usize, read: usize| {
                ((made - 1) * window.stride + side).saturating_sub(read) / 2
            };
            padding = [zeros(height, sides[0], input[0]), zeros(width, sides[1], input[1])];
        }
        let geometry =
            Geometry { input, output: [height, width], window: sides, stride: window.stride, padding };
        Some((tensor, geometry))
    }

    fn constant(&self, operator: &Operator, i: usize) -> Option<&'a [f32]> {
        self.graph.tensors[*operator.inputs.get(i)?].constant.as_deref()
    }

    fn convolution(&self, operator: &Operator) -> Option<Filter<'a>> {
        let Kind::Convolution(window, activation) = operator.kind else { return None };
        let (weights, bias) = (self.constant(operator, 1)?, self.constant(operator, 2)?);
        let &[columns, window_height, window_width, channels] =
            &*self.graph.tensors[*operator.inputs.get(1)?].shape
        else {
            return None;
        };
        let (input, geometry) = self.geometry(operator, window, [window_height, window_width])?;
        // XNNPACK has kernels of another order for one and two columns.
        let fits = columns > 2 && bias.len() == columns && geometry.input[2] == channels;
        let made = self.graph.tensors[*operator.outputs.first()?].image()?;
        (fits && made[2] == columns).then_some(Filter {
            input,
            geometry,
            weights,
            bias,
            range: activation.range(),
        })
    }

    fn depthwise(&self, operator: &Operator) -> Option<(usize, Geometry, DepthwiseWeights)> {
        let Kind::Depthwise(window, activation) = operator.kind else { return None };
        let (weights, bias) = (self.constant(operator, 1)?, self.constant(operator, 2)?);
        let &[1, window_height, window_width, channels] =
            &*self.graph.tensors[*operator.inputs.get(1)?].shape
        else {
            return None;
        };
        let (input, geometry) = self.geometry(operator, window, [window_height, window_width])?;
        let made = self.graph.tensors[*operator.outputs.first()?].image()?[2];
        if window_height != window_width || [bias.len(), geometry.input[2], made] != [channels; 3] {
            return None;
        }
        let packed = DepthwiseWeights::pack(weights, bias, window.stride, activation.range())?;
        Some((input, geometry, packed))
    }

    /// The only operator that reads a tensor, if it is done here and nothing else needs the tensor.
    fn only_reader(&self, tensor: usize) -> Option<usize> {
        let mut readers = self.graph.readers(tensor);
        let reader = readers.next()?;
        let alone = readers.next().is_none() && !self.graph.outputs.contains(&tensor);
        (alone && self.here[self.graph.operators[reader].outputs[0]]).then_some(reader)
    }

    /// The weights of an operator, if it is a pointwise convolution.
    fn pointwise(&self, operator: &Operator) -> Option<(usize, Weights)> {
        let filter = self.convolution(operator)?;
        filter.geometry.is_pointwise().then(|| (filter.input, filter.pack()))
    }

    /// All that is done here, in order.
    fn steps(&self) -> Vec<Step> {
        let operators = &self.graph.operators;
        let mut done = vec![false; operators.len()];
        // A step runs where the last of its operators stands: then all that it reads is there.
        let mut steps: Vec<(usize, Step)> = Vec::new();
        // Depthwise convolutions come first: they take in the operators around them.
        for (i, operator) in operators.iter().enumerate() {
            if !self.here[operator.outputs[0]] {
                continue;
            }
            let Some((mut input, mut geometry, weights)) = self.depthwise(operator) else { continue };
            done[i] = true;
            let mut expand = None;
            // The tensor has one reader: this operator, or the padding before it.
            if let Some(maker) = self.makers[input]
                && !done[maker]
                && self.only_reader(input).is_some()
                && self.only_reader(operator.inputs[0]).is_some()
                && let Some((source, weights)) = self.pointwise(&operators[maker])
            {
                done[maker] = true;
                input = source;
                geometry.input[2] = weights.depth;
                expand = Some(weights);
            }
            let (mut last, mut output) = (i, operator.outputs[0]);
            let mut project = None;
            if let Some(reader) = self.only_reader(output)
                && let Some((_, weights)) = self.pointwise(&operators[reader])
            {
                done[reader] = true;
                (last, output) = (reader, operators[reader].outputs[0]);
                project = Some(weights);
            }
            let summand =
                project.is_some().then(|| self.summand(&mut last, &mut output, &mut done)).flatten();
            let action = Action::Depthwise(Box::new(Depthwise::new(geometry, expand, weights, project)));
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
            let action = match operator.kind {
                Kind::Convolution(..) => {
                    let Some(filter) = self.convolution(operator) else { continue };
                    input = filter.input;
                    summand = self.summand(&mut last, &mut output, &mut done);
                    Action::Convolution(Convolution { geometry: filter.geometry, weights: filter.pack() })
                }
                Kind::Add(activation) => {
                    summand = Some((operator.inputs[1], activation.range()));
                    Action::Copy
                }
                Kind::MaxPool => Action::MaxPool(image()),
                Kind::Double => Action::Double(image()),
                Kind::Reshape => Action::Copy,
                Kind::Depthwise(..) | Kind::Pad(_) | Kind::Other => continue,
            };
            steps.push((last, Step { action, input, output, summand }));
        }
        steps.sort_by_key(|&(last, _)| last);
        steps.into_iter().map(|(_, step)| step).collect()
    }

    /// Takes in the addition that follows, where nothing else reads what a step makes.
    fn summand(&self, last: &mut usize, output: &mut usize, done: &mut [bool]) -> Option<(usize, Range)> {
        let reader = self.only_reader(*output)?;
        let operator = &self.graph.operators[reader];
        let Kind::Add(activation) = operator.kind else { return None };
        if done[reader] {
            return None;
        }
        let other = *operator.inputs.iter().find(|&tensor| tensor != output)?;
        // What is added must be there before: the other branch may take in the addition instead.
        done[reader] = true;
        *last = reader;
        *output = operator.outputs[0];
        Some((other, activation.range()))
    }

    /// What is left to the runtime.
    fn rest(&self) -> Option<Rest> {
        let numbered = |tensor: usize| (tensor as u32, self.graph.tensors[tensor].values());
        let outputs: Vec<_> = self
            .graph
            .outputs
            .iter()
            .filter(|&&tensor| !self.here[tensor])
            .map(|&tensor| numbered(tensor))
            .collect();
        let mut inputs = Vec::new();
        for operator in self.graph.operators.iter().filter(|operator| !self.here[operator.outputs[0]]) {
            for &tensor in operator.inputs.iter().filter(|&&tensor| self.here[tensor]) {
                if !inputs.contains(&numbered(tensor)) {
                    inputs.push(numbered(tensor));
                }
            }
        }
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
    fn real() -> Option<Vec<u8>> {
        let folder = std::env::var_os("OPPOSE_MODELS").map_or_else(
            || concat!(env!("CARGO_MANIFEST_DIR"), "/../../models").into(),
            std::path::PathBuf::from,
        );
        std::fs::read(folder.join("holistic/pose_landmark_lite.tflite")).ok()
    }

    #[test]
    fn a_damaged_net_is_refused_or_runs() {
        let Some(net) = real() else {
            return eprintln!("skipped: models/holistic/pose_landmark_lite.tflite is not there");
        };
        // Damage to the tables, which take the file's last part; the weights come before them.
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
