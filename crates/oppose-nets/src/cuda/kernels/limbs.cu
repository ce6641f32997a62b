// Scores all pairs of peaks that a limb may join, as assemble/limb.rs does. Only the needed values of the part affinity field
// are enlarged.

#include "heat_maps.cuh"

struct Limb {
    int from;
    int to;
    // The plane of the part affinity field for x; that for y is the next.
    int plane;
};

// A pair that may be joined.
struct Candidate {
    float score;
    unsigned char frame;
    unsigned char limb;
    // The numbers of the peaks, from 1.
    unsigned char from;
    unsigned char to;
};

struct ScoreLimbs {
    Outputs maps;
    const Limb* limbs;
    // Frames x parts x MAX_PEAKS, and the number of peaks of each frame and part.
    const Keypoint* peaks;
    const int* counts;
    // The candidates of all frames, in any order, and their number.
    Candidate* candidates;
    int* candidate_count;
    int parts;
    float least_sample;
    float least_share;
    // The score of peaks that are too close for the field between them to tell anything.
    float close_score;
};

__device__ inline int sample_pixel(float place, int last) {
    return place > 0.0f ? (place < (float)last ? (int)place : last) : 0;
}

// 0 if the two are not joined.
__device__ inline float limb_score(const ScoreLimbs& work, int frame, int plane, Keypoint a, Keypoint b) {
    const Outputs& maps = work.maps;
    float dx = b.x - a.x, dy = b.y - a.y;
    float count = floorf(sqrtf(5.0f * fmaxf(fabsf(dx), fabsf(dy))) + 0.5f);
    count = fminf(fmaxf(count, 5.0f), 25.0f);
    float length = sqrtf(dx * dx + dy * dy);
    if (!((double)length > 1e-6)) {
        return 0.0f;
    }
    float unit_x = dx / length, unit_y = dy / length;
    float step_x = dx / count, step_y = dy / count;
    float sum = 0.0f, hits = count;
    for (int i = 0; i < (int)count; i++) {
        int x = sample_pixel(a.x + (float)i * step_x + 0.5f, maps.width - 1);
        int y = sample_pixel(a.y + (float)i * step_y + 0.5f, maps.height - 1);
        float sample =
            unit_x * value_at(maps, frame, plane, x, y) + unit_y * value_at(maps, frame, plane + 1, x, y);
        if (sample > work.least_sample) {
            sum += sample;
            continue;
        }
        hits -= 1.0f;
        // With so few hits left, further samples do not change the result.
        if (hits / count <= work.least_share) {
            bool is_close = length < sqrtf((float)(maps.width * maps.height)) / 150.0f;
            return is_close ? work.close_score : 0.0f;
        }
    }
    return sum / hits;
}

// blockIdx.y is the limb, blockIdx.z the frame; the pairs are spread over the threads of all blockIdx.x.
extern "C" __global__ void score_limbs(const __grid_constant__ ScoreLimbs work) {
    int frame = blockIdx.z;
    const int* counts = work.counts + frame * work.parts;
    const Keypoint* peaks = work.peaks + (size_t)frame * work.parts * MAX_PEAKS;
    Limb limb = work.limbs[blockIdx.y];
    int seconds = counts[limb.to];
    int pairs = counts[limb.from] * seconds;
    for (int pair = blockIdx.x * blockDim.x + threadIdx.x; pair < pairs; pair += gridDim.x * blockDim.x) {
        int from = pair / seconds, to = pair % seconds;
        float score = limb_score(work, frame, limb.plane, peaks[limb.from * MAX_PEAKS + from],
                                 peaks[limb.to * MAX_PEAKS + to]);
        if ((double)score > 1e-6) {
            Candidate candidate = {score, (unsigned char)frame, (unsigned char)blockIdx.y, (unsigned char)(from + 1),
                                   (unsigned char)(to + 1)};
            work.candidates[atomicAdd(work.candidate_count, 1)] = candidate;
        }
    }
}
