// The numbers that flow between the layers.
//
// HALF: half precision. TF32: single precision, of which the tensor cores use 10 bits of mantissa.
// SINGLE: single precision.

#ifdef HALF
typedef unsigned short Element;
#else
typedef float Element;
#endif

// Packed channels of a pixel, and of a row of weights, that are worked on at once: 128 bytes.
#define CHUNK (128 / (int)sizeof(Element))
// Elements of 16 bytes; a pixel's channels are filled up to a multiple of them.
#define VECTOR (16 / (int)sizeof(Element))

// Two values in half precision, the first in the lower half; what is too large for it becomes its largest.
__device__ inline unsigned two_halves(float first, float second) {
    unsigned short low, high;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(low) : "f"(fminf(fmaxf(first, -65504.0f), 65504.0f)));
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(high) : "f"(fminf(fmaxf(second, -65504.0f), 65504.0f)));
    return (unsigned)high << 16 | low;
}

__device__ inline float from_half(unsigned short half) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(half));
    return value;
}

// The nearest value of 10 bits of mantissa.
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

// 16 bytes of elements.
union Vector {
    uint4 bits;
    Element elements[VECTOR];
};

__device__ inline Element to_element(float value) {
#ifdef HALF
    return (Element)two_halves(value, 0.0f);
#else
    return tf32(value);
#endif
}
