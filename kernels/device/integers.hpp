// The bits of lanes as integers of the same size, and what is made of them: sign, floor, powers of two.
//
// The same integer operations on every device; nothing here rounds.
#pragma once
#include "lanes.hpp"

#if REAL_BYTES == 8
using integer = long long;
#define FRACTION_BITS 52
#define EXPONENT_BIAS 1023
#else
using integer = int;
#define FRACTION_BITS 23
#define EXPONENT_BIAS 127
#endif
#define SIGN_BIT integer(1ULL << (8 * REAL_BYTES - 1))

#if LANES == 1
using LaneInt = integer;
#else
typedef integer LaneInt __attribute__((vector_size(LANES * sizeof(real))));
#endif

#if defined(__CUDACC_RTC__)
DEVICE long long scalar_bits(double x) { return __double_as_longlong(x); }
DEVICE int scalar_bits(float x) { return __float_as_int(x); }
DEVICE double scalar_of(long long bits) { return __longlong_as_double(bits); }
DEVICE float scalar_of(int bits) { return __int_as_float(bits); }
#else
DEVICE integer scalar_bits(real x) {
    integer bits;
    __builtin_memcpy(&bits, &x, sizeof x);
    return bits;
}
DEVICE real scalar_of(integer bits) {
    real x;
    __builtin_memcpy(&x, &bits, sizeof x);
    return x;
}
#endif

DEVICE LaneInt bits_of(Lane x) {
#if LANES > 1
    return (LaneInt)x;
#else
    return scalar_bits(x);
#endif
}

DEVICE Lane lane_of(LaneInt bits) {
#if LANES > 1
    return (Lane)bits;
#else
    return scalar_of(bits);
#endif
}

DEVICE void set_integer(LaneInt &n, int lane, integer value) {
#if LANES == 1
    (void)lane, n = value;
#else
    n[lane] = value;
#endif
}

DEVICE Lane absolute(Lane x) { return lane_of(bits_of(x) & ~SIGN_BIT); }

// -x for a fused x: GCC makes one instruction of -fma(a, b, c) that gives the other zero.
DEVICE Lane opposite(Lane x) { return lane_of(bits_of(x) ^ SIGN_BIT); }

// The size of x with the sign of y.
DEVICE Lane with_sign_of(Lane x, Lane y) { return lane_of((bits_of(x) & ~SIGN_BIT) | (bits_of(y) & SIGN_BIT)); }

// a where the lowest bit of n is set, b elsewhere.
DEVICE Lane select_odd(LaneInt n, Lane a, Lane b) {
    const LaneInt all = -(n & 1);
    return lane_of((bits_of(a) & all) | (bits_of(b) & ~all));
}

// Adding this to a number of less than 2**(FRACTION_BITS - 1) in size rounds it to an integer, which is then in the low bits.
#define TO_INTEGER broadcast(real(3LL << (FRACTION_BITS - 1)))

DEVICE LaneInt low_integer(Lane shifted) { return bits_of(shifted) - bits_of(TO_INTEGER); }

DEVICE Lane from_small_integer(LaneInt n) { return lane_of(n + bits_of(TO_INTEGER)) - TO_INTEGER; }

// 2**n where that is a normal number.
DEVICE Lane power_of_two(LaneInt n) { return lane_of((n + EXPONENT_BIAS) << FRACTION_BITS); }

// The largest integer that is not larger.
DEVICE Lane round_down(Lane x) {
    const Lane shift = broadcast(real(1LL << FRACTION_BITS));
    const Lane size = absolute(x);
    const Lane near = with_sign_of(size + shift - shift, x);
    const Lane below = select(less(x, near), near - real(1), near);
    return select(less(size, shift), below, x);
}

// As NumPy has them: not a number where one of both is none.
DEVICE Lane minimum(Lane a, Lane b) { return select(negate(less_equal(b, a)), select(equal(b, b), a, b), b); }
DEVICE Lane maximum(Lane a, Lane b) { return select(negate(less_equal(a, b)), select(equal(b, b), a, b), b); }

// c0 + c1*x + c2*x**2 + ..., from the last coefficient to the first.
DEVICE Lane polynomial(Lane, double last) { return broadcast(real(last)); }
template <class... C> DEVICE Lane polynomial(Lane x, double first, C... others) {
    return fused(polynomial(x, others...), x, broadcast(real(first)));
}
