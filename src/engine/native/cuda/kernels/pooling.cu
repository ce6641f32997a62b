// The largest of each 2 x 2 pixels.

#include "element.cuh"

struct Pooling {
    // Images x (2 x height) x (2 x width) x channels.
    const Element* from;
    // Images x height x width x channels.
    Element* to;
    int width;
    int height;
    // A multiple of VECTOR.
    int channels;
    int images;
};

// A thread a vector of channels.
extern "C" __global__ void pool(const __grid_constant__ Pooling work) {
    int vectors = work.channels / VECTOR;
    size_t index = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    size_t pixel = index / vectors;
    if (pixel >= (size_t)work.images * work.height * work.width) {
        return;
    }
    int vector = index % vectors;
    int x = pixel % work.width;
    // Rows of all images in one.
    size_t row = pixel / work.width;
    const uint4* from = (const uint4*)work.from + (row * 2 * work.width * 2 + x * 2) * vectors + vector;
    size_t below = (size_t)work.width * 2 * vectors;
    Vector corners[4] = {{from[0]}, {from[vectors]}, {from[below]}, {from[below + vectors]}};
    Vector largest;
    for (int i = 0; i < VECTOR; i++) {
        float left = fmaxf(to_float(corners[0].elements[i]), to_float(corners[2].elements[i]));
        float right = fmaxf(to_float(corners[1].elements[i]), to_float(corners[3].elements[i]));
        largest.elements[i] = to_element(fmaxf(left, right));
    }
    ((uint4*)work.to)[index] = largest.bits;
}
