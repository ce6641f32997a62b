// Stands in for OpenPose where the shim is built without it: what the shim uses of its interface, and nothing behind it. In
// every frame there is one person, all of whose points are at (number of the frame, first byte of the frame).
#ifndef STAND_IN_WRAPPER_HPP
#define STAND_IN_WRAPPER_HPP
#define OPENPOSE_CORE_MAT_HPP // frames are op::Matrix

#include <array>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "../core/macros.hpp"

namespace op {

enum class ErrorMode { StdRuntimeError };
enum class Priority { None, NoOutput };
enum class RenderMode { None };
enum class ScaleMode { InputResolution, NetOutputResolution, OutputResolution, ZeroToOne, PlusMinusOne };
enum class ThreadManagerMode { Asynchronous };
enum class GpuMode { Cuda, NoGpu };

inline GpuMode getGpuMode() { return GpuMode::NoGpu; }

struct ConfigureError {
    static void setErrorModes(const std::vector<ErrorMode> &) {}
};
struct ConfigureLog {
    static void setPriorityThreshold(Priority) {}
};

template <typename T>
struct Point {
    Point(T = 0, T = 0) {}
};

struct Matrix {
    Matrix(int = 0, int = 0, int = 0, void *pixels = nullptr) : first(static_cast<unsigned char *>(pixels)) {}
    const unsigned char *first;
};

template <typename T>
struct Array {
    std::vector<int> sizes;
    std::vector<T> values;
    int getSize(int index) const { return index < int(sizes.size()) ? sizes[index] : 0; }
    size_t getVolume() const { return values.size(); }
    const T *getConstPtr() const { return values.data(); }
};

struct Datum {
    Matrix cvInputData;
    unsigned long long frameNumber = 0;
    Array<float> poseKeypoints, poseScores, faceKeypoints;
    std::array<Array<float>, 2> handKeypoints;
};

struct WrapperStructPose {
    std::string modelFolder;
    Point<int> netInputSize;
    int scalesNumber, numberPeopleMax, gpuNumber, gpuNumberStart;
    float scaleGap;
    bool maximizePositives, enableGoogleLogging;
    RenderMode renderMode;
    ScaleMode keypointScaleMode;
};
struct WrapperStructFace {
    RenderMode renderMode;
    bool enable;
    Point<int> netInputSize;
};
struct WrapperStructHand {
    RenderMode renderMode;
    bool enable;
    int scalesNumber;
    float scaleRange;
    Point<int> netInputSize;
};

class Wrapper {
  public:
    typedef std::shared_ptr<std::vector<std::shared_ptr<Datum>>> Datums;

    explicit Wrapper(ThreadManagerMode) {}
    template <typename Options>
    void configure(const Options &) {}
    void setDefaultMaxSizeQueues(long long) {}
    void start() {}
    void stop() {}
    bool waitAndEmplace(Datums &datums) {
        for (const auto &datum : *datums) {
            const float x = float(datum->frameNumber), y = float(*datum->cvInputData.first);
            fill(datum->poseKeypoints, 25, x, y);
            fill(datum->faceKeypoints, 70, x, y);
            fill(datum->handKeypoints[0], 21, x, y);
            fill(datum->handKeypoints[1], 21, x, y);
            datum->poseScores.values.assign(1, 1.f);
        }
        done.push_back(datums);
        return true;
    }
    bool waitAndPop(Datums &datums) {
        if (done.empty()) {
            return false;
        }
        datums = done.front();
        done.pop_front();
        return true;
    }

  private:
    static void fill(Array<float> &part, int points, float x, float y) {
        part.sizes = {1, points, 3};
        part.values.clear();
        for (int point = 0; point < points; ++point) {
            part.values.insert(part.values.end(), {x, y, 1.f});
        }
    }
    std::deque<Datums> done;
};

} // namespace op

#endif
