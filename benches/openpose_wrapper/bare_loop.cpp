// The minimal C++ program with OpenPose: decodes with OpenCV, keeps a few frames in flight and discards the results.
// scripts/bench-openpose-shim.sh compares with it.
//
//   bare_loop VIDEO MODELS NET_HEIGHT CROP_SIDE

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include <opencv2/core/core.hpp>
#include <opencv2/videoio.hpp>
#include <openpose/wrapper/wrapper.hpp>

int main(int count, char **arguments) {
    if (count != 5) {
        std::fprintf(stderr, "bare_loop VIDEO MODELS NET_HEIGHT CROP_SIDE\n");
        return 2;
    }
    const int side = std::atoi(arguments[4]);
    op::ConfigureLog::setPriorityThreshold(op::Priority::NoOutput);
    op::Wrapper wrapper{op::ThreadManagerMode::Asynchronous};
    op::WrapperStructPose pose;
    pose.modelFolder = decltype(pose.modelFolder)(std::string(arguments[2]));
    pose.netInputSize = op::Point<int>(-1, std::atoi(arguments[3]));
    pose.renderMode = op::RenderMode::None;
    pose.enableGoogleLogging = false;
    op::WrapperStructFace face;
    face.enable = true;
    face.netInputSize = op::Point<int>(side, side);
    face.renderMode = op::RenderMode::None;
    op::WrapperStructHand hand;
    hand.enable = true;
    hand.netInputSize = op::Point<int>(side, side);
    hand.renderMode = op::RenderMode::None;
    wrapper.configure(pose);
    wrapper.configure(face);
    wrapper.configure(hand);
    wrapper.setDefaultMaxSizeQueues(2);
    wrapper.start();

    cv::VideoCapture video(arguments[1]);
    cv::Mat frame;
    int in_flight = 0, frames = 0, people = 0;
    const auto pop = [&]() {
        std::shared_ptr<std::vector<std::shared_ptr<op::Datum>>> datums;
        if (!wrapper.waitAndPop(datums)) {
            std::exit(1);
        }
        people += datums->front()->poseKeypoints.getSize(0);
        --in_flight;
        ++frames;
    };
    const auto start = std::chrono::steady_clock::now();
    while (video.read(frame)) {
        if (in_flight == 4) {
            pop();
        }
        auto datum = std::make_shared<op::Datum>();
        const cv::Mat own = frame.clone();
#ifdef OPENPOSE_CORE_MAT_HPP
        datum->cvInputData = OP_CV2OPCONSTMAT(own);
#else
        datum->cvInputData = own;
#endif
        auto datums = std::make_shared<std::vector<std::shared_ptr<op::Datum>>>(1, datum);
        wrapper.waitAndEmplace(datums);
        ++in_flight;
    }
    while (in_flight > 0) {
        pop();
    }
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    std::printf("%d frames %d people %.3f s\n", frames, people, seconds.count());
}
