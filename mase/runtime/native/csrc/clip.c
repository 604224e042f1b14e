/* The straight-through gradient: the range test is made again, and so needs no mask in memory. */
#include "mase.h"

/* `g` where `x` lies in [low, high], 0 elsewhere; NaN does not lie there. */
void mase_clip(const float *x, const float *g, float *y, int64_t n, int threads, float low, float high)
{
    EACH(i, n) y[i] = (x[i] >= low) & (x[i] <= high) ? g[i] : 0.0f;
}

/* How many values of `x` lie outside of [low, high]. */
int64_t mase_outside(const float *x, int64_t n, int threads, float low, float high)
{
    int64_t count = 0;
    PRAGMA(omp parallel for simd num_threads(threads) schedule(static) reduction(+ : count))
    for (int64_t i = 0; i < n; i++) count += !((x[i] >= low) & (x[i] <= high));
    return count;
}
