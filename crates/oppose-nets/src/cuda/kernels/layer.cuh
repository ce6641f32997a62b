// The parameters of a convolution, and what is done with its sums; the same for all kernels.

#include "element.cuh"

struct Layer {
    // What is added to each output channel, and the factor for its negative values.
    const float* bias;
    const float* slope;
    // Where to write pixels x channels, or null; the number of elements per pixel there, and of channels to write. The lower
    // part of a channel is `channels_out` elements after it.
    Element* pixels_out;
    int pixel_stride;
    int channels_out;
    // Where to write images x planes x height x width, or null; the number of planes per image there, and the first plane and
    // the number of planes to write.
    float* planes_out;
    int planes;
    int first_plane;
    int used_planes;
    // The pixels of the whole batch, and the size of an image.
    int pixels;
    int width;
    int height;
    // The rows of packed weights for each part of each chunk of channels.
    int weight_rows;
    // The side of the kernel.
    int kernel;
    int source_count;
    // For each source, the number of chunks of channels, and of multiplications in the last chunk that are not all zero.
    int chunks[MAX_SOURCES];
    int last_steps[MAX_SOURCES];
    // For each source, the channels of a pixel in memory, which is also the distance from a channel to its lower part.
    int channels[MAX_SOURCES];
};

__device__ inline float activate(float sum, float bias, float slope) {
    sum += bias;
    return sum > 0.0f ? sum : sum * slope;
}

// Where to write an output channel of a pixel of the batch. The next channel is an image's number of pixels further.
__device__ inline float* plane_place(const Layer& layer, int pixel, int channel) {
    int image_pixels = layer.width * layer.height;
    size_t plane = (size_t)(pixel / image_pixels) * layer.planes + layer.first_plane + channel;
    return layer.planes_out + plane * image_pixels + pixel % image_pixels;
}

__device__ inline void store_plane(const Layer& layer, int pixel, int channel, float value) {
    *plane_place(layer, pixel, channel) = value;
}
