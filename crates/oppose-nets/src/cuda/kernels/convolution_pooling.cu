// A 3 x 3 convolution with up to 64 input and output channels, and the maximum of each 2 x 2 pixels of its result, on Hopper
// in half precision.
//
// Its inputs are large and its products few, so what matters is how often a pixel is loaded. A tile of pixels with its border
// is loaded into shared memory once, and the nine positions of the kernel read it from different rows onwards. The weights
// stay in shared memory while a block goes from tile to tile.

#include "hopper.cuh"

#define TILE_WIDTH (LOADED_WIDTH - 2)
#define TILE_HEIGHT (LOADED_HEIGHT - 2)
#define CHANNELS FEW_CHANNELS
#define POSITIONS 9
#define BUFFERS 2
#define WEIGHT_BYTES (CHANNELS * 128)
#define LOADED_BYTES (LOADED_WIDTH * LOADED_HEIGHT * 128)
// Swizzling depends on the address modulo 1024.
#define BUFFER_BYTES ((LOADED_BYTES + 1023) / 1024 * 1024)
// The bytes of a pooled pixel in shared memory, padded so that pixels start in different banks.
#define POOLED_ROW (CHANNELS * 2 + 16)
// The pooled pixels of a group of warps: 4 x 8.
#define POOLED 32

struct ConvolveAndPool {
    TensorMap pixels;
    TensorMap weights;
    // The size is that of the convolution; the result has half its width and height.
    Layer layer;
    int images;
    int unused;
};

__device__ inline void load_tile(unsigned target, const TensorMap* map, unsigned barrier, int x, int y, int image) {
    asm volatile(
        "cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %4, %5}], "
        "[%6];" ::"r"(target),
        "l"(map), "r"(0), "r"(x), "r"(y), "r"(image), "r"(barrier)
        : "memory");
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) convolve_and_pool(const __grid_constant__ ConvolveAndPool work) {
    extern __shared__ __align__(1024) unsigned char shared[];
    const Layer& layer = work.layer;
    unsigned weights = (shared_address(shared) + 1023) & ~1023u;
    unsigned buffers = weights + POSITIONS * WEIGHT_BYTES;
    unsigned pooled = buffers + BUFFERS * BUFFER_BYTES;
    unsigned full = pooled + 2 * POOLED * POOLED_ROW;
    unsigned empty = full + BUFFERS * 8;
    unsigned has_weights = empty + BUFFERS * 8;
    int warp = __shfl_sync(0xffffffff, threadIdx.x / 32, 0), lane = threadIdx.x % 32;
    int tiles_across = (layer.width + TILE_WIDTH - 1) / TILE_WIDTH;
    int tiles_down = (layer.height + TILE_HEIGHT - 1) / TILE_HEIGHT;
    int tiles = tiles_across * tiles_down * work.images;

    if (threadIdx.x == 0) {
        for (int buffer = 0; buffer < BUFFERS; buffer++) {
            barrier_init(full + buffer * 8, 1);
            barrier_init(empty + buffer * 8, 8);
        }
        barrier_init(has_weights, 1);
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
    __syncthreads();

    if (warp == 8) {
        if (lane != 0) {
            return;
        }
        barrier_expect(has_weights, POSITIONS * WEIGHT_BYTES);
        for (int position = 0; position < POSITIONS; position++) {
            load_weights(weights + position * WEIGHT_BYTES, &work.weights, has_weights, position * CHANNELS);
        }
        int buffer = 0, parity = 1;
        for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
            int x = tile % tiles_across * TILE_WIDTH, y = tile / tiles_across % tiles_down * TILE_HEIGHT;
            barrier_wait(empty + buffer * 8, parity);
            barrier_expect(full + buffer * 8, LOADED_BYTES);
            load_tile(buffers + buffer * BUFFER_BYTES, &work.pixels, full + buffer * 8, x - 1, y - 1,
                      tile / tiles_across / tiles_down);
            if (++buffer == BUFFERS) {
                buffer = 0;
                parity ^= 1;
            }
        }
        return;
    }

    // A group of warps has half of the tile's rows.
    int group = warp / 4;
    int channel = warp % 4 * 16 + lane / 4;
    float bias[2] = {layer.bias[channel], layer.bias[channel + 8]};
    float slope[2] = {layer.slope[channel], layer.slope[channel + 8]};
    unsigned own_pooled = pooled + group * POOLED * POOLED_ROW;
    int buffer = 0, parity = 0;
    barrier_wait(has_weights, 0);
    for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        float sums[64] = {};
        unsigned first = buffers + buffer * BUFFER_BYTES + group * (TILE_HEIGHT / 2) * LOADED_WIDTH * 128;
        barrier_wait(full + buffer * 8, parity);
        asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#pragma unroll
        for (int position = 0; position < POSITIONS; position++) {
            unsigned long long a = matrix(weights + position * WEIGHT_BYTES);
            unsigned long long b =
                matrix(first + (position / 3 * LOADED_WIDTH + position % 3) * 128, LOADED_WIDTH * 128);
#pragma unroll
            for (int step = 0; step < 4; step++) {
                multiply(sums, a + 2 * step, b + 2 * step);
            }
        }
        asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
        asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
#pragma unroll
        for (int i = 0; i < 64; i++) {
            asm volatile("" : "+f"(sums[i])::"memory");
        }
        if (lane == 0) {
            barrier_arrive(empty + buffer * 8);
        }
        if (++buffer == BUFFERS) {
            buffer = 0;
            parity ^= 1;
        }

        // A thread has two neighbouring pixels of each row, in two channels.
#pragma unroll
        for (int row = 0; row < 16; row += 2) {
#pragma unroll
            for (int half = 0; half < 2; half++) {
                float largest = -3e38f;
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    float sum = sums[(row + i / 2) * 4 + half * 2 + i % 2];
                    largest = fmaxf(largest, activate(sum, bias[half], slope[half]));
                }
                int pixel = row / 2 * 4 + lane % 4;
                asm volatile("st.shared.u16 [%0], %1;" ::"r"(own_pooled + pixel * POOLED_ROW + (channel + half * 8) * 2),
                             "h"(to_element(largest))
                             : "memory");
            }
        }
        asm volatile("bar.sync %0, 128;" ::"r"(group + 1) : "memory");
        int x = tile % tiles_across * (TILE_WIDTH / 2);
        int y = tile / tiles_across % tiles_down * (TILE_HEIGHT / 2) + group * (TILE_HEIGHT / 4);
        int width = layer.width / 2, height = layer.height / 2;
        size_t rows = (size_t)(tile / tiles_across / tiles_down) * height;
        for (int i = threadIdx.x % 128; i < POOLED * CHANNELS / VECTOR; i += 128) {
            int pixel = i / (CHANNELS / VECTOR), target = i % (CHANNELS / VECTOR) * VECTOR;
            int own_x = x + pixel % 4, own_y = y + pixel / 4;
            if (own_x < width && own_y < height && target < layer.channels_out) {
                uint4 value;
                asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
                             : "=r"(value.x), "=r"(value.y), "=r"(value.z), "=r"(value.w)
                             : "r"(own_pooled + pixel * POOLED_ROW + target * 2));
                size_t place = ((rows + own_y) * width + own_x) * layer.pixel_stride + target;
                *(uint4*)(layer.pixels_out + place) = value;
            }
        }
        asm volatile("bar.sync %0, 128;" ::"r"(group + 1) : "memory");
    }
}
