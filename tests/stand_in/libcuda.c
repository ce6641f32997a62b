/* A stand-in for NVIDIA's driver, for tests that need GPUs the machine does not have. It only reports GPUs; nothing can run
 * on them. Environment variables, with their defaults: STAND_IN_CUDA (the version, 12040), STAND_IN_INIT (the result of
 * cuInit, 0), STAND_IN_GPUS (a name and a compute capability per GPU, such as "Tesla V100:70;NVIDIA H100:90"; none). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int number(const char *variable, int otherwise) {
    const char *value = getenv(variable);
    return value ? atoi(value) : otherwise;
}

/* The entry of a GPU, or NULL. */
static const char *entry(int device) {
    const char *at = getenv("STAND_IN_GPUS");
    for (; at && *at && device > 0; device--) {
        at = strchr(at, ';');
        at = at ? at + 1 : NULL;
    }
    return at && *at ? at : NULL;
}

int cuDriverGetVersion(int *version) {
    *version = number("STAND_IN_CUDA", 12040);
    return 0;
}

int cuInit(unsigned flags) {
    (void)flags;
    return number("STAND_IN_INIT", 0);
}

int cuDeviceGetCount(int *count) {
    for (*count = 0; entry(*count); ++*count) {
    }
    return 0;
}

int cuDeviceGet(int *device, int index) {
    *device = index;
    return entry(index) ? 0 : 101;
}

int cuDeviceGetName(char *name, int size, int device) {
    snprintf(name, size, "%.*s", (int)strcspn(entry(device), ":"), entry(device));
    return 0;
}

int cuDeviceGetUuid(unsigned char *uuid, int device) {
    memset(uuid, 0x10 + device, 16);
    return 0;
}

int cuDeviceTotalMem_v2(size_t *bytes, int device) {
    (void)device;
    *bytes = (size_t)32 << 30;
    return 0;
}

int cuDeviceGetAttribute(int *value, int attribute, int device) {
    int capability = atoi(strchr(entry(device), ':') + 1);
    *value = attribute == 75 ? capability / 10 : capability % 10;
    return 0;
}

int cuGetErrorString(int error, const char **text) {
    (void)error;
    *text = "an error of the stand-in";
    return 0;
}
