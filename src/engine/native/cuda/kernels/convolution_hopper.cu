// Convolutions on Hopper's tensor cores, as products of matrices: output channels x pixels.
//
// Weights and pixels arrive in shared memory by the tensor memory accelerator. Its im2col mode walks over the
// pixels of all images and fills in zeros at their borders, so that a tile is a run of pixels wherever it lies.
// A producer warp keeps STAGES chunks of channels on their way; two groups of four warps multiply. Concatenated
// inputs are several sources, one after the other; nothing is copied.

#include "layer.cuh"

struct alignas(64) TensorMap {
    unsigned long long words[16];
};

struct Convolution {
    TensorMap sources[MAX_SOURCES];
    TensorMap weights;
    Layer layer;
};

#ifdef HALF
#define WGMMA_SHAPE "k16.f32.f16.f16"
#define WGMMA_TRANSPOSED ", 0, 0"
#else
#define WGMMA_SHAPE "k8.f32.tf32.tf32"
#define WGMMA_TRANSPOSED ""
#endif

__device__ inline unsigned shared_address(const void* pointer) {
    return (unsigned)__cvta_generic_to_shared(pointer);
}

__device__ inline void barrier_init(unsigned barrier, int count) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(count));
}

__device__ inline void barrier_arrive(unsigned barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

__device__ inline void barrier_expect(unsigned barrier, int bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}

__device__ inline void barrier_wait(unsigned barrier, int parity) {
    asm volatile(
        "{\n"
        ".reg .pred done;\n"
        "again:\n"
        "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
        "@!done bra again;\n"
        "}\n" ::"r"(barrier),
        "r"(parity)
        : "memory");
}

__device__ inline void load_weights(unsigned target, const TensorMap* map, unsigned barrier, int row) {
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];"
        ::"r"(target), "l"(map), "r"(0), "r"(row), "r"(barrier)
        : "memory");
}

__device__ inline void load_pixels(unsigned target, const TensorMap* map, unsigned barrier, int channel, int x,
                                   int y, int image, int tap_x, int tap_y) {
    asm volatile(
        "cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %4, "
        "%5}], [%6], {%7, %8};" ::"r"(target),
        "l"(map), "r"(channel), "r"(x), "r"(y), "r"(image), "r"(barrier), "h"((unsigned short)tap_x),
        "h"((unsigned short)tap_y)
        : "memory");
}

// Rows of 128 bytes, swizzled over 128 bytes, groups of eight rows one behind the other.
__device__ inline unsigned long long matrix(unsigned address) {
    return ((address & 0x3ffff) >> 4) | 1ull << 16 | 64ull << 32 | 1ull << 62;
}

// 64 output channels x 128 pixels.
__device__ inline void multiply(float (&sums)[64], unsigned long long weights, unsigned long long pixels) {
    asm volatile(
        "wgmma.mma_async.sync.aligned.m64n128" WGMMA_SHAPE " {"
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
        "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
        "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
        "}, %64, %65, 1, 1, 1" WGMMA_TRANSPOSED ";"
        :
        "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3]), "+f"(sums[4]), "+f"(sums[5]),
        "+f"(sums[6]), "+f"(sums[7]), "+f"(sums[8]), "+f"(sums[9]), "+f"(sums[10]), "+f"(sums[11]),
        "+f"(sums[12]), "+f"(sums[13]), "+f"(sums[14]), "+f"(sums[15]), "+f"(sums[16]), "+f"(sums[17]),
        "+f"(sums[18]), "+f"(sums[19]), "+f"(sums[20]), "+f"(sums[21]), "+f"(sums[22]), "+f"(sums[23]),
        "+f"(sums[24]), "+f"(sums[25]), "+f"(sums[26]), "+f"(sums[27]), "+f"(sums[28]), "+f"(sums[29]),
        "+f"(sums[30]), "+f"(sums[31]), "+f"(sums[32]), "+f"(sums[33]), "+f"(sums[34]), "+f"(sums[35]),
        "+f"(sums[36]), "+f"(sums[37]), "+f"(sums[38]), "+f"(sums[39]), "+f"(sums[40]), "+f"(sums[41]),
        "+f"(sums[42]), "+f"(sums[43]), "+f"(sums[44]), "+f"(sums[45]), "+f"(sums[46]), "+f"(sums[47]),
        "+f"(sums[48]), "+f"(sums[49]), "+f"(sums[50]), "+f"(sums[51]), "+f"(sums[52]), "+f"(sums[53]),
        "+f"(sums[54]), "+f"(sums[55]), "+f"(sums[56]), "+f"(sums[57]), "+f"(sums[58]), "+f"(sums[59]),
        "+f"(sums[60]), "+f"(sums[61]), "+f"(sums[62]), "+f"(sums[63])
        : "l"(weights), "l"(pixels));
}

// 64 output channels x 256 pixels.
__device__ inline void multiply(float (&sums)[128], unsigned long long weights, unsigned long long pixels) {
    asm volatile(
        "wgmma.mma_async.sync.aligned.m64n256" WGMMA_SHAPE " {"
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
        "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
        "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, "
        "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, "
        "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, "
        "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, "
        "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
        "}, %128, %129, 1, 1, 1" WGMMA_TRANSPOSED ";"
        :
        "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3]), "+f"(sums[4]), "+f"(sums[5]),
        "+f"(sums[6]), "+f"(sums[7]), "+f"(sums[8]), "+f"(sums[9]), "+f"(sums[10]), "+f"(sums[11]),
        "+f"(sums[12]), "+f"(sums[13]), "+f"(sums[14]), "+f"(sums[15]), "+f"(sums[16]), "+f"(sums[17]),
        "+f"(sums[18]), "+f"(sums[19]), "+f"(sums[20]), "+f"(sums[21]), "+f"(sums[22]), "+f"(sums[23]),
        "+f"(sums[24]), "+f"(sums[25]), "+f"(sums[26]), "+f"(sums[27]), "+f"(sums[28]), "+f"(sums[29]),
        "+f"(sums[30]), "+f"(sums[31]), "+f"(sums[32]), "+f"(sums[33]), "+f"(sums[34]), "+f"(sums[35]),
        "+f"(sums[36]), "+f"(sums[37]), "+f"(sums[38]), "+f"(sums[39]), "+f"(sums[40]), "+f"(sums[41]),
        "+f"(sums[42]), "+f"(sums[43]), "+f"(sums[44]), "+f"(sums[45]), "+f"(sums[46]), "+f"(sums[47]),
        "+f"(sums[48]), "+f"(sums[49]), "+f"(sums[50]), "+f"(sums[51]), "+f"(sums[52]), "+f"(sums[53]),
        "+f"(sums[54]), "+f"(sums[55]), "+f"(sums[56]), "+f"(sums[57]), "+f"(sums[58]), "+f"(sums[59]),
        "+f"(sums[60]), "+f"(sums[61]), "+f"(sums[62]), "+f"(sums[63]), "+f"(sums[64]), "+f"(sums[65]),
        "+f"(sums[66]), "+f"(sums[67]), "+f"(sums[68]), "+f"(sums[69]), "+f"(sums[70]), "+f"(sums[71]),
        "+f"(sums[72]), "+f"(sums[73]), "+f"(sums[74]), "+f"(sums[75]), "+f"(sums[76]), "+f"(sums[77]),
        "+f"(sums[78]), "+f"(sums[79]), "+f"(sums[80]), "+f"(sums[81]), "+f"(sums[82]), "+f"(sums[83]),
        "+f"(sums[84]), "+f"(sums[85]), "+f"(sums[86]), "+f"(sums[87]), "+f"(sums[88]), "+f"(sums[89]),
        "+f"(sums[90]), "+f"(sums[91]), "+f"(sums[92]), "+f"(sums[93]), "+f"(sums[94]), "+f"(sums[95]),
        "+f"(sums[96]), "+f"(sums[97]), "+f"(sums[98]), "+f"(sums[99]), "+f"(sums[100]), "+f"(sums[101]),
        "+f"(sums[102]), "+f"(sums[103]), "+f"(sums[104]), "+f"(sums[105]), "+f"(sums[106]), "+f"(sums[107]),
        "+f"(sums[108]), "+f"(sums[109]), "+f"(sums[110]), "+f"(sums[111]), "+f"(sums[112]), "+f"(sums[113]),
        "+f"(sums[114]), "+f"(sums[115]), "+f"(sums[116]), "+f"(sums[117]), "+f"(sums[118]), "+f"(sums[119]),
        "+f"(sums[120]), "+f"(sums[121]), "+f"(sums[122]), "+f"(sums[123]), "+f"(sums[124]), "+f"(sums[125]),
        "+f"(sums[126]), "+f"(sums[127])
        : "l"(weights), "l"(pixels));
}

// Writes a thread's sums of 16 channels x COLUMNS pixels as rows of channels, a row a pixel.
template <int COLUMNS>
__device__ inline void store_transposed(const float (&sums)[COLUMNS / 2], unsigned buffer, int row, int pixel,
                                        int channel, int lane) {
#ifdef HALF
    // Four matrices of 8 x 8: two groups of channels, two of pixels.
    int own_pixel = pixel + lane / 16 * 8 + lane % 8;
    int own_channel = channel - lane / 4 + lane / 8 % 2 * 8;
#pragma unroll
    for (int i = 0; i < COLUMNS / 2; i += 8) {
        asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(
                         buffer + (own_pixel + i * 2) * row + own_channel * 2),
                     "r"(two_halves(sums[i], sums[i + 1])), "r"(two_halves(sums[i + 2], sums[i + 3])),
                     "r"(two_halves(sums[i + 4], sums[i + 5])), "r"(two_halves(sums[i + 6], sums[i + 7]))
                     : "memory");
    }
#else
#pragma unroll
    for (int i = 0; i < COLUMNS / 2; i++) {
        int own_pixel = pixel + i / 4 * 8 + lane % 4 * 2 + i % 2;
        asm volatile("st.shared.f32 [%0], %1;" ::"r"(buffer + own_pixel * row + (channel + i / 2 % 2 * 8) * 4),
                     "f"(tf32(sums[i]))
                     : "memory");
    }
#endif
}

template <int TILE_CHANNELS, int TILE_PIXELS, int STAGES>
__device__ inline void convolve(const Convolution& work) {
    const Layer& layer = work.layer;
    constexpr int WEIGHT_BYTES = TILE_CHANNELS * 128, PIXEL_BYTES = TILE_PIXELS * 128;
    // Pixels of a group of warps.
    constexpr int COLUMNS = TILE_CHANNELS == 128 ? TILE_PIXELS : TILE_PIXELS / 2;
    extern __shared__ __align__(1024) unsigned char shared[];
    unsigned weights = (shared_address(shared) + 1023) & ~1023u;
    unsigned pixels = weights + STAGES * WEIGHT_BYTES;
    unsigned full = pixels + STAGES * PIXEL_BYTES;
    unsigned empty = full + STAGES * 8;
    // The same in all lanes, which the compiler does not see by itself.
    int warp = __shfl_sync(0xffffffff, threadIdx.x / 32, 0), lane = threadIdx.x % 32;
    // Blocks that need the same pixels follow each other: the cache has those then.
    int channel_tiles = layer.weight_rows / TILE_CHANNELS;
    int first_channel = blockIdx.x % channel_tiles * TILE_CHANNELS;
    int first_pixel = blockIdx.x / channel_tiles * TILE_PIXELS;

    if (threadIdx.x == 0) {
        for (int stage = 0; stage < STAGES; stage++) {
            barrier_init(full + stage * 8, 1);
            barrier_init(empty + stage * 8, 8);
        }
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
    __syncthreads();

    int taps = layer.kernel * layer.kernel;
    if (warp == 8) {
        if (lane != 0) {
            return;
        }
        int image_pixels = layer.width * layer.height, padding = layer.kernel / 2;
        int image = first_pixel / image_pixels, y = first_pixel % image_pixels / layer.width;
        int x = first_pixel % layer.width;
        int stage = 0, parity = 1, row = first_channel;
        for (int source = 0; source < layer.source_count; source++) {
            for (int tap = 0; tap < taps; tap++) {
                for (int chunk = 0; chunk < layer.chunks[source]; chunk++) {
                    barrier_wait(empty + stage * 8, parity);
                    barrier_expect(full + stage * 8, WEIGHT_BYTES + PIXEL_BYTES);
                    load_weights(weights + stage * WEIGHT_BYTES, &work.weights, full + stage * 8, row);
                    load_pixels(pixels + stage * PIXEL_BYTES, &work.sources[source], full + stage * 8,
                                chunk * CHUNK, x - padding, y - padding, image, tap % layer.kernel,
                                tap / layer.kernel);
                    row += layer.weight_rows;
                    if (++stage == STAGES) {
                        stage = 0;
                        parity ^= 1;
                    }
                }
            }
        }
        return;
    }

    int group = warp / 4;
    float sums[COLUMNS / 2] = {};
    unsigned own_weights = weights + (TILE_CHANNELS == 128 ? group * 64 * 128 : 0);
    unsigned own_pixels = pixels + (TILE_CHANNELS == 128 ? 0 : group * COLUMNS * 128);
    int stage = 0, parity = 0, last = -1;
    for (int source = 0; source < layer.source_count; source++) {
        int chunks = layer.chunks[source];
        for (int tap = 0; tap < taps; tap++) {
            for (int chunk = 0; chunk < chunks; chunk++) {
                int steps = chunk == chunks - 1 ? layer.last_steps[source] : 4;
                barrier_wait(full + stage * 8, parity);
                unsigned long long a = matrix(own_weights + stage * WEIGHT_BYTES);
                unsigned long long b = matrix(own_pixels + stage * PIXEL_BYTES);
                asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#pragma unroll 1
                for (int step = 0; step < steps; step++) {
                    multiply(sums, a + 2 * step, b + 2 * step);
                }
                asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
                asm volatile("wgmma.wait_group.sync.aligned 1;" ::: "memory");
                if (last >= 0 && lane == 0) {
                    barrier_arrive(empty + last * 8);
                }
                last = stage;
                if (++stage == STAGES) {
                    stage = 0;
                    parity ^= 1;
                }
            }
        }
    }
    asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
#pragma unroll
    for (int i = 0; i < COLUMNS / 2; i++) {
        asm volatile("" : "+f"(sums[i])::"memory");
    }

    // A thread has two channels, eight apart, and of each group of eight pixels two.
    int channel = first_channel + (TILE_CHANNELS == 128 ? group * 64 : 0) + warp % 4 * 16 + lane / 4;
    int own_first_pixel = first_pixel + (TILE_CHANNELS == 128 ? 0 : group * COLUMNS);
    float bias[2] = {layer.bias[channel], layer.bias[channel + 8]};
    float slope[2] = {layer.slope[channel], layer.slope[channel + 8]};
#pragma unroll
    for (int i = 0; i < COLUMNS / 2; i++) {
        sums[i] = activate(sums[i], bias[i / 2 % 2], slope[i / 2 % 2]);
    }

    if (layer.planes_out) {
        int image_pixels = layer.width * layer.height;
#pragma unroll
        for (int i = 0; i < COLUMNS / 2; i += 2) {
            int plane = channel + i / 2 % 2 * 8;
            int pixel = own_first_pixel + i / 4 * 8 + lane % 4 * 2;
            if (plane < layer.used_planes) {
#pragma unroll
                for (int half = 0; half < 2; half++) {
                    if (pixel + half < layer.pixels) {
                        int image = (pixel + half) / image_pixels;
                        size_t place = (size_t)(image * layer.planes + layer.first_plane + plane) * image_pixels;
                        layer.planes_out[place + (pixel + half) % image_pixels] = sums[i + half];
                    }
                }
            }
        }
    }
    if (!layer.pixels_out) {
        return;
    }

    // Through shared memory, so that a pixel's channels are written together. All chunks have arrived and all
    // products are done once both groups are here.
    asm volatile("bar.sync 1, 256;" ::: "memory");
    constexpr int ROW = TILE_CHANNELS * (int)sizeof(Element) + 16;
    unsigned buffer = weights;
    int local_channel = channel - first_channel, local_pixel = own_first_pixel - first_pixel;
    store_transposed<COLUMNS>(sums, buffer, ROW, local_pixel, local_channel, lane);
    asm volatile("bar.sync 1, 256;" ::: "memory");
    constexpr int VECTORS = TILE_CHANNELS / VECTOR;
    for (int i = threadIdx.x; i < TILE_PIXELS * VECTORS; i += 256) {
        int pixel = i / VECTORS, vector = i % VECTORS;
        int target = first_channel + vector * VECTOR;
        if (first_pixel + pixel < layer.pixels && target < layer.channels_out) {
            uint4 value;
            asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
                         : "=r"(value.x), "=r"(value.y), "=r"(value.z), "=r"(value.w)
                         : "r"(buffer + pixel * ROW + vector * 16));
            size_t place = (size_t)(first_pixel + pixel) * layer.pixel_stride + target;
            *(uint4*)(layer.pixels_out + place) = value;
        }
    }
}

extern "C" __global__ void __launch_bounds__(288, 1) convolve_128x256(const __grid_constant__ Convolution work) {
    convolve<128, 256, 4>(work);
}

extern "C" __global__ void __launch_bounds__(288, 2) convolve_128x128(const __grid_constant__ Convolution work) {
    convolve<128, 128, 3>(work);
}

extern "C" __global__ void __launch_bounds__(288, 1) convolve_64x256(const __grid_constant__ Convolution work) {
    convolve<64, 256, 5>(work);
}
