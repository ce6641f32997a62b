// What becomes of a convolution's sums; the same for every way of computing them.

#include "element.cuh"

struct Layer {
    // What is added to each output channel, and the factor of its negative values.
    const float* bias;
    const float* slope;
    // Where pixels x channels go, or null; how many elements a pixel has there, and how many channels are written.
    // Lower parts of channels lie that many elements behind them.
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
    // Rows of the packed weights for each chunk of channels, and for each of its parts.
    int weight_rows;
    // Side.
    int kernel;
    int source_count;
    // Of each source: chunks of channels, and multiplications of the last of them that are not all zero.
    int chunks[MAX_SOURCES];
    int last_steps[MAX_SOURCES];
    // Of each source: channels of a pixel in memory. So far behind a channel lies its lower part.
    int channels[MAX_SOURCES];
};

__device__ inline float activate(float sum, float bias, float slope) {
    sum += bias;
    return sum > 0.0f ? sum : sum * slope;
}

// Where an output channel belongs in its plane, for a pixel of the batch. The next channel lies an image's pixels behind.
__device__ inline float* plane_place(const Layer& layer, int pixel, int channel) {
    int image_pixels = layer.width * layer.height;
    size_t plane = (size_t)(pixel / image_pixels) * layer.planes + layer.first_plane + channel;
    return layer.planes_out + plane * image_pixels + pixel % image_pixels;
}

__device__ inline void store_plane(const Layer& layer, int pixel, int channel, float value) {
    *plane_place(layer, pixel, channel) = value;
}
