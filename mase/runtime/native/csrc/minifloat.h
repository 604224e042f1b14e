/* Rounding to small floats, in float32 and in float64: see mase/runtime/kernels/minifloat.py. */
#ifndef MASE_MINIFLOAT_H
#define MASE_MINIFLOAT_H

#include "mase.h"

struct minifloat {
    double limit;           /* the largest magnitude */
    int32_t fraction, least; /* bits after the leading one; the exponent of the least binade */
    int32_t rounding;
    int32_t wide; /* whether float32 has no room for the constants */
};

/* Each value has its own `magic`, 1.5 * 2**STORED times the step of its binade, made from its bits. */
#define MINIFLOAT(name, real, word, signed_word, bits, unbits, CLAMP, STORED, BIAS) \
    INLINE real name(real x, real limit, int fraction, int least, int rounding) \
    { \
        const real clipped = CLAMP(x, -limit, limit); \
        const signed_word lowest = (signed_word)(least + BIAS) << STORED; \
        signed_word binade = (signed_word)(bits(clipped) & ((word)(2 * BIAS + 1) << STORED)); \
        binade = binade > lowest ? binade : lowest; \
        const word scaled = (word)binade + ((word)(STORED - fraction) << STORED); \
        const real magic = unbits(scaled | (word)1 << (STORED - 1)); \
        real rounded = (clipped + magic) - magic; \
        if (rounding != HALF_EVEN) { \
            const real step = unbits(scaled) * (real)(1.0 / ((word)1 << STORED)); \
            rounded -= step * (real)(rounded > clipped); \
            if (rounding == HALF_UP) rounded += step * (real)(clipped - rounded >= step / 2); \
        } \
        const word sign = (word)1 << (sizeof(word) * 8 - 1); \
        return unbits((bits(rounded) & ~sign) | (bits(clipped) & sign)); \
    }
MINIFLOAT(minifloat_narrow, float, uint32_t, int32_t, bits_of, float_of, clamp, 23, 127)
MINIFLOAT(minifloat_wide, double, uint64_t, int64_t, bits_of_wide, float_of_wide, clamp_wide, 52, 1023)

#endif
