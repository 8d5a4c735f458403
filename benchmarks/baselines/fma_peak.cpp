// The most fused multiply-adds this core makes: independent chains on full vectors, nothing else.
#define REAL double
#define REAL_BYTES 8
#define ARITHMETIC 0
#ifndef LANES
#if defined(__AVX512F__)
#define LANES 8
#elif defined(__FMA__)
#define LANES 4
#else
#define LANES 2
#endif
#endif
#include "lanes.hpp"

constexpr int CHAINS = 12; // two units, latency of four to six cycles

// Floating-point operations of `rounds` rounds; `sink` keeps the compiler honest.
extern "C" double fma_loop(long long rounds, double *sink) {
    Lane a0 = broadcast(sink[0]), a1 = a0 + 1, a2 = a0 + 2, a3 = a0 + 3, a4 = a0 + 4, a5 = a0 + 5;
    Lane b0 = a0 + 6, b1 = a0 + 7, b2 = a0 + 8, b3 = a0 + 9, b4 = a0 + 10, b5 = a0 + 11;
    const Lane x = broadcast(sink[1]), y = broadcast(sink[2]);
    for (long long k = 0; k < rounds; ++k) {
        a0 = fused(a0, x, y), a1 = fused(a1, x, y), a2 = fused(a2, x, y), a3 = fused(a3, x, y);
        a4 = fused(a4, x, y), a5 = fused(a5, x, y), b0 = fused(b0, x, y), b1 = fused(b1, x, y);
        b2 = fused(b2, x, y), b3 = fused(b3, x, y), b4 = fused(b4, x, y), b5 = fused(b5, x, y);
    }
    const Lane sum = a0 + a1 + a2 + a3 + a4 + a5 + b0 + b1 + b2 + b3 + b4 + b5;
    sink[0] = get(sum, 0);
    return double(rounds) * CHAINS * LANES * 2;
}
