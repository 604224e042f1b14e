/* Blocks along the last dimension that share a power of two: see mase/runtime/kernels/block.py. */
#include "minifloat.h"

struct block {
    struct minifloat element; /* `wide` also where scaling in float32 would lose what does not round to 0 */
    int32_t size;
    int32_t element_exponent; /* floor(log2) of the largest element */
    int32_t low, high;        /* bounds of the shared exponent */
    int32_t covers;           /* whether the shared exponent rounds up */
    int32_t fixed;            /* whether elements are fixed point, which knows no -0 */
};

/* The shared exponent of a block whose largest finite magnitude has these bits. */
INLINE int shared_exponent(uint32_t largest, const struct block *b)
{
    if (largest == 0) return b->low;
    int exponent = (int)(largest >> 23) - 127, power = (largest & 0x7fffff) == 0;
    if (largest < 1 << 23) { /* subnormal */
        const int leading = 31 - __builtin_clz(largest);
        exponent = leading - 149;
        power = largest == 1u << leading;
    }
    exponent += (b->covers && !power) - b->element_exponent;
    return exponent < b->low ? b->low : exponent > b->high ? b->high : exponent;
}

INLINE uint32_t largest_of(const float *x, int64_t n)
{
    uint32_t largest = 0;
    PRAGMA(omp simd reduction(max : largest))
    for (int64_t i = 0; i < n; i++) {
        const uint32_t u = finite_magnitude(x[i]);
        largest = u > largest ? u : largest;
    }
    return largest;
}

INLINE double power_of_two(int exponent) { return float_of_wide((uint64_t)(exponent + 1023) << 52); }

INLINE void narrow(const float *x, float *y, int64_t n, int exponent, const struct block *b, int rounding)
{
    const float down = (float)power_of_two(-exponent), up = (float)power_of_two(exponent);
    const float limit = (float)b->element.limit, zero = b->fixed ? 0.0f : -0.0f;
    const int fraction = b->element.fraction, least = b->element.least;
    PRAGMA(omp simd)
    for (int64_t i = 0; i < n; i++)
        y[i] = (minifloat_narrow(x[i] * down, limit, fraction, least, rounding) + zero) * up;
}

INLINE void wide(const float *x, float *y, int64_t n, int exponent, const struct block *b, int rounding)
{
    const double down = power_of_two(-exponent), up = power_of_two(exponent);
    const double limit = b->element.limit, largest = 0x1.fffffep127, zero = b->fixed ? 0.0 : -0.0;
    const int fraction = b->element.fraction, least = b->element.least;
    PRAGMA(omp simd)
    for (int64_t i = 0; i < n; i++) {
        const double value = (minifloat_wide(x[i] * down, limit, fraction, least, rounding) + zero) * up;
        y[i] = (float)clamp_wide(value, -largest, largest);
    }
}

INLINE void quantize(const float *x, float *y, int64_t n, const struct block *b)
{
    const int exponent = shared_exponent(largest_of(x, n), b);
    if (b->element.wide)
        BY_ROUNDING(b->element.rounding, wide, x, y, n, exponent, b);
    else
        BY_ROUNDING(b->element.rounding, narrow, x, y, n, exponent, b);
}

KERNEL(mase_block)
{
    const struct block *b = p;
    const int64_t size = b->size, in_row = pieces(columns, size);
    EACH_PIECE(i, rows * in_row)
    {
        const int64_t start = i / in_row * columns + i % in_row * size;
        const int64_t count = smaller(size, columns - i % in_row * size);
        if (count == 32) /* known sizes unroll */
            quantize(x + start, y + start, 32, b);
        else if (count == 16)
            quantize(x + start, y + start, 16, b);
        else
            quantize(x + start, y + start, count, b);
    }
}
