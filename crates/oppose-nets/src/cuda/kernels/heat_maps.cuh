// Values of enlarged heat maps, computed on demand.
//
// The operations and their order are those of assemble/heat_maps.rs. Compiled without contraction into fused multiply-adds
// (--fmad=false), both give the same bits.

// The output of the net for a batch of frames at one scale: frames x channels x height x width.
struct Output {
    const float* values;
    int width;
    int height;
    // The factor by which this output is enlarged to the size of the heat maps.
    float factor;
    int unused;
};

struct Outputs {
    Output scales[MAX_SCALES];
    int count;
    int channels;
    // The size of the heat maps.
    int width;
    int height;
};

struct Keypoint {
    float x;
    float y;
    float score;
};

// Catmull-Rom.
__device__ inline float cubic(float a, float b, float c, float d, float x) {
    float third = -0.5f * a + 1.5f * b - 1.5f * c + 0.5f * d;
    float second = a - 2.5f * b + 2.0f * c - 0.5f * d;
    return third * x * x * x + second * x * x - 0.5f * (a - c) * x + b;
}

// The four positions that a pixel of the heat map is interpolated from, and its distance from the second of them.
struct Tap {
    int places[4];
    float behind;
};

__device__ inline Tap tap(int index, int source, float factor) {
    float position = ((float)index + 0.5f) / factor - 0.5f;
    int last = source - 1;
    int second = min((int)fmaxf(floorf(position), 0.0f), last);
    int third = min(second + 1, last);
    return {{max(second - 1, 0), second, third, min(third + 1, last)}, position - (float)second};
}

__device__ inline float enlarged(const float* plane, int width, const Tap& column, const Tap& row) {
    float rows[4];
    for (int i = 0; i < 4; i++) {
        const float* line = plane + row.places[i] * width;
        rows[i] = cubic(line[column.places[0]], line[column.places[1]], line[column.places[2]],
                        line[column.places[3]], column.behind);
    }
    return cubic(rows[0], rows[1], rows[2], rows[3], row.behind);
}

// The value of a pixel of a heat map, as the mean over all scales.
__device__ inline float value_at(const Outputs& outputs, int frame, int channel, int x, int y) {
    float sum = 0.0f;
    for (int i = 0; i < outputs.count; i++) {
        const Output& scale = outputs.scales[i];
        size_t plane = (size_t)frame * outputs.channels + channel;
        const float* values = scale.values + plane * scale.width * scale.height;
        float value = enlarged(values, scale.width, tap(x, scale.width, scale.factor),
                               tap(y, scale.height, scale.factor));
        sum = i == 0 ? value : sum + value;
    }
    return outputs.count == 1 ? sum : sum / (float)outputs.count;
}
