# Words and cells that several processes change: every step here is one instruction, so that nobody who dies leaves half
# of one behind.

from libc.stdint cimport int64_t, uint64_t

cdef extern from *:
    """
    #include <stdint.h>
    /* A caller and its theoretical arrival time, always changed together. */
    typedef struct { uint64_t id, tat; } __attribute__((aligned(16))) headgate_cell;

    static inline uint64_t headgate_load(const uint64_t *word) { return __atomic_load_n(word, __ATOMIC_SEQ_CST); }
    static inline uint64_t headgate_next(uint64_t *word) { return __atomic_add_fetch(word, 1, __ATOMIC_SEQ_CST); }
    static inline int headgate_swap(uint64_t *word, uint64_t *seen, uint64_t value) {
        return __atomic_compare_exchange_n(word, seen, value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    }
    /* The compiler's own 16-byte operations may end in a library that takes locks: these must not. */
    #if defined(__x86_64__)
    static inline int headgate_swap_cell(headgate_cell *cell, headgate_cell *seen, uint64_t id, uint64_t tat) {
        unsigned char is_done;
        __asm__ __volatile__("lock cmpxchg16b %1"
            : "=@ccz"(is_done), "+m"(*cell), "+a"(seen->id), "+d"(seen->tat)
            : "b"(id), "c"(tat) : "memory");
        return is_done;
    }
    #elif defined(__aarch64__) && !defined(__AARCH64EB__)
    static inline int headgate_swap_cell(headgate_cell *cell, headgate_cell *seen, uint64_t id, uint64_t tat) {
        uint64_t found_id, found_tat;
        uint32_t is_lost;
        /* What differs is written back as it is: only a store that succeeds proves that both were read at once. */
        __asm__ __volatile__(
            "1: ldaxp %[found_id], %[found_tat], %[cell]\\n"
            "   cmp   %[found_id], %[seen_id]\\n"
            "   ccmp  %[found_tat], %[seen_tat], #0, eq\\n"
            "   b.ne  2f\\n"
            "   stlxp %w[is_lost], %[id], %[tat], %[cell]\\n"
            "   cbnz  %w[is_lost], 1b\\n"
            "   b     3f\\n"
            "2: stlxp %w[is_lost], %[found_id], %[found_tat], %[cell]\\n"
            "   cbnz  %w[is_lost], 1b\\n"
            "3: dmb   ish"
            : [found_id] "=&r"(found_id), [found_tat] "=&r"(found_tat), [is_lost] "=&r"(is_lost), [cell] "+Q"(*cell)
            : [seen_id] "r"(seen->id), [seen_tat] "r"(seen->tat), [id] "r"(id), [tat] "r"(tat)
            : "cc", "memory");
        const int is_done = found_id == seen->id && found_tat == seen->tat;
        seen->id = found_id;
        seen->tat = found_tat;
        return is_done;
    }
    #else
    #error "expected a processor with a 16-byte compare-and-swap: x86-64 or little-endian aarch64"
    #endif
    """
    ctypedef struct Cell "headgate_cell":
        uint64_t id
        uint64_t tat

    uint64_t load "headgate_load"(const uint64_t *word) noexcept nogil
    uint64_t next_of "headgate_next"(uint64_t *word) noexcept nogil  # adds one
    # These write where they find what was `seen`; otherwise they put what they found into `seen`.
    bint swap "headgate_swap"(uint64_t *word, uint64_t *seen, uint64_t value) noexcept nogil
    bint swap_cell "headgate_swap_cell"(Cell *cell, Cell *seen, uint64_t id, uint64_t tat) noexcept nogil


cdef inline void raise_to(uint64_t *word, uint64_t value) noexcept nogil:
    """Make a word at least `value`."""
    cdef uint64_t seen = load(word)
    while seen < value and not swap(word, &seen, value):
        pass
