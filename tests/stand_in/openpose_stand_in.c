/* Stands in for the OpenPose shim where faults are tested, and is good for nothing else: it finds in every frame one
 * person, all of whose points are at (number of the frame, first byte of the frame).
 *
 * OPPOSE_STAND_IN tells it what to do wrong, at which frame: "abort:3", "fail:3", "stall:3", "reorder:3", and
 * "open", "version"; "abort-white" at any frame whose first byte is 255.
 */
#include "../../ffi/openpose_shim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct oppose_shim_engine {
    uint64_t pushed;
    uint64_t popped;
    float first_bytes[16];
    float number;
    float first_byte;
};

static int has_fault(const char *fault) {
    const char *setting = getenv("OPPOSE_STAND_IN");
    return setting != NULL && strncmp(setting, fault, strlen(fault)) == 0;
}

static int has_fault_at(const char *fault, uint64_t number) {
    const char *setting = getenv("OPPOSE_STAND_IN");
    const char *at = setting != NULL ? strchr(setting, ':') : NULL;
    return has_fault(fault) && at != NULL && strtoull(at + 1, NULL, 10) == number;
}

uint32_t oppose_shim_version(void) { return has_fault("version") ? 99 : OPPOSE_SHIM_VERSION; }

const char *oppose_shim_openpose(void) { return "a stand-in"; }

int32_t oppose_shim_needs_gpu(void) { return has_fault("gpu"); }

oppose_shim_status oppose_shim_open(const oppose_shim_options *options, oppose_shim_engine **engine, char *message,
                                    size_t message_size) {
    (void)options;
    /* As OpenPose does: nothing that it prints may get between the program's own messages. */
    printf("printed where the program's replies would be\n");
    fflush(stdout);
    if (has_fault("open")) {
        snprintf(message, message_size, "\nError:\nThe stand-in does not open.\n\nComing from:\n- a.cpp:b():1\n");
        return OPPOSE_SHIM_FAILED;
    }
    *engine = calloc(1, sizeof **engine);
    return *engine != NULL ? OPPOSE_SHIM_OK : OPPOSE_SHIM_FAILED;
}

oppose_shim_status oppose_shim_push(oppose_shim_engine *engine, const uint8_t *pixels, int32_t width, int32_t height,
                                    char *message, size_t message_size) {
    (void)width, (void)height, (void)message, (void)message_size;
    engine->first_bytes[engine->pushed++ % 16] = pixels[0];
    return OPPOSE_SHIM_OK;
}

oppose_shim_status oppose_shim_pop(oppose_shim_engine *engine, uint64_t *number, int32_t *people, char *message,
                                   size_t message_size) {
    if (engine->popped == engine->pushed) {
        return OPPOSE_SHIM_EMPTY;
    }
    if (has_fault_at("fail", engine->popped)) {
        snprintf(message, message_size, "The stand-in fails.");
        return OPPOSE_SHIM_FAILED;
    }
    if (has_fault_at("abort", engine->popped) ||
        (has_fault("abort-white") && engine->first_bytes[engine->popped % 16] == 255.f)) {
        fprintf(stderr, "F0101 stand_in.c:1] Check failed: on request\n*** Check failure stack trace: ***\n");
        abort();
    }
    while (has_fault_at("stall", engine->popped)) {
        sleep(1);
    }
    *number = has_fault_at("reorder", engine->popped) ? engine->popped + 1 : engine->popped;
    *people = 1;
    engine->number = (float)engine->popped;
    engine->first_byte = engine->first_bytes[engine->popped++ % 16];
    return OPPOSE_SHIM_OK;
}

oppose_shim_status oppose_shim_copy(const oppose_shim_engine *engine, int32_t people, float *coordinates,
                                    float *confidences, float *scores) {
    (void)scores;
    for (int32_t point = 0; point < people * OPPOSE_SHIM_POINTS; ++point) {
        coordinates[2 * point] = engine->number;
        coordinates[2 * point + 1] = engine->first_byte;
        confidences[point] = 1.f;
    }
    return OPPOSE_SHIM_OK;
}

void oppose_shim_close(oppose_shim_engine *engine) { free(engine); }
