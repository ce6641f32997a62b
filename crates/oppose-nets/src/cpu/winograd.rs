//! Convolutions by Winograd's minimal filtering: tiles of 4 × 4 results from 36 or 49 products each, where
//! the direct computation takes 144 (3 × 3) or 784 (7 × 7).
//!
//! Tiles of the input are transformed; in the transform domain every place is a matrix product over the
//! channels; the sums are transformed back. A kernel of 3 × 3 takes 6 × 6 places. A larger one is cut
//! into segments of 4 × 4 taps, which take 7 × 7 places: a segment's tiles are those of its neighbour, shifted by four
//! pixels, so that all segments share one transformed input and are added up before the inverse transform.
//!
//! Formulas: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015), after Toom and
//! Cook. The interpolation points ±3/4 and ±3/2 for 3 × 3 lose half as much precision as the usual ±1, ±2.

use super::super::model::Convolution;
use super::epilogue::Epilogue;
use super::instructions::{Available, Work, dispatch};
use super::layout::{Planes, Source};
use super::product::{Prefetch, Term, product};
use super::transform::{self, SIDE};
use super::vector::{Lanes, Vector, WIDTH};

/// The working memory of a thread, kept between layers.
#[derive(Debug, Default)]
pub struct Scratch {
    /// One buffer: places × input blocks × tiles.
    transformed: [Vec<Lanes>; 1],
    /// Places × output blocks × tiles.
    sums: Vec<Lanes>,
    /// The terms of the products of a place: for all segments, and without the last segment of each column, of each
    /// row, and of both.
    terms: [Vec<Term>; 4],
}

impl Scratch {
    /// Memory for terms, for convolutions that need nothing else.
    pub fn terms(&mut self) -> &mut Vec<Term> {
        &mut self.terms[0]
    }
}

/// A convolution with a kernel of 3 × 3 or more.
#[derive(Debug)]
pub struct Winograd {
    /// 6 or 7, in each direction.
    places: usize,
    /// Number of segments of the kernel, in each direction.
    segments: usize,
    /// Whether the last segment lacks its last tap, so that its last place is zero.
    is_short: bool,
    /// Pixels of padding.
    half: usize,
    sources: Vec<Source>,
    /// Number of output blocks that are computed together.
    group: usize,
    /// For each place, the first of its rows of weights. One row is an input channel of a segment.
    rows: Vec<usize>,
    /// Groups × places × rows × blocks of the group.
    weights: Vec<Lanes>,
    epilogue: Epilogue,
    pools: bool,
}

/// How an item's scratch memory is laid out.
struct Layout {
    /// Tiles of a row.
    columns: usize,
    /// Transformed patches; if a kernel has segments, there are more of them than tiles.
    grid_columns: usize,
    grid_rows: usize,
    grid: usize,
    tiles: usize,
    /// The distance from one place to the next, before and after the products.
    place_in: usize,
    place_out: usize,
}

/// Some rows of tiles of an image.
pub struct Item<'a> {
    /// All tensors.
    pub slots: &'a [Vec<Lanes>],
    /// Index of the image in the batch.
    pub image: usize,
    /// Size of the convolution's input.
    pub planes: Planes,
    /// First row of tiles, and how many an item has (the last may have fewer).
    pub first_row: usize,
    pub rows: usize,
    /// The item's rows of the result, from row `first_row * 4`, or half that if it is pooled.
    pub out: &'a mut [Lanes],
    pub scratch: &'a mut Scratch,
}

impl Winograd {
    /// Transforms the weights; `parallel` runs a task for each of its arguments.
    pub fn new(
        convolution: &Convolution,
        sources: Vec<Source>,
        pools: bool,
        available: Available,
        group: usize,
        parallel: impl FnOnce(Vec<WeightGroup<'_>>),
    ) -> Self {
        let kernel = convolution.kernel;
        let (taps, segments) = if kernel == 3 { (3, 1) } else { (4, kernel.div_ceil(4)) };
        let places = SIDE + taps - 1;
        let epilogue = Epilogue::new(convolution);
        let mut this = Self {
            places,
            segments,
            is_short: segments * taps > kernel,
            half: kernel / 2,
            sources,
            group,
            rows: vec![0],
            weights: Vec::new(),
            epilogue,
            pools,
        };
        let channels: usize = this.sources.iter().map(|source| source.channels).sum();
        for place in 0..places * places {
            let (down, right) = this.segments_at(place);
            this.rows.push(this.rows[place] + down * right * channels);
        }
        let rows = this.rows[places * places];
        this.weights = vec![Lanes::default(); rows * this.epilogue.blocks()];
        let tasks = this.weights.chunks_mut(rows * group).enumerate().map(|(index, weights)| WeightGroup {
            convolution,
            available,
            taps,
            segments,
            channels,
            is_short: this.is_short,
            rows: &this.rows,
            first: index * group * WIDTH,
            blocks: weights.len() / rows,
            weights,
        });
        parallel(tasks.collect());
        this
    }

    /// How many segments, downwards and to the right, are not zero at a place.
    fn segments_at(&self, place: usize) -> (usize, usize) {
        segments_at(place, self.places, self.segments, self.is_short)
    }

    /// Whether only the maximum of each 2 × 2 results is kept.
    pub fn pools(&self) -> bool {
        self.pools
    }

    /// Allocates memory for items with this many rows of tiles.
    pub fn prepare(&self, scratch: &mut Scratch, planes: Planes, rows: usize) {
        let layout = self.layout(planes, rows.min(planes.height.div_ceil(SIDE)));
        let places = self.places * self.places;
        grow(&mut scratch.transformed[0], places * layout.place_in);
        grow(&mut scratch.sums, places * layout.place_out);
        let max_terms = self.segments * self.segments * self.sources.len();
        scratch.terms.iter_mut().for_each(|terms| terms.reserve(max_terms.saturating_sub(terms.len())));
    }

    /// The layout of the scratch memory of an item with this many rows of tiles.
    fn layout(&self, planes: Planes, rows: usize) -> Layout {
        let columns = planes.width.div_ceil(SIDE);
        let (grid_columns, grid_rows) = (columns + self.segments - 1, rows + self.segments - 1);
        let (grid, tiles) = (grid_columns * grid_rows, columns * rows);
        // An odd stride spreads the places over the cache's sets.
        let (place_in, place_out) = ((self.sources.len() * grid) | 1, (self.epilogue.blocks() * tiles) | 1);
        Layout { columns, grid_columns, grid_rows, grid, tiles, place_in, place_out }
    }

    /// The weights of a place for the output blocks that are computed together, from `group` on.
    #[inline(always)]
    fn weights_of<const P: usize>(&self, place: usize, group: usize) -> &[Lanes] {
        let in_group = self.group.min(self.epilogue.blocks() - group);
        let first = self.rows[P * P] * group + self.rows[place] * in_group;
        &self.weights[first..][..(self.rows[place + 1] - self.rows[place]) * in_group]
    }

    /// Computes some rows of tiles, in prepared memory.
    #[inline(always)]
    pub fn run<V: Vector>(&self, item: Item<'_>) {
        if self.places == 6 { self.run_places::<V, 6>(item) } else { self.run_places::<V, 7>(item) }
    }

    #[inline(always)]
    fn run_places<V: Vector, const P: usize>(&self, item: Item<'_>) {
        let Item { slots, image, planes, first_row, rows, out, scratch } = item;
        let rows = rows.min(planes.height.div_ceil(SIDE) - first_row);
        let Layout { columns, grid_columns, grid_rows, grid, tiles, place_in, place_out } =
            self.layout(planes, rows);
        let blocks = self.epilogue.blocks();

        let mut intermediate = transform::Intermediate::new();
        for grid_row in 0..grid_rows {
            for (block, source) in self.sources.iter().enumerate() {
                let slot = &slots[source.slot];
                let top = ((first_row + grid_row) * SIDE) as isize - self.half as isize;
                for column in 0..grid_columns {
                    let left = (column * SIDE) as isize - self.half as isize;
                    let patch = transform::Patch { slot, planes, image, source, top, left };
                    let to = block * grid + grid_row * grid_columns + column;
                    transform::forward::<V, P>(
                        &patch,
                        &mut intermediate,
                        &mut scratch.transformed[0][to..],
                        place_in,
                    );
                }
            }
        }

        for (index, terms) in scratch.terms.iter_mut().enumerate() {
            terms.clear();
            let (down, right) = (self.segments - index / 2, self.segments - index % 2);
            for (y, x) in (0..down).flat_map(|y| (0..right).map(move |x| (y, x))) {
                terms.extend(self.sources.iter().enumerate().map(|(block, source)| Term {
                    source: 0,
                    offset: block * grid + y * grid_columns + x,
                    channels: source.channels,
                }));
            }
        }
        // Without segments, all rows of tiles are consecutive.
        let (runs, run) = if self.segments == 1 { (1, tiles) } else { (rows, columns) };
        for place in 0..P * P {
            let (down, right) = self.segments_at(place);
            let terms = &scratch.terms[2 * (self.segments - down) + (self.segments - right)];
            for group in (0..blocks).step_by(self.group) {
                let weights = self.weights_of::<P>(place, group);
                let in_group = self.group.min(blocks - group);
                let is_last = group + in_group == blocks;
                let next = if is_last { (place + 1, 0) } else { (place, group + in_group) };
                let next = if next.0 < P * P { self.weights_of::<P>(next.0, next.1) } else { &[] };
                let shares = terms.len() * runs * run.div_ceil(V::TILES);
                let mut prefetch = Prefetch {
                    weights: next,
                    each: next.len().div_ceil(shares),
                    tiles: if is_last { place_in } else { 0 },
                };
                for row in 0..runs {
                    let base = place * place_in + row * grid_columns;
                    let out = &mut scratch.sums[place * place_out + group * tiles + row * run..];
                    let from = &scratch.transformed;
                    product::<V>(from, base, terms, weights, in_group, run, out, tiles, &mut prefetch);
                }
            }
        }

        let target = transform::Target {
            width: planes.width,
            height: (planes.height - first_row * SIDE).min(rows * SIDE),
            blocks,
            pools: self.pools,
        };
        for row in 0..rows {
            for block in 0..blocks {
                let epilogue = self.epilogue.block::<V>(block);
                for column in 0..columns {
                    let from = &scratch.sums[block * tiles + row * columns + column..];
                    let place = transform::Place { block, top: row * SIDE, left: column * SIDE };
                    transform::backward::<V, P>(
                        from,
                        place_out,
                        &mut intermediate,
                        epilogue,
                        &target,
                        place,
                        out,
                    );
                }
            }
        }
    }
}

fn segments_at(place: usize, places: usize, segments: usize, is_short: bool) -> (usize, usize) {
    let at = |place: usize| segments - usize::from(is_short && place == places - 1);
    (at(place / places), at(place % places))
}

fn grow(buffer: &mut Vec<Lanes>, length: usize) {
    if buffer.len() < length {
        buffer.resize(length, Lanes::default());
    }
}

/// The weights of some output channels, to be transformed.
pub struct WeightGroup<'a> {
    convolution: &'a Convolution,
    available: Available,
    taps: usize,
    segments: usize,
    channels: usize,
    is_short: bool,
    rows: &'a [usize],
    /// First output channel.
    first: usize,
    blocks: usize,
    weights: &'a mut [Lanes],
}

impl WeightGroup<'_> {
    /// Transforms them.
    pub fn transform(self) {
        dispatch(self.available, self);
    }
}

impl Work for WeightGroup<'_> {
    #[inline(always)]
    fn run<V: Vector>(self) {
        if self.taps == 3 { self.run_places::<6, 3>() } else { self.run_places::<7, 4>() }
    }
}

impl WeightGroup<'_> {
    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // The same index is a place in both.
    fn run_places<const P: usize, const R: usize>(self) {
        let kernel = self.convolution.kernel;
        let matrix = transform::kernel_matrix::<P, R>();
        for block in 0..self.blocks {
            let first = self.first + block * WIDTH;
            let outputs = (self.convolution.bias.len() - first).min(WIDTH);
            for (down, right) in (0..self.segments).flat_map(|y| (0..self.segments).map(move |x| (y, x))) {
                for channel in 0..self.channels {
                    // Taps of sixteen output channels; those outside the kernel are zero.
                    let mut taps = [[[0.0; WIDTH]; R]; R];
                    for lane in 0..outputs {
                        let plane = ((first + lane) * self.channels + channel) * kernel * kernel;
                        for y in 0..R.min(kernel - down * R) {
                            for x in 0..R.min(kernel - right * R) {
                                let tap = plane + (down * R + y) * kernel + right * R + x;
                                taps[y][x][lane] = self.convolution.weights[tap];
                            }
                        }
                    }
                    let transformed = transform::kernel::<P, R>(&matrix, &taps);
                    for place in 0..P * P {
                        let present = segments_at(place, P, self.segments, self.is_short);
                        if down >= present.0 || right >= present.1 {
                            continue;
                        }
                        let row = (down * present.1 + right) * self.channels + channel;
                        self.weights[(self.rows[place] + row) * self.blocks + block].0 =
                            transformed[place / P][place % P];
                    }
                }
            }
        }
    }
}
