/* The straight-through gradient: the range test is made again, and so needs no mask in memory. */
#include "mase.h"

/* `g` where `x` lies in [low, high], 0 elsewhere; NaN does not lie there. */
void mase_clip(const float *x, const float *g, float *y, int64_t n, int threads, float low, float high)
{
    EACH(i, n) y[i] = (x[i] >= low) & (x[i] <= high) ? g[i] : 0.0f;
}

/* Whether all of `x` lies in [low, high], in which case the gradient need not be touched at all. */
int mase_within(const float *x, int64_t n, int threads, float low, float high)
{
    enum { PIECE = 1 << 14 };
    int outside = 0;
    EACH_PIECE(i, pieces(n, PIECE))
    {
        int found;
        PRAGMA(omp atomic read)
        found = outside;
        if (found) continue;
        const int64_t end = smaller(n, (i + 1) * PIECE);
        PRAGMA(omp simd reduction(| : found))
        for (int64_t j = i * PIECE; j < end; j++) found |= !((x[j] >= low) & (x[j] <= high));
        if (found) {
            PRAGMA(omp atomic write)
            outside = 1;
        }
    }
    return !outside;
}
