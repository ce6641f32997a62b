// Convolutions on the tensor cores of all GPUs since Ampere, as products of matrices: pixels x output channels.
//
// Each thread copies pieces of 16 bytes into shared memory, STAGES - 1 steps ahead of the products. Rows are swizzled, so
// that eight rows are read from all banks. What a thread has in the end are neighbouring channels, which it writes without a detour.

#include "source.cuh"

// Bytes of a row in a step, and multiplications.
#define STEP_BYTES (STEP_VECTORS * 16)
#define STEPS (STEP_VECTORS / 2)
#define PIECE_BITS (STEP_VECTORS - 1)
// A shift of a row's number by its thread's quarter of the channels flips this piece.
#define QUARTER (STEP_VECTORS / 4)

__device__ inline void copy(unsigned target, const uint4* from, bool is_inside) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(target), "l"(from), "r"(is_inside ? 16 : 0)
                 : "memory");
}

__device__ inline void load(unsigned (&matrices)[4], unsigned address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(matrices[0]), "=r"(matrices[1]), "=r"(matrices[2]), "=r"(matrices[3])
                 : "r"(address)
                 : "memory");
}

// 16 pixels x 8 channels.
__device__ inline void multiply(float (&sums)[4], const unsigned (&pixels)[4], unsigned first, unsigned second) {
#ifdef HALF
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
#else
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
#endif
                 : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
                 : "r"(pixels[0]), "r"(pixels[1]), "r"(pixels[2]), "r"(pixels[3]), "r"(first), "r"(second));
}

// Where a piece of 16 bytes of a row lies.
template <int SHIFT>
__device__ inline unsigned place(int row, int piece) {
    // Two rows of 64 bytes lie in the same banks' reach.
    int own = STEP_VECTORS == 4 ? row >> 1 : row;
    return row * STEP_BYTES + ((piece ^ own ^ (row >> SHIFT & 3) * QUARTER) & PIECE_BITS) * 16;
}

template <int PIXELS, int CHANNELS, int WARP_PIXELS, int WARP_CHANNELS, int STAGES>
__device__ inline void convolve(const Convolution& work) {
    constexpr int WARPS_ACROSS = CHANNELS / WARP_CHANNELS;
    constexpr int THREADS = PIXELS / WARP_PIXELS * WARPS_ACROSS * 32;
    constexpr int PIXEL_BYTES = PIXELS * STEP_BYTES, WEIGHT_BYTES = CHANNELS * STEP_BYTES;
    constexpr int STAGE_BYTES = PARTS * (PIXEL_BYTES + WEIGHT_BYTES);
    // Rows of which a thread copies a piece each.
    constexpr int PIXEL_COPIES = PIXELS * STEP_VECTORS / THREADS, WEIGHT_COPIES = CHANNELS * STEP_VECTORS / THREADS;
    // Products of a warp: 16 pixels x 8 channels each.
    constexpr int DOWN = WARP_PIXELS / 16, ACROSS = WARP_CHANNELS / 8;
    // A quarter of a warp's channels, which are a thread's, is this power of two.
    constexpr int SHIFT = WARP_CHANNELS == 64 ? 4 : 3;
    // Rows of pixels are read one after the other.
    constexpr int PIXEL_SHIFT = 31;
    constexpr int OWN_CHANNELS = WARP_CHANNELS / 4;
    extern __shared__ __align__(128) unsigned char shared[];
    const Layer& layer = work.layer;
    unsigned stages = shared_address(shared);
    int thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
    int channel_tiles = layer.weight_rows / CHANNELS;
    int first_channel = blockIdx.x % channel_tiles * CHANNELS;
    int first_pixel = blockIdx.x / channel_tiles * PIXELS;

    Walk<PIXEL_COPIES, THREADS> walk(work, first_pixel, first_channel);
    int total = walk.steps();
    // Where this thread's first vectors go; those of a row below lie in the same piece, or with a bit flipped.
    unsigned pixel_place = place<PIXEL_SHIFT>(thread / STEP_VECTORS, thread % STEP_VECTORS);
    unsigned weight_place = place<SHIFT>(thread / STEP_VECTORS, thread % STEP_VECTORS);
    // Of the steps on their way, the oldest first, four bits each: multiplications that are not all zero.
    unsigned multiplications = 0;
    auto copy_step = [&](int stage) {
        multiplications |= walk.multiplications();
        unsigned pixels_to = stages + stage * STAGE_BYTES, weights_to = pixels_to + PARTS * PIXEL_BYTES;
#pragma unroll
        for (int i = 0; i < PIXEL_COPIES; i++) {
            bool is_inside = walk.is_inside(i);
            const uint4* from = is_inside ? walk.pixel_vector(i) : walk.values;
            unsigned to = pixels_to + pixel_place + THREADS / STEP_VECTORS * i * STEP_BYTES;
            copy(to, from, is_inside);
#ifdef SPLIT
            copy(to + PIXEL_BYTES, from + walk.channel_vectors, is_inside);
#endif
        }
#pragma unroll
        for (int part = 0; part < PARTS; part++) {
#pragma unroll
            for (int i = 0; i < WEIGHT_COPIES; i++) {
                unsigned flipped = (THREADS / STEP_VECTORS * i >> SHIFT & 3) * QUARTER * 16;
                unsigned to = weights_to + (weight_place ^ flipped) + THREADS / STEP_VECTORS * i * STEP_BYTES;
                copy(to + part * WEIGHT_BYTES, walk.weight_vector(part, i), true);
            }
        }
        walk.next();
    };

#pragma unroll
    for (int stage = 0; stage < STAGES - 1; stage++) {
        multiplications <<= 4;
        if (stage < total) {
            copy_step(stage);
        }
        asm volatile("cp.async.commit_group;" ::: "memory");
    }

    // Rows that a lane gives the address of: of pixels, 16 rows and then their second half; of weights two groups of
    // eight channels, whose halves follow each other. A group's channels are two each of the four threads' own.
    int warp_pixel = warp / WARPS_ACROSS * WARP_PIXELS, warp_channel = warp % WARPS_ACROSS * WARP_CHANNELS;
    int pixel_row = warp_pixel + lane % 16, pixel_piece = lane / 16;
    int weight_row = warp_channel + lane % 8 / 2 * OWN_CHANNELS + lane % 2 + lane / 16 * 2;
    int weight_piece = lane / 8 % 2;

    // Rows further down lie in the same pieces.
    unsigned pixel_offsets[STEPS], weight_offsets[STEPS][2];
#pragma unroll
    for (int k = 0; k < STEPS; k++) {
        pixel_offsets[k] = place<PIXEL_SHIFT>(pixel_row, k * 2 + pixel_piece);
        for (int j = 0; j < 2; j++) {
            weight_offsets[k][j] = PARTS * PIXEL_BYTES + place<SHIFT>(weight_row + j * 4, k * 2 + weight_piece);
        }
    }
    auto pixels_at = [&](unsigned base, int part, int i, int k) {
        return base + pixel_offsets[k] + (part * PIXEL_BYTES + i * 16 * STEP_BYTES);
    };
    auto weights_at = [&](unsigned base, int part, int j, int k) {
        return base + weight_offsets[k][j % 2] + (part * WEIGHT_BYTES + j / 2 * 8 * STEP_BYTES);
    };

    float sums[DOWN][ACROSS][4] = {};
    int stage = 0, next = STAGES - 1;
    for (int step = 0; step < total; step++) {
        asm volatile("cp.async.wait_group %0;" ::"n"(STAGES - 2) : "memory");
        __syncthreads();
        unsigned operands = stages + stage * STAGE_BYTES;
#ifndef SPLIT
        int used = multiplications >> 4 * (STAGES - 2) & 15;
#endif
        auto copy_next = [&]() {
            multiplications <<= 4;
            if (step + STAGES - 1 < total) {
                copy_step(next);
            }
            asm volatile("cp.async.commit_group;" ::: "memory");
        };
#ifdef SPLIT
        unsigned b[PARTS][STEPS][ACROSS / 2][4];
#pragma unroll
        for (int part = 0; part < PARTS; part++) {
#pragma unroll
            for (int k = 0; k < STEPS; k++) {
#pragma unroll
                for (int j = 0; j < ACROSS / 2; j++) {
                    load(b[part][k][j], weights_at(operands, part, j, k));
                }
            }
        }
        // The tensor cores' sums lose bits as they grow: each step's are added up by themselves.
#pragma unroll
        for (int i = 0; i < DOWN; i++) {
            float high[ACROSS][4] = {}, low[ACROSS][4] = {};
#pragma unroll
            for (int k = 0; k < STEPS; k++) {
                unsigned a[PARTS][4];
#pragma unroll
                for (int part = 0; part < PARTS; part++) {
                    load(a[part], pixels_at(operands, part, i, k));
                }
#pragma unroll
                for (int j = 0; j < ACROSS; j++) {
                    multiply(high[j], a[0], b[0][k][j / 2][j % 2 * 2], b[0][k][j / 2][j % 2 * 2 + 1]);
                }
#pragma unroll
                for (int j = 0; j < ACROSS; j++) {
                    multiply(low[j], a[1], b[0][k][j / 2][j % 2 * 2], b[0][k][j / 2][j % 2 * 2 + 1]);
                }
#pragma unroll
                for (int j = 0; j < ACROSS; j++) {
                    multiply(low[j], a[0], b[1][k][j / 2][j % 2 * 2], b[1][k][j / 2][j % 2 * 2 + 1]);
                }
            }
            // Between the products: other warps multiply meanwhile.
            if (i == 0) {
                copy_next();
            }
#pragma unroll
            for (int j = 0; j < ACROSS; j++) {
#pragma unroll
                for (int n = 0; n < 4; n++) {
                    sums[i][j][n] += fmaf(low[j][n], 1.0f / LOW_SCALE, high[j][n]);
                }
            }
        }
#else
        auto multiply_all = [&](int k) {
            unsigned a[DOWN][4], b[ACROSS / 2][4];
#pragma unroll
            for (int i = 0; i < DOWN; i++) {
                load(a[i], pixels_at(operands, 0, i, k));
            }
#pragma unroll
            for (int j = 0; j < ACROSS / 2; j++) {
                load(b[j], weights_at(operands, 0, j, k));
            }
#pragma unroll
            for (int i = 0; i < DOWN; i++) {
#pragma unroll
                for (int j = 0; j < ACROSS; j++) {
                    multiply(sums[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
                }
            }
        };
        // Between the products: other warps multiply meanwhile.
        multiply_all(0);
        copy_next();
        if (used == STEPS) {
#pragma unroll
            for (int k = 1; k < STEPS; k++) {
                multiply_all(k);
            }
        } else {
#pragma unroll
            for (int k = 1; k < STEPS; k++) {
                if (k < used) {
                    multiply_all(k);
                }
            }
        }
#endif
        stage = stage + 1 == STAGES ? 0 : stage + 1;
        next = next + 1 == STAGES ? 0 : next + 1;
    }
    asm volatile("cp.async.wait_group 0;" ::: "memory");

    // A thread has rows lane / 4 and 8 below, and of each product two channels.
    int channel = first_channel + warp_channel + lane % 4 * OWN_CHANNELS;
    float bias[OWN_CHANNELS], slope[OWN_CHANNELS];
#pragma unroll
    for (int own = 0; own < OWN_CHANNELS; own++) {
        bias[own] = layer.bias[channel + own];
        slope[own] = layer.slope[channel + own];
    }
#pragma unroll
    for (int i = 0; i < DOWN; i++) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int pixel = first_pixel + warp_pixel + i * 16 + half * 8 + lane / 4;
            if (pixel >= layer.pixels) {
                continue;
            }
#pragma unroll
            for (int first = 0; first < OWN_CHANNELS; first += VECTOR) {
                float values[VECTOR];
#pragma unroll
                for (int n = 0; n < VECTOR; n++) {
                    int own = first + n;
                    values[n] = activate(sums[i][own / 2][half * 2 + own % 2], bias[own], slope[own]);
                    if (layer.planes_out && channel + own < layer.used_planes) {
                        store_plane(layer, pixel, channel + own, values[n]);
                    }
                }
                if (layer.pixels_out && channel + first < layer.channels_out) {
                    store_channels(layer.pixels_out + (size_t)pixel * layer.pixel_stride + channel + first,
                                   layer.channels_out, values);
                }
            }
        }
    }
}

#define CONVOLVE(NAME, SHAPE) CONVOLVE_SHAPE(NAME, SHAPE)
#define CONVOLVE_SHAPE(NAME, PIXELS, CHANNELS, WARP_PIXELS, WARP_CHANNELS, STAGES, BLOCKS)                            \
    extern "C" __global__ void __launch_bounds__(PIXELS / WARP_PIXELS * (CHANNELS / WARP_CHANNELS) * 32, BLOCKS)      \
        NAME(const __grid_constant__ Convolution work) {                                                              \
        convolve<PIXELS, CHANNELS, WARP_PIXELS, WARP_CHANNELS, STAGES>(work);                                         \
    }

// The numbers of each are kernels.rs'.
CONVOLVE(convolve_wide, WIDE)
CONVOLVE(convolve_narrow, NARROW)
CONVOLVE(convolve_thin, THIN)
CONVOLVE(convolve_small, SMALL)
