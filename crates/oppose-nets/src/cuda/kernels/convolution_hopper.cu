// Convolutions on Hopper's tensor cores, as matrix products: output channels x pixels.
//
// The tensor memory accelerator loads weights and pixels into shared memory. Its im2col mode walks over the pixels of all
// images and pads their borders with zeros, so that any run of pixels can be a tile. A producer warp keeps STAGES chunks of
// channels in flight; two groups of four warps multiply. Concatenated inputs are read from several sources in turn instead
// of being copied together.

#include "hopper.cuh"

struct Convolution {
    TensorMap sources[MAX_SOURCES];
    TensorMap weights;
    Layer layer;
};

__device__ inline void load_pixels(unsigned target, const TensorMap* map, unsigned barrier, int channel, int x,
                                   int y, int image, int tap_x, int tap_y) {
    asm volatile(
        "cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %4, "
        "%5}], [%6], {%7, %8};" ::"r"(target),
        "l"(map), "r"(channel), "r"(x), "r"(y), "r"(image), "r"(barrier), "h"((unsigned short)tap_x),
        "h"((unsigned short)tap_y)
        : "memory");
}

// Writes a thread's values of 16 channels x COLUMNS pixels as one row of channels per pixel.
template <int COLUMNS>
__device__ inline void store_transposed(const float (&sums)[COLUMNS / 2], unsigned buffer, int row, int pixel,
                                        int channel, int lane) {
#ifdef HALF
    // Four matrices of 8 x 8: two groups of channels, two of pixels.
    int own_pixel = pixel + lane / 16 * 8 + lane % 8;
    int own_channel = channel - lane / 4 + lane / 8 % 2 * 8;
#pragma unroll
    for (int i = 0; i < COLUMNS / 2; i += 8) {
        asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(
                         buffer + (own_pixel + i * 2) * row + own_channel * 2),
                     "r"(two_halves(sums[i], sums[i + 1])), "r"(two_halves(sums[i + 2], sums[i + 3])),
                     "r"(two_halves(sums[i + 4], sums[i + 5])), "r"(two_halves(sums[i + 6], sums[i + 7]))
                     : "memory");
    }
#else
#pragma unroll
    for (int i = 0; i < COLUMNS / 2; i++) {
        int own_pixel = pixel + i / 4 * 8 + lane % 4 * 2 + i % 2;
        asm volatile("st.shared.f32 [%0], %1;" ::"r"(buffer + own_pixel * row + (channel + i / 2 % 2 * 8) * 4),
                     "f"(tf32(sums[i]))
                     : "memory");
    }
#endif
}

template <int TILE_CHANNELS, int TILE_PIXELS, int STAGES>
__device__ inline void convolve(const Convolution& work) {
    const Layer& layer = work.layer;
    // The upper parts, followed by the lower parts.
    constexpr int WEIGHT_PART = TILE_CHANNELS * 128, PIXEL_PART = TILE_PIXELS * 128;
    constexpr int WEIGHT_BYTES = PARTS * WEIGHT_PART, PIXEL_BYTES = PARTS * PIXEL_PART;
    // The pixels of a group of warps.
    constexpr int COLUMNS = TILE_CHANNELS == 128 ? TILE_PIXELS : TILE_PIXELS / 2;
    extern __shared__ __align__(1024) unsigned char shared[];
    unsigned weights = (shared_address(shared) + 1023) & ~1023u;
    unsigned pixels = weights + STAGES * WEIGHT_BYTES;
    unsigned full = pixels + STAGES * PIXEL_BYTES;
    unsigned empty = full + STAGES * 8;
    // The shuffle lets the compiler see that the value is the same in all lanes.
    int warp = __shfl_sync(0xffffffff, threadIdx.x / 32, 0), lane = threadIdx.x % 32;
    // Blocks that need the same pixels follow each other, so that these are still in the cache.
    int channel_tiles = layer.weight_rows / TILE_CHANNELS;
    int first_channel = blockIdx.x % channel_tiles * TILE_CHANNELS;
    int first_pixel = blockIdx.x / channel_tiles * TILE_PIXELS;

    if (threadIdx.x == 0) {
        for (int stage = 0; stage < STAGES; stage++) {
            barrier_init(full + stage * 8, 1);
            barrier_init(empty + stage * 8, 8);
        }
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
    __syncthreads();

    int taps = layer.kernel * layer.kernel;
    if (warp >= 8) {
#ifdef SPLIT
        if (COLUMNS == 128) {
            asm volatile("setmaxnreg.dec.sync.aligned.u32 24;");
        }
#endif
        if (warp != 8 || lane != 0) {
            return;
        }
        int image_pixels = layer.width * layer.height, padding = layer.kernel / 2;
        int image = first_pixel / image_pixels, y = first_pixel % image_pixels / layer.width;
        int x = first_pixel % layer.width;
        int stage = 0, parity = 1, row = first_channel;
        for (int source = 0; source < layer.source_count; source++) {
            for (int tap = 0; tap < taps; tap++) {
                for (int chunk = 0; chunk < layer.chunks[source]; chunk++) {
                    barrier_wait(empty + stage * 8, parity);
                    barrier_expect(full + stage * 8, WEIGHT_BYTES + PIXEL_BYTES);
#pragma unroll
                    for (int part = 0; part < PARTS; part++) {
                        load_weights(weights + stage * WEIGHT_BYTES + part * WEIGHT_PART, &work.weights,
                                     full + stage * 8, row);
                        load_pixels(pixels + stage * PIXEL_BYTES + part * PIXEL_PART, &work.sources[source],
                                    full + stage * 8, chunk * CHUNK + part * layer.channels[source], x - padding,
                                    y - padding, image, tap % layer.kernel, tap / layer.kernel);
                        row += layer.weight_rows;
                    }
                    if (++stage == STAGES) {
                        stage = 0;
                        parity ^= 1;
                    }
                }
            }
        }
        return;
    }

    int group = warp / 4;
    float sums[COLUMNS / 2] = {};
#ifdef SPLIT
    // Each of a thread's results takes three sums, so the producer gives its registers to the other warps.
    if (COLUMNS == 128) {
        asm volatile("setmaxnreg.inc.sync.aligned.u32 240;");
    }
    // The sums of a chunk's upper parts, and of all products with lower parts, scaled by LOW_SCALE.
    float high[COLUMNS / 2], low[COLUMNS / 2] = {};
#endif
    unsigned own_weights = weights + (TILE_CHANNELS == 128 ? group * 64 * 128 : 0);
    unsigned own_pixels = pixels + (TILE_CHANNELS == 128 ? 0 : group * COLUMNS * 128);
    int stage = 0, parity = 0, last = -1;
    for (int source = 0; source < layer.source_count; source++) {
        int chunks = layer.chunks[source];
        for (int tap = 0; tap < taps; tap++) {
            for (int chunk = 0; chunk < chunks; chunk++) {
                int steps = chunk == chunks - 1 ? layer.last_steps[source] : 4;
                barrier_wait(full + stage * 8, parity);
                unsigned long long a = matrix(own_weights + stage * WEIGHT_BYTES);
                unsigned long long b = matrix(own_pixels + stage * PIXEL_BYTES);
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
                for (int i = 0; i < COLUMNS / 2; i++) {
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
                if (last >= 0 && lane == 0) {
                    barrier_arrive(empty + last * 8);
                }
                last = stage;
                if (++stage == STAGES) {
                    stage = 0;
                    parity ^= 1;
                }
            }
        }
    }
    asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
#pragma unroll
    for (int i = 0; i < COLUMNS / 2; i++) {
#ifdef SPLIT
        asm volatile("" : "+f"(low[i])::"memory");
        sums[i] = fmaf(low[i], 1.0f / LOW_SCALE, sums[i]);
#else
        asm volatile("" : "+f"(sums[i])::"memory");
#endif
    }

    // A thread has two channels, eight apart, and two pixels of each group of eight.
    int channel = first_channel + (TILE_CHANNELS == 128 ? group * 64 : 0) + warp % 4 * 16 + lane / 4;
    int own_first_pixel = first_pixel + (TILE_CHANNELS == 128 ? 0 : group * COLUMNS);
    float bias[2] = {layer.bias[channel], layer.bias[channel + 8]};
    float slope[2] = {layer.slope[channel], layer.slope[channel + 8]};
#pragma unroll
    for (int i = 0; i < COLUMNS / 2; i++) {
        sums[i] = activate(sums[i], bias[i / 2 % 2], slope[i / 2 % 2]);
    }

    if (layer.planes_out) {
#pragma unroll
        for (int i = 0; i < COLUMNS / 2; i += 2) {
            int plane = channel + i / 2 % 2 * 8;
            int pixel = own_first_pixel + i / 4 * 8 + lane % 4 * 2;
            if (plane < layer.used_planes) {
#pragma unroll
                for (int half = 0; half < 2; half++) {
                    if (pixel + half < layer.pixels) {
                        store_plane(layer, pixel + half, plane, sums[i + half]);
                    }
                }
            }
        }
    }
    if (!layer.pixels_out) {
        return;
    }

    // The results go through shared memory so that a pixel's channels are written together. Once both groups reach the
    // barrier, all chunks have arrived and all products are done.
    asm volatile("bar.sync 1, 256;" ::: "memory");
    constexpr int ROW = TILE_CHANNELS * (int)sizeof(Element) + 16;
    constexpr int BUFFER = TILE_PIXELS * ROW;
    unsigned buffer = weights;
    int local_channel = channel - first_channel, local_pixel = own_first_pixel - first_pixel;
    store_transposed<COLUMNS>(sums, buffer, ROW, local_pixel, local_channel, lane);
#ifdef SPLIT
#pragma unroll
    for (int i = 0; i < COLUMNS / 2; i++) {
        sums[i] = remainder(sums[i]);
    }
    store_transposed<COLUMNS>(sums, buffer + BUFFER, ROW, local_pixel, local_channel, lane);
#endif
    asm volatile("bar.sync 1, 256;" ::: "memory");
    constexpr int VECTORS = TILE_CHANNELS / VECTOR;
    for (int i = threadIdx.x; i < PARTS * TILE_PIXELS * VECTORS; i += 256) {
        int part = i / (TILE_PIXELS * VECTORS), pixel = i / VECTORS % TILE_PIXELS, vector = i % VECTORS;
        int target = first_channel + vector * VECTOR;
        if (first_pixel + pixel < layer.pixels && target < layer.channels_out) {
            uint4 value;
            asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
                         : "=r"(value.x), "=r"(value.y), "=r"(value.z), "=r"(value.w)
                         : "r"(buffer + part * BUFFER + pixel * ROW + vector * 16));
            size_t place =
                (size_t)(first_pixel + pixel) * layer.pixel_stride + part * layer.channels_out + target;
            *(uint4*)(layer.pixels_out + place) = value;
        }
    }
}

#define CONVOLVE(NAME, SHAPE) CONVOLVE_SHAPE(NAME, SHAPE)
#define CONVOLVE_SHAPE(NAME, PIXELS, CHANNELS, WARP_PIXELS, WARP_CHANNELS, STAGES, BLOCKS)                            \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)                                                     \
        NAME(const __grid_constant__ Convolution work) {                                                              \
        convolve<CHANNELS, PIXELS, STAGES>(work);                                                                     \
    }

// shapes.rs defines the shapes.
CONVOLVE(convolve_wide, WIDE)
CONVOLVE(convolve_narrow, NARROW)
CONVOLVE(convolve_thin, THIN)
CONVOLVE(convolve_small, SMALL)
