/* What every kernel shares. Nothing here knows torch.
 *
 * A kernel maps `rows` x `columns` floats at `x` (C order) to as many at `y`. `p` points to the constants of
 * its format, a struct that its Python side mirrors. Every kernel must give the bits of the reference in
 * mase/runtime/kernels: hence neither -ffast-math nor fused multiply-adds.
 */
#ifndef MASE_H
#define MASE_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define KERNEL(name) \
    void name(const float *x, float *y, int64_t rows, int64_t columns, int threads, const void *p)

#define PRAGMA(text) _Pragma(#text)
/* An elementwise loop over `count` values, split evenly among the threads and vectorized. */
#define EACH(i, count) \
    PRAGMA(omp parallel for simd num_threads(threads) schedule(static)) \
    for (int64_t i = 0; i < (count); i++)
/* A loop over pieces of work, whose bodies vectorize by themselves. */
#define EACH_PIECE(i, count) \
    PRAGMA(omp parallel for num_threads(threads) schedule(static)) \
    for (int64_t i = 0; i < (count); i++)

#define INLINE static inline __attribute__((always_inline))

enum rounding { HALF_EVEN, HALF_UP, FLOOR };

/* Call a loop whose last argument is the rounding: as it is a constant in each branch, no loop tests it. */
#define BY_ROUNDING(rounding, loop, ...) \
    do { \
        switch (rounding) { \
        case HALF_EVEN: loop(__VA_ARGS__, HALF_EVEN); break; \
        case HALF_UP: loop(__VA_ARGS__, HALF_UP); break; \
        default: loop(__VA_ARGS__, FLOOR); break; \
        } \
    } while (0)

INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
INLINE int64_t pieces(int64_t count, int64_t size) { return (count + size - 1) / size; }

/* NaN stays NaN. */
INLINE float clamp(float x, float low, float high)
{
    x = x < low ? low : x;
    return x > high ? high : x;
}
INLINE double clamp_wide(double x, double low, double high)
{
    x = x < low ? low : x;
    return x > high ? high : x;
}

INLINE uint32_t bits_of(float x) { uint32_t u; memcpy(&u, &x, sizeof u); return u; }
INLINE float float_of(uint32_t u) { float x; memcpy(&x, &u, sizeof x); return x; }
INLINE uint64_t bits_of_wide(double x) { uint64_t u; memcpy(&u, &x, sizeof u); return u; }
INLINE double float_of_wide(uint64_t u) { double x; memcpy(&x, &u, sizeof x); return x; }

/* The bits of abs(x), which compare like the number; 0 for what no scale is taken from. */
INLINE uint32_t finite_magnitude(float x)
{
    const uint32_t u = bits_of(x) & 0x7fffffff;
    return u < 0x7f800000 ? u : 0;
}
INLINE float finite_or_zero(float x) { return (bits_of(x) & 0x7f800000) == 0x7f800000 ? 0.0f : x; }

#endif
