/* Small floats without a scale. */
#include "minifloat.h"

INLINE void narrow(const float *x, float *y, int64_t n, int threads, const struct minifloat *f, int rounding)
{
    const float limit = (float)f->limit;
    const int fraction = f->fraction, least = f->least;
    EACH(i, n) y[i] = minifloat_narrow(x[i], limit, fraction, least, rounding);
}

INLINE void wide(const float *x, float *y, int64_t n, int threads, const struct minifloat *f, int rounding)
{
    const double limit = f->limit;
    const int fraction = f->fraction, least = f->least;
    EACH(i, n) y[i] = (float)minifloat_wide(x[i], limit, fraction, least, rounding);
}

KERNEL(mase_minifloat)
{
    const struct minifloat *f = p;
    const int64_t n = rows * columns;
    if (f->wide)
        BY_ROUNDING(f->rounding, wide, x, y, n, threads, f);
    else
        BY_ROUNDING(f->rounding, narrow, x, y, n, threads, f);
}
