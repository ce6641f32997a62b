// The numbers that layers exchange.
//
// HALF: half precision.
// SPLIT: each value as two of half precision, which together keep 22 bits of mantissa.
// TF32: single precision, of which the tensor cores use 10 bits of mantissa.
// SINGLE: single precision.

#ifdef SPLIT
#define HALF
// A pixel has first all upper parts, then all lower parts.
#define PARTS 2
#else
#define PARTS 1
#endif

#ifdef HALF
typedef unsigned short Element;
#else
typedef float Element;
#endif

// The packed channels of a pixel, and of a row of weights, that are processed together: 128 bytes.
#define CHUNK (128 / (int)sizeof(Element))
// The elements in 16 bytes; a pixel's channels are padded to a multiple of them.
#define VECTOR (16 / (int)sizeof(Element))
// Lower parts are scaled by this factor, so that they have as many bits as the upper parts.
#define LOW_SCALE 2048.0f

// Limits a value to the range of half precision.
__device__ inline float limited(float value) {
    return fminf(fmaxf(value, -65504.0f), 65504.0f);
}

__device__ inline unsigned short to_half(float value) {
    unsigned short half;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(limited(value)));
    return half;
}

__device__ inline float from_half(unsigned short half) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(half));
    return value;
}

// Two values in half precision, the first in the lower half.
__device__ inline unsigned two_halves(float first, float second) {
    return (unsigned)to_half(second) << 16 | to_half(first);
}

// The part of a value that half precision loses, scaled as a lower part.
__device__ inline float remainder(float value) {
    value = limited(value);
    return (value - from_half(to_half(value))) * LOW_SCALE;
}

__device__ inline float joined(unsigned short high, unsigned short low) {
    return from_half(high) + from_half(low) * (1.0f / LOW_SCALE);
}

// The nearest value with 10 bits of mantissa.
__device__ inline float tf32(float value) {
#ifdef TF32
    unsigned rounded;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(rounded) : "f"(value));
    return __uint_as_float(rounded);
#else
    return value;
#endif
}

__device__ inline float to_float(Element value) {
#ifdef HALF
    return from_half(value);
#else
    return value;
#endif
}

union Vector {
    uint4 bits;
    Element elements[VECTOR];
};

__device__ inline Element to_element(float value) {
#ifdef HALF
    return to_half(value);
#else
    return tf32(value);
#endif
}

// Writes VECTOR channels of a pixel to `pixel`, and their lower parts `low` elements after them.
__device__ inline void store_channels(Element* pixel, int low, const float (&values)[VECTOR]) {
    Vector vector;
    for (int i = 0; i < VECTOR; i++) {
        vector.elements[i] = to_element(values[i]);
    }
    *(uint4*)pixel = vector.bits;
#ifdef SPLIT
    for (int i = 0; i < VECTOR; i++) {
        vector.elements[i] = to_element(remainder(values[i]));
    }
    *(uint4*)(pixel + low) = vector.bits;
#endif
}
