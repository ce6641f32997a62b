// What becomes of a convolution's sums; the same for every way of computing them.

#include "element.cuh"

#define MAX_SOURCES 4

struct Layer {
    // What is added to each output channel, and the factor of its negative values.
    const float* bias;
    const float* slope;
    // Where pixels x channels go, or null; how many channels a pixel has there, and how many are written.
    Element* pixels_out;
    int pixel_stride;
    int channels_out;
    // Where images x planes x height x width go, or null; how many planes an image has there, which is the first
    // and how many are written.
    float* planes_out;
    int planes;
    int first_plane;
    int used_planes;
    // Of the whole batch, and of an image.
    int pixels;
    int width;
    int height;
    // Rows of the packed weights for each chunk of channels.
    int weight_rows;
    // Side.
    int kernel;
    int source_count;
    // Of each source: chunks of channels, and multiplications of the last of them that are not all zero.
    int chunks[MAX_SOURCES];
    int last_steps[MAX_SOURCES];
};

__device__ inline float activate(float sum, float bias, float slope) {
    sum += bias;
    return sum > 0.0f ? sum : sum * slope;
}
