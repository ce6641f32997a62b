// The maximum of each 2 x 2 pixels.

#include "element.cuh"

struct Pooling {
    // Images x (2 x height) x (2 x width) x parts x channels.
    const Element* from;
    // Images x height x width x parts x channels.
    Element* to;
    int width;
    int height;
    // A multiple of VECTOR.
    int channels;
    int images;
};

// One thread per vector of channels.
extern "C" __global__ void pool(const __grid_constant__ Pooling work) {
    int vectors = work.channels / VECTOR;
    size_t index = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    size_t pixel = index / vectors;
    if (pixel >= (size_t)work.images * work.height * work.width) {
        return;
    }
    int vector = index % vectors;
    int x = pixel % work.width;
    // The row, counted across all images.
    size_t row = pixel / work.width;
    size_t across = PARTS * vectors, below = (size_t)work.width * 2 * across;
    const uint4* from = (const uint4*)work.from + (row * 2 * work.width * 2 + x * 2) * across + vector;
    uint4* to = (uint4*)work.to + pixel * across + vector;
    Vector corners[4] = {{from[0]}, {from[across]}, {from[below]}, {from[below + across]}};
    float largest[VECTOR];
#ifdef SPLIT
    Vector lower[4] = {{from[vectors]}, {from[across + vectors]}, {from[below + vectors]},
                       {from[below + across + vectors]}};
    for (int i = 0; i < VECTOR; i++) {
        float values[4];
        for (int corner = 0; corner < 4; corner++) {
            values[corner] = joined(corners[corner].elements[i], lower[corner].elements[i]);
        }
        largest[i] = fmaxf(fmaxf(values[0], values[2]), fmaxf(values[1], values[3]));
    }
#else
    for (int i = 0; i < VECTOR; i++) {
        float left = fmaxf(to_float(corners[0].elements[i]), to_float(corners[2].elements[i]));
        float right = fmaxf(to_float(corners[1].elements[i]), to_float(corners[3].elements[i]));
        largest[i] = fmaxf(left, right);
    }
#endif
    store_channels((Element*)to, work.channels, largest);
}
