// Convolutions on any GPU in single precision, by tiles of 128 pixels x 64 output channels in shared memory: with ordinary
// multiplications, or on the tensor cores in TF32.

#include "source.cuh"

#define TILE_PIXELS SINGLE_TILE_PIXELS
#define TILE_CHANNELS SINGLE_TILE_CHANNELS
// Elements of a row in shared memory, padded so that rows start in different banks.
#define ROW (CHUNK + VECTOR)
#define SUM_ROW (TILE_CHANNELS + 4)

#define STEP 8
#define MMA_SHAPE "m16n16k8"
#define MMA_SUM "f32.tf32.tf32.f32"
#define OPERANDS 4

#define LOAD(matrix, layout, target, address)                                                                     \
    asm volatile("wmma.load." matrix ".sync.aligned." layout "." MMA_SHAPE ".shared." "tf32"                     \
                 " {%0, %1, %2, %3}, [%4], %5;"                                                                  \
                 : "=r"(target[0]), "=r"(target[1]), "=r"(target[2]), "=r"(target[3])                             \
                 : "r"(address), "r"(ROW)                                                                         \
                 : "memory")

#ifndef SINGLE
__device__ inline void multiply(float (&sums)[8], const unsigned (&a)[OPERANDS], const unsigned (&b)[OPERANDS]) {
    asm volatile("wmma.mma.sync.aligned.row.col." MMA_SHAPE "." MMA_SUM
                 " {%0, %1, %2, %3, %4, %5, %6, %7}, {%8, %9, %10, %11}, {%12, %13, %14, %15}, {%0, %1, %2, %3, %4, %5, "
                 "%6, %7};"
                 : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3]), "+f"(sums[4]), "+f"(sums[5]),
                   "+f"(sums[6]), "+f"(sums[7])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "r"(b[2]), "r"(b[3]));
}
#endif

extern "C" __global__ void __launch_bounds__(THREADS) convolve(const __grid_constant__ Convolution work) {
    __shared__ __align__(128) union {
        struct {
            Element pixels[TILE_PIXELS * ROW];
            Element weights[TILE_CHANNELS * ROW];
        } operands;
        float sums[TILE_PIXELS * SUM_ROW];
    } shared;
    const Layer& layer = work.layer;
    int thread = threadIdx.x;
    int channel_tiles = layer.weight_rows / TILE_CHANNELS;
    int first_channel = blockIdx.x % channel_tiles * TILE_CHANNELS;
    int first_pixel = blockIdx.x / channel_tiles * TILE_PIXELS;
    int image_pixels = layer.width * layer.height, padding = layer.kernel / 2;
    // Eight threads load a row of 128 bytes; each loads the same part of every 32nd row.
    int part = thread % 8, own_row = thread / 8;
    int place_x[4], place_y[4], place[4];
    for (int i = 0; i < 4; i++) {
        int pixel = first_pixel + own_row + 32 * i;
        int inside = pixel % image_pixels;
        place_x[i] = inside % layer.width;
        place_y[i] = pixel < layer.pixels ? inside / layer.width : -1000;
        place[i] = pixel;
    }

#ifdef SINGLE
    float sums[8][4] = {};
    int row = thread / 16, column = thread % 16;
#else
    float sums[2][2][8] = {};
    int warp = thread / 32, row = warp / 2 * 32, column = warp % 2 * 32;
#endif
    const Element* weights = work.weights + (size_t)first_channel * CHUNK;
    for (int index = 0; index < layer.source_count; index++) {
        const Source source = work.sources[index];
        for (int tap = 0; tap < layer.kernel * layer.kernel; tap++) {
            int tap_x = tap % layer.kernel - padding, tap_y = tap / layer.kernel - padding;
            for (int chunk = 0; chunk < layer.chunks[index]; chunk++) {
                int channel = chunk * CHUNK + part * VECTOR;
                uint4 loaded[4], loaded_weights[2];
                for (int i = 0; i < 4; i++) {
                    int x = place_x[i] + tap_x, y = place_y[i] + tap_y;
                    bool is_inside = x >= 0 && y >= 0 && x < layer.width && y < layer.height && channel < source.channels;
                    size_t pixel = (size_t)(place[i] + tap_y * layer.width + tap_x);
                    loaded[i] = is_inside ? *(const uint4*)(source.values + pixel * source.stride + channel)
                                          : make_uint4(0, 0, 0, 0);
                }
                for (int i = 0; i < 2; i++) {
                    loaded_weights[i] = *(const uint4*)(weights + (own_row + 32 * i) * CHUNK + part * VECTOR);
                }
                weights += (size_t)layer.weight_rows * CHUNK;
                __syncthreads();
                for (int i = 0; i < 4; i++) {
                    *(uint4*)(shared.operands.pixels + (own_row + 32 * i) * ROW + part * VECTOR) = loaded[i];
                }
                for (int i = 0; i < 2; i++) {
                    *(uint4*)(shared.operands.weights + (own_row + 32 * i) * ROW + part * VECTOR) = loaded_weights[i];
                }
                __syncthreads();
#ifdef SINGLE
#pragma unroll
                for (int k = 0; k < CHUNK; k += 4) {
                    float4 a[8], b[4];
                    for (int i = 0; i < 8; i++) {
                        a[i] = *(const float4*)(shared.operands.pixels + (row + 16 * i) * ROW + k);
                    }
                    for (int j = 0; j < 4; j++) {
                        b[j] = *(const float4*)(shared.operands.weights + (column + 16 * j) * ROW + k);
                    }
                    for (int i = 0; i < 8; i++) {
                        for (int j = 0; j < 4; j++) {
                            sums[i][j] = fmaf(a[i].x, b[j].x, sums[i][j]);
                            sums[i][j] = fmaf(a[i].y, b[j].y, sums[i][j]);
                            sums[i][j] = fmaf(a[i].z, b[j].z, sums[i][j]);
                            sums[i][j] = fmaf(a[i].w, b[j].w, sums[i][j]);
                        }
                    }
                }
#else
#pragma unroll
                for (int k = 0; k < CHUNK; k += STEP) {
                    unsigned a[2][OPERANDS], b[2][OPERANDS];
                    for (int i = 0; i < 2; i++) {
                        LOAD("a", "row", a[i], shared_address(shared.operands.pixels + (row + 16 * i) * ROW + k));
                        LOAD("b", "col", b[i], shared_address(shared.operands.weights + (column + 16 * i) * ROW + k));
                    }
                    for (int i = 0; i < 2; i++) {
                        for (int j = 0; j < 2; j++) {
                            multiply(sums[i][j], a[i], b[j]);
                        }
                    }
                }
#endif
            }
        }
    }

    __syncthreads();
#ifdef SINGLE
    for (int i = 0; i < 8; i++) {
        for (int j = 0; j < 4; j++) {
            shared.sums[(row + 16 * i) * SUM_ROW + column + 16 * j] = sums[i][j];
        }
    }
#else
    for (int i = 0; i < 2; i++) {
        for (int j = 0; j < 2; j++) {
            float(&own)[8] = sums[i][j];
            asm volatile("wmma.store.d.sync.aligned.row." MMA_SHAPE
                         ".shared.f32 [%0], {%1, %2, %3, %4, %5, %6, %7, %8}, %9;" ::"r"(
                             shared_address(shared.sums + (row + 16 * i) * SUM_ROW + column + 16 * j)),
                         "f"(own[0]), "f"(own[1]), "f"(own[2]), "f"(own[3]), "f"(own[4]), "f"(own[5]), "f"(own[6]),
                         "f"(own[7]), "r"(SUM_ROW)
                         : "memory");
        }
    }
#endif
    __syncthreads();
    if (layer.planes_out) {
        for (int i = thread; i < TILE_PIXELS * TILE_CHANNELS; i += THREADS) {
            int pixel = first_pixel + i % TILE_PIXELS, channel = first_channel + i / TILE_PIXELS;
            if (pixel < layer.pixels && channel < layer.used_planes) {
                float sum = shared.sums[i % TILE_PIXELS * SUM_ROW + i / TILE_PIXELS];
                store_plane(layer, pixel, channel, activate(sum, layer.bias[channel], layer.slope[channel]));
            }
        }
    }
    if (layer.pixels_out) {
        for (int i = thread; i < TILE_PIXELS * TILE_CHANNELS / VECTOR; i += THREADS) {
            int local = i % (TILE_CHANNELS / VECTOR) * VECTOR, row = i / (TILE_CHANNELS / VECTOR);
            int pixel = first_pixel + row, channel = first_channel + local;
            if (pixel < layer.pixels && channel < layer.channels_out) {
                float values[VECTOR];
                for (int j = 0; j < VECTOR; j++) {
                    float sum = shared.sums[row * SUM_ROW + local + j];
                    values[j] = activate(sum, layer.bias[channel + j], layer.slope[channel + j]);
                }
                store_channels(layer.pixels_out + (size_t)pixel * layer.pixel_stride + channel, 0, values);
            }
        }
    }
}
