// The GPU's walk over a tile: one thread a living trajectory, launches of bounded length, state kept on the device between them.
//
// Every launch writes the trajectories that go on to a fresh list, so that the next one runs full warps of living pixels.
// Also compiles with a host compiler against shim.hpp.
// Set by the renderer: EARLY_STOP.
#include "threebody.hpp"
#if !defined(__CUDACC_RTC__)
#include "shim.hpp"
#endif

static_assert(STATE_SIZE == sizeof(Twins<real>) / sizeof(real), "the driver's state does not fit");

// `state` is [STATE_SIZE][num_pixels], `watched` [num_pixels] tells whose separation is still tested. `active` lists the living
// pixels, all at `first_step`, to be advanced by at most `num_steps`; those that go on are appended to `next`, `num_next` long.
extern "C" __global__ void __launch_bounds__(128)
    advance_tile(const Tile *tile_pointer, real *state, unsigned char *watched, const int *active, long long num_active, int *next,
            int *num_next, long long first_step, long long num_steps) {
    const long long index = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= num_active) return;
    const Tile &tile = *tile_pointer;
    const int pixel = active[index];

    // Begin the trajectory, or take it up.
    Twins<real> twins;
    bool test = true, ended = false;
    if (first_step == 0)
        load_pixel(tile, pixel, twins);
    else {
        for_each_value(twins, [&](real &value, int k) { value = state[k * tile.num_pixels + pixel]; });
        test = watched[pixel];
    }
    const real dt = real(tile.parameter[DT]), distance_squared = real(tile.parameter[DISTANCE_SQUARED]);
    const int until = int(first_step + num_steps < tile.limit ? first_step + num_steps : tile.limit);
    int step = int(first_step); // 32 bits: registers are scarce

    for (; step != until; ++step) {
        if (test && !(separation_squared(twins) <= distance_squared)) {
            record_end(tile, pixel, step, separation_squared(twins));
            test = false;
            if (EARLY_STOP) {
                ended = true;
                break;
            }
        }
        euler_step(twins.original, twins.attraction, dt);
        euler_step(twins.shifted, twins.attraction, dt);
    }

    if (ended || step == tile.limit) {
        if (test) record_end(tile, pixel, step, separation_squared(twins));
        record_final(tile, pixel, twins);
        return;
    }
    for_each_value(twins, [&](real &value, int k) { state[k * tile.num_pixels + pixel] = value; });
    watched[pixel] = test;
    next[atomicAdd(num_next, 1)] = pixel;
}

#if !defined(__CUDACC_RTC__)
SHIM_ENTRY(advance_tile)
#endif
