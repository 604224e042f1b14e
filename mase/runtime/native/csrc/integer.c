/* Scaled integers in the float32 operations of ONNX: see mase/runtime/kernels/integer.py.
 *
 * Runs of values share a scale: the rows, or in each row blocks of `size`. The run `i` has the scale
 * `i % scales`, so that a channel that is no leading dimension comes back in every outer index.
 */
#include "mase.h"

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
    switch (p->rounding) {
    case HALF_EVEN: with_rounding(x, y, n, scale, zero, p, HALF_EVEN); break;
    case HALF_UP: with_rounding(x, y, n, scale, zero, p, HALF_UP); break;
    default: with_rounding(x, y, n, scale, zero, p, FLOOR); break;
    }
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

/* Quantize with the scales at `scale` and `zero`, which `found` has computed from `x` first. */
void mase_integer(
    const float *x, float *y, float *scale, float *zero, int64_t rows, int64_t columns, int64_t scales,
    int threads, int found, const struct integer *p)
{
    const int64_t size = p->size ? p->size : columns, in_row = columns ? pieces(columns, size) : 0;
    const int64_t runs = rows * in_row;
    if (runs == 1) { /* the run is split */
        if (found) set_scale(range_of_all(x, columns, threads), scale, zero, p);
        const float s = *scale, z = *zero;
        EACH_PIECE(i, pieces(columns, PIECE))
        quantize(x + i * PIECE, y + i * PIECE, smaller(PIECE, columns - i * PIECE), s, z, p);
        return;
    }
    if (found && scales < runs) /* runs far apart share a scale */
        EACH_PIECE(c, scales)
        {
            struct range r = {0.0f, 0.0f};
            for (int64_t i = c; i < runs; i += scales) r = join(r, range_of(x + i * size, size));
            set_scale(r, scale + c, zero + c, p);
        }
    EACH_PIECE(i, runs)
    {
        const int64_t start = i / in_row * columns + i % in_row * size, c = i % scales;
        const int64_t count = smaller(size, columns - i % in_row * size);
        /* A run that was read just now is still in the cache. */
        if (found && scales == runs) set_scale(range_of(x + start, count), scale + c, zero + c, p);
        quantize(x + start, y + start, count, scale[c], zero[c], p);
    }
}
