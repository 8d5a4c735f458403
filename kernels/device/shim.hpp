// Enough of CUDA to run a `__global__` function on a host, thread after thread, so that its indexing, state and compaction are
// tested where there is no GPU. LANES is 1.
#pragma once
#include <cstddef>
#include <utility>

#define __global__
#define __launch_bounds__(threads)

struct Index {
    unsigned x;
};
static thread_local Index blockIdx, blockDim, threadIdx;

static inline int atomicAdd(int *address, int value) {
    const int old = *address;
    *address += value;
    return old;
}

// Call a kernel with the arguments that `argument` points at, one pointer each, as the CUDA driver's launch does.
template <class... P, std::size_t... I>
static void call(void (*kernel)(P...), void **argument, std::index_sequence<I...>) {
    kernel(*static_cast<P *>(argument[I])...);
}

template <class... P> static void launch(void (*kernel)(P...), unsigned grid, unsigned block, void **argument) {
    blockDim.x = block;
    for (blockIdx.x = 0; blockIdx.x < grid; ++blockIdx.x)
        for (threadIdx.x = 0; threadIdx.x < block; ++threadIdx.x)
            call(kernel, argument, std::index_sequence_for<P...>{});
}

#define SHIM_ENTRY(name)                                                                                                       \
    extern "C" void launch_##name(unsigned grid, unsigned block, void **argument) { launch(name, grid, block, argument); }
