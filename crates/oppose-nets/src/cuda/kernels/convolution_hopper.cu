// Convolutions on Hopper's tensor cores, as matrix products: output channels x pixels.
//
// The tensor memory accelerator loads weights and pixels into shared memory. Its im2col mode walks over the pixels of all
// images and pads their borders with zeros, so that any run of pixels can be a tile. If the convolution kernel is larger than
// one pixel, each row of pixels is followed by one position that is not a pixel. This lets neighbouring columns of the
// convolution kernel share the pixels that were loaded: each reads one position further than the one before it. See
// shared_columns.
//
// A producer warp keeps several stages of weights and pixels in flight; two groups of four warps multiply. Concatenated inputs
// are read from several sources one after another instead of being copied together. A block computes one tile after another,
// and loads the operands of the next one while it writes the results.

#include "hopper.cuh"

struct Convolution {
    TensorMap sources[MAX_SOURCES];
    TensorMap weights;
    Layer layer;
};

__device__ inline void load_pixels(unsigned target, const TensorMap* map, unsigned barrier, int channel, int x,
                                   int y, int image, int column, int row) {
    asm volatile(
        "cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %4, "
        "%5}], [%6], {%7, %8};" ::"r"(target),
        "l"(map), "r"(channel), "r"(x), "r"(y), "r"(image), "r"(barrier), "h"((unsigned short)column),
        "h"((unsigned short)row)
        : "memory");
}

// The distance between the positions of two pixels above one another.
__device__ inline int row_positions(const Layer& layer) {
    return layer.width + (layer.kernel > 1);
}

// The pixel at a position, or -1 if there is none: between rows and after the last image.
__device__ inline int pixel_at(const Layer& layer, int position) {
    int row = position / row_positions(layer), x = position % row_positions(layer);
    int pixel = row * layer.width + x;
    return x < layer.width && pixel < layer.pixels ? pixel : -1;
}

// How many columns of the convolution kernel, from this one on, share the pixels that are loaded for it.
//
// A row is loaded from the pixel that the first of these columns needs, plus one position, so that the second column finds its
// right neighbour. For the last pixel, a third column finds the start of the next row instead. If the first column is just left
// of the centre, that start is padding, and padding is what the third column needs there.
__device__ inline int shared_columns(int column, int kernel) {
    int centre = kernel / 2;
    if (column == centre - 1) {
        return 3;
    }
    // The columns on either side of those three form pairs, except for the outermost if their number is odd.
    bool is_alone = kernel == 1 || column == kernel - 1 || (column == 0 && centre % 2 == 0);
    return is_alone ? 1 : 2;
}

// Calls visit(source, row, column, columns, chunk) for all pixels that are loaded for a tile, in this order. As many `columns`
// of the convolution kernel, from `column` on, share them.
template <typename Visit>
__device__ inline void visit_loads(const Layer& layer, const Visit& visit) {
    for (int source = 0; source < layer.source_count; source++) {
        for (int row = 0; row < layer.kernel; row++) {
            for (int column = 0, columns; column < layer.kernel; column += columns) {
                columns = shared_columns(column, layer.kernel);
                for (int chunk = 0; chunk < layer.chunks[source]; chunk++) {
                    visit(source, row, column, columns, chunk);
                }
            }
        }
    }
}

// A ring of stages in shared memory: the producer fills one after another, and eight warps empty them.
template <int STAGES, int BYTES>
struct Ring {
    // The addresses of the stages and of their barriers: one per stage for "full", then one per stage for "empty".
    unsigned stages;
    unsigned barriers;
    int stage;
    int parity;

    __device__ void init() const {
        for (int i = 0; i < STAGES; i++) {
            barrier_init(barriers + i * 8, 1);
            barrier_init(barriers + (STAGES + i) * 8, 8);
        }
    }

    __device__ unsigned memory() const { return stages + stage * BYTES; }
    __device__ unsigned full() const { return barriers + stage * 8; }
    __device__ unsigned empty() const { return barriers + (STAGES + stage) * 8; }
    __device__ void wait_until_full() const { barrier_wait(full(), parity); }

    // Waits until the stage is empty and announces what will be loaded into it.
    __device__ void claim(int bytes) const {
        barrier_wait(empty(), parity ^ 1);
        barrier_expect(full(), bytes);
    }

    __device__ void next() {
        if (++stage == STAGES) {
            stage = 0;
            parity ^= 1;
        }
    }
};

// The bytes of a pixel's WRITTEN_CHANNELS in shared memory, padded so that pixels start in different banks.
#define PIXEL_ROW (WRITTEN_CHANNELS * (int)sizeof(Element) + 16)
#define BUFFER_BYTES (WRITTEN_PIXELS * PIXEL_ROW)

// Writes a thread's values of WRITTEN_CHANNELS x WRITTEN_PIXELS to shared memory, as one row of channels per pixel.
__device__ inline void transpose(const float* sums, unsigned buffer, int lane) {
#ifdef HALF
    // Four matrices of 8 x 8: two groups of channels, two of pixels.
    unsigned own = buffer + (lane / 16 * 8 + lane % 8) * PIXEL_ROW + lane / 8 % 2 * 16;
#pragma unroll
    for (int i = 0; i < WRITTEN_PIXELS / 2; i += 8) {
        asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(own + i * 2 * PIXEL_ROW),
                     "r"(two_halves(sums[i], sums[i + 1])), "r"(two_halves(sums[i + 2], sums[i + 3])),
                     "r"(two_halves(sums[i + 4], sums[i + 5])), "r"(two_halves(sums[i + 6], sums[i + 7]))
                     : "memory");
    }
#else
#pragma unroll
    for (int i = 0; i < WRITTEN_PIXELS / 2; i++) {
        int pixel = i / 4 * 8 + lane % 4 * 2 + i % 2, channel = lane / 4 + i / 2 % 2 * 8;
        asm volatile("st.shared.f32 [%0], %1;" ::"r"(buffer + pixel * PIXEL_ROW + channel * 4), "f"(tf32(sums[i]))
                     : "memory");
    }
#endif
}

// Writes one part of a warp's results, for WRITTEN_PIXELS positions from `position` on.
__device__ inline void write(const Layer& layer, const float* sums, unsigned buffer, int position, int channel, int part) {
    constexpr int VECTORS = WRITTEN_CHANNELS / VECTOR;
    int lane = threadIdx.x % 32, target = channel + lane % VECTORS * VECTOR;
    __syncwarp();
    transpose(sums, buffer, lane);
    __syncwarp();
#pragma unroll
    for (int i = lane / VECTORS; i < WRITTEN_PIXELS; i += 32 / VECTORS) {
        int pixel = pixel_at(layer, position + i);
        if (pixel >= 0 && target < layer.channels_out) {
            uint4 value;
            asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
                         : "=r"(value.x), "=r"(value.y), "=r"(value.z), "=r"(value.w)
                         : "r"(buffer + i * PIXEL_ROW + lane % VECTORS * 16));
            size_t place = (size_t)pixel * layer.pixel_stride + part * layer.channels_out + target;
            *(uint4*)(layer.pixels_out + place) = value;
        }
    }
}

template <int TILE_CHANNELS, int TILE_PIXELS, int PIXEL_STAGES, int WEIGHT_STAGES>
struct Block {
    // In a stage, the lower parts follow the upper parts.
    static constexpr int WEIGHT_PART = TILE_CHANNELS * 128;
    // Each further column that shares them needs one more. Parts start at multiples of 1024 bytes, because swizzling depends on
    // the address modulo 1024.
    static constexpr int LOADED_PIXELS = TILE_PIXELS + EXTRA_PIXELS;
    static constexpr int PIXEL_PART = (LOADED_PIXELS + 7) / 8 * 1024;
    // Each of the two groups of warps has 64 channels of all pixels, or all channels of half of the pixels.
    static constexpr bool SHARES_PIXELS = TILE_CHANNELS == 128;
    static constexpr int GROUP_PIXELS = SHARES_PIXELS ? TILE_PIXELS : TILE_PIXELS / 2;

    const Convolution& work;
    Ring<WEIGHT_STAGES, PARTS * WEIGHT_PART> weights;
    Ring<PIXEL_STAGES, PARTS * PIXEL_PART> pixels;
    // A buffer per warp, in which it transposes its results.
    unsigned buffers;

    __device__ Block(const Convolution& work, unsigned shared) : work(work) {
        weights = {shared, shared + WEIGHT_STAGES * PARTS * WEIGHT_PART + PIXEL_STAGES * PARTS * PIXEL_PART, 0, 0};
        pixels = {shared + WEIGHT_STAGES * PARTS * WEIGHT_PART, weights.barriers + WEIGHT_STAGES * 16, 0, 0};
        buffers = pixels.barriers + PIXEL_STAGES * 16;
    }

    // Tiles that need the same pixels follow each other, so that these are still in the cache.
    __device__ int channel_tiles() const { return work.layer.weight_rows / TILE_CHANNELS; }
    __device__ int first_channel(int tile) const { return tile % channel_tiles() * TILE_CHANNELS; }
    __device__ int first_position(int tile) const { return tile / channel_tiles() * TILE_PIXELS; }

    __device__ int tiles() const {
        int positions = work.layer.pixels / work.layer.width * row_positions(work.layer);
        return (positions + TILE_PIXELS - 1) / TILE_PIXELS * channel_tiles();
    }

    // Loads the operands of a tile.
    __device__ void load(int tile) {
        const Layer& layer = work.layer;
        int image_positions = row_positions(layer) * layer.height, padding = layer.kernel / 2;
        int position = first_position(tile), image = position / image_positions;
        int y = position % image_positions / row_positions(layer) - padding;
        int x = position % row_positions(layer) - padding;
        int weight_row = first_channel(tile), chunks_before = 0, last_source = 0;
        visit_loads(layer, [&](int source, int row, int column, int columns, int chunk) {
            if (source != last_source) {
                chunks_before += layer.kernel * layer.kernel * layer.chunks[last_source];
                last_source = source;
            }
            pixels.claim(PARTS * LOADED_PIXELS * 128);
#pragma unroll
            for (int part = 0; part < PARTS; part++) {
                load_pixels(pixels.memory() + part * PIXEL_PART, &work.sources[source], pixels.full(),
                            chunk * CHUNK + part * layer.channels[source], x, y, image, column, row);
            }
            pixels.next();
            for (int shared = 0; shared < columns; shared++) {
                int tap = row * layer.kernel + column + shared;
                int block = (chunks_before + tap * layer.chunks[source] + chunk) * PARTS;
                weights.claim(PARTS * WEIGHT_PART);
#pragma unroll
                for (int part = 0; part < PARTS; part++) {
                    load_weights(weights.memory() + part * WEIGHT_PART, &work.weights, weights.full(),
                                 weight_row + (block + part) * layer.weight_rows);
                }
                weights.next();
            }
        });
    }

    // Multiplies a tile's operands and writes the results.
    __device__ void compute(int tile, int warp, int lane) {
        const Layer& layer = work.layer;
        int group = warp / 4;
        float sums[GROUP_PIXELS / 2] = {};
#ifdef SPLIT
        // The sums of a chunk's upper parts, and of all products with lower parts, scaled by LOW_SCALE.
        float high[GROUP_PIXELS / 2], low[GROUP_PIXELS / 2] = {};
#endif
        // The barriers of the stages that the products before the current ones read.
        unsigned last_weights = 0, last_pixels = 0;
        auto release = [&] {
            if (lane == 0 && last_weights) {
                barrier_arrive(last_weights);
            }
            if (lane == 0 && last_pixels) {
                barrier_arrive(last_pixels);
            }
        };
        visit_loads(layer, [&](int source, int row, int column, int columns, int chunk) {
            int steps = chunk == layer.chunks[source] - 1 ? layer.last_steps[source] : 4;
            unsigned own_pixels = pixels.memory() + (SHARES_PIXELS ? 0 : group * GROUP_PIXELS * 128);
            pixels.wait_until_full();
            for (int shared = 0; shared < columns; shared++) {
                weights.wait_until_full();
                unsigned long long a = matrix(weights.memory() + (SHARES_PIXELS ? group * 64 * 128 : 0));
                unsigned long long b = matrix(own_pixels + shared * 128);
                asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#ifdef SPLIT
#pragma unroll 1
                for (int step = 0; step < steps; step++) {
                    multiply(high, a + 2 * step, b + 2 * step, step);
                }
                asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#pragma unroll 1
                for (int step = 0; step < steps; step++) {
                    multiply(low, a + 2 * step, b + 2 * step + PIXEL_PART / 16);
                    multiply(low, a + 2 * step + WEIGHT_PART / 16, b + 2 * step);
                }
                asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
                // The tensor cores' sums lose bits as they grow, so each chunk is summed separately. This happens while
                // the products with lower parts are computed.
                asm volatile("wgmma.wait_group.sync.aligned 1;" ::: "memory");
#pragma unroll
                for (int i = 0; i < GROUP_PIXELS / 2; i++) {
                    asm volatile("" : "+f"(high[i])::"memory");
                    sums[i] += high[i];
                }
#else
#pragma unroll 1
                for (int step = 0; step < steps; step++) {
                    multiply(sums, a + 2 * step, b + 2 * step);
                }
                asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
                asm volatile("wgmma.wait_group.sync.aligned 1;" ::: "memory");
#endif
                release();
                last_weights = weights.empty();
                last_pixels = shared == columns - 1 ? pixels.empty() : 0;
                weights.next();
            }
            pixels.next();
        });
        asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
        release();
#pragma unroll
        for (int i = 0; i < GROUP_PIXELS / 2; i++) {
#ifdef SPLIT
            asm volatile("" : "+f"(low[i])::"memory");
            sums[i] = fmaf(low[i], 1.0f / LOW_SCALE, sums[i]);
#else
            asm volatile("" : "+f"(sums[i])::"memory");
#endif
        }
        int channel = first_channel(tile) + (SHARES_PIXELS ? group * 64 : 0) + warp % 4 * WRITTEN_CHANNELS;
        int position = first_position(tile) + (SHARES_PIXELS ? 0 : group * GROUP_PIXELS);
        write_results(sums, channel, position, warp, lane);
    }

    // Adds the bias, applies the activation, and writes a warp's results: WRITTEN_CHANNELS from `channel` on, and the pixels
    // from `position` on. A thread has two channels, eight apart, and two pixels of each group of eight.
    __device__ void write_results(float (&sums)[GROUP_PIXELS / 2], int channel, int position, int warp, int lane) const {
        const Layer& layer = work.layer;
        int own_channel = channel + lane / 4;
        float bias[2] = {layer.bias[own_channel], layer.bias[own_channel + 8]};
        float slope[2] = {layer.slope[own_channel], layer.slope[own_channel + 8]};
#pragma unroll
        for (int i = 0; i < GROUP_PIXELS / 2; i++) {
            sums[i] = activate(sums[i], bias[i / 2 % 2], slope[i / 2 % 2]);
        }
        if (layer.planes_out) {
#pragma unroll
            for (int i = 0; i < GROUP_PIXELS / 2; i++) {
                int plane = own_channel + i / 2 % 2 * 8;
                int pixel = pixel_at(layer, position + i / 4 * 8 + lane % 4 * 2 + i % 2);
                if (plane < layer.used_planes && pixel >= 0) {
                    store_plane(layer, pixel, plane, sums[i]);
                }
            }
        }
        if (layer.pixels_out) {
            unsigned buffer = buffers + warp * BUFFER_BYTES;
#pragma unroll
            for (int i = 0; i < GROUP_PIXELS; i += WRITTEN_PIXELS) {
                write(layer, sums + i / 2, buffer, position + i, channel, 0);
#ifdef SPLIT
#pragma unroll
                for (int j = i / 2; j < (i + WRITTEN_PIXELS) / 2; j++) {
                    sums[j] = remainder(sums[j]);
                }
                write(layer, sums + i / 2, buffer, position + i, channel, 1);
#endif
            }
        }
    }
};

template <int TILE_CHANNELS, int TILE_PIXELS, int PIXEL_STAGES, int WEIGHT_STAGES>
__device__ inline void convolve(const Convolution& work) {
    extern __shared__ __align__(1024) unsigned char shared[];
    Block<TILE_CHANNELS, TILE_PIXELS, PIXEL_STAGES, WEIGHT_STAGES> block(work, (shared_address(shared) + 1023) & ~1023u);
    // The shuffle lets the compiler see that the value is the same in all lanes.
    int warp = __shfl_sync(0xffffffff, threadIdx.x / 32, 0), lane = threadIdx.x % 32;
    if (threadIdx.x == 0) {
        block.weights.init();
        block.pixels.init();
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
    __syncthreads();
    int tiles = block.tiles();
    if (warp >= 8) {
#ifdef SPLIT
        if (block.GROUP_PIXELS == 128) {
            asm volatile("setmaxnreg.dec.sync.aligned.u32 24;");
        }
#endif
        if (warp == 8 && lane == 0) {
            for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
                block.load(tile);
            }
        }
    } else {
#ifdef SPLIT
        // Each of a thread's results takes three sums, so the producer gives its registers to the other warps.
        if (block.GROUP_PIXELS == 128) {
            asm volatile("setmaxnreg.inc.sync.aligned.u32 240;");
        }
#endif
        for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
            block.compute(tile, warp, lane);
        }
    }
}

#define CONVOLVE(NAME, SHAPE) CONVOLVE_SHAPE(NAME, SHAPE)
#define CONVOLVE_SHAPE(NAME, PIXELS, CHANNELS, PIXEL_STAGES, WEIGHT_STAGES, BLOCKS)                                   \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)                                                     \
        NAME(const __grid_constant__ Convolution work) {                                                              \
        convolve<CHANNELS, PIXELS, PIXEL_STAGES, WEIGHT_STAGES>(work);                                                \
    }

// shapes.rs defines the shapes.
CONVOLVE(convolve_wide, WIDE)
CONVOLVE(convolve_narrow, NARROW)
CONVOLVE(convolve_thin, THIN)
CONVOLVE(convolve_small, SMALL)
