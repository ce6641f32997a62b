// Loads operands through registers into shared memory, and defines a kernel for each way to divide a convolution into blocks.

#include "source.cuh"

// A thread's pieces of a step's operands, in flight from memory.
template <int PIXEL_COPIES, int WEIGHT_COPIES>
struct Pieces {
    uint4 pixels[PARTS][PIXEL_COPIES];
    uint4 weights[PARTS][WEIGHT_COPIES];

    // Starts loading the pieces of the step that `walk` has reached, and advances it.
    template <typename Walk>
    __device__ void fetch(Walk& walk) {
#pragma unroll
        for (int part = 0; part < PARTS; part++) {
#pragma unroll
            for (int i = 0; i < PIXEL_COPIES; i++) {
                const uint4* from = walk.pixel_vector(i) + part * walk.channel_vectors;
                pixels[part][i] = walk.is_inside(i) ? *from : make_uint4(0, 0, 0, 0);
            }
#pragma unroll
            for (int i = 0; i < WEIGHT_COPIES; i++) {
                weights[part][i] = walk.weight_vector(part)[Walk::ROWS * i * CHUNK_VECTORS];
            }
        }
        walk.next();
    }

    // Waits for the pieces and writes them to shared memory, where the functions give the place of row i of a part.
    template <typename PixelPlace, typename WeightPlace>
    __device__ void put(const PixelPlace& pixel_place, const WeightPlace& weight_place) const {
#pragma unroll
        for (int part = 0; part < PARTS; part++) {
#pragma unroll
            for (int i = 0; i < PIXEL_COPIES; i++) {
                *(uint4*)pixel_place(part, i) = pixels[part][i];
            }
#pragma unroll
            for (int i = 0; i < WEIGHT_COPIES; i++) {
                *(uint4*)weight_place(part, i) = weights[part][i];
            }
        }
    }
};

#define CONVOLVE(NAME, SHAPE) CONVOLVE_SHAPE(NAME, SHAPE)
#define CONVOLVE_SHAPE(NAME, PIXELS, CHANNELS, WARP_PIXELS, WARP_CHANNELS, STAGES, BLOCKS)                            \
    extern "C" __global__ void __launch_bounds__(PIXELS / WARP_PIXELS * (CHANNELS / WARP_CHANNELS) * 32, BLOCKS)      \
        NAME(const __grid_constant__ Convolution work) {                                                              \
        convolve<PIXELS, CHANNELS, WARP_PIXELS, WARP_CHANNELS, STAGES>(work);                                         \
    }
// All kernels of a file that has `convolve`; shapes.rs defines their shapes.
#define CONVOLVE_ALL                  \
    CONVOLVE(convolve_wide, WIDE)     \
    CONVOLVE(convolve_narrow, NARROW) \
    CONVOLVE(convolve_thin, THIN)     \
    CONVOLVE(convolve_small, SMALL)
