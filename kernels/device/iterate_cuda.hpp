// The GPU's walk over a tile of a map: one thread a living pixel, launches of bounded length, state kept between them.
//
// Also compiles with a host compiler against shim.hpp.
#include "iterate.hpp"
#if !defined(__CUDACC_RTC__)
#include "shim.hpp"
#endif

static_assert(STATE_SIZE == NUM_VALUES, "the driver's state does not fit");

// See the driver, kernels/backends/cuda.py, for the arguments; all living pixels have made `first_step` updates.
extern "C" __global__ void __launch_bounds__(128)
    advance_tile(const Tile *tile_pointer, real *state, unsigned char *, const int *active, long long num_active, int *next,
                 int *num_next, long long first_step, long long num_steps) {
    const long long index = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= num_active) return;
    const Tile &tile = *tile_pointer;
    const int id = active[index];
    real uniform[NUM_UNIFORMS + 1];
    for (int u = 0; u < NUM_UNIFORMS; ++u) uniform[u] = real(tile.parameter[u]);
    Pixel<real> pixel;
    for (int v = 0; v < NUM_VALUES; ++v)
        pixel.value[v] = first_step ? state[v * tile.num_pixels + id] : real(initial_value(tile, v, id));

    const int until = int(first_step + num_steps < tile.limit ? first_step + num_steps : tile.limit);
    int step = int(first_step);
    bool alive = true;
    for (; step != until; ++step) {
        alive = iterate_once(pixel, uniform, real(step), true);
        if (!alive) break;
    }

    if (!alive || step == tile.limit) {
        record(tile, id, pixel.state(), step, alive ? shortest_period(tile, uniform, pixel, true, real(step)) : 0);
        return;
    }
    for (int v = 0; v < NUM_VALUES; ++v) state[v * tile.num_pixels + id] = pixel.value[v];
    next[atomicAdd(num_next, 1)] = id;
}

#if !defined(__CUDACC_RTC__)
SHIM_ENTRY(advance_tile)
#endif
