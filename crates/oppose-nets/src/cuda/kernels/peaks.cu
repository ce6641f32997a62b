// Finds the peaks of part planes, as assemble/peaks.rs does with the CUDA build's border, without writing the enlarged planes.

#include "heat_maps.cuh"

// Rows of a heat map that are searched together: as many as there are between two rows of the net's output.
#define BAND 8

struct FindPeaks {
    Outputs maps;
    // Frames x parts x MAX_PEAKS, and the number of peaks of each frame and part.
    Keypoint* peaks;
    int* counts;
    float threshold;
    // Half a pixel of the frame.
    float offset;
};

__device__ inline bool is_peak(const Outputs& maps, int frame, int part, int x, int y, float threshold) {
    if (x < 1 || y < 1 || x >= maps.width - 1 || y >= maps.height - 1) {
        return false;
    }
    float value = value_at(maps, frame, part, x, y);
    if (!(value > threshold)) {
        return false;
    }
    for (int place = 0; place < 9; place++) {
        if (place != 4 && !(value > value_at(maps, frame, part, x - 1 + place % 3, y - 1 + place / 3))) {
            return false;
        }
    }
    return true;
}

// The side of the neighbourhood of a peak.
#define SIDE 7

// The mean position of the pixels around a peak, weighted by their values. A warp computes the values and adds them up in
// reading order.
__device__ inline Keypoint refine(const Outputs& maps, int frame, int part, int x, int y, float offset) {
    int lane = threadIdx.x % 32;
    float values[2] = {0.0f, 0.0f};
    for (int i = 0; i < 2; i++) {
        int place = lane + 32 * i;
        int column = x - SIDE / 2 + place % SIDE, row = y - SIDE / 2 + place / SIDE;
        if (place < SIDE * SIDE && column >= 0 && row >= 0 && column < maps.width && row < maps.height) {
            values[i] = value_at(maps, frame, part, column, row);
        }
    }
    float sum_x = 0.0f, sum_y = 0.0f, sum = 0.0f;
    for (int place = 0; place < SIDE * SIDE; place++) {
        float value = __shfl_sync(0xffffffff, place < 32 ? values[0] : values[1], place % 32);
        if (value > 0.0f) {
            sum_x += (float)(x - SIDE / 2 + place % SIDE) * value;
            sum_y += (float)(y - SIDE / 2 + place / SIDE) * value;
            sum += value;
        }
    }
    return {sum_x / sum + offset, sum_y / sum + offset, value_at(maps, frame, part, x, y)};
}

// Whether a band of rows can have a value above the threshold. A cubic exceeds the range of its four values by at most 0.14
// of it (see limit_of in largest.cu), or by 0.32 horizontally and vertically; the range is at most twice the largest
// absolute value.
__device__ inline bool may_have_peaks(const Outputs& maps, int frame, int part, int band, float threshold) {
    if (maps.count > 1) {
        return true;
    }
    const Output& output = maps.scales[0];
    size_t plane = (size_t)frame * maps.channels + part;
    const float* values = output.values + plane * output.width * output.height;
    int first = max(band - 2, 0) * output.width, end = min(band + 3, output.height) * output.width;
    bool may = false;
    for (int i = first + threadIdx.x; i < end; i += THREADS) {
        may |= fabsf(values[i]) * 1.65f > threshold;
    }
    return __syncthreads_or(may);
}

// One block per plane: blockIdx.x is the part, blockIdx.y the frame. Goes through the plane in reading order, one pixel per
// thread, so that the first MAX_PEAKS are those that the CPU finds.
extern "C" __global__ void __launch_bounds__(THREADS) find_peaks(const __grid_constant__ FindPeaks work) {
    __shared__ int found[THREADS];
    __shared__ int places[MAX_PEAKS];
    __shared__ int found_count, count;
    const Outputs& maps = work.maps;
    int part = blockIdx.x, frame = blockIdx.y;
    if (threadIdx.x == 0) {
        found_count = count = 0;
    }
    __syncthreads();
    for (int band = 0; band * BAND < maps.height; band++) {
        if (!may_have_peaks(maps, frame, part, band, work.threshold)) {
            continue;
        }
        int end = min((band + 1) * BAND, maps.height) * maps.width;
        for (int first = band * BAND * maps.width; first < end; first += THREADS) {
            int pixel = first + threadIdx.x;
            if (pixel < end &&
                is_peak(maps, frame, part, pixel % maps.width, pixel / maps.width, work.threshold)) {
                found[atomicAdd(&found_count, 1)] = pixel;
            }
            __syncthreads();
            int news = found_count;
            // Each new peak goes after the other new peaks that precede it in reading order.
            for (int i = threadIdx.x; i < news; i += THREADS) {
                int place = count;
                for (int other = 0; other < news; other++) {
                    place += found[other] < found[i];
                }
                if (place < MAX_PEAKS) {
                    places[place] = found[i];
                }
            }
            __syncthreads();
            if (threadIdx.x == 0) {
                count = min(count + news, MAX_PEAKS);
                found_count = 0;
            }
            __syncthreads();
        }
        if (count == MAX_PEAKS) {
            break;
        }
    }
    int plane = frame * gridDim.x + part;
    for (int i = threadIdx.x / 32; i < count; i += THREADS / 32) {
        int x = places[i] % maps.width, y = places[i] / maps.width;
        Keypoint peak = refine(maps, frame, part, x, y, work.offset);
        if (threadIdx.x % 32 == 0) {
            work.peaks[plane * MAX_PEAKS + i] = peak;
        }
    }
    if (threadIdx.x == 0) {
        work.counts[plane] = count;
    }
}
