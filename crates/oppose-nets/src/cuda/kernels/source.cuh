// The operands of convolutions that load them without the tensor memory accelerator.

#include "layer.cuh"

struct Source {
    const Element* values;
    // The elements of a pixel in memory, and its channels, which is also the distance from a channel to its lower part.
    int stride;
    int channels;
};

struct Convolution {
    Source sources[MAX_SOURCES];
    // Chunks x parts x rows x CHUNK.
    const Element* weights;
    Layer layer;
};

__device__ inline unsigned shared_address(const void* pointer) {
    return (unsigned)__cvta_generic_to_shared(pointer);
}

#ifdef STEP_VECTORS
// A step is STEP_VECTORS (4 or 8) vectors of 16 bytes of a pixel's channels, and as many threads take one vector each.

// Which row of pixels and of weights these threads take; a permutation within each group of eight rows.
#ifndef OWN_ROW
#define OWN_ROW(row) (row)
#endif

// The vectors of a row of weights, of which a multiplication takes two.
#define CHUNK_VECTORS 8
// The steps of a chunk.
#define CHUNK_STEPS (CHUNK_VECTORS / STEP_VECTORS)

// Goes through a convolution's operands step by step: sources, positions in the kernel, channels. A thread takes one vector
// of each of COPIES pixels, and of rows of weights, which are ROWS apart.
template <int COPIES, int THREADS>
struct Walk {
    static constexpr int ROWS = THREADS / STEP_VECTORS;
    const Convolution& work;
    // The thread's vector in a step, its first pixel in the batch, and the positions of its pixels in their image.
    int piece;
    int pixel;
    int x[COPIES];
    int y[COPIES];
    // The current source, in vectors: its values, the elements, channels and steps of a pixel.
    const uint4* values;
    int pixel_vectors;
    int channel_vectors;
    int end;
    int source;
    int tap_x;
    int tap_y;
    // Which of the thread's pixels have a neighbour inside the image at this position of the kernel.
    unsigned inside;
    // The step's first vector of a pixel's channels, and the number of the step within its chunk of weights.
    int vector;
    int half;
    // The thread's first vectors of this step.
    const uint4* pixels;
    const uint4* weights;

    __device__ Walk(const Convolution& work, int first_pixel, int first_channel) : work(work) {
        const Layer& layer = work.layer;
        int row = OWN_ROW(threadIdx.x / STEP_VECTORS), image_pixels = layer.width * layer.height;
        piece = threadIdx.x % STEP_VECTORS;
        pixel = first_pixel + row;
#pragma unroll
        for (int i = 0; i < COPIES; i++) {
            int own = pixel + ROWS * i;
            int place = own % image_pixels;
            x[i] = place % layer.width - layer.kernel / 2;
            y[i] = own < layer.pixels ? place / layer.width - layer.kernel / 2 : -100000;
        }
        source = tap_x = tap_y = vector = half = 0;
        weights = (const uint4*)work.weights + (size_t)(first_channel + row) * CHUNK_VECTORS + piece;
        begin_source();
        begin_tap();
    }

    // The number of steps.
    __device__ int steps() const {
        const Layer& layer = work.layer;
        int steps = 0;
        for (int i = 0; i < layer.source_count; i++) {
            steps += layer.kernel * layer.kernel * steps_of(i);
        }
        return steps;
    }

    // The number of steps for a pixel of a source.
    __device__ int steps_of(int source) const {
        int last = (work.layer.last_steps[source] * 2 + STEP_VECTORS - 1) / STEP_VECTORS;
        return (work.layer.chunks[source] - 1) * CHUNK_STEPS + last;
    }

    // The vector of the thread's pixel i. Its lower part is channel_vectors further.
    __device__ const uint4* pixel_vector(int i) const {
        return pixels + ROWS * i * pixel_vectors;
    }

    // Whether this vector exists; otherwise it counts as zero.
    __device__ bool is_inside(int i) const {
        return (inside >> i & 1) && vector + piece < channel_vectors;
    }

    // The thread's first row of weights of this part; its other rows are ROWS apart.
    __device__ const uint4* weight_vector(int part) const {
        return weights + part * work.layer.weight_rows * CHUNK_VECTORS;
    }

    __device__ void next() {
        vector += STEP_VECTORS;
        pixels += STEP_VECTORS;
        if (half + 1 < CHUNK_STEPS && vector < end) {
            half++;
            weights += STEP_VECTORS;
            return;
        }
        weights += (PARTS * work.layer.weight_rows * CHUNK_VECTORS - half * STEP_VECTORS);
        half = 0;
        if (vector < end) {
            return;
        }
        vector = 0;
        if (++tap_x == work.layer.kernel) {
            tap_x = 0;
            if (++tap_y == work.layer.kernel) {
                tap_y = 0;
                if (++source < work.layer.source_count) {
                    begin_source();
                }
            }
        }
        begin_tap();
    }

    __device__ void begin_source() {
        const Source& from = work.sources[source];
        values = (const uint4*)from.values;
        pixel_vectors = from.stride / VECTOR;
        channel_vectors = from.channels / VECTOR;
        end = steps_of(source) * STEP_VECTORS;
    }

    __device__ void begin_tap() {
        const Layer& layer = work.layer;
        int offset = (tap_y - layer.kernel / 2) * layer.width + tap_x - layer.kernel / 2;
        pixels = values + ((pixel + offset) * pixel_vectors + piece);
        inside = 0;
#pragma unroll
        for (int i = 0; i < COPIES; i++) {
            bool is_there = (unsigned)(x[i] + tap_x) < (unsigned)layer.width &&
                            (unsigned)(y[i] + tap_y) < (unsigned)layer.height;
            inside |= (unsigned)is_there << i;
        }
    }
};
#endif
