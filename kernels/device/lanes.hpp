// The lane type and the only place that knows compiler builtins and intrinsics.
//
// `real` is the precision of the job, `Lane` holds one value of LANES pixels: a plain `real` where LANES is 1 (CUDA, scalar
// builds), a vector of the compiler's extension otherwise. Compilers never contract: a fused multiply-add is written `madd`.
// Set by the renderer: REAL (float or double), REAL_BYTES, LANES, ARITHMETIC (one of the three below).
#pragma once

#define REPRODUCIBLE 0 // fma; host = GPU bit for bit, as only + - * / sqrt fma are used
#define PLAIN 1        // a*b + c; equals NumPy, one rounded operation a tree node
#define FAST 2         // approximate reciprocal square roots; no equality promised

#if defined(__CUDACC_RTC__)
#define DEVICE __device__ __forceinline__
#define DEVICE_MEMBER __device__ __forceinline__
#else
#define DEVICE_MEMBER inline __attribute__((always_inline))
#define DEVICE static inline __attribute__((always_inline))
#if defined(__AVX__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif
#endif

using real = REAL;

#if LANES == 1
using Lane = real;
#else
typedef real Lane __attribute__((vector_size(LANES * sizeof(real))));
#endif

// Instructions that the vector extension has no operator for; a width without them falls to a loop over the lanes.
#if LANES > 1
#define VECTOR_BYTES (LANES * REAL_BYTES)
#if defined(__AVX512F__) && VECTOR_BYTES == 64 && REAL_BYTES == 8
#define VECTOR_FMA(a, b, c) (Lane) _mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c)
#define VECTOR_SQRT(x) (Lane) _mm512_sqrt_pd((__m512d)x)
#define VECTOR_RSQRT14(x) (Lane) _mm512_rsqrt14_pd((__m512d)x)
#define VECTOR_MASK __mmask8
#define VECTOR_COMPARE(a, b, test) _mm512_cmp_pd_mask((__m512d)a, (__m512d)b, test)
#define VECTOR_BLEND(mask, a, b) (Lane) _mm512_mask_blend_pd(mask, (__m512d)b, (__m512d)a)
#define VECTOR_EXPAND(mask, pointer, otherwise) (Lane) _mm512_mask_expandloadu_pd((__m512d)otherwise, mask, pointer)
#elif defined(__AVX512F__) && VECTOR_BYTES == 64 && REAL_BYTES == 4
#define VECTOR_FMA(a, b, c) (Lane) _mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c)
#define VECTOR_SQRT(x) (Lane) _mm512_sqrt_ps((__m512)x)
#define VECTOR_MASK __mmask16
#define VECTOR_COMPARE(a, b, test) _mm512_cmp_ps_mask((__m512)a, (__m512)b, test)
#define VECTOR_BLEND(mask, a, b) (Lane) _mm512_mask_blend_ps(mask, (__m512)b, (__m512)a)
#elif defined(__FMA__) && VECTOR_BYTES == 32 && REAL_BYTES == 8
#define VECTOR_FMA(a, b, c) (Lane) _mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c)
#define VECTOR_SQRT(x) (Lane) _mm256_sqrt_pd((__m256d)x)
#define VECTOR_MASK_BITS(mask) unsigned(_mm256_movemask_pd((__m256d)mask))
#elif defined(__FMA__) && VECTOR_BYTES == 32 && REAL_BYTES == 4
#define VECTOR_FMA(a, b, c) (Lane) _mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c)
#define VECTOR_SQRT(x) (Lane) _mm256_sqrt_ps((__m256)x)
#define VECTOR_MASK_BITS(mask) unsigned(_mm256_movemask_ps((__m256)mask))
#elif defined(__aarch64__) && VECTOR_BYTES == 16 && REAL_BYTES == 8
#define VECTOR_FMA(a, b, c) (Lane) vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b)
#define VECTOR_SQRT(x) (Lane) vsqrtq_f64((float64x2_t)x)
#elif defined(__aarch64__) && VECTOR_BYTES == 16 && REAL_BYTES == 4
#define VECTOR_FMA(a, b, c) (Lane) vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b)
#define VECTOR_SQRT(x) (Lane) vsqrtq_f32((float32x4_t)x)
#endif
#endif

// A number in every lane.
DEVICE Lane broadcast(real x) {
#if LANES == 1
    return x;
#else
    return Lane{} + x;
#endif
}

DEVICE real get(const Lane &x, int lane) {
#if LANES == 1
    return (void)lane, x;
#else
    return x[lane];
#endif
}

DEVICE void set(Lane &x, int lane, real value) {
#if LANES == 1
    (void)lane, x = value;
#else
    x[lane] = value;
#endif
}

// One rounding on every device; scalar builds for CPUs without the instruction call libm, slowly but rightly.
DEVICE double fused(double a, double b, double c) {
#if defined(__CUDACC_RTC__)
    return __fma_rn(a, b, c);
#else
    return __builtin_fma(a, b, c);
#endif
}
DEVICE float fused(float a, float b, float c) {
#if defined(__CUDACC_RTC__)
    return __fmaf_rn(a, b, c);
#else
    return __builtin_fmaf(a, b, c);
#endif
}

DEVICE double square_root(double x) {
#if defined(__CUDACC_RTC__)
    return __dsqrt_rn(x);
#else
    return __builtin_sqrt(x);
#endif
}
DEVICE float square_root(float x) {
#if defined(__CUDACC_RTC__)
    return __fsqrt_rn(x);
#else
    return __builtin_sqrtf(x);
#endif
}

#if LANES > 1

DEVICE Lane fused(Lane a, Lane b, Lane c) {
#if defined(VECTOR_FMA)
    return VECTOR_FMA(a, b, c);
#else
    for (int lane = 0; lane < LANES; ++lane) c[lane] = fused(real(a[lane]), real(b[lane]), real(c[lane]));
    return c;
#endif
}

DEVICE Lane square_root(Lane x) {
#if defined(VECTOR_SQRT)
    return VECTOR_SQRT(x);
#else
    for (int lane = 0; lane < LANES; ++lane) x[lane] = square_root(real(x[lane]));
    return x;
#endif
}

#endif

// a*b + c under the job's arithmetic.
template <class T> DEVICE T madd(T a, T b, T c) {
#if ARITHMETIC == PLAIN
    return a * b + c;
#else
    return fused(a, b, c);
#endif
}

// Truth in every lane; `&` and `|` combine masks. A mask register where the CPU has them, else a vector of all ones and zeros.
#if LANES == 1
using Mask = bool;
#elif defined(VECTOR_MASK)
using Mask = VECTOR_MASK;
#else
using Mask = decltype(Lane{} < Lane{});
#endif

// Comparisons with a number that is none are false.
#if defined(VECTOR_COMPARE)
DEVICE Mask less(Lane a, Lane b) { return VECTOR_COMPARE(a, b, _CMP_LT_OQ); }
DEVICE Mask less_equal(Lane a, Lane b) { return VECTOR_COMPARE(a, b, _CMP_LE_OQ); }
DEVICE Mask equal(Lane a, Lane b) { return VECTOR_COMPARE(a, b, _CMP_EQ_OQ); }
#else
DEVICE Mask less(Lane a, Lane b) { return a < b; }
DEVICE Mask less_equal(Lane a, Lane b) { return a <= b; }
DEVICE Mask equal(Lane a, Lane b) { return a == b; }
#endif

DEVICE Mask negate(Mask mask) {
#if LANES == 1
    return !mask;
#else
    return Mask(~mask);
#endif
}

// a where the mask holds, b elsewhere.
DEVICE Lane select(Mask mask, Lane a, Lane b) {
#if defined(VECTOR_BLEND)
    return VECTOR_BLEND(mask, a, b);
#else
    return mask ? a : b;
#endif
}

// Bit `lane` is set where the mask holds.
DEVICE unsigned mask_bits(Mask mask) {
#if LANES == 1 || defined(VECTOR_MASK)
    return unsigned(mask);
#elif defined(VECTOR_MASK_BITS)
    return VECTOR_MASK_BITS(mask);
#else
    unsigned bits = 0;
    for (int lane = 0; lane < LANES; ++lane) bits |= unsigned(mask[lane] & 1) << lane;
    return bits;
#endif
}

DEVICE Mask mask_from_bits(unsigned bits) {
#if LANES == 1 || defined(VECTOR_MASK)
    return Mask(bits);
#else
    Mask mask = {};
    for (int lane = 0; lane < LANES; ++lane) mask[lane] = -int(bits >> lane & 1);
    return mask;
#endif
}

// Neighbouring numbers of memory, in order, into the lanes where the mask holds; `otherwise` elsewhere.
#if !defined(__CUDACC_RTC__)
DEVICE Lane expand(Mask mask, const double *numbers, Lane otherwise) {
#if defined(VECTOR_EXPAND)
    return VECTOR_EXPAND(mask, numbers, otherwise);
#else
    for (unsigned bits = mask_bits(mask); bits; bits &= bits - 1) set(otherwise, __builtin_ctz(bits), real(*numbers++));
    return otherwise;
#endif
}
#endif

// x**(-3/2), the strength of an inverse-square force along an unnormalised distance vector.
DEVICE Lane inverse_cube(Lane x) {
#if ARITHMETIC == FAST && defined(__CUDACC_RTC__)
    const Lane y = rsqrt(x);
    return y * y * y;
#elif ARITHMETIC == FAST && defined(VECTOR_RSQRT14)
    // 14 bits from the instruction, then the series of (1 - h)**(-3/2): relative error below 3e-16.
    const Lane y = VECTOR_RSQRT14(x);
    const Lane h = fused(-x, y * y, broadcast(1));
    const Lane cube = y * y * y;
    const Lane series = fused(fused(broadcast(2.1875), h, broadcast(1.875)), h, broadcast(1.5));
    return fused(cube * h, series, cube);
#else
    return real(1) / (x * square_root(x));
#endif
}

DEVICE bool is_finite(real x) { return x - x == 0; }

DEVICE real not_a_number() {
#if defined(__CUDACC_RTC__)
    return real(__longlong_as_double(0x7ff8000000000000ll));
#else
    return real(__builtin_nan(""));
#endif
}

// The sign and payload of a number that is none differ between instructions, but stores are equal byte for byte.
DEVICE double canonical(double x) { return x == x ? x : double(not_a_number()); }
