/* What every kernel shares: one shape of signature and one shape of loop.
 *
 * A kernel maps `rows` x `columns` floats at `x` (C order) to as many at `y`, or, backward, the gradients
 * at `g` to those at `y` by looking at `x` again. `p` points to the constants of its format, a struct that
 * its Python side mirrors. Nothing here knows torch. Every kernel must give the bits of the reference in
 * mase/runtime/kernels, hence no -ffast-math and no contraction to fused multiply-adds.
 */
#ifndef MASE_H
#define MASE_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define FORWARD(name) \
    void name(const float *x, float *y, int64_t rows, int64_t columns, int threads, const void *p)
#define BACKWARD(name) \
    void name(const float *x, const float *g, float *y, int64_t rows, int64_t columns, int threads, const void *p)

#define PRAGMA(text) _Pragma(#text)
/* An elementwise loop over `count` values, split evenly among the threads and vectorized. */
#define EACH(i, count) \
    PRAGMA(omp parallel for simd num_threads(threads) schedule(static)) \
    for (int64_t i = 0; i < (count); i++)
/* A loop over rows, whose body vectorizes by itself. */
#define EACH_ROW(r, count) \
    PRAGMA(omp parallel for num_threads(threads) schedule(static)) \
    for (int64_t r = 0; r < (count); r++)

#define INLINE static inline __attribute__((always_inline))

enum rounding { HALF_EVEN, HALF_UP, FLOOR };

#endif
