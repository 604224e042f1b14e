/* Fixed point. Adding `magic` rounds to the grid: see mase/runtime/kernels/fixed.py, which this repeats. */
#include "mase.h"

struct fixed {
    float low, high; /* bounds of the format */
    double magic, step;
    int32_t rounding;
    int32_t wide; /* whether float32 is too narrow to round in */
};

#define ROUND(name, real) \
    INLINE real name(real x, real magic, real step, int rounding) \
    { \
        real nearest = (x + magic) - magic; \
        if (rounding == HALF_EVEN) return nearest; \
        real below = nearest - step * (real)(nearest > x); \
        if (rounding == FLOOR) return below; \
        return below + step * (real)(x - below >= step / 2); \
    }
ROUND(round_narrow, float)
ROUND(round_wide, double)

INLINE void narrow(const float *x, float *y, int64_t n, int threads, const struct fixed *p, int rounding)
{
    const float low = p->low, high = p->high, magic = (float)p->magic, step = (float)p->step;
    EACH(i, n) y[i] = round_narrow(clamp(x[i], low, high), magic, step, rounding);
}

INLINE void wide(const float *x, float *y, int64_t n, int threads, const struct fixed *p, int rounding)
{
    const float low = p->low, high = p->high;
    const double magic = p->magic, step = p->step;
    EACH(i, n) y[i] = (float)round_wide(clamp(x[i], low, high), magic, step, rounding);
}

KERNEL(mase_fixed)
{
    const struct fixed *f = p;
    const int64_t n = rows * columns;
    if (f->wide)
        BY_ROUNDING(f->rounding, wide, x, y, n, threads, f);
    else
        BY_ROUNDING(f->rounding, narrow, x, y, n, threads, f);
}
