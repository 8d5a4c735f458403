// Exponential, logarithm, hyperbolic functions and powers on lanes; the same bits on every device.
//
// Measured errors in units of the last place, float64 and float32 alike (tests/kernels/test_functions.py holds them): at most 1
// for exponential and logarithm, 3 for the hyperbolic ones; a power is exp(y*log|x|) and loses what y*log|x| is long.
// Coefficients are Chebyshev fits (mpmath.chebyfit) over the reduced range, rounded to float64.
#pragma once
#include "integers.hpp"

#if REAL_BYTES == 8
#define EXPONENTIAL_COEFFICIENTS                                                                                               \
    0x1.0000000000000p-1, 0x1.5555555555557p-3, 0x1.5555555555556p-5, 0x1.11111111100dfp-7, 0x1.6c16c16c162d6p-10,             \
        0x1.a01a01abe63a9p-13, 0x1.a01a01a6d787dp-16, 0x1.71de02372dd4ep-19, 0x1.27e4db679d0c0p-22, 0x1.af4dddd8d7f8cp-26,     \
        0x1.1f72fca335d17p-29
#define LOGARITHM_COEFFICIENTS                                                                                                 \
    0x1.5555555555558p-1, 0x1.99999999952d7p-2, 0x1.2492492df281ap-2, 0x1.c71c62e3f11e6p-3, 0x1.7462b51cb66b1p-3,              \
        0x1.39fe51a7c18f9p-3, 0x1.2b5900de53b32p-3
#define LN2_HIGH 0x1.62e42fefa3800p-1 // ends in zeros: its product with an exponent is exact
#define LN2_LOW 0x1.ef35793c76730p-45
#define SMALLEST_EXPONENT (-746.0)
#define LARGEST_EXPONENT 710.5
#define SQRT_HALF_BITS 0x3fe6a09e667f3bcdLL
#define SUBNORMAL_SCALE 54
#else
#define EXPONENTIAL_COEFFICIENTS                                                                                               \
    0x1.0000000000000p-1, 0x1.5554dd048eaacp-3, 0x1.555519335dd4dp-5, 0x1.120b61c6b2ac2p-7, 0x1.6d10fcc01a36dp-10
#define LOGARITHM_COEFFICIENTS 0x1.55555b800896ap-1, 0x1.997c2ed527c68p-2, 0x1.2ee6559160a97p-2
#define LN2_HIGH 0x1.62e400p-1
#define LN2_LOW 0x1.7f7d1cp-20
#define SMALLEST_EXPONENT (-104.0)
#define LARGEST_EXPONENT 89.5
#define SQRT_HALF_BITS 0x3f3504f3
#define SUBNORMAL_SCALE 25
#endif

// exp(x) = 2**exponent * (1 + rest) for an x clamped to where the result is neither 0 nor infinite.
struct Exponential {
    LaneInt exponent;
    Lane rest;
};

DEVICE Exponential reduce_exponential(Lane x) {
    const Lane smallest = broadcast(real(SMALLEST_EXPONENT)), largest = broadcast(real(LARGEST_EXPONENT));
    x = select(less(x, smallest), smallest, select(less(largest, x), largest, x));
    const Lane shifted = fused(x, broadcast(real(0x1.71547652b82fep+0)), TO_INTEGER);
    const Lane n = shifted - TO_INTEGER;
    const Lane r = fused(n, broadcast(real(-LN2_LOW)), fused(n, broadcast(real(-LN2_HIGH)), x));
    return {low_integer(shifted), fused(r * r, polynomial(r, EXPONENTIAL_COEFFICIENTS), r)};
}

DEVICE Lane exponential(Lane x) {
    const Exponential e = reduce_exponential(x);
    const LaneInt half = e.exponent >> 1; // of the exponent, so that both powers of two are normal numbers
    const Lane scale = power_of_two(half);
    return fused(scale, e.rest, scale) * power_of_two(e.exponent - half);
}

// (exp(x) - 1) / 2 without cancellation for small x, and without overflow where sinh(x) has none.
DEVICE Lane half_exponential_minus_one(Lane x) {
    const Exponential e = reduce_exponential(x);
    const LaneInt half = (e.exponent - 1) >> 1;
    const Lane scale = power_of_two(half), other = power_of_two(e.exponent - 1 - half);
    return fused(scale, e.rest, scale - real(0.5) / other) * other;
}

DEVICE Lane hyperbolic_sine(Lane x) {
    const Lane half = half_exponential_minus_one(absolute(x)), largest = broadcast(real(0x1p60));
    const Lane finite = select(less(largest, half), largest, half);
    return with_sign_of(half + finite / (finite + finite + real(1)), x);
}

DEVICE Lane hyperbolic_cosine(Lane x) {
    const Lane half = half_exponential_minus_one(absolute(x));
    return (half + real(0.5)) + real(0.5) / (half + half + real(1));
}

DEVICE Lane hyperbolic_tangent(Lane x) {
    const Lane size = absolute(x), largest = broadcast(real(40));
    const Lane half = half_exponential_minus_one(select(less(largest, size), largest, size + size));
    return with_sign_of(half / (half + real(1)), x);
}

// The natural logarithm; -infinity at 0, no number below.
DEVICE Lane logarithm(Lane x) {
    // x = 2**n * (1 + f) with 1 + f between the square roots of 1/2 and 2; subnormal numbers are scaled first
    const Mask subnormal = less(x, power_of_two(LaneInt{} + (1 - EXPONENT_BIAS)));
    const Lane scaled = select(subnormal, x * real(1LL << SUBNORMAL_SCALE), x);
    const LaneInt offset = bits_of(scaled) - integer(SQRT_HALF_BITS);
    const Lane n = from_small_integer(offset >> FRACTION_BITS) -
                   select(subnormal, broadcast(real(SUBNORMAL_SCALE)), broadcast(real(0)));
    const Lane f = lane_of((offset & ((integer(1) << FRACTION_BITS) - 1)) + integer(SQRT_HALF_BITS)) - real(1);

    // log(1 + f) = f - f**2/2 + s*(f**2/2 + R(s**2)) with s = f/(2 + f)
    const Lane s = f / (f + real(2)), square = s * s, half_square = real(0.5) * f * f;
    const Lane tail = s * fused(square, polynomial(square, LOGARITHM_COEFFICIENTS), half_square);
    const Lane result = fused(n, broadcast(real(LN2_HIGH)), f - (half_square - fused(n, broadcast(real(LN2_LOW)), tail)));

    const Lane infinity = broadcast(real(1)) / real(0);
    return select(less(broadcast(real(0)), x), select(equal(x, infinity), x, result),
                  select(equal(x, broadcast(real(0))), -infinity, broadcast(real(0)) / real(0)));
}

// x**y of real numbers: no number for a negative x and a y that is not integral; x**0 is 1.
DEVICE Lane power(Lane x, Lane y) {
    const Lane zero = broadcast(real(0)), one = broadcast(real(1));
    const Lane size = exponential(y * logarithm(absolute(x)));
    const Lane half = y * real(0.5);
    const Lane signed_size = select(equal(round_down(half), half), size, -size);
    const Lane of_negative = select(equal(round_down(y), y), signed_size, zero / zero);
    return select(equal(y, zero) | equal(x, one), one, select(less(x, zero), of_negative, size));
}
