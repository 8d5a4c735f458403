// One tile as the host describes it: every field has eight bytes, so that Python packs it as one array of words.
//
// Set by the renderer: NUM_INPUTS, NUM_PARAMETERS, NUM_OUTPUTS.
#pragma once

struct Tile {
    long long num_pixels;
    long long limit;                    // the most updates of a pixel
    const double *input[NUM_INPUTS];    // initial values: one number, or one a pixel
    long long stride[NUM_INPUTS];       // 0 or 1 accordingly
    double parameter[NUM_PARAMETERS];   // the same for every pixel
    void *output[NUM_OUTPUTS];          // one entry a pixel; null where not asked for
};

DEVICE double initial_value(const Tile &tile, int input, long long pixel) {
    return tile.input[input][pixel * tile.stride[input]];
}
