// The three-body map as a plain C loop: one pixel after the other, early stop, no pow, squared test. Same flags as the kernel.
#include <cmath>

struct State {
    double p[3][3], v[3][3];
};

static void step(State &s, const double attraction[3], double dt) {
    double a[3][3] = {};
    for (int i = 0; i < 3; ++i)
        for (int j = 0; j < i; ++j) {
            double d[3], square = 0;
            for (int c = 0; c < 3; ++c) {
                d[c] = s.p[i][c] - s.p[j][c];
                square += d[c] * d[c];
            }
            const double f = 1.0 / (square * std::sqrt(square));
            for (int c = 0; c < 3; ++c) {
                a[i][c] -= attraction[j] * f * d[c];
                a[j][c] += attraction[i] * f * d[c];
            }
        }
    for (int i = 0; i < 3; ++i)
        for (int c = 0; c < 3; ++c) {
            s.p[i][c] += dt * s.v[i][c];
            s.v[i][c] += dt * a[i][c];
        }
}

// Starting points (x, y, -11) of body 1; `times` as the spec counts them.
extern "C" void divergence(int num_pixels, const double *x, const double *y, int steps, double dt, int *times) {
    const double attraction[3] = {9.8 * 10, 9.8 * 20, 9.8 * 30};
    for (int pixel = 0; pixel < num_pixels; ++pixel) {
        State s = {{{x[pixel], y[pixel], -11}, {0, 0, 0}, {10, 10, 12}}, {{-3, 0, 0}, {0, 0, 0}, {3, 0, 0}}};
        State twin = s;
        for (int c = 0; c < 3; ++c) twin.p[0][c] += 1e-3;
        int k = 0;
        for (; k < steps; ++k) {
            double square = 0;
            for (int c = 0; c < 3; ++c) square += (s.p[0][c] - twin.p[0][c]) * (s.p[0][c] - twin.p[0][c]);
            if (!(square <= 0.25)) break;
            step(s, attraction, dt);
            step(twin, attraction, dt);
        }
        times[pixel] = k;
    }
}
