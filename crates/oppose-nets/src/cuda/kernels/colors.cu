// Converts luma and chroma to blue, green and red, with exactly the results of crates/oppose-core/src/planes.rs and of
// libswscale's vector code.

// The coefficients: ColorMatrix in crates/oppose-core/src/planes.rs.
struct Matrix {
    short black;
    short luma;
    short blue_u;
    short green_u;
    short green_v;
    short red_v;
};

struct Colors {
    // Pictures: height x width of luma; u and v, each height / 2 x half the width, rounded up.
    const unsigned char* planes;
    // Pictures x height x width x 3.
    unsigned char* pixels;
    int width;
    int height;
    Matrix matrix;
    int unused;
};

__device__ inline int high(int value, short factor) {
    return value * factor >> 16;
}

__device__ inline unsigned char limited(int value) {
    return (unsigned char)min(max(value, 0), 255);
}

// One thread per four pixels that share chroma; blockIdx.y is the picture.
extern "C" __global__ void convert_colors(const __grid_constant__ Colors work) {
    int half_width = (work.width + 1) / 2, half_height = work.height / 2;
    int index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= half_width * half_height) {
        return;
    }
    const Matrix& matrix = work.matrix;
    size_t luma_size = (size_t)work.width * work.height, chroma_size = (size_t)half_width * half_height;
    const unsigned char* luma = work.planes + blockIdx.y * (luma_size + 2 * chroma_size);
    const unsigned char* chroma = luma + luma_size + index;
    int u = 8 * chroma[0] - 1024, v = 8 * chroma[chroma_size] - 1024;
    int blue = high(u, matrix.blue_u), red = high(v, matrix.red_v);
    int green = high(u, matrix.green_u) + high(v, matrix.green_v);
    unsigned char* pixels = work.pixels + blockIdx.y * luma_size * 3;
    for (int i = 0; i < 4; i++) {
        int x = index % half_width * 2 + i % 2, y = index / half_width * 2 + i / 2;
        if (x < work.width) {
            size_t place = (size_t)y * work.width + x;
            int gray = high(8 * luma[place] - matrix.black, matrix.luma);
            pixels[3 * place] = limited(gray + blue);
            pixels[3 * place + 1] = limited(gray + green);
            pixels[3 * place + 2] = limited(gray + red);
        }
    }
}
