// Two systems of three bodies under Newtonian gravity, the second shifted by a little: one explicit Euler step, the separation
// of the shifted body, the energy. Knows nothing of queues, threads or launches.
//
// Set by the renderer: BODY, the index of the body that is shifted and whose separation is tested.
#pragma once

enum Input { POSITION = 0, VELOCITY = 9, MASS = 18, GRAVITY = 21, SHIFT = 22 };
enum Parameter { DISTANCE_SQUARED, DT };
enum Output { TIMES, OUTCOME, SEPARATION, ENERGY_ERROR, FINAL };
enum Outcome { NEVER, DIVERGED, NON_FINITE };

template <class T> struct System {
    T position[3][3], velocity[3][3];
};

template <class T> struct Twins {
    System<T> original, shifted;
    T attraction[3]; // gravity times mass
};

// Visit every number of the state with its index, in an order that is fixed.
template <class T, class F> DEVICE void for_each_value(Twins<T> &twins, F visit) {
    for (int body = 0; body < 3; ++body) {
        for (int c = 0; c < 3; ++c) {
            const int k = 3 * body + c;
            visit(twins.original.position[body][c], k);
            visit(twins.original.velocity[body][c], 9 + k);
            visit(twins.shifted.position[body][c], 18 + k);
            visit(twins.shifted.velocity[body][c], 27 + k);
        }
        visit(twins.attraction[body], 36 + body);
    }
}

// Position by the old velocity, velocity by the acceleration at the old position; each pair's distance once.
DEVICE void euler_step(System<Lane> &s, const Lane attraction[3], Lane dt) {
    Lane d01[3], d02[3], d12[3];
    for (int c = 0; c < 3; ++c) {
        d01[c] = s.position[0][c] - s.position[1][c];
        d02[c] = s.position[0][c] - s.position[2][c];
        d12[c] = s.position[1][c] - s.position[2][c];
    }
    const Lane f01 = inverse_cube(madd(d01[2], d01[2], madd(d01[1], d01[1], d01[0] * d01[0])));
    const Lane f02 = inverse_cube(madd(d02[2], d02[2], madd(d02[1], d02[1], d02[0] * d02[0])));
    const Lane f12 = inverse_cube(madd(d12[2], d12[2], madd(d12[1], d12[1], d12[0] * d12[0])));
    const Lane by_1_on_0 = attraction[1] * f01, by_2_on_0 = attraction[2] * f02, by_0_on_1 = attraction[0] * f01;
    const Lane by_2_on_1 = attraction[2] * f12, by_0_on_2 = attraction[0] * f02, by_1_on_2 = attraction[1] * f12;
    for (int c = 0; c < 3; ++c) {
        for (int body = 0; body < 3; ++body)
            s.position[body][c] = madd(dt, s.velocity[body][c], s.position[body][c]);
        s.velocity[0][c] = madd(dt, madd(-by_2_on_0, d02[c], -(by_1_on_0 * d01[c])), s.velocity[0][c]);
        s.velocity[1][c] = madd(dt, madd(-by_2_on_1, d12[c], by_0_on_1 * d01[c]), s.velocity[1][c]);
        s.velocity[2][c] = madd(dt, madd(by_1_on_2, d12[c], by_0_on_2 * d02[c]), s.velocity[2][c]);
    }
}

template <class T> DEVICE T separation_squared(const Twins<T> &twins) {
    T d[3];
    for (int c = 0; c < 3; ++c) d[c] = twins.original.position[BODY][c] - twins.shifted.position[BODY][c];
    return madd(d[2], d[2], madd(d[1], d[1], d[0] * d[0]));
}

// The starting value of both systems at one pixel.
DEVICE void load_pixel(const Tile &tile, long long pixel, Twins<real> &twins) {
    for (int body = 0; body < 3; ++body) {
        for (int c = 0; c < 3; ++c) {
            const double p = initial_value(tile, POSITION + 3 * body + c, pixel);
            const double shift = body == BODY ? initial_value(tile, SHIFT + c, pixel) : 0.0;
            twins.original.position[body][c] = real(p);
            twins.shifted.position[body][c] = real(p + shift);
            twins.original.velocity[body][c] = twins.shifted.velocity[body][c] =
                real(initial_value(tile, VELOCITY + 3 * body + c, pixel));
        }
        twins.attraction[body] =
            real(initial_value(tile, GRAVITY, pixel) * initial_value(tile, MASS + body, pixel));
    }
}

// Total energy, in double whatever the job's precision.
DEVICE double energy(const Tile &tile, long long pixel, const System<real> &s) {
    double mass[3], kinetic = 0, potential = 0;
    for (int body = 0; body < 3; ++body) mass[body] = initial_value(tile, MASS + body, pixel);
    for (int body = 0; body < 3; ++body) {
        double square = 0;
        for (int c = 0; c < 3; ++c) {
            const double v = s.velocity[body][c];
            square = madd(v, v, square);
        }
        kinetic = madd(0.5 * mass[body], square, kinetic);
        for (int other = 0; other < body; ++other) {
            double distance_squared = 0;
            for (int c = 0; c < 3; ++c) {
                const double d = double(s.position[body][c]) - double(s.position[other][c]);
                distance_squared = madd(d, d, distance_squared);
            }
            potential = potential - mass[body] * mass[other] / square_root(distance_squared);
        }
    }
    return madd(initial_value(tile, GRAVITY, pixel), potential, kinetic);
}

// The first state at which the separation test holds; a pixel that never ends is told by its limit.
DEVICE void record_end(const Tile &tile, long long pixel, long long state, real separation_squared_value) {
    const bool ended = state < tile.limit;
    ((int *)tile.output[TIMES])[pixel] = int(state);
    ((unsigned char *)tile.output[OUTCOME])[pixel] =
        !ended ? NEVER : is_finite(separation_squared_value) ? DIVERGED : NON_FINITE;
}

// What is taken where the pixel stopped.
DEVICE void record_final(const Tile &tile, long long pixel, const Twins<real> &twins) {
    if (tile.output[SEPARATION])
        ((double *)tile.output[SEPARATION])[pixel] = canonical(square_root(double(separation_squared(twins))));
    if (tile.output[ENERGY_ERROR]) {
        Twins<real> start;
        load_pixel(tile, pixel, start);
        const double first = energy(tile, pixel, start.original);
        const double error = (energy(tile, pixel, twins.original) - first) / first;
        ((double *)tile.output[ENERGY_ERROR])[pixel] = canonical(error < 0 ? -error : error);
    }
    if (tile.output[FINAL])
        for (int k = 0; k < 18; ++k)
            ((double *)tile.output[FINAL])[k * tile.num_pixels + pixel] =
                canonical(k < 9 ? twins.original.position[k / 3][k % 3] : twins.original.velocity[k / 3 - 3][k % 3]);
}
