// Finds the largest value of each heat map of faces and hands, as `maximum` in assemble/heat_maps.rs does, without writing
// the enlarged maps.

#include "heat_maps.cuh"

struct Largest {
    int place;
    float value;
};

struct FindLargest {
    // A single scale, enlarged eight times.
    Outputs maps;
    // Crops x used_channels.
    Largest* largest;
    int used_channels;
    int unused;
};

// Among equal values, the first in reading order is better.
__device__ inline bool is_better(Largest a, Largest b) {
    return a.value > b.value || (a.value == b.value && a.place < b.place);
}

// Returns the best of all threads to all threads.
__device__ inline Largest best_of_block(Largest own) {
    __shared__ Largest best[THREADS];
    __syncthreads();
    best[threadIdx.x] = own;
    __syncthreads();
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if ((int)threadIdx.x < half && is_better(best[threadIdx.x + half], best[threadIdx.x])) {
            best[threadIdx.x] = best[threadIdx.x + half];
        }
        __syncthreads();
    }
    return best[0];
}

// An upper bound on the pixels of a cell. The negative weights of a cubic of four values sum to -0.14 at least (-1/8 between
// the values, -0.138 half a pixel before the first), so it exceeds their range by at most that fraction of it; horizontally
// and vertically, that makes 0.14 + 0.14 x 1.28. The rest allows for rounding.
__device__ inline float limit_of(const float* values, const Output& output, int cell_x, int cell_y) {
    float most = -3e38f, least = 3e38f;
    for (int y = max(cell_y - 2, 0); y <= min(cell_y + 1, output.height - 1); y++) {
        for (int x = max(cell_x - 2, 0); x <= min(cell_x + 1, output.width - 1); x++) {
            float value = values[y * output.width + x];
            most = fmaxf(most, value);
            least = fminf(least, value);
        }
    }
    return most + 0.32f * (most - least) + 1e-5f * (fabsf(most) + fabsf(least));
}

// One block per plane: blockIdx.x is the channel, blockIdx.y the crop. One thread per cell, which is the up to 8 x 8 pixels
// that are interpolated from the same 4 x 4 values.
extern "C" __global__ void __launch_bounds__(THREADS) find_largest(const __grid_constant__ FindLargest work) {
    const Outputs& maps = work.maps;
    const Output& output = maps.scales[0];
    size_t plane = (size_t)blockIdx.y * maps.channels + blockIdx.x;
    const float* values = output.values + plane * output.width * output.height;
    int columns = output.width + 1, rows = output.height + 1;
    // One pixel of each cell gives a lower bound on the largest value, which few cells can reach.
    Largest own = {0x7fffffff, __int_as_float(0xff800000)};
    for (int i = threadIdx.x; i < output.width * output.height; i += THREADS) {
        int x = i % output.width * 8 + 4, y = i / output.width * 8 + 4;
        Largest found = {y * maps.width + x, value_at(maps, blockIdx.y, blockIdx.x, x, y)};
        if (is_better(found, own)) {
            own = found;
        }
    }
    own = best_of_block(own);
    float least = own.value;
    for (int cell = threadIdx.x; cell < columns * rows; cell += THREADS) {
        int cell_x = cell % columns, cell_y = cell / columns;
        if (limit_of(values, output, cell_x, cell_y) < least) {
            continue;
        }
        int first_x = cell_x * 8 - 4, first_y = cell_y * 8 - 4;
        int end_x = min(first_x + 8, maps.width), end_y = min(first_y + 8, maps.height);
        first_x = max(first_x, 0);
        first_y = max(first_y, 0);
        for (int x = first_x; x < end_x; x++) {
            Tap column = tap(x, output.width, output.factor);
            Tap row = tap(first_y, output.height, output.factor);
            float down[4];
            for (int i = 0; i < 4; i++) {
                const float* line = values + row.places[i] * output.width;
                down[i] = cubic(line[column.places[0]], line[column.places[1]], line[column.places[2]],
                                line[column.places[3]], column.behind);
            }
            for (int y = first_y; y < end_y; y++) {
                float behind = tap(y, output.height, output.factor).behind;
                Largest found = {y * maps.width + x, cubic(down[0], down[1], down[2], down[3], behind)};
                if (is_better(found, own)) {
                    own = found;
                }
            }
        }
    }
    own = best_of_block(own);
    if (threadIdx.x == 0) {
        work.largest[blockIdx.y * work.used_channels + blockIdx.x] = own;
    }
}
