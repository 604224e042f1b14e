/* Scaled integers in the float32 operations of ONNX: see mase/runtime/kernels/integer.py.
 *
 * Runs of values share a scale: the rows, or in each row blocks of `size`. The run `i` has the scale
 * `i % scales`, so that a channel that is no leading dimension comes back in every outer index.
 */
#include "mase.h"

#include <stddef.h>

struct integer {
    float low, high; /* bounds of the codes */
    float kmax;      /* by which the largest magnitude is divided */
    float largest;   /* scale, so that no value overflows */
    int32_t is_signed, asym, rounding;
    int64_t size; /* of blocks, 0 for whole rows */
};

enum { PIECE = 1 << 14 };
static const float LEAST_SCALE = 0x1p-126f;

struct range { float low, high; };

INLINE struct range range_of(const float *x, int64_t n)
{
    float low = 0.0f, high = 0.0f;
    PRAGMA(omp simd reduction(min : low) reduction(max : high))
    for (int64_t i = 0; i < n; i++) {
        const float v = finite_or_zero(x[i]);
        low = v < low ? v : low;
        high = v > high ? v : high;
    }
    return (struct range){low, high};
}

INLINE struct range join(struct range a, struct range b)
{
    return (struct range){a.low < b.low ? a.low : b.low, a.high > b.high ? a.high : b.high};
}

/* The scale of values in a range that includes 0. */
INLINE void set_scale(struct range r, float *scale, float *zero, const struct integer *p)
{
    float span = r.high;
    if (p->is_signed) span = -r.low > r.high ? -r.low : r.high;
    if (p->asym) span = r.high - r.low;
    *scale = clamp(span / p->kmax, LEAST_SCALE, p->largest);
    *zero = p->asym ? clamp(rintf(-r.low / *scale), 0.0f, p->high) : 0.0f;
}

INLINE float round_unit(float x, int rounding)
{
    if (rounding == HALF_EVEN) return rintf(x);
    const float below = floorf(x);
    return rounding == FLOOR ? below : below + (float)(x - below >= 0.5f);
}

INLINE void with_rounding(
    const float *x, float *y, int64_t n, float scale, float zero, const struct integer *p, int rounding)
{
    const float low = p->low, high = p->high;
    PRAGMA(omp simd)
    for (int64_t i = 0; i < n; i++) {
        const float code = clamp(round_unit(x[i] / scale, rounding) + zero, low, high);
        y[i] = (code - zero) * scale + 0.0f;
    }
}

INLINE void quantize(const float *x, float *y, int64_t n, float scale, float zero, const struct integer *p)
{
    BY_ROUNDING(p->rounding, with_rounding, x, y, n, scale, zero, p);
}

/* The range of a run that all threads share. */
static struct range range_of_all(const float *x, int64_t n, int threads)
{
    float low = 0.0f, high = 0.0f;
    PRAGMA(omp parallel for num_threads(threads) schedule(static) reduction(min : low) reduction(max : high))
    for (int64_t i = 0; i < n; i += PIECE) {
        const struct range r = join((struct range){low, high}, range_of(x + i, smaller(PIECE, n - i)));
        low = r.low, high = r.high;
    }
    return (struct range){low, high};
}

/* Where the runs of a tensor are. */
struct runs { int64_t size, in_row, count; };

INLINE struct runs runs_of(int64_t rows, int64_t columns, const struct integer *p)
{
    const int64_t size = p->size ? p->size : columns, in_row = columns ? pieces(columns, size) : 0;
    return (struct runs){size, in_row, rows * in_row};
}

INLINE int64_t start_of(int64_t i, int64_t columns, struct runs r)
{
    return i / r.in_row * columns + i % r.in_row * r.size;
}
INLINE int64_t length_of(int64_t i, int64_t columns, struct runs r)
{
    return smaller(r.size, columns - i % r.in_row * r.size);
}

/* Quantize with scales and zero points from the data, which are left at `scale` and `zero`. */
void mase_integer(
    const float *x, float *y, float *scale, float *zero, int64_t rows, int64_t columns, int64_t scales,
    int threads, const struct integer *p)
{
    const struct runs r = runs_of(rows, columns, p);
    if (r.count == 1) { /* the run is split */
        set_scale(range_of_all(x, columns, threads), scale, zero, p);
        const float s = *scale, z = *zero;
        EACH_PIECE(i, pieces(columns, PIECE))
        quantize(x + i * PIECE, y + i * PIECE, smaller(PIECE, columns - i * PIECE), s, z, p);
        return;
    }
    if (scales < r.count) /* runs far apart share a scale: these are whole rows */
        EACH_PIECE(c, scales)
        {
            struct range found = {0.0f, 0.0f};
            for (int64_t i = c; i < r.count; i += scales) found = join(found, range_of(x + i * r.size, r.size));
            set_scale(found, scale + c, zero + c, p);
        }
    EACH_PIECE(i, r.count)
    {
        const int64_t start = start_of(i, columns, r), length = length_of(i, columns, r), c = i % scales;
        /* A run that was read just now is still in the cache. */
        if (scales == r.count) set_scale(range_of(x + start, length), scale + c, zero + c, p);
        quantize(x + start, y + start, length, scale[c], zero[c], p);
    }
}

/* Quantize with given scales. If `observed` is not NULL, the finite range of `x`, widened to hold 0, is left
 * there: the same pass over memory finds it. */
void mase_integer_given(
    const float *x, float *y, const float *scale, const float *zero, int64_t rows, int64_t columns,
    int64_t scales, int threads, float *observed, const struct integer *p)
{
    const struct runs r = runs_of(rows, columns, p);
    if (r.count != 1) {
        EACH_PIECE(i, r.count)
        {
            const int64_t start = start_of(i, columns, r), c = i % scales;
            quantize(x + start, y + start, length_of(i, columns, r), scale[c], zero[c], p);
        }
        return;
    }
    float low = 0.0f, high = 0.0f;
    PRAGMA(omp parallel for num_threads(threads) schedule(static) reduction(min : low) reduction(max : high))
    for (int64_t i = 0; i < columns; i += PIECE) {
        const int64_t length = smaller(PIECE, columns - i);
        if (observed) {
            const struct range found = join((struct range){low, high}, range_of(x + i, length));
            low = found.low, high = found.high;
        }
        quantize(x + i, y + i, length, *scale, *zero, p);
    }
    if (observed) observed[0] = low, observed[1] = high;
}

/* The straight-through gradient of a run, and the sum that LSQ's gradient of its scale is made from. */
INLINE double gradient(
    const float *x, const float *g, float *y, int64_t n, float scale, float zero, const struct integer *p,
    int learn, int rounding)
{
    const float low = p->low, high = p->high, bottom = (low - zero) * scale, top = (high - zero) * scale;
    double sum = 0.0;
    PRAGMA(omp simd reduction(+ : sum))
    for (int64_t i = 0; i < n; i++) {
        const float inside = (x[i] >= bottom) & (x[i] <= top) ? g[i] : 0.0f;
        y[i] = inside;
        if (learn) {
            const float code = clamp(round_unit(x[i] / scale, rounding) + zero, low, high);
            const float value = (code - zero) * scale, pulled = g[i] * value, held = inside * x[i];
            sum += (double)(pulled - held);
        }
    }
    return sum;
}

INLINE double gradient_of(
    const float *x, const float *g, float *y, int64_t n, float scale, float zero, const struct integer *p,
    int learn)
{
    switch (learn ? p->rounding : FLOOR) {
    case HALF_EVEN: return gradient(x, g, y, n, scale, zero, p, 1, HALF_EVEN);
    case HALF_UP: return gradient(x, g, y, n, scale, zero, p, 1, HALF_UP);
    default: return learn ? gradient(x, g, y, n, scale, zero, p, 1, FLOOR)
                          : gradient(x, g, y, n, scale, zero, p, 0, FLOOR);
    }
}

/* Gradients for given scales. `sums`, if not NULL, has a number for each run, or, where there is one run, for
 * each of its pieces, so that they add up in the same order whatever the number of threads. */
void mase_integer_backward(
    const float *x, const float *g, float *y, const float *scale, const float *zero, int64_t rows,
    int64_t columns, int64_t scales, int threads, double *sums, const struct integer *p)
{
    const struct runs r = runs_of(rows, columns, p);
    if (r.count == 1) {
        EACH_PIECE(i, pieces(columns, PIECE))
        {
            const int64_t start = i * PIECE, length = smaller(PIECE, columns - start);
            const double sum = gradient_of(x + start, g + start, y + start, length, *scale, *zero, p, sums != NULL);
            if (sums) sums[i] = sum;
        }
        return;
    }
    EACH_PIECE(i, r.count)
    {
        const int64_t start = start_of(i, columns, r), length = length_of(i, columns, r), c = i % scales;
        const double sum = gradient_of(x + start, g + start, y + start, length, scale[c], zero[c], p, sums != NULL);
        if (sums) sums[i] = sum;
    }
}
