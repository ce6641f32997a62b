/* OpenPose 1.5.1 behind a C interface: frames in, keypoints out, several in flight.
 *
 * This header is the whole contract. The library behind it is looked up at run time, so it says of itself which
 * version of the contract it implements; nothing else may be called where that differs. No C++ exception leaves
 * it. An engine is used by one thread at a time; several engines may be used side by side.
 */
#ifndef OPPOSE_OPENPOSE_SHIM_H
#define OPPOSE_OPENPOSE_SHIM_H

#include <stddef.h>
#include <stdint.h>

/* Counts the changes of this header. */
#define OPPOSE_SHIM_VERSION 1u

/* Keypoints of a person: 25 of the body (BODY_25), 70 of the face, 21 of the left hand, 21 of the right. */
#define OPPOSE_SHIM_BODY_POINTS 25
#define OPPOSE_SHIM_FACE_POINTS 70
#define OPPOSE_SHIM_HAND_POINTS 21
#define OPPOSE_SHIM_POINTS 137

#ifdef __cplusplus
extern "C" {
#endif

/* What a call came to. */
typedef enum oppose_shim_status {
    OPPOSE_SHIM_OK = 0,
    /* An argument cannot be used; nothing has changed. */
    OPPOSE_SHIM_INVALID = 1,
    /* OpenPose failed, or memory ran out. Close the engine: nothing more comes out of it. */
    OPPOSE_SHIM_FAILED = 2,
    /* No frame is in flight. */
    OPPOSE_SHIM_EMPTY = 3
} oppose_shim_status;

/* OpenPose's options, under its own names. */
typedef struct oppose_shim_options {
    /* UTF-8, ends with 0. Copied. */
    const char *model_folder;
    /* Size of the body net's input; -1 lets that side follow the frame. */
    int32_t net_width;
    int32_t net_height;
    int32_t scale_number;
    float scale_gap;
    /* Side of the face net's input; 0: no faces. */
    int32_t face_net_side;
    /* Side of the hand net's input; 0: no hands. */
    int32_t hand_net_side;
    int32_t hand_scale_number;
    float hand_scale_range;
    /* -1: all. */
    int32_t number_people_max;
    int32_t maximize_positives;
    /* 0 pixels of the frame, 1 of the net's input, 2 of the output, 3 from 0 to 1, 4 from -1 to 1. */
    int32_t keypoint_scale;
    /* The one GPU it works on. Ignored by an OpenPose that was built without. */
    int32_t gpu;
    /* How many frames each of OpenPose's queues holds, at least 1. So many at least may be in flight before a
     * push waits for a pop. */
    int32_t queue_size;
    /* 0: OpenPose and Caffe print errors only. Otherwise they print, to both standard streams, all they say. */
    int32_t is_verbose;
} oppose_shim_options;

/* A running OpenPose. */
typedef struct oppose_shim_engine oppose_shim_engine;

/* Of every call below that takes them: where a failure is to be described, in UTF-8, cut to `message_size` bytes
 * with the 0 at the end. Nothing is written on success. */

/* Which version of this header the library implements. */
uint32_t oppose_shim_version(void);

/* Which OpenPose it was built for: a constant text. */
const char *oppose_shim_openpose(void);

/* Whether that OpenPose needs a GPU: 1, or 0 where it was built for the CPU alone. */
int32_t oppose_shim_needs_gpu(void);

/* Starts OpenPose. The nets are loaded by OpenPose's own threads, in part after this returns. */
oppose_shim_status oppose_shim_open(const oppose_shim_options *options, oppose_shim_engine **engine,
                                    char *message, size_t message_size);

/* Hands over a frame: height x width x 3 bytes, blue green red, rows without gaps. The pixels are not copied: they
 * must stay, and stay the same, until this frame's result has been popped or the engine is closed. */
oppose_shim_status oppose_shim_push(oppose_shim_engine *engine, const uint8_t *pixels, int32_t width,
                                    int32_t height, char *message, size_t message_size);

/* Waits for the oldest frame in flight. `number` is its number among the frames pushed, from 0; `people` is how
 * many it shows. The keypoints stay in the engine until the next pop. */
oppose_shim_status oppose_shim_pop(oppose_shim_engine *engine, uint64_t *number, int32_t *people,
                                   char *message, size_t message_size);

/* Copies the keypoints of the frame that was popped last: people x OPPOSE_SHIM_POINTS pairs of x and y, and as many
 * confidences. A point that was not found is 0, 0 with the confidence 0. `scores`, one a person, may be null. */
oppose_shim_status oppose_shim_copy(const oppose_shim_engine *engine, int32_t people, float *coordinates,
                                    float *confidences, float *scores);

/* Ends OpenPose, waits for its threads and frees everything. Frames in flight are given up. Null is allowed. */
void oppose_shim_close(oppose_shim_engine *engine);

#ifdef __cplusplus
}
#endif

#endif
