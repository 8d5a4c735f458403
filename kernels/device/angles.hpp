// Sine, cosine, tangent and arc tangent on lanes; the same bits on every device.
//
// Measured errors in units of the last place, float64 and float32 alike (tests/kernels/test_functions.py holds them): at most 1
// for sine and cosine of any finite angle, 3 for the others. Coefficients are Chebyshev fits (mpmath.chebyfit) over the reduced
// range, rounded to float64.
#pragma once
#include "integers.hpp"

#if REAL_BYTES == 8
#define SINE_COEFFICIENTS                                                                                                      \
    -0x1.5555555555555p-3, 0x1.1111111110ba8p-7, -0x1.a01a019e812c9p-13, 0x1.71de37934ee9ap-19, -0x1.ae6007a56aa8dp-26,        \
        0x1.5e09e3f1cd7b0p-33
#define COSINE_COEFFICIENTS                                                                                                    \
    0x1.5555555555555p-5, -0x1.6c16c16c16962p-10, 0x1.a01a019f4d709p-16, -0x1.27e4fa163c142p-22, 0x1.1eeb673a2e0cap-29,        \
        -0x1.907c6d159beaap-37
#define ARCTANGENT_COEFFICIENTS                                                                                                \
    -0x1.5555555555555p-2, 0x1.999999999934ap-3, -0x1.24924924360cbp-3, 0x1.c71c7185314cbp-4, -0x1.745d0b26b83e7p-4,           \
        0x1.3b1262d95579ep-4, -0x1.10fa75382537fp-4, 0x1.dfe61e80903d2p-5, -0x1.a098bb6ba4941p-5, 0x1.41603647c7a7cp-5,        \
        -0x1.3a2b7a07caea9p-6
#define HALF_PI_1 0x1.921fb54442d18p+0
#define HALF_PI_2 0x1.1a62633145c07p-54
#define HALF_PI_3 (-0x1.f1976b7ed8fbcp-110)
#define LARGE_ANGLE 0x1p40
#else
#define SINE_COEFFICIENTS -0x1.555552a17ac68p-3, 0x1.110c24d070e51p-7, -0x1.9ac79db1a77c3p-13
#define COSINE_COEFFICIENTS 0x1.5555544033f56p-5, -0x1.6c12cfdb37c65p-10, 0x1.9bd6f26f0e3cdp-16
#define ARCTANGENT_COEFFICIENTS                                                                                                \
    -0x1.555554471c837p-2, 0x1.9997309f05b1ap-3, -0x1.24202d48482b1p-3, 0x1.b80f870f131a5p-4, -0x1.08432cf780520p-4
#define HALF_PI_1 0x1.921fb6p+0
#define HALF_PI_2 (-0x1.777a5cp-25)
#define HALF_PI_3 (-0x1.ee59dap-50)
#define LARGE_ANGLE 0x1p16
#endif

// An angle is quarter * pi/2 + high + low, with high in about [-pi/4, pi/4]; only the two lowest bits of quarter are right.
struct Angle {
    LaneInt quarter;
    Lane high, low;
};

#if defined(__CUDACC_RTC__)
#define OUT_OF_LINE static __device__ __noinline__
#define CONSTANT_TABLE __constant__ const
DEVICE long long double_bits(double x) { return __double_as_longlong(x); }
DEVICE unsigned long long high_product(unsigned long long a, unsigned long long b) { return __umul64hi(a, b); }
#else
#define OUT_OF_LINE static __attribute__((noinline, unused))
#define CONSTANT_TABLE static const
DEVICE long long double_bits(double x) {
    long long bits;
    __builtin_memcpy(&bits, &x, sizeof x);
    return bits;
}
DEVICE unsigned long long high_product(unsigned long long a, unsigned long long b) {
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}
#endif

// The binary digits of 2/pi after the point, behind 64 zeros.
CONSTANT_TABLE unsigned long long DIGITS[] = {
    0,
    0xa2f9836e4e441529, 0xfc2757d1f534ddc0, 0xdb6295993c439041, 0xfe5163abdebbc561, 0xb7246e3a424dd2e0,
    0x06492eea09d1921c, 0xfe1deb1cb129a73e, 0xe88235f52ebb4484, 0xe99c7026b45f7e41, 0x3991d639835339f4,
    0x9c845f8bbdf9283b, 0x1ff897ffde05980f, 0xef2f118b5a0a6d1f, 0x6d367ecf27cb09b7, 0x4f463f669e5fea2d,
    0x7527bac7ebe5f17b, 0x3d0739f78a5292ea, 0x6bfb5fb11f8d5d08, 0x56033046fc7b6bab, 0xf0cfbc209af4361d};

// The same for one angle of any finite size, from as many binary digits of 2/pi as it takes (Payne and Hanek).
struct LargeAngle {
    int quarter;
    double high, low;
};
OUT_OF_LINE LargeAngle reduce_large_angle(double x) {
    const long long bits = double_bits(x);
    const unsigned long long fraction = (bits & ((1LL << 52) - 1)) | 1LL << 52;
    const int exponent = int(bits >> 52 & 2047) - 1075; // |x| = fraction * 2**exponent

    // The product with digits of the weights 2**(1 - exponent) and less, modulo 4, as 2 + 190 bits
    const int start = exponent + 62, word = start / 64, shift = start % 64;
    unsigned long long digits[3], product[3] = {0, 0, 0};
    for (int n = 0; n < 3; ++n)
        digits[n] = DIGITS[word + n] << shift | (shift ? DIGITS[word + n + 1] >> (64 - shift) : 0);
    product[2] = fraction * digits[2];
    product[1] = fraction * digits[1] + high_product(fraction, digits[2]);
    const unsigned long long carry = product[1] < fraction * digits[1];
    product[0] = fraction * digits[0] + high_product(fraction, digits[1]) + carry;

    // Quarters, and the signed rest of one in pieces of 32 bits
    int quarter = int(product[0] >> 62);
    product[0] = product[0] << 2 | product[1] >> 62;
    product[1] = product[1] << 2 | product[2] >> 62;
    const bool above_half = product[0] >> 63;
    if (above_half) {
        ++quarter;
        product[0] = ~product[0];
        product[1] = ~product[1];
    }
    const double first = double(product[0] >> 32) * 0x1p-32, second = double(product[0] & 0xffffffff) * 0x1p-64;
    const double third = double(product[1] >> 32) * 0x1p-96, fourth = double(product[1] & 0xffffffff) * 0x1p-128;
    double rest = first + second, rest_low = (first - rest) + second;
    const double sum = rest + (rest_low + third);
    rest_low = ((rest - sum) + (rest_low + third)) + fourth;
    rest = sum;

    // In radians, with the sign of x
    const double sign = (bits < 0) != above_half ? -1 : 1;
    const double radians = rest * 0x1.921fb54442d18p+0;
    double low = fused(rest, 0x1.921fb54442d18p+0, -radians);
    low = fused(rest, 0x1.1a62633145c07p-54, fused(rest_low, 0x1.921fb54442d18p+0, low));
    return {bits < 0 ? -quarter : quarter, sign * radians, sign * low};
}

DEVICE Angle reduce_angle(Lane x) {
    const Lane shifted = fused(x, broadcast(real(0x1.45f306dc9c883p-1)), TO_INTEGER), n = shifted - TO_INTEGER;
    Angle angle;
    angle.quarter = low_integer(shifted);

    // x - n*pi/2: the first difference is exact, the second is kept with its rounding error
    const Lane r = fused(-n, broadcast(real(HALF_PI_1)), x);
    const Lane product = n * real(HALF_PI_2), error = fused(n, broadcast(real(HALF_PI_2)), -product);
    angle.high = r - product;
    const Lane taken = angle.high - r;
    angle.low = fused(-n, broadcast(real(HALF_PI_3)), ((r - (angle.high - taken)) - (product + taken)) - error);

    // Angles for which so many digits of pi are too few, one by one
    const unsigned large = mask_bits(negate(less(absolute(x), broadcast(real(LARGE_ANGLE)))));
    if (large)
        for (int lane = 0; lane < LANES; ++lane) {
            const real one = get(x, lane);
            if (!(large >> lane & 1)) continue;
            LargeAngle exact = {0, one - one, 0}; // no number where x is none or infinite
            if (is_finite(one)) exact = reduce_large_angle(one);
            set_integer(angle.quarter, lane, exact.quarter);
            set(angle.high, lane, real(exact.high));
            set(angle.low, lane, real(exact.high - double(real(exact.high)) + exact.low));
        }
    return angle;
}

// Sine and cosine of high + low, without the quarters.
DEVICE Lane sine_of_rest(const Angle &angle) {
    const Lane square = angle.high * angle.high;
    const Lane low = fused(real(-0.5) * square, angle.low, angle.low);
    return fused(angle.high * square, polynomial(square, SINE_COEFFICIENTS), low) + angle.high;
}
DEVICE Lane cosine_of_rest(const Angle &angle) {
    const Lane square = angle.high * angle.high, half = real(0.5) * square, one = broadcast(real(1));
    const Lane rough = one - half;
    const Lane tail = fused(square * square, polynomial(square, COSINE_COEFFICIENTS), -(angle.high * angle.low));
    return rough + (((one - rough) - half) + tail);
}

// The sign changed where bit 1 of the quarter is set.
DEVICE Lane with_half_turns(Lane x, LaneInt quarter) {
    return lane_of(bits_of(x) ^ ((quarter & 2) << (8 * REAL_BYTES - 2)));
}

DEVICE Lane sine(Lane x) {
    const Angle angle = reduce_angle(x);
    return with_half_turns(select_odd(angle.quarter, cosine_of_rest(angle), sine_of_rest(angle)), angle.quarter);
}

DEVICE Lane cosine(Lane x) {
    const Angle angle = reduce_angle(x);
    return with_half_turns(select_odd(angle.quarter, sine_of_rest(angle), cosine_of_rest(angle)), angle.quarter + 1);
}

DEVICE Lane tangent(Lane x) {
    const Angle angle = reduce_angle(x);
    const Lane sine = sine_of_rest(angle), cosine = cosine_of_rest(angle);
    return select_odd(angle.quarter, -cosine, sine) / select_odd(angle.quarter, sine, cosine);
}

// The angle of the point (x, y) in [-pi, pi]; 0 at the origin.
DEVICE Lane arctangent2(Lane y, Lane x) {
    const Lane zero = broadcast(real(0)), one = broadcast(real(1)), two = broadcast(real(2)), four = broadcast(real(4));
    const Lane x_size = absolute(x), y_size = absolute(y);
    const Mask steep = less(x_size, y_size);
    Lane large = select(steep, y_size, x_size), small = select(steep, x_size, y_size);
    const Mask infinite = equal(small, one / zero) & equal(large, one / zero);
    large = select(infinite, one, large), small = select(infinite, one, small);

    // The arc tangent of small/large, from pi/4 where that is above the tangent of pi/8
    const Mask upper = less(large * real(0x1.a827999fcef32p-2), small);
    const Lane numerator = select(upper, small - large, small), denominator = select(upper, small + large, large);
    const Lane t = numerator / denominator, square = t * t;
    const Lane rest = fused(t * square, polynomial(square, ARCTANGENT_COEFFICIENTS), t);

    // So many times pi/4, plus or minus the rest
    Lane eighths = select(upper, one, zero);
    eighths = select(steep, two - eighths, eighths);
    const Mask left = less(x, zero);
    eighths = select(left, four - eighths, eighths);
    const Lane signed_rest = select(steep ^ left, -rest, rest);
    const Lane base = eighths * real(HALF_PI_1 / 2);
    const Lane base_low = fused(eighths, broadcast(real(HALF_PI_1 / 2)), -base) + eighths * real(HALF_PI_2 / 2);
    const Lane result = base + (base_low + signed_rest);
    return with_sign_of(select(equal(x_size + y_size, zero), zero, result), y);
}
