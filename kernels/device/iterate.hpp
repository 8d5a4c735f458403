// One map iterated at every pixel until its stop test holds. Knows nothing of threads or launches.
//
// The rendered text in front of this file gives `update` and `stop` (kernels/expression/render.py). `iterations` is the index,
// from 0, of the first update after which the test holds; a comparison with a number that is none counts as holding.
// Set by the renderer: NUM_STATES, of which the last NUM_PASSENGERS have no part in the others; USES_OLD where an update needs
// the values before the last one; NUM_CONSTANTS, NUM_UNIFORMS; DETECT_CYCLES, whether a state that returns exactly ends its
// pixel as one that never stops; KEEP_FINAL where outputs need the values at which a pixel stopped.
// A tile's inputs are the states, the old states where used, the constants; its parameters are the uniforms.
#pragma once

enum Output { ITERATIONS, OUTCOME, PERIOD, FINAL };
enum Outcome { NEVER, STOPPED, NON_FINITE };

constexpr int NUM_VALUES = NUM_STATES * (1 + USES_OLD) + NUM_CONSTANTS;
constexpr int NUM_ORBIT_VALUES = (NUM_STATES - NUM_PASSENGERS) * (1 + USES_OLD);

// Where in a pixel's values the n-th of those lies that decide how its orbit goes on: states but for passengers, then old states.
DEVICE int orbit_value(int n) { return n < NUM_STATES - NUM_PASSENGERS ? n : n + NUM_PASSENGERS; }

// All that a pixel is: its inputs in the tile's order.
template <class T> struct Pixel {
    T value[NUM_VALUES];

    DEVICE_MEMBER T *state() { return value; }
    DEVICE_MEMBER T *old() { return value + NUM_STATES * USES_OLD; }
    DEVICE_MEMBER T *constant() { return value + NUM_STATES * (1 + USES_OLD); }
};

// One update and its test; the lanes that go on. Lanes that are not alive keep their values where these are asked for.
DEVICE Mask iterate_once(Pixel<Lane> &pixel, const real *uniform, Lane k, Mask alive) {
    Lane next[NUM_STATES], before[NUM_STATES];
    update(pixel.state(), pixel.old(), pixel.constant(), uniform, k, next);
    for (int s = 0; s < NUM_STATES; ++s) {
        before[s] = pixel.state()[s];
        if (USES_OLD) pixel.old()[s] = KEEP_FINAL ? select(alive, before[s], pixel.old()[s]) : before[s];
        pixel.state()[s] = KEEP_FINAL ? select(alive, next[s], before[s]) : next[s];
    }
    return alive & negate(stop(pixel.state(), before, pixel.constant(), uniform, k));
}

// The shortest period, up to the limit, with which the chosen orbit returns to where it is, to half of its digits; 0 if it does
// not. In all of its digits it may return only after several times that: rounding makes small cycles around the true one.
DEVICE long long shortest_period(const Tile &tile, const real *uniform, const Pixel<Lane> &start, Mask chosen, Lane k) {
    if (!tile.output[PERIOD]) return 0;
    const real half = REAL_BYTES == 8 ? real(1.5e-8) : real(3.5e-4);
    Lane size = broadcast(half);
    for (int n = 0; n < NUM_ORBIT_VALUES; ++n) {
        const Lane x = start.value[orbit_value(n)];
        size = size + select(less(x, broadcast(0)), -x, x);
    }
    Pixel<Lane> orbit = start;
    for (long long period = 1; period <= tile.limit; ++period) {
        iterate_once(orbit, uniform, k, chosen);
        Lane away = broadcast(0);
        for (int n = 0; n < NUM_ORBIT_VALUES; ++n) {
            const Lane x = orbit.value[orbit_value(n)] - start.value[orbit_value(n)];
            away = away + select(less(x, broadcast(0)), -x, x);
        }
        if (mask_bits(chosen & less_equal(away, size * broadcast(half)))) return period;
    }
    return 0;
}

// What a pixel came to; `iterations` is the limit where it never stopped, `period` 0 where none was found.
DEVICE void record(const Tile &tile, long long index, const real *state, long long iterations, long long period) {
    ((int *)tile.output[ITERATIONS])[index] = int(iterations);
    if (tile.output[OUTCOME]) {
        bool finite = true;
        for (int s = 0; s < NUM_STATES - NUM_PASSENGERS; ++s) finite = finite && is_finite(state[s]);
        ((unsigned char *)tile.output[OUTCOME])[index] = iterations == tile.limit ? NEVER : finite ? STOPPED : NON_FINITE;
    }
    if (tile.output[PERIOD]) ((int *)tile.output[PERIOD])[index] = int(period);
    if (tile.output[FINAL])
        // Which state of its cycle a pixel was found in depends on its neighbours, so it is not told.
        for (int s = 0; s < NUM_STATES; ++s)
            ((double *)tile.output[FINAL])[s * tile.num_pixels + index] =
                DETECT_CYCLES && iterations == tile.limit ? double(not_a_number()) : canonical(state[s]);
}
