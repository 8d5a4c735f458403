// The functions of the formula language on lanes, from + - * / sqrt, fused multiply-adds and integer operations alone, so that
// every device gives the same bits.
#pragma once
#include "angles.hpp"
#include "exponentials.hpp"
