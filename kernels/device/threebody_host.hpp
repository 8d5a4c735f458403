// The host's walk over a tile: every lane of a vector follows its own pixel and takes the next one as soon as it ends.
//
// One walker belongs to one thread; walkers of a tile share a queue. A walker lives in memory that Python owns, so that a walk
// can be left and entered again at any step.
// Set by the renderer: EARLY_STOP.
#include "threebody.hpp"
#include "queue.hpp"

namespace {

constexpr long long STEPS_BETWEEN_LOOKS = 4096; // a tenth of a millisecond
constexpr int ENDS_BETWEEN_LOOKS = 256;         // where pixels end at once

struct alignas(64) Walker {
    Twins<Lane> twins;
    long long clock;         // steps taken since the walker began
    long long first[LANES];  // clock at which the lane's pixel began
    long long pixel[LANES];
    long long steps_of_ended;
    unsigned begun, live, watched; // bits: lanes with a pixel, and those whose separation is still tested
};

// Give the lane its next pixel; without one it rests far from any singularity.
void refill(const Tile &tile, Queue &queue, Walker &w, int lane) {
    const unsigned bit = 1u << lane;
    Twins<real> one = {};
    const long long pixel = take_pixel(queue, tile.num_pixels);
    if (pixel >= 0) {
        load_pixel(tile, pixel, one);
        w.live |= bit, w.watched |= bit;
    } else {
        for (int body = 0; body < 3; ++body) one.original.position[body][0] = one.shifted.position[body][0] = real(body);
        w.live &= ~bit, w.watched &= ~bit;
    }
    w.pixel[lane] = pixel;
    w.first[lane] = w.clock;
    real values[STATE_SIZE];
    for_each_value(one, [&](real &value, int k) { values[k] = value; });
    for_each_value(w.twins, [&](Lane &all, int k) { set(all, lane, values[k]); });
}

// Step all lanes until the clock reads `until` or a watched lane ends; bits of the lanes that ended.
unsigned walk(const Tile &tile, Walker &w, long long until) {
    Twins<Lane> twins = w.twins;
    const Lane dt = broadcast(real(tile.parameter[DT]));
    const Lane distance_squared = broadcast(real(tile.parameter[DISTANCE_SQUARED]));
    const unsigned watched = w.watched;
    long long clock = w.clock;
    unsigned ended = 0;
    for (; clock != until; ++clock) {
        ended = mask_bits(negate(less_equal(separation_squared(twins), distance_squared))) & watched;
        if (__builtin_expect(ended != 0, 0)) break;
        euler_step(twins.original, twins.attraction, dt);
        euler_step(twins.shifted, twins.attraction, dt);
    }
    w.twins = twins;
    w.clock = clock;
    return ended;
}

// The clock at which the next live lane reaches the limit.
long long next_limit(const Tile &tile, const Walker &w) {
    long long first = w.clock;
    for (int lane = 0; lane < LANES; ++lane)
        if (w.live >> lane & 1 && w.first[lane] < first) first = w.first[lane];
    return first + tile.limit;
}

// Record what the lane's pixel came to, and take the next one unless it goes on unwatched.
void end_lane(const Tile &tile, Queue &queue, Walker &w, int lane) {
    Twins<real> one;
    real values[STATE_SIZE];
    for_each_value(w.twins, [&](Lane &all, int k) { values[k] = get(all, lane); });
    for_each_value(one, [&](real &value, int k) { value = values[k]; });
    const long long state = w.clock - w.first[lane];
    const bool watched = w.watched >> lane & 1;
    if (watched) record_end(tile, w.pixel[lane], state, separation_squared(one));
    if (EARLY_STOP || state == tile.limit) {
        record_final(tile, w.pixel[lane], one);
        w.steps_of_ended += tile.limit;
        refill(tile, queue, w, lane);
    } else
        w.watched &= ~(1u << lane);
}

} // namespace

extern "C" long long walker_bytes() { return sizeof(Walker); }

// Steps done, counting an ended pixel as its limit: `num_pixels * limit` in all walkers together when the tile is finished.
extern "C" long long steps_done(const Walker *w) {
    long long steps = w->steps_of_ended;
    for (int lane = 0; lane < LANES; ++lane)
        if (w->live >> lane & 1) steps += w->clock - w->first[lane];
    return steps;
}

// Walk for about `seconds`; 1 when no pixel is left to this walker.
extern "C" int advance_tile(const Tile *tile, Queue *queue, Walker *w, double seconds) {
    const double deadline = seconds_now() + seconds;
    if (!w->begun)
        for (int lane = 0; lane < LANES; ++lane) refill(*tile, *queue, *w, lane);
    w->begun = 1;
    for (int ends = 0; w->live;) {
        const long long limit = next_limit(*tile, *w), look = w->clock + STEPS_BETWEEN_LOOKS;
        unsigned ended = walk(*tile, *w, limit < look ? limit : look);
        for (int lane = 0; lane < LANES; ++lane)
            if (w->live >> lane & 1 && w->clock - w->first[lane] == tile->limit) ended |= 1u << lane;
        for (int lane = 0; lane < LANES; ++lane)
            if (ended >> lane & 1) end_lane(*tile, *queue, *w, lane);

        // Look at the stop word and the clock now and then.
        if (ended && ++ends % ENDS_BETWEEN_LOOKS) continue;
        if (queue->stop.load(std::memory_order_relaxed) || seconds_now() >= deadline) break;
    }
    return w->live == 0;
}
