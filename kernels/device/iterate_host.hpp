// The host's walk over a tile of a map: several vectors in turn hide the latency of one chain of operations; lanes that have
// stopped are refilled together, every few updates, from pixels that lie side by side.
// Set by the renderer: NUM_OPERATIONS, the real operations of one update and its test.
#include "iterate.hpp"
#include "queue.hpp"

namespace {

constexpr unsigned ALL = (1ull << LANES) - 1;
// As many vectors as registers hold, and a few updates in a row, so that an update finds what the test before it computed; long
// formulas keep the core busy without either, and would take the compiler seconds.
constexpr bool SHORT = NUM_OPERATIONS <= 64;
constexpr int GROUPS = !SHORT ? 1 : NUM_VALUES <= 4 ? 4 : NUM_VALUES <= 8 ? 2 : 1;
constexpr int UNROLLED = SHORT ? 4 : 1;
constexpr int BLOCKS_BETWEEN_LOOKS = 1024;
constexpr long long LONGEST_CHUNK = 256;

struct alignas(64) Group {
    Pixel<Lane> pixel;
    Lane count; // updates survived
    Lane saved[NUM_ORBIT_VALUES];
    long long index[LANES], first[LANES];
    Mask alive;
    unsigned live; // bits of lanes that have a pixel
};

struct alignas(64) Walker {
    Group group[GROUPS];
    long long clock;      // updates made since the walker began
    long long next_limit; // no live lane reaches the limit before this clock
    long long chunk, chunk_end;
    long long blocks, next_save, save_interval;
    long long steps_of_ended;
    unsigned begun;
};

// Updates between two looks at which lanes have stopped: few where lives are short, as stopped lanes idle until then.
long long block_updates(const Tile &tile) { return tile.limit < 128 ? 8 : tile.limit < 512 ? 16 : 32; }

// Take up to `wanted` neighbouring pixels of the walker's chunk, or -1.
long long take(const Tile &tile, Queue &queue, Walker &w, int wanted, int &taken) {
    if (w.chunk == w.chunk_end) {
        const long long left = tile.num_pixels - queue.next_pixel.load(std::memory_order_relaxed);
        const long long size = left / 16 < 1 ? 1 : left / 16 < LONGEST_CHUNK ? left / 16 : LONGEST_CHUNK;
        w.chunk = queue.next_pixel.fetch_add(size, std::memory_order_relaxed);
        w.chunk_end = w.chunk + size < tile.num_pixels ? w.chunk + size : tile.num_pixels;
        if (w.chunk >= tile.num_pixels) {
            w.chunk = w.chunk_end = tile.num_pixels;
            return taken = 0, -1;
        }
    }
    taken = wanted < w.chunk_end - w.chunk ? wanted : int(w.chunk_end - w.chunk);
    const long long start = w.chunk;
    w.chunk += taken;
    return start;
}

// The lowest `count` bits of `bits` that are set.
unsigned lowest_bits(unsigned bits, int count) {
    unsigned kept = 0;
    for (; count; --count) kept |= bits & -bits, bits &= bits - 1;
    return kept;
}

// Give new pixels to the lanes in `bits`; lanes for which none is left rest.
void refill(const Tile &tile, Queue &queue, Walker &w, Group &g, unsigned bits) {
    g.live &= ~bits;
    while (bits) {
        int taken;
        const long long start = take(tile, queue, w, __builtin_popcount(bits), taken);
        if (!taken) break;
        const unsigned chosen = lowest_bits(bits, taken);
        const Mask mask = mask_from_bits(chosen);
        for (int v = 0; v < NUM_VALUES; ++v) {
            const double *values = tile.input[v] + start * tile.stride[v];
            g.pixel.value[v] = tile.stride[v] ? expand(mask, values, g.pixel.value[v])
                                              : select(mask, broadcast(real(*values)), g.pixel.value[v]);
        }
        g.count = select(mask, broadcast(0), g.count);
        if (DETECT_CYCLES) g.saved[0] = select(mask, broadcast(not_a_number()), g.saved[0]);
        long long index = start;
        for (unsigned rest = chosen; rest; rest &= rest - 1) {
            const int lane = __builtin_ctz(rest);
            g.index[lane] = index++, g.first[lane] = w.clock;
        }
        g.alive = g.alive | mask;
        g.live |= chosen;
        bits &= ~chosen;
        if (w.next_limit > w.clock + tile.limit) w.next_limit = w.clock + tile.limit;
    }
    g.alive = g.alive & mask_from_bits(g.live);
}

// Make `num_updates` updates in every group.
void walk(const real *uniform, Walker &w, long long num_updates) {
    Pixel<Lane> pixel[GROUPS];
    Lane count[GROUPS];
    Mask alive[GROUPS];
    for (int g = 0; g < GROUPS; ++g)
        pixel[g] = w.group[g].pixel, count[g] = w.group[g].count, alive[g] = w.group[g].alive;
#pragma GCC unroll UNROLLED
    for (long long n = 0; n < num_updates; ++n)
#pragma GCC unroll GROUPS
        for (int g = 0; g < GROUPS; ++g) {
            alive[g] = iterate_once(pixel[g], uniform, count[g], alive[g]);
            count[g] = select(alive[g], count[g] + 1, count[g]);
        }
    for (int g = 0; g < GROUPS; ++g)
        w.group[g].pixel = pixel[g], w.group[g].count = count[g], w.group[g].alive = alive[g];
    w.clock += num_updates;
}

// Bits of lanes whose orbit is where it was when it was last saved.
unsigned returned(const Group &g) {
    Mask same = g.alive;
    for (int n = 0; n < NUM_ORBIT_VALUES; ++n) same = same & equal(g.pixel.value[orbit_value(n)], g.saved[n]);
    return mask_bits(same) & g.live;
}

// Record and refill the lanes of a group that have stopped, reached the limit or returned.
void retire(const Tile &tile, Queue &queue, const real *uniform, Walker &w, Group &g, bool at_limit) {
    unsigned ended = g.live & ~mask_bits(g.alive), never = 0, cycling = 0;
    if (DETECT_CYCLES) cycling = returned(g);
    if (at_limit)
        for (unsigned rest = g.live & ~ended; rest; rest &= rest - 1) {
            const int lane = __builtin_ctz(rest);
            if (w.clock - g.first[lane] == tile.limit) never |= 1u << lane;
        }
    ended |= never | cycling;
    if (!ended) return;
    alignas(64) real count[LANES], state[NUM_STATES][LANES];
    __builtin_memcpy(count, &g.count, sizeof count);
    __builtin_memcpy(state, &g.pixel, sizeof state);
    for (unsigned rest = ended; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        real final[NUM_STATES];
        for (int s = 0; s < NUM_STATES; ++s) final[s] = state[s][lane];
        const bool goes_on = (never | cycling) >> lane & 1;
        const long long iterations = goes_on ? tile.limit : (long long)count[lane];
        record(tile, g.index[lane], final, iterations, goes_on ? shortest_period(tile, uniform, g.pixel, mask_from_bits(1u << lane), g.count) : 0);
    }
    w.steps_of_ended += tile.limit * __builtin_popcount(ended);
    refill(tile, queue, w, g, ended);
}

// Remember the states of all lanes, at intervals that double up to a quarter of the longest life and begin again: a cycle
// returns to a saved state if an interval is a multiple of its length.
void save(const Tile &tile, Walker &w) {
    for (Group &g : w.group)
        for (int n = 0; n < NUM_ORBIT_VALUES; ++n) g.saved[n] = g.pixel.value[orbit_value(n)];
    w.next_save = w.blocks + w.save_interval;
    w.save_interval = 8 * w.save_interval * block_updates(tile) <= tile.limit ? 2 * w.save_interval : 1;
}

long long find_next_limit(const Tile &tile, const Walker &w) {
    long long first = 1ll << 62;
    for (const Group &g : w.group)
        for (int lane = 0; lane < LANES; ++lane)
            if (g.live >> lane & 1 && g.first[lane] < first) first = g.first[lane];
    return first < 1ll << 62 ? first + tile.limit : first;
}

bool any_live(const Walker &w) {
    unsigned live = 0;
    for (const Group &g : w.group) live |= g.live;
    return live;
}

} // namespace

extern "C" long long walker_bytes() { return sizeof(Walker); }

// Updates done, counting an ended pixel as its limit.
extern "C" long long steps_done(const Walker *w) {
    long long steps = w->steps_of_ended;
    for (const Group &g : w->group)
        for (int lane = 0; lane < LANES; ++lane)
            if (g.live >> lane & 1) steps += w->clock - g.first[lane];
    return steps;
}

// Walk for about `seconds`; 1 when no pixel is left to this walker.
extern "C" int advance_tile(const Tile *tile, Queue *queue, Walker *w, double seconds) {
    const double deadline = seconds_now() + seconds;
    real uniform[NUM_UNIFORMS + 1];
    for (int u = 0; u < NUM_UNIFORMS; ++u) uniform[u] = real(tile->parameter[u]);
    if (!w->begun) {
        w->next_limit = 1ll << 62;
        w->save_interval = 1;
        for (Group &g : w->group) refill(*tile, *queue, *w, g, ALL);
    }
    w->begun = 1;
    const long long block = block_updates(*tile);
    while (any_live(*w)) {
        const long long left = w->next_limit - w->clock;
        walk(uniform, *w, left < block ? left : block);
        const bool at_limit = w->clock == w->next_limit;
        for (Group &g : w->group) retire(*tile, *queue, uniform, *w, g, at_limit);
        if (at_limit) w->next_limit = find_next_limit(*tile, *w);
        if (DETECT_CYCLES && w->blocks >= w->next_save) save(*tile, *w);

        // Look at the stop word and the clock now and then.
        if (++w->blocks % BLOCKS_BETWEEN_LOOKS) continue;
        if (queue->stop.load(std::memory_order_relaxed) || seconds_now() >= deadline) break;
    }
    return !any_live(*w);
}
