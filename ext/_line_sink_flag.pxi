# Flags that one thread raises and another waits for, and what else two threads share: without a lock, so that neither
# can be held up while the other needs it, nor a process that was forked find one taken.

from libc.stdint cimport int32_t, int64_t, uint64_t

cdef extern from *:
    """
    #include <limits.h>
    #include <linux/futex.h>
    #include <pthread.h>
    #include <signal.h>
    #include <stdint.h>
    #include <sys/syscall.h>
    #include <time.h>
    #include <unistd.h>

    static inline uint64_t headgate_seen(const uint64_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
    static inline void headgate_show(uint64_t *word, uint64_t value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }

    static inline int headgate_is_up(const int32_t *flag) { return __atomic_load_n(flag, __ATOMIC_SEQ_CST); }
    static inline void headgate_lower(int32_t *flag) {  /* reading who raised it, so that what came before is seen */
        (void)__atomic_exchange_n(flag, 0, __ATOMIC_SEQ_CST);
    }
    static inline void headgate_raise(int32_t *flag) {  /* a system call only where it was down */
        if (!__atomic_exchange_n(flag, 1, __ATOMIC_SEQ_CST))
            syscall(SYS_futex, flag, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
    }
    /* Until the flag is up, `ns` have passed (below 0: without end), or for no reason. */
    static inline void headgate_wait(const int32_t *flag, int64_t ns) {
        struct timespec left;
        left.tv_sec = ns / 1000000000;
        left.tv_nsec = ns % 1000000000;
        if (!headgate_is_up(flag))
            syscall(SYS_futex, flag, FUTEX_WAIT_PRIVATE, 0, ns < 0 ? NULL : &left, NULL, 0);
    }
    static inline int headgate_is_last_owner(int32_t *num_owners) {
        return __atomic_sub_fetch(num_owners, 1, __ATOMIC_ACQ_REL) == 0;
    }
    static inline int64_t headgate_now_ns(void) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    }
    /* Start a thread that nobody joins, and that gets no signals: they are the interpreter's. Returns an errno or 0. */
    static inline int headgate_start(void *(*run)(void *), void *given) {
        pthread_t thread;
        sigset_t all, before;
        int error;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        error = pthread_create(&thread, NULL, run, given);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        return error ? error : pthread_detach(thread);
    }
    """
    uint64_t seen "headgate_seen"(const uint64_t *word) noexcept nogil
    void show "headgate_show"(uint64_t *word, uint64_t value) noexcept nogil
    bint is_up "headgate_is_up"(const int32_t *flag) noexcept nogil
    void lower "headgate_lower"(int32_t *flag) noexcept nogil
    void raise_flag "headgate_raise"(int32_t *flag) noexcept nogil
    void wait_for "headgate_wait"(const int32_t *flag, int64_t ns) noexcept nogil
    bint is_last_owner "headgate_is_last_owner"(int32_t *num_owners) noexcept nogil
    int64_t now_ns "headgate_now_ns"() noexcept nogil
    int start_thread "headgate_start"(void *(*run)(void *) noexcept nogil, void *given) noexcept
