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
    switch (f->rounding + 3 * f->wide) {
    case HALF_EVEN: narrow(x, y, n, threads, f, HALF_EVEN); break;
    case HALF_UP: narrow(x, y, n, threads, f, HALF_UP); break;
    case FLOOR: narrow(x, y, n, threads, f, FLOOR); break;
    case 3 + HALF_EVEN: wide(x, y, n, threads, f, HALF_EVEN); break;
    case 3 + HALF_UP: wide(x, y, n, threads, f, HALF_UP); break;
    case 3 + FLOOR: wide(x, y, n, threads, f, FLOOR); break;
    }
}
