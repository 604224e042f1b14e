/* Large results: fewer page faults. */
#include "mase.h"

#ifdef __linux__
#include <sys/mman.h>

/* Ask for huge pages under the whole pages of a buffer that is about to be filled. A fresh buffer of 64 MB
 * takes 32 page faults then, and not 16384, which cost more than filling it. */
void mase_prepare(void *start, int64_t bytes)
{
    const uintptr_t page = 4096, first = ((uintptr_t)start + page - 1) / page * page;
    const uintptr_t last = ((uintptr_t)start + (uintptr_t)bytes) / page * page;
    if (first < last) madvise((void *)first, last - first, MADV_HUGEPAGE);
}
#else
void mase_prepare(void *start, int64_t bytes) { (void)start; (void)bytes; }
#endif
