// The first convolution of a net, 3 x 3 from up to three channels to 64, in half precision. Writing its result takes the
// most time, so computing it faster would not help.
//
// PORTABLE: with Volta's products of whole matrices, whose operands and sums go through shared memory.

#include "layer.cuh"

#define TILE_WIDTH FIRST_TILE_WIDTH
#define TILE_HEIGHT FIRST_TILE_HEIGHT
#define CHANNELS FEW_CHANNELS
// 9 positions x 3 channels, padded to two multiplications of 16.
#define INPUTS FIRST_INPUTS
#define TILE_PIXELS ((TILE_HEIGHT + 2) * (TILE_WIDTH + 2))

struct First {
    // Images x height x width x parts x VECTOR, of which three elements are used.
    const Element* from;
    // Parts x CHANNELS x INPUTS, by position and channel.
    const Element* weights;
    Layer layer;
    int images;
    int unused;
};

#ifdef PORTABLE
// The elements of a row of inputs, and the values of a row of sums, in shared memory.
#define INPUT_ROW (INPUTS + VECTOR)
#define SUM_ROW 20

// 16 pixels x 16 channels.
__device__ inline void multiply(float (&sums)[8], const unsigned (&a)[8], const unsigned (&b)[8]) {
    asm volatile(
        "wmma.mma.sync.aligned.row.col.m16n16k16.f32.f32 {%0, %1, %2, %3, %4, %5, %6, %7}, {%8, %9, %10, %11, "
        "%12, %13, %14, %15}, {%16, %17, %18, %19, %20, %21, %22, %23}, {%0, %1, %2, %3, %4, %5, %6, %7};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3]), "+f"(sums[4]), "+f"(sums[5]), "+f"(sums[6]),
          "+f"(sums[7])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(a[4]), "r"(a[5]), "r"(a[6]), "r"(a[7]), "r"(b[0]),
          "r"(b[1]), "r"(b[2]), "r"(b[3]), "r"(b[4]), "r"(b[5]), "r"(b[6]), "r"(b[7]));
}
#else
// 16 pixels x 8 channels.
__device__ inline void multiply(float (&sums)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
#ifdef TURING
    for (int half = 0; half < 2; half++) {
        asm volatile(
            "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
            : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
            : "r"(a[half * 2]), "r"(a[half * 2 + 1]), "r"(b[half]));
    }
#else
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, "
        "%3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}
#endif

// Blocks: tiles across x tiles down, images.
extern "C" __global__ void __launch_bounds__(THREADS, 2 / PARTS) convolve_first(const __grid_constant__ First work) {
    // Four elements per pixel, with a border of one pixel.
    __shared__ uint2 pixels[PARTS * TILE_PIXELS];
    const Layer& layer = work.layer;
    int tiles = (layer.width + TILE_WIDTH - 1) / TILE_WIDTH;
    int first_x = blockIdx.x % tiles * TILE_WIDTH, first_y = blockIdx.x / tiles * TILE_HEIGHT, image = blockIdx.y;
    int warp = threadIdx.x / 32, group = threadIdx.x % 32 / 4, lane = threadIdx.x % 4;
    size_t image_pixels = (size_t)layer.width * layer.height;
    for (int i = threadIdx.x; i < TILE_PIXELS; i += THREADS) {
        int x = first_x + i % (TILE_WIDTH + 2) - 1, y = first_y + i / (TILE_WIDTH + 2) - 1;
        bool is_inside = x >= 0 && y >= 0 && x < layer.width && y < layer.height;
        const Element* pixel = work.from + (image * image_pixels + (size_t)y * layer.width + x) * PARTS * VECTOR;
        for (int part = 0; part < PARTS; part++) {
            pixels[part * TILE_PIXELS + i] =
                is_inside ? *(const uint2*)(pixel + part * VECTOR) : make_uint2(0, 0);
        }
    }

#ifdef PORTABLE
    // The inputs of sixteen pixels per warp at a time, and then sixteen channels of their sums in the same place.
    __shared__ __align__(128) Element rows[THREADS / 32 * 16 * INPUT_ROW];
    Element* inputs = rows + warp * 16 * INPUT_ROW;
    unsigned inputs_at = (unsigned)__cvta_generic_to_shared(inputs);
    unsigned weights[2][CHANNELS / 16][8];
#pragma unroll
    for (int step = 0; step < 2; step++) {
#pragma unroll
        for (int j = 0; j < CHANNELS / 16; j++) {
            unsigned(&own)[8] = weights[step][j];
            asm volatile("wmma.load.b.sync.aligned.col.m16n16k16.global.f16 {%0, %1, %2, %3, %4, %5, %6, %7}, [%8], %9;"
                         : "=r"(own[0]), "=r"(own[1]), "=r"(own[2]), "=r"(own[3]), "=r"(own[4]), "=r"(own[5]),
                           "=r"(own[6]), "=r"(own[7])
                         : "l"(work.weights + j * 16 * INPUTS + step * 16), "n"(INPUTS)
                         : "memory");
        }
    }
    // A lane gathers half the inputs of a pixel, and later writes eight of its channels.
    int own_row = threadIdx.x % 32 / 2, half = threadIdx.x % 2;
    int offsets[INPUTS / 2];
#pragma unroll
    for (int i = 0; i < INPUTS / 2; i++) {
        int input = half * (INPUTS / 2) + i;
        int position = input < 27 ? input / 3 : 0;
        offsets[i] = (position / 3 * (TILE_WIDTH + 2) + position % 3) * 4 + (input < 27 ? input % 3 : 3);
    }
    __syncthreads();
    const Element* shared = (const Element*)pixels;
    for (int run = warp; run < TILE_HEIGHT * (TILE_WIDTH / 16); run += THREADS / 32) {
        int x = run % (TILE_WIDTH / 16) * 16, y = run / (TILE_WIDTH / 16);
        if (first_x + x >= layer.width || first_y + y >= layer.height) {
            continue;
        }
        const Element* pixel = shared + (y * (TILE_WIDTH + 2) + x + own_row) * 4;
        __syncwarp();
#pragma unroll
        for (int first = 0; first < INPUTS / 2; first += VECTOR) {
            Vector gathered;
#pragma unroll
            for (int i = 0; i < VECTOR; i++) {
                gathered.elements[i] = pixel[offsets[first + i]];
            }
            *(uint4*)(inputs + own_row * INPUT_ROW + half * (INPUTS / 2) + first) = gathered.bits;
        }
        __syncwarp();
        unsigned a[2][8];
#pragma unroll
        for (int step = 0; step < 2; step++) {
            asm volatile("wmma.load.a.sync.aligned.row.m16n16k16.shared.f16 {%0, %1, %2, %3, %4, %5, %6, %7}, [%8], %9;"
                         : "=r"(a[step][0]), "=r"(a[step][1]), "=r"(a[step][2]), "=r"(a[step][3]), "=r"(a[step][4]),
                           "=r"(a[step][5]), "=r"(a[step][6]), "=r"(a[step][7])
                         : "r"(inputs_at + step * 32), "n"(INPUT_ROW)
                         : "memory");
        }
        int own_x = first_x + x + own_row;
        size_t place = image * image_pixels + (size_t)(first_y + y) * layer.width + own_x;
#pragma unroll
        for (int j = 0; j < CHANNELS / 16; j++) {
            float sums[8] = {};
            multiply(sums, a[0], weights[0][j]);
            multiply(sums, a[1], weights[1][j]);
            __syncwarp();
            asm volatile("wmma.store.d.sync.aligned.row.m16n16k16.shared.f32 [%0], {%1, %2, %3, %4, %5, %6, %7, %8}, %9;"
                         ::"r"(inputs_at), "f"(sums[0]), "f"(sums[1]), "f"(sums[2]), "f"(sums[3]), "f"(sums[4]),
                         "f"(sums[5]), "f"(sums[6]), "f"(sums[7]), "n"(SUM_ROW)
                         : "memory");
            __syncwarp();
            if (own_x < layer.width) {
                int channel = j * 16 + half * VECTOR;
                const float* own_sums = (const float*)inputs + own_row * SUM_ROW + half * VECTOR;
                float values[VECTOR];
#pragma unroll
                for (int i = 0; i < VECTOR; i++) {
                    values[i] = activate(own_sums[i], layer.bias[channel + i], layer.slope[channel + i]);
                }
                store_channels(layer.pixels_out + place * layer.pixel_stride + channel, layer.channels_out, values);
            }
        }
    }
#else
    // A lane has the weights that make its results neighbouring channels: column n of product j is channel
    // n / 2 * 16 + j * 2 + n % 2.
    unsigned weights[PARTS][2][8][2];
    for (int part = 0; part < PARTS; part++) {
        for (int step = 0; step < 2; step++) {
            for (int j = 0; j < 8; j++) {
                int channel = part * CHANNELS + group / 2 * 16 + j * 2 + group % 2;
                for (int half = 0; half < 2; half++) {
                    int input = step * 16 + half * 8 + lane * 2;
                    weights[part][step][j][half] = *(const unsigned*)(work.weights + channel * INPUTS + input);
                }
            }
        }
    }
    // The positions of this lane's inputs, from the first of a pixel's nine.
    int offsets[8];
    for (int i = 0; i < 8; i++) {
        int input = i / 2 * 8 + lane * 2 + i % 2;
        int position = input < 27 ? input / 3 : 0;
        // The weights after the first 27 are 0, and so is the fourth element of a pixel.
        offsets[i] = (position / 3 * (TILE_WIDTH + 2) + position % 3) * 4 + (input < 27 ? input % 3 : 3);
    }
    float bias[16], slope[16];
    for (int i = 0; i < 16; i++) {
        bias[i] = layer.bias[lane * 16 + i];
        slope[i] = layer.slope[lane * 16 + i];
    }
    __syncthreads();

    const Element* shared = (const Element*)pixels;
    for (int run = warp; run < TILE_HEIGHT * (TILE_WIDTH / 16); run += THREADS / 32) {
        int x = run % (TILE_WIDTH / 16) * 16, y = run / (TILE_WIDTH / 16);
        if (first_x + x >= layer.width || first_y + y >= layer.height) {
            continue;
        }
        float sums[8][4] = {};
#ifdef SPLIT
        float low[8][4] = {};
#endif
        for (int step = 0; step < 2; step++) {
            unsigned inputs[PARTS][4];
            for (int part = 0; part < PARTS; part++) {
                for (int i = 0; i < 4; i++) {
                    // Rows group and group + 8, inputs of the first and the second half.
                    int place = part * TILE_PIXELS + y * (TILE_WIDTH + 2) + x + group + i % 2 * 8;
                    const Element* pixel = shared + place * 4;
                    int pair = step * 4 + i / 2 * 2;
                    inputs[part][i] = (unsigned)pixel[offsets[pair + 1]] << 16 | pixel[offsets[pair]];
                }
            }
            for (int j = 0; j < 8; j++) {
                multiply(sums[j], inputs[0], weights[0][step][j]);
#ifdef SPLIT
                multiply(low[j], inputs[1], weights[0][step][j]);
                multiply(low[j], inputs[0], weights[1][step][j]);
#endif
            }
        }
#ifdef SPLIT
        for (int j = 0; j < 8; j++) {
            for (int i = 0; i < 4; i++) {
                sums[j][i] = fmaf(low[j][i], 1.0f / LOW_SCALE, sums[j][i]);
            }
        }
#endif
        for (int half = 0; half < 2; half++) {
            int own_x = first_x + x + group + half * 8;
            if (own_x >= layer.width) {
                continue;
            }
            size_t pixel = image * image_pixels + (size_t)(first_y + y) * layer.width + own_x;
            Element* to = layer.pixels_out + pixel * layer.pixel_stride + lane * 16;
            for (int first = 0; first < 16; first += VECTOR) {
                float values[VECTOR];
                for (int i = 0; i < VECTOR; i++) {
                    int own = first + i;
                    values[i] = activate(sums[own / 2][half * 2 + own % 2], bias[own], slope[own]);
                }
                store_channels(to + first, layer.channels_out, values);
            }
        }
    }
#endif
}
