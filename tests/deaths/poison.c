/* A library to preload into the program. Opening a file named poison.mp4 then raises SIGSEGV, like a bug in a decoder, or
   never returns if $OPPOSE_POISON is "hang". Each time, a line is added to the file that $OPPOSE_POISONED names. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

typedef int (*open_function)(const char *, int, ...);
typedef int (*openat_function)(int, const char *, int, ...);
typedef FILE *(*fopen_function)(const char *, const char *);

static void check(const char *path)
{
    const char *name = path ? strrchr(path, '/') : NULL;
    name = name ? name + 1 : path;
    if (!name || strcmp(name, "poison.mp4") != 0)
        return;
    const char *log = getenv("OPPOSE_POISONED");
    if (log) {
        open_function next = (open_function)dlsym(RTLD_NEXT, "open");
        int file = next(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (file >= 0) {
            if (write(file, "died\n", 5) != 5)
                abort();
            close(file);
        }
    }
    const char *poison = getenv("OPPOSE_POISON");
    while (poison && strcmp(poison, "hang") == 0)
        pause();
    *(volatile int *)8 = 1;
}

#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list arguments; \
        va_start(arguments, flags); \
        mode = va_arg(arguments, mode_t); \
        va_end(arguments); \
    }

#define OPEN(name) \
    int name(const char *path, int flags, ...) \
    { \
        MODE(flags) \
        check(path); \
        return ((open_function)dlsym(RTLD_NEXT, #name))(path, flags, mode); \
    }

#define OPENAT(name) \
    int name(int folder, const char *path, int flags, ...) \
    { \
        MODE(flags) \
        check(path); \
        return ((openat_function)dlsym(RTLD_NEXT, #name))(folder, path, flags, mode); \
    }

#define FOPEN(name) \
    FILE *name(const char *path, const char *mode) \
    { \
        check(path); \
        return ((fopen_function)dlsym(RTLD_NEXT, #name))(path, mode); \
    }

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
FOPEN(fopen)
FOPEN(fopen64)
