// Convolutions in half precision on the tensor cores of any GPU since Volta, as matrix products: pixels x output channels.
//
// While the products of a step are computed from one of two buffers in shared memory, each thread writes the next step's
// pieces of 16 bytes into the other, and loads those of the step after it into registers. A step is 64 bytes of a pixel's
// channels.

// Rows that are written at the same time are four apart, and so in different banks.
#define OWN_ROW(row) (((row) & ~7) | ((row) & 1) << 2 | ((row) >> 1 & 3))

#include "tiles.cuh"

#define STEP_ELEMENTS (STEP_VECTORS * VECTOR)
#define STEPS (STEP_VECTORS / 2)
// Elements of a row in shared memory, padded so that reading eight rows uses all banks.
#define ROW (STEP_ELEMENTS + VECTOR)

#define LOAD(matrix, layout, target, address)                                                                      \
    asm volatile("wmma.load." matrix ".sync.aligned." layout ".m16n16k16.shared.f16"                               \
                 " {%0, %1, %2, %3, %4, %5, %6, %7}, [%8], %9;"                                                   \
                 : "=r"(target[0]), "=r"(target[1]), "=r"(target[2]), "=r"(target[3]), "=r"(target[4]),            \
                   "=r"(target[5]), "=r"(target[6]), "=r"(target[7])                                               \
                 : "r"(address), "n"(ROW)                                                                          \
                 : "memory")

// 16 pixels x 16 channels.
__device__ inline void multiply(float (&sums)[8], const unsigned (&a)[8], const unsigned (&b)[8]) {
    asm("wmma.mma.sync.aligned.row.col.m16n16k16.f32.f32 {%0, %1, %2, %3, %4, %5, %6, %7}, {%8, %9, %10, %11, "
                 "%12, %13, %14, %15}, {%16, %17, %18, %19, %20, %21, %22, %23}, {%0, %1, %2, %3, %4, %5, %6, %7};"
                 : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3]), "+f"(sums[4]), "+f"(sums[5]),
                   "+f"(sums[6]), "+f"(sums[7])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(a[4]), "r"(a[5]), "r"(a[6]), "r"(a[7]), "r"(b[0]),
                   "r"(b[1]), "r"(b[2]), "r"(b[3]), "r"(b[4]), "r"(b[5]), "r"(b[6]), "r"(b[7]));
}

template <int PIXELS, int CHANNELS, int WARP_PIXELS, int WARP_CHANNELS, int STAGES>
__device__ inline void convolve(const Convolution& work) {
    static_assert(STAGES == 2, "two buffers");
    constexpr int WARPS_ACROSS = CHANNELS / WARP_CHANNELS;
    constexpr int THREADS = PIXELS / WARP_PIXELS * WARPS_ACROSS * 32;
    constexpr int PIXEL_COPIES = PIXELS * STEP_VECTORS / THREADS, WEIGHT_COPIES = CHANNELS * STEP_VECTORS / THREADS;
    constexpr int ELEMENT = sizeof(Element);
    // The elements of a step's operands in shared memory, and the distance between the rows that a thread copies.
    constexpr int BUFFER = PARTS * (PIXELS + CHANNELS) * ROW, ROWS = THREADS / STEP_VECTORS;
    constexpr int DOWN = WARP_PIXELS / 16, ACROSS = WARP_CHANNELS / 16;
    constexpr int SUM_ROW = WARP_CHANNELS + 4;
    extern __shared__ __align__(128) unsigned char shared[];
    Element* buffers = (Element*)shared;
    const Layer& layer = work.layer;
    int thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
    int channel_tiles = layer.weight_rows / CHANNELS;
    int first_channel = blockIdx.x % channel_tiles * CHANNELS;
    int first_pixel = blockIdx.x / channel_tiles * PIXELS;
    int warp_pixel = warp / WARPS_ACROSS * WARP_PIXELS, warp_channel = warp % WARPS_ACROSS * WARP_CHANNELS;

    Walk<PIXEL_COPIES, THREADS> walk(work, first_pixel, first_channel);
    int total = walk.steps();
    Pieces<PIXEL_COPIES, WEIGHT_COPIES> pieces;
    Element* own_place = buffers + OWN_ROW(thread / STEP_VECTORS) * ROW + thread % STEP_VECTORS * VECTOR;
    auto put = [&](int buffer) {
        Element* to = own_place + buffer * BUFFER;
        pieces.put([&](int part, int i) { return to + (part * PIXELS + ROWS * i) * ROW; },
                   [&](int part, int i) { return to + (PARTS * PIXELS + part * CHANNELS + ROWS * i) * ROW; });
    };

    float sums[DOWN][ACROSS][8] = {};
    pieces.fetch(walk);
    put(0);
    if (total > 1) {
        pieces.fetch(walk);
    }
    __syncthreads();
    int buffer = 0;
    // Writes the operands of the next step, and starts loading those of the step after it.
    auto copy_next = [&](int step) {
        if (step + 1 < total) {
            put(buffer ^ 1);
        }
        if (step + 2 < total) {
            pieces.fetch(walk);
        }
    };
    auto go_on = [&]() {
        __syncthreads();
        buffer ^= 1;
    };
    unsigned first_operands = shared_address(buffers);
    // The address of a warp's matrix of pixels or weights in the current buffer.
    auto pixels_at = [&](int part, int i, int k) {
        return first_operands + (buffer * BUFFER + (part * PIXELS + warp_pixel + i * 16) * ROW + k * 16) * ELEMENT;
    };
    auto weights_at = [&](int part, int j, int k) {
        int row = PARTS * PIXELS + part * CHANNELS + warp_channel + j * 16;
        return first_operands + (buffer * BUFFER + row * ROW + k * 16) * ELEMENT;
    };
#ifdef SPLIT
    for (int step = 0; step < total; step++) {
        copy_next(step);
        // The tensor cores' sums lose bits as they grow, so each step is summed separately.
#pragma unroll
        for (int i = 0; i < DOWN; i++) {
            float high[ACROSS][8] = {}, low[ACROSS][8] = {};
#pragma unroll
            for (int k = 0; k < STEPS; k++) {
                unsigned a[PARTS][8];
                LOAD("a", "row", a[0], pixels_at(0, i, k));
                LOAD("a", "row", a[1], pixels_at(1, i, k));
#pragma unroll
                for (int j = 0; j < ACROSS; j++) {
                    unsigned b[PARTS][8];
                    LOAD("b", "col", b[0], weights_at(0, j, k));
                    LOAD("b", "col", b[1], weights_at(1, j, k));
                    multiply(high[j], a[0], b[0]);
                    multiply(low[j], a[1], b[0]);
                    multiply(low[j], a[0], b[1]);
                }
            }
#pragma unroll
            for (int j = 0; j < ACROSS; j++) {
#pragma unroll
                for (int n = 0; n < 8; n++) {
                    sums[i][j][n] += fmaf(low[j][n], 1.0f / LOW_SCALE, high[j][n]);
                }
            }
        }
        go_on();
    }
#else
    // Operands are loaded while others are multiplied: weights one product ahead, pixels as soon as the last product with the
    // previous ones has started. Volta does not have enough registers for more.
    unsigned a[DOWN][8], b[2][8];
#pragma unroll
    for (int i = 0; i < DOWN; i++) {
        LOAD("a", "row", a[i], pixels_at(0, i, 0));
    }
    LOAD("b", "col", b[0], weights_at(0, 0, 0));
    for (int step = 0; step < total; step++) {
#pragma unroll
        for (int k = 0; k < STEPS; k++) {
#pragma unroll
            for (int j = 0; j < ACROSS; j++) {
                bool is_last = j == ACROSS - 1;
                if (is_last && k == STEPS - 1) {
                    go_on();
                }
                int next = is_last ? (k + 1) % STEPS : k;
                LOAD("b", "col", b[(j + 1) % 2], weights_at(0, (j + 1) % ACROSS, next));
                if (k == 0 && j == 0) {
                    copy_next(step);
                }
#pragma unroll
                for (int i = 0; i < DOWN; i++) {
                    multiply(sums[i][j], a[i], b[j % 2]);
                    if (is_last) {
                        LOAD("a", "row", a[i], pixels_at(0, i, next));
                    }
                }
            }
        }
    }
#endif

    // The results go through shared memory, whose operands are no longer needed, sixteen pixels per warp at a time.
    __syncthreads();
    float* own_sums = (float*)shared + warp * 16 * SUM_ROW;
#pragma unroll
    for (int i = 0; i < DOWN; i++) {
        __syncwarp();
#pragma unroll
        for (int j = 0; j < ACROSS; j++) {
            float(&own)[8] = sums[i][j];
            asm volatile("wmma.store.d.sync.aligned.row.m16n16k16.shared.f32 [%0], {%1, %2, %3, %4, %5, %6, %7, %8}, %9;"
                         ::"r"(shared_address(own_sums + j * 16)), "f"(own[0]), "f"(own[1]), "f"(own[2]), "f"(own[3]),
                         "f"(own[4]), "f"(own[5]), "f"(own[6]), "f"(own[7]), "n"(SUM_ROW)
                         : "memory");
        }
        __syncwarp();
        int top = first_pixel + warp_pixel + i * 16, left = first_channel + warp_channel;
        if (layer.planes_out) {
            for (int place = lane; place < 16 * WARP_CHANNELS; place += 32) {
                int pixel = top + place % 16, channel = left + place / 16;
                if (pixel < layer.pixels && channel < layer.used_planes) {
                    float sum = own_sums[place % 16 * SUM_ROW + place / 16];
                    store_plane(layer, pixel, channel, activate(sum, layer.bias[channel], layer.slope[channel]));
                }
            }
        }
        if (layer.pixels_out) {
            constexpr int VECTORS = WARP_CHANNELS / VECTOR;
            for (int place = lane; place < 16 * VECTORS; place += 32) {
                int pixel = top + place / VECTORS, channel = left + place % VECTORS * VECTOR;
                if (pixel < layer.pixels && channel < layer.channels_out) {
                    float values[VECTOR];
                    for (int n = 0; n < VECTOR; n++) {
                        float sum = own_sums[place / VECTORS * SUM_ROW + channel - left + n];
                        values[n] = activate(sum, layer.bias[channel + n], layer.slope[channel + n]);
                    }
                    store_channels(layer.pixels_out + (size_t)pixel * layer.pixel_stride + channel, layer.channels_out,
                                   values);
                }
            }
        }
    }
}

CONVOLVE_ALL
