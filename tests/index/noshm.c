/* Preloaded, it makes a file system that cannot share memory (some network drives): no file whose
   name ends in -shm can be mapped. With HAFLOC_NO_LOCKS set, it locks no files either. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int ends(int fd, const char *ending) {
    char link[64], name[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, name, sizeof name - 1), m = strlen(ending);
    return n >= m && !memcmp(name + n - m, ending, m);
}

#define MAP(NAME)                                                                             \
    void *NAME(void *at, size_t length, int allowed, int flags, int fd, off_t from) {         \
        static void *(*real)(void *, size_t, int, int, int, off_t);                           \
        if (!real) real = dlsym(RTLD_NEXT, #NAME);                                            \
        if (fd >= 0 && (flags & MAP_SHARED) && ends(fd, "-shm")) {                            \
            errno = ENODEV;                                                                   \
            return MAP_FAILED;                                                                \
        }                                                                                     \
        return real(at, length, allowed, flags, fd, from);                                    \
    }
MAP(mmap)
MAP(mmap64)

#define LOCK(NAME)                                                                            \
    int NAME(int fd, int command, ...) {                                                      \
        static int (*real)(int, int, ...);                                                    \
        va_list rest;                                                                         \
        va_start(rest, command);                                                              \
        void *argument = va_arg(rest, void *);                                                \
        va_end(rest);                                                                         \
        if (!real) real = dlsym(RTLD_NEXT, #NAME);                                            \
        if (getenv("HAFLOC_NO_LOCKS") && (command == F_SETLK || command == F_SETLKW)) {       \
            errno = ENOLCK;                                                                   \
            return -1;                                                                        \
        }                                                                                     \
        return real(fd, command, argument);                                                   \
    }
LOCK(fcntl)
LOCK(fcntl64)
