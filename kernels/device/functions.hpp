// The functions of the formula language on lanes, from + - * / sqrt, fused multiply-adds and integer operations alone.
#pragma once
#include "integers.hpp"
