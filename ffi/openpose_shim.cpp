// The C interface of openpose_shim.h on OpenPose's op::Wrapper, in C++11.
//
// Two OpenPoses call themselves 1.5.1: the release, whose frames are cv::Mat, and its successor on the way to 1.6,
// whose frames are op::Matrix. This compiles against both; which one it is, the headers tell. The build script refuses
// headers of other versions.

#include "openpose_shim.h"

#include <algorithm>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include <openpose/wrapper/wrapper.hpp>

#ifdef OPENPOSE_CORE_MAT_HPP
#define HAS_OP_MATRIX 1
#else
#define HAS_OP_MATRIX 0
#include <opencv2/core/core.hpp>
#endif

// glog's own switch for what it prints. Weak: an OpenPose that brings no glog is none of our concern.
namespace fLI {
extern int FLAGS_minloglevel __attribute__((weak));
}

namespace {

typedef std::shared_ptr<std::vector<std::shared_ptr<op::Datum>>> Datums;

// glog's levels: 2 is errors.
const int ERRORS_ONLY = 2;
// OpenCV's CV_8UC3, in case its headers are not there.
const int BYTES_OF_THREE_CHANNELS = 16;
const int COORDINATES = 3;

// With the version that OpenPose's headers name.
const std::string NAME =
    OPEN_POSE_NAME_AND_VERSION + (HAS_OP_MATRIX ? " (later, frames are op::Matrix)" : " (release, frames are cv::Mat)");

void describe(char *message, size_t size, const char *text) {
    if (message != nullptr && size > 0) {
        std::snprintf(message, size, "%s", text);
    }
}

// Runs what may throw; nothing that is thrown gets out.
template <typename Call>
oppose_shim_status guarded(char *message, size_t size, Call call) {
    try {
        return call();
    } catch (const std::exception &error) {
        describe(message, size, error.what());
    } catch (...) {
        describe(message, size, "OpenPose threw something that is no exception");
    }
    return OPPOSE_SHIM_FAILED;
}

void set_verbosity(bool is_verbose) {
    op::ConfigureError::setErrorModes({op::ErrorMode::StdRuntimeError});
    op::ConfigureLog::setPriorityThreshold(is_verbose ? op::Priority::None : op::Priority::NoOutput);
    if (&fLI::FLAGS_minloglevel != nullptr) {
        fLI::FLAGS_minloglevel = is_verbose ? 0 : ERRORS_ONLY;
    }
}

// A view of the caller's pixels; OpenPose only reads them.
void borrow(op::Datum &datum, const uint8_t *pixels, int width, int height) {
    void *borrowed = const_cast<uint8_t *>(pixels);
#if HAS_OP_MATRIX
    datum.cvInputData = op::Matrix(height, width, BYTES_OF_THREE_CHANNELS, borrowed);
#else
    datum.cvInputData = cv::Mat(height, width, BYTES_OF_THREE_CHANNELS, borrowed);
#endif
}

op::WrapperStructPose pose_options(const oppose_shim_options &options) {
    op::WrapperStructPose pose;
    // Members by name: their order differs between the two OpenPoses.
    pose.modelFolder = decltype(pose.modelFolder)(std::string(options.model_folder));
    pose.netInputSize = op::Point<int>(options.net_width, options.net_height);
    pose.scalesNumber = options.scale_number;
    pose.scaleGap = options.scale_gap;
    pose.numberPeopleMax = options.number_people_max;
    pose.maximizePositives = options.maximize_positives != 0;
    pose.renderMode = op::RenderMode::None;
    // True would write files into /tmp, and abort where the program uses glog itself.
    pose.enableGoogleLogging = false;
    switch (options.keypoint_scale) {
    case 1: pose.keypointScaleMode = op::ScaleMode::NetOutputResolution; break;
    case 2: pose.keypointScaleMode = op::ScaleMode::OutputResolution; break;
    case 3: pose.keypointScaleMode = op::ScaleMode::ZeroToOne; break;
    case 4: pose.keypointScaleMode = op::ScaleMode::PlusMinusOne; break;
    default: pose.keypointScaleMode = op::ScaleMode::InputResolution;
    }
    if (oppose_shim_needs_gpu() != 0) {
        pose.gpuNumber = 1;
        pose.gpuNumberStart = options.gpu;
    }
    return pose;
}

op::WrapperStructFace face_options(const oppose_shim_options &options) {
    op::WrapperStructFace face;
    // Any of the three that renders makes all of them prepare for it.
    face.renderMode = op::RenderMode::None;
    face.enable = options.face_net_side > 0;
    if (face.enable) {
        face.netInputSize = op::Point<int>(options.face_net_side, options.face_net_side);
    }
    return face;
}

op::WrapperStructHand hand_options(const oppose_shim_options &options) {
    op::WrapperStructHand hand;
    hand.renderMode = op::RenderMode::None;
    hand.enable = options.hand_net_side > 0;
    hand.scalesNumber = options.hand_scale_number;
    hand.scaleRange = options.hand_scale_range;
    if (hand.enable) {
        hand.netInputSize = op::Point<int>(options.hand_net_side, options.hand_net_side);
    }
    return hand;
}

// Copies one part of all people out of OpenPose's people x points x (x, y, confidence).
void copy_part(const op::Array<float> &part, int people, int points, int first, float *coordinates,
               float *confidences) {
    const bool is_there =
        part.getSize(0) == people && part.getSize(1) == points && part.getSize(2) == COORDINATES;
    const float *from = is_there ? part.getConstPtr() : nullptr;
    for (int person = 0; person < people; ++person) {
        const size_t start = size_t(person) * OPPOSE_SHIM_POINTS + first;
        float *place = coordinates + 2 * start;
        float *confidence = confidences + start;
        for (int point = 0; point < points; ++point) {
            *place++ = is_there ? from[0] : 0.f;
            *place++ = is_there ? from[1] : 0.f;
            *confidence++ = is_there ? from[2] : 0.f;
            from += is_there ? COORDINATES : 0;
        }
    }
}

} // namespace

struct oppose_shim_engine {
    op::Wrapper wrapper{op::ThreadManagerMode::Asynchronous};
    uint64_t pushed = 0;
    uint64_t popped = 0;
    std::shared_ptr<op::Datum> result;

    // Why frames no longer go in or come out: only stop() tells.
    oppose_shim_status broken(char *message, size_t size) {
        return guarded(message, size, [&]() {
            wrapper.stop();
            describe(message, size, "OpenPose stopped without giving a reason");
            return OPPOSE_SHIM_FAILED;
        });
    }
};

uint32_t oppose_shim_version(void) { return OPPOSE_SHIM_VERSION; }

const char *oppose_shim_openpose(void) {
    return NAME.c_str();
}

int32_t oppose_shim_needs_gpu(void) { return op::getGpuMode() == op::GpuMode::Cuda ? 1 : 0; }

oppose_shim_status oppose_shim_open(const oppose_shim_options *options, oppose_shim_engine **engine, char *message,
                                    size_t message_size) {
    if (options == nullptr || engine == nullptr || options->model_folder == nullptr || options->queue_size < 1) {
        describe(message, message_size, "no options, no model folder, or queues without room");
        return OPPOSE_SHIM_INVALID;
    }
    *engine = nullptr;
    return guarded(message, message_size, [&]() {
        set_verbosity(options->is_verbose != 0);
        std::unique_ptr<oppose_shim_engine> opened(new oppose_shim_engine);
        opened->wrapper.configure(pose_options(*options));
        opened->wrapper.configure(face_options(*options));
        opened->wrapper.configure(hand_options(*options));
        // Without this the length of the first queue is undefined.
        opened->wrapper.setDefaultMaxSizeQueues(options->queue_size);
        opened->wrapper.start();
        *engine = opened.release();
        return OPPOSE_SHIM_OK;
    });
}

oppose_shim_status oppose_shim_push(oppose_shim_engine *engine, const uint8_t *pixels, int32_t width, int32_t height,
                                    char *message, size_t message_size) {
    if (engine == nullptr || pixels == nullptr || width < 1 || height < 1) {
        describe(message, message_size, "no engine, or an empty frame");
        return OPPOSE_SHIM_INVALID;
    }
    return guarded(message, message_size, [&]() {
        auto datum = std::make_shared<op::Datum>();
        borrow(*datum, pixels, width, height);
        // Comes back untouched; OpenPose's own id would sort the frames of several GPUs.
        datum->frameNumber = engine->pushed;
        auto datums = std::make_shared<std::vector<std::shared_ptr<op::Datum>>>(1, std::move(datum));
        if (!engine->wrapper.waitAndEmplace(datums)) {
            return engine->broken(message, message_size);
        }
        ++engine->pushed;
        return OPPOSE_SHIM_OK;
    });
}

oppose_shim_status oppose_shim_pop(oppose_shim_engine *engine, uint64_t *number, int32_t *people, char *message,
                                   size_t message_size) {
    if (engine == nullptr || number == nullptr || people == nullptr) {
        describe(message, message_size, "no engine, or no place for the answer");
        return OPPOSE_SHIM_INVALID;
    }
    if (engine->popped == engine->pushed) {
        return OPPOSE_SHIM_EMPTY;
    }
    return guarded(message, message_size, [&]() {
        Datums datums;
        engine->result.reset();
        if (!engine->wrapper.waitAndPop(datums) || datums == nullptr || datums->empty()) {
            return engine->broken(message, message_size);
        }
        engine->result = datums->front();
        ++engine->popped;
        *number = engine->result->frameNumber;
        *people = engine->result->poseKeypoints.getSize(0);
        return OPPOSE_SHIM_OK;
    });
}

oppose_shim_status oppose_shim_copy(const oppose_shim_engine *engine, int32_t people, float *coordinates,
                                    float *confidences, float *scores) {
    if (engine == nullptr || engine->result == nullptr || coordinates == nullptr || confidences == nullptr) {
        return OPPOSE_SHIM_INVALID;
    }
    return guarded(nullptr, 0, [&]() {
        const op::Datum &datum = *engine->result;
        const int found = datum.poseKeypoints.getSize(0);
        if (people != found) {
            return OPPOSE_SHIM_INVALID;
        }
        const int face = OPPOSE_SHIM_BODY_POINTS;
        const int left = face + OPPOSE_SHIM_FACE_POINTS;
        const int right = left + OPPOSE_SHIM_HAND_POINTS;
        const int hand_points = OPPOSE_SHIM_HAND_POINTS;
        copy_part(datum.poseKeypoints, people, OPPOSE_SHIM_BODY_POINTS, 0, coordinates, confidences);
        copy_part(datum.faceKeypoints, people, OPPOSE_SHIM_FACE_POINTS, face, coordinates, confidences);
        copy_part(datum.handKeypoints[0], people, hand_points, left, coordinates, confidences);
        copy_part(datum.handKeypoints[1], people, hand_points, right, coordinates, confidences);
        if (scores != nullptr) {
            // There may be more scores than people: number_people_max shortens the keypoints only.
            const int known = std::min(people, int(datum.poseScores.getVolume()));
            std::copy_n(datum.poseScores.getConstPtr(), known, scores);
            std::fill(scores + known, scores + people, 0.f);
        }
        return OPPOSE_SHIM_OK;
    });
}

void oppose_shim_close(oppose_shim_engine *engine) {
    // The frames still in flight are given up, and so is what went wrong with them.
    guarded(nullptr, 0, [&]() {
        if (engine != nullptr) {
            engine->wrapper.stop();
        }
        return OPPOSE_SHIM_OK;
    });
    delete engine;
}
