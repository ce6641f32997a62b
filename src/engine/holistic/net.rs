//! A net, computed by this program where it can do it faster, and by LiteRT otherwise.

use std::sync::Arc;

#[cfg(target_arch = "x86_64")]
use oppose_tflite::Network;
use oppose_tflite::cut;

use super::litert::{self, LiteRtError, Runtime};

/// A loaded net: fill [`input_mut`](Net::input_mut), [`run`](Net::run), read [`output`](Net::output).
#[derive(Debug)]
pub struct Net(Kind);

#[derive(Debug)]
enum Kind {
    Runtime(litert::Net),
    #[cfg(target_arch = "x86_64")]
    Own(Box<Own>),
}

/// A net that this program computes, but for its end.
#[cfg(target_arch = "x86_64")]
#[derive(Debug)]
struct Own {
    network: Network,
    /// What LiteRT computes, and the tensors it reads.
    rest: Option<(litert::Net, Vec<(usize, usize)>)>,
    /// For each output whether the rest makes it, its number there or of its tensor, and its size.
    outputs: Vec<(Maker, usize)>,
}

#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug)]
enum Maker {
    Network(usize),
    Rest(usize),
}

impl From<litert::Net> for Net {
    fn from(net: litert::Net) -> Self {
        Self(Kind::Runtime(net))
    }
}

/// Loads the part of a net that computes some of its tensors from others: number in the file and size of each. `None`
/// where the graph has no such part.
///
/// # Errors
/// LiteRT refuses the part.
pub(super) fn load_part(
    runtime: &Arc<Runtime>,
    model: &[u8],
    inputs: &[(u32, usize)],
    outputs: &[(u32, usize)],
) -> Result<Option<litert::Net>, LiteRtError> {
    let unzip = |list: &[(u32, usize)]| list.iter().copied().unzip::<u32, usize, Vec<_>, Vec<_>>();
    let ((input_tensors, input_sizes), (output_tensors, output_sizes)) = (unzip(inputs), unzip(outputs));
    let mut bytes = model.to_vec();
    if cut(&mut bytes, &input_tensors, &output_tensors).is_none() {
        return Ok(None);
    }
    litert::Net::load(runtime, &bytes, &input_sizes, &output_sizes, 1).map(Some)
}

impl Net {
    /// A net of one input that this program computes itself, but for what `network` leaves to LiteRT. `None` if LiteRT cannot
    /// be given that part alone.
    ///
    /// # Errors
    /// LiteRT refuses what is left to it.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn by_network(
        runtime: &Arc<Runtime>,
        model: &[u8],
        outputs: &[usize],
        network: Network,
    ) -> Result<Option<Self>, LiteRtError> {
        let mut rest = None;
        if let Some(part) = network.rest() {
            let Some(net) = load_part(runtime, model, &part.inputs, &part.outputs)? else { return Ok(None) };
            rest = Some((net, part.inputs.iter().map(|&(tensor, size)| (tensor as usize, size)).collect()));
        }
        let made = network.outputs().iter().map(|&tensor| {
            let left = network
                .rest()
                .and_then(|part| part.outputs.iter().position(|&(output, _)| output as usize == tensor));
            left.map_or(Maker::Network(tensor), Maker::Rest)
        });
        let outputs = made.zip(outputs.iter().copied()).collect();
        Ok(Some(Self(Kind::Own(Box::new(Own { network, rest, outputs })))))
    }

    /// The values of the first input, to be filled before [`run`](Net::run).
    pub fn input_mut(&mut self) -> &mut [f32] {
        self.inputs_mut(0)
    }

    /// The values of input `i`, to be filled before [`run`](Net::run); empty where there is no such input.
    pub fn inputs_mut(&mut self, i: usize) -> &mut [f32] {
        match &mut self.0 {
            Kind::Runtime(net) => net.inputs_mut(i),
            #[cfg(target_arch = "x86_64")]
            Kind::Own(own) if i == 0 => own.network.input_mut(),
            #[cfg(target_arch = "x86_64")]
            Kind::Own(_) => &mut [],
        }
    }

    /// Whether idle threads of the current pool help to [`run`](Net::run) it.
    pub(super) fn is_divided(&self) -> bool {
        match &self.0 {
            Kind::Runtime(_) => false,
            #[cfg(target_arch = "x86_64")]
            Kind::Own(own) => own.network.is_divided(),
        }
    }

    /// Computes the outputs from the input.
    ///
    /// # Errors
    /// LiteRT reports a failure.
    pub fn run(&mut self) -> Result<(), LiteRtError> {
        match &mut self.0 {
            Kind::Runtime(net) => net.run(),
            #[cfg(target_arch = "x86_64")]
            Kind::Own(own) => {
                let Own { network, rest, .. } = &mut **own;
                network.run();
                let Some((net, inputs)) = rest else { return Ok(()) };
                for (i, &(tensor, size)) in inputs.iter().enumerate() {
                    let values = network.tensor(tensor).unwrap_or_default();
                    net.inputs_mut(i).copy_from_slice(&values[..size]);
                }
                net.run()
            }
        }
    }

    /// The values of output `i` after the last [`run`](Net::run); empty where there is no such output.
    pub fn output(&self, i: usize) -> &[f32] {
        match &self.0 {
            Kind::Runtime(net) => net.output(i),
            #[cfg(target_arch = "x86_64")]
            Kind::Own(own) => match own.outputs.get(i) {
                Some(&(Maker::Network(tensor), size)) => {
                    own.network.tensor(tensor).map_or(&[], |values| &values[..size])
                }
                Some(&(Maker::Rest(output), _)) => {
                    own.rest.as_ref().map_or(&[], |(net, _)| net.output(output))
                }
                None => &[],
            },
        }
    }
}
