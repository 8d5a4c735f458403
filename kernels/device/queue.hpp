// What the threads of one host run share: the next pixel to take and the word that stops them; and their clock.
#pragma once
#include <atomic>
#include <time.h>

struct Queue {
    std::atomic<long long> next_pixel;
    std::atomic<long long> stop;
};

// The next pixel of the tile, or -1.
static inline long long take_pixel(Queue &queue, long long num_pixels) {
    if (queue.next_pixel.load(std::memory_order_relaxed) >= num_pixels) return -1;
    const long long pixel = queue.next_pixel.fetch_add(1, std::memory_order_relaxed);
    return pixel < num_pixels ? pixel : -1;
}

static inline double seconds_now() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return double(now.tv_sec) + 1e-9 * double(now.tv_nsec);
}
