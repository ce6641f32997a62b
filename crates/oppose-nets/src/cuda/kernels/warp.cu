// Turns frames, and crops of them, into net inputs with exactly the results of OpenCV's affine warp of 8-bit pictures, as
// assemble/warp.rs does. Compiled without contraction into fused multiply-adds.

#include "element.cuh"

// A picture to compute.
struct Picture {
    // The frame, with blue, green and red for each pixel.
    const unsigned char* frame;
    int frame_width;
    int frame_height;
    // Maps a pixel of the picture to the frame.
    double scale_x;
    double shift_x;
    double scale_y;
    double shift_y;
};

struct Warp {
    const Picture* pictures;
    // 32 x 32 x 16 weights for 4 x 4 pixels, or null for 2 x 2 pixels.
    const short* bicubic;
    // Pictures x height x width x parts x VECTOR: blue, green, red, zeros; byte / 256 - 0.5.
    Element* to;
    int width;
    int height;
};

struct Position {
    int pixel;
    int fraction;
};

// Rounds a position in 1/1024 of a pixel to 1/32, split into whole pixels and 1/32.
__device__ inline Position position(double start, double along) {
    // Avoids overflow; everything far outside is black anyway.
    const double far = 1e12;
    long long place = __double2ll_rn(fmin(fmax(start, -far), far)) + 16;
    place = (place + __double2ll_rn(fmin(fmax(along, -far), far))) >> 5;
    long long pixel = place >> 5;
    pixel = pixel < -32768 ? -32768 : pixel > 32767 ? 32767 : pixel;
    return {(int)pixel, (int)(place & 31)};
}

// A byte of the frame, or black outside it.
__device__ inline int source(const Picture& picture, int x, int y, int channel) {
    bool is_inside = x >= 0 && y >= 0 && x < picture.frame_width && y < picture.frame_height;
    return is_inside ? picture.frame[((size_t)y * picture.frame_width + x) * 3 + channel] : 0;
}

// One thread per pixel; blockIdx.y is the picture.
extern "C" __global__ void warp(const __grid_constant__ Warp work) {
    int index = blockIdx.x * blockDim.x + threadIdx.x, x = index % work.width, y = index / work.width;
    if (y >= work.height) {
        return;
    }
    const Picture picture = work.pictures[blockIdx.y];
    Position column = position(picture.shift_x * 1024.0, picture.scale_x * x * 1024.0);
    // Unlike a column's position, a row's is rounded only once.
    Position row = position((picture.scale_y * y + picture.shift_y) * 1024.0, 0.0);
    float values[VECTOR] = {};
    for (int channel = 0; channel < 3; channel++) {
        int value;
        if (work.bicubic) {
            const short* weights = work.bicubic + (row.fraction * 32 + column.fraction) * 16;
            int sum = 1 << 14;
            for (int tap = 0; tap < 16; tap++) {
                int x = column.pixel - 1 + tap % 4, y = row.pixel - 1 + tap / 4;
                sum += weights[tap] * source(picture, x, y, channel);
            }
            value = min(max(sum >> 15, 0), 255);
        } else {
            int across[2];
            for (int i = 0; i < 2; i++) {
                int left = source(picture, column.pixel, row.pixel + i, channel);
                int right = source(picture, column.pixel + 1, row.pixel + i, channel);
                across[i] = (32 - column.fraction) * left + column.fraction * right;
            }
            value = ((32 - row.fraction) * across[0] + row.fraction * across[1] + 512) >> 10;
        }
        values[channel] = (float)value * (1.0f / 256.0f) - 0.5f;
    }
    size_t pixel = (size_t)blockIdx.y * work.height * work.width + index;
    store_channels(work.to + pixel * PARTS * VECTOR, VECTOR, values);
}
