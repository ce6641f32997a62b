// Convolutions on the tensor cores of all GPUs since Turing, as matrix products: pixels x output channels.
//
// A step is 64 or 128 bytes of a pixel's channels. Its operands are in shared memory, in swizzled rows, so that reading eight
// rows uses all banks; a warp loads the operands of the next multiplication while it multiplies. Since Ampere, each thread
// copies pieces of 16 bytes there STAGES - 1 steps ahead. With TURING, it loads the pieces of the step after the next into
// registers, and writes those of the next step into the other of two buffers. A thread's results are neighbouring channels,
// which it writes directly.
//
// The code is kept short on purpose: waiting for instructions takes a block longer than waiting for operands.

#include "tiles.cuh"

// The bytes of a row in a step, and the multiplications.
#define STEP_BYTES (STEP_VECTORS * 16)
#define STEPS (STEP_VECTORS / 2)
#define PIECE_BITS (STEP_VECTORS - 1)
// The unit in which the quarter of the channels that a row belongs to flips bits of a piece's number.
#define QUARTER (STEP_VECTORS / 4)

#ifndef TURING
// Copies from OFFSET bytes after one address to TARGET_OFFSET bytes after another, or zeros if it is outside.
template <int TARGET_OFFSET, int OFFSET>
__device__ inline void copy(unsigned target, const uint4* from, bool is_inside) {
    asm volatile("cp.async.cg.shared.global [%0 + %3], [%1 + %4], 16, %2;" ::"r"(target), "l"(from),
                 "r"(is_inside ? 16 : 0), "n"(TARGET_OFFSET), "n"(OFFSET)
                 : "memory");
}
#endif

__device__ inline void load(unsigned (&matrices)[4], unsigned address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(matrices[0]), "=r"(matrices[1]), "=r"(matrices[2]), "=r"(matrices[3])
                 : "r"(address)
                 : "memory");
}

template <int VALUE>
struct Index {
    static constexpr int value = VALUE;
};

// Calls `work` with each index as a compile-time constant.
template <int COUNT, typename Work>
__device__ inline void for_each(const Work& work) {
    if constexpr (COUNT > 0) {
        for_each<COUNT - 1>(work);
        work(Index<COUNT - 1>());
    }
}

// Turing's products have half the depth of Ampere's, so that two make up one. The second adds to the sums of the first and
// waits for it, so other products come in between.
#ifdef TURING
#define HALVES 2
#else
#define HALVES 1
#endif

// A half of a product of 16 pixels x 8 channels, or all of it if HALVES is 1.
__device__ inline void multiply(float (&sums)[4], const unsigned (&pixels)[4], const unsigned* weights, int half) {
#ifdef TURING
    asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(pixels[half * 2]), "r"(pixels[half * 2 + 1]), "r"(weights[half]));
#else
#ifdef HALF
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
#else
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
#endif
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(pixels[0]), "r"(pixels[1]), "r"(pixels[2]), "r"(pixels[3]), "r"(weights[0]), "r"(weights[1]));
#endif
}

// The position of a 16-byte piece of a row.
template <int SHIFT>
__device__ inline unsigned place(int row, int piece) {
    // Two rows of 64 bytes span all banks once.
    int own = STEP_VECTORS == 4 ? row >> 1 : row;
    return row * STEP_BYTES + ((piece ^ own ^ (row >> SHIFT & 3) * QUARTER) & PIECE_BITS) * 16;
}

template <int PIXELS, int CHANNELS, int WARP_PIXELS, int WARP_CHANNELS, int STAGES>
__device__ inline void convolve(const Convolution& work) {
    constexpr int WARPS_ACROSS = CHANNELS / WARP_CHANNELS;
    constexpr int THREADS = PIXELS / WARP_PIXELS * WARPS_ACROSS * 32;
    constexpr int PIXEL_BYTES = PIXELS * STEP_BYTES, WEIGHT_BYTES = CHANNELS * STEP_BYTES;
    constexpr int STAGE_BYTES = PARTS * (PIXEL_BYTES + WEIGHT_BYTES);
    // The number of rows of which a thread copies one piece each.
    constexpr int PIXEL_COPIES = PIXELS * STEP_VECTORS / THREADS, WEIGHT_COPIES = CHANNELS * STEP_VECTORS / THREADS;
    // The distance between a thread's rows.
    constexpr int ROWS = THREADS / STEP_VECTORS;
    // The products of a warp, of 16 pixels x 8 channels each.
    constexpr int DOWN = WARP_PIXELS / 16, ACROSS = WARP_CHANNELS / 8;
    // A thread has a quarter of a warp's channels, which is this power of two.
    constexpr int SHIFT = WARP_CHANNELS == 64 ? 4 : 3;
    // Rows of pixels are read in order, so no quarter flips a bit.
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
    // Where this thread's first vectors go. In the rows below, it writes the same piece, or that with one bit flipped.
    unsigned pixel_place = place<PIXEL_SHIFT>(thread / STEP_VECTORS, thread % STEP_VECTORS);
    unsigned weight_place = place<SHIFT>(thread / STEP_VECTORS, thread % STEP_VECTORS);
#ifdef TURING
    Pieces<PIXEL_COPIES, WEIGHT_COPIES> pieces;
    auto put = [&](int stage) {
        unsigned char* to = shared + stage * STAGE_BYTES;
        pieces.put([&](int part, int i) { return to + pixel_place + ROWS * i * STEP_BYTES + part * PIXEL_BYTES; },
                   [&](int part, int i) {
                       unsigned flipped = (ROWS * i >> SHIFT & 3) * QUARTER * 16;
                       return to + PARTS * PIXEL_BYTES + (weight_place ^ flipped) + ROWS * i * STEP_BYTES +
                              part * WEIGHT_BYTES;
                   });
    };
    pieces.fetch(walk);
    put(0);
    if (total > 1) {
        pieces.fetch(walk);
    }
    __syncthreads();
#else
    auto copy_step = [&](int stage) {
        unsigned pixels_to = stages + stage * STAGE_BYTES + pixel_place;
        unsigned weights_to = stages + stage * STAGE_BYTES + PARTS * PIXEL_BYTES;
        for_each<PIXEL_COPIES>([&](auto index) {
            constexpr int i = decltype(index)::value;
            const uint4* from = walk.pixel_vector(i);
            bool is_inside = walk.is_inside(i);
            copy<ROWS * i * STEP_BYTES, 0>(pixels_to, from, is_inside);
#ifdef SPLIT
            copy<ROWS * i * STEP_BYTES + PIXEL_BYTES, 0>(pixels_to, from + walk.channel_vectors, is_inside);
#endif
        });
        for_each<PARTS * WEIGHT_COPIES>([&](auto index) {
            constexpr int part = decltype(index)::value / WEIGHT_COPIES, i = decltype(index)::value % WEIGHT_COPIES;
            constexpr int flipped = (ROWS * i >> SHIFT & 3) * QUARTER * 16;
            copy<part * WEIGHT_BYTES + ROWS * i * STEP_BYTES, ROWS * i * CHUNK_VECTORS * 16>(
                weights_to + (weight_place ^ flipped), walk.weight_vector(part), true);
        });
        walk.next();
    };

#pragma unroll
    for (int stage = 0; stage < STAGES - 1; stage++) {
        if (stage < total) {
            copy_step(stage);
        }
        asm volatile("cp.async.commit_group;" ::: "memory");
    }
    asm volatile("cp.async.wait_group %0;" ::"n"(STAGES - 2) : "memory");
    __syncthreads();
#endif

    // The rows whose addresses a lane provides. For pixels: 16 rows, then their second halves. For weights: two groups of
    // eight channels, each group's halves together. A group contains two channels of each of the four threads.
    int warp_pixel = warp / WARPS_ACROSS * WARP_PIXELS, warp_channel = warp % WARPS_ACROSS * WARP_CHANNELS;
    int pixel_row = warp_pixel + lane % 16, pixel_piece = lane / 16;
    int weight_row = warp_channel + lane % 8 / 2 * OWN_CHANNELS + lane % 2 + lane / 16 * 2;
    int weight_piece = lane / 8 % 2;

    // Rows further down have the same offsets within the row.
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
    int stage = 0;
#ifdef TURING
    // Writes the operands of the next step, and starts loading those of the step after it.
    auto copy_next = [&](int step) {
        if (step + 1 < total) {
            put(stage ^ 1);
        }
        if (step + 2 < total) {
            pieces.fetch(walk);
        }
    };
    auto go_on = [&]() {
        __syncthreads();
        stage ^= 1;
    };
#else
    int next = STAGES - 1;
    auto copy_next = [&](int step) {
        if (step + STAGES - 1 < total) {
            copy_step(next);
        }
        asm volatile("cp.async.commit_group;" ::: "memory");
        next = next + 1 == STAGES ? 0 : next + 1;
    };
    auto go_on = [&]() {
        asm volatile("cp.async.wait_group %0;" ::"n"(STAGES - 2) : "memory");
        __syncthreads();
        stage = stage + 1 == STAGES ? 0 : stage + 1;
    };
#endif
#ifdef SPLIT
    for (int step = 0; step < total; step++) {
        unsigned operands = stages + stage * STAGE_BYTES;
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
        // The tensor cores' sums lose bits as they grow, so each step is summed separately.
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
                for (int half = 0; half < HALVES; half++) {
#pragma unroll
                    for (int j = 0; j < ACROSS; j++) {
                        multiply(high[j], a[0], &b[0][k][j / 2][j % 2 * 2], half);
                    }
#pragma unroll
                    for (int j = 0; j < ACROSS; j++) {
                        multiply(low[j], a[1], &b[0][k][j / 2][j % 2 * 2], half);
                    }
#pragma unroll
                    for (int j = 0; j < ACROSS; j++) {
                        multiply(low[j], a[0], &b[1][k][j / 2][j % 2 * 2], half);
                    }
                }
            }
            // Between products, because other warps multiply meanwhile.
            if (i == 0) {
                copy_next(step);
            }
#pragma unroll
            for (int j = 0; j < ACROSS; j++) {
#pragma unroll
                for (int n = 0; n < 4; n++) {
                    sums[i][j][n] += fmaf(low[j][n], 1.0f / LOW_SCALE, high[j][n]);
                }
            }
        }
        go_on();
    }
#else
    // The operands of the current multiplication, and of the next, which are loaded meanwhile.
    unsigned a[2][DOWN][4], b[2][ACROSS / 2][4];
    auto load_all = [&](int to, int k) {
        unsigned operands = stages + stage * STAGE_BYTES;
#pragma unroll
        for (int i = 0; i < DOWN; i++) {
            load(a[to][i], pixels_at(operands, 0, i, k));
        }
#pragma unroll
        for (int j = 0; j < ACROSS / 2; j++) {
            load(b[to][j], weights_at(operands, 0, j, k));
        }
    };
    auto multiply_all = [&](int from) {
#pragma unroll
        for (int half = 0; half < HALVES; half++) {
#pragma unroll
            for (int i = 0; i < DOWN; i++) {
#pragma unroll
                for (int across = 0; across < ACROSS; across++) {
                    // Alternates the direction to reuse the operand of the last multiplication.
                    int j = i % 2 ? ACROSS - 1 - across : across;
                    multiply(sums[i][j], a[from][i], &b[from][j / 2][j % 2 * 2], half);
                }
            }
        }
    };
    load_all(0, 0);
    for (int step = 0; step < total; step++) {
#pragma unroll
        for (int k = 0; k < STEPS; k++) {
            if (k == STEPS - 1) {
                go_on();
            }
            load_all((k + 1) % 2, (k + 1) % STEPS);
            if (k == 0) {
                copy_next(step);
            }
            multiply_all(k % 2);
        }
    }
#endif
#ifndef TURING
    asm volatile("cp.async.wait_group 0;" ::: "memory");
#endif

    // A thread has rows lane / 4 and lane / 4 + 8, and two channels of each product.
    int channel = first_channel + warp_channel + lane % 4 * OWN_CHANNELS;
    float bias[OWN_CHANNELS], slope[OWN_CHANNELS];
#pragma unroll
    for (int own = 0; own < OWN_CHANNELS; own++) {
        bias[own] = layer.bias[channel + own];
        slope[own] = layer.slope[channel + own];
    }
    size_t image_pixels = layer.width * layer.height;
#pragma unroll
    for (int i = 0; i < DOWN; i++) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int pixel = first_pixel + warp_pixel + i * 16 + half * 8 + lane / 4;
            float values[OWN_CHANNELS];
#pragma unroll
            for (int own = 0; own < OWN_CHANNELS; own++) {
                values[own] = activate(sums[i][own / 2][half * 2 + own % 2], bias[own], slope[own]);
            }
            if (pixel >= layer.pixels) {
                continue;
            }
            if (layer.planes_out) {
                float* plane = plane_place(layer, pixel, channel);
#pragma unroll
                for (int own = 0; own < OWN_CHANNELS; own++) {
                    if (channel + own < layer.used_planes) {
                        plane[own * image_pixels] = values[own];
                    }
                }
            }
            if (layer.pixels_out) {
                Element* to = layer.pixels_out + (size_t)pixel * layer.pixel_stride + channel;
#pragma unroll
                for (int first = 0; first < OWN_CHANNELS; first += VECTOR) {
                    if (channel + first < layer.channels_out) {
                        store_channels(to + first, layer.channels_out, *(float(*)[VECTOR])&values[first]);
                    }
                }
            }
        }
    }
}

CONVOLVE_ALL
