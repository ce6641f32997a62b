"""Computes what OpenPose would, with the specification's NumPy reference, from synthetic net outputs.

usage: openpose_reference.py REFERENCE_FOLDER OUTPUT_FOLDER

Writes one folder per scene, with arrays as .npy and scene.json.
"""
import json
import os
import sys

import numpy as np

reference, output = sys.argv[1:3]
sys.path.insert(0, reference)
sys.dont_write_bytecode = True

import facehand
from connect import keep_top, people_from_heatmaps
from cvops import cuda_cubic_resize, resize_cubic_f32
from geometry import scale_net_to_output, scales
from nms import nms
from outputs import keypoint_scale
from pipeline import heatmaps_multi_cuda
from synth import make
from tables import Thresholds

f32 = np.float32


def padded(people, shape):
    """An array of shape (n, ...), even if n = 0."""
    return np.asarray(people, f32).reshape((len(people),) + shape)


def scene(number, frame, net, people, cuda, maximize, scale_number=1):
    rng = np.random.default_rng(number)
    folder = os.path.join(output, f'scene_{number}')
    os.makedirs(folder)

    def save(name, array):
        np.save(os.path.join(folder, name), np.ascontiguousarray(array, f32))

    found = scales(net, frame, scale_number)
    raws = []
    for index, (_, (width, height)) in enumerate(found):
        raws.append(make(rng, height // 8, width // 8, people, noise=0.02 if maximize else 0.01))
        save(f'net_output_{index}.npy', raws[-1])
    size = found[0][1]
    if scale_number > 1:
        heat = heatmaps_multi_cuda(raws, [s for s, _ in found])
    else:
        heat = (cuda_cubic_resize if cuda else resize_cubic_f32)(raws[0], size)
    r = scale_net_to_output(frame, size)
    peaks = nms(heat, 25, Thresholds(maximize).nms, r, cuda)
    keypoints, scores = people_from_heatmaps(heat, peaks, r, cuda, maximize=maximize)
    save('heat_maps.npy', heat[[0, 1, 25, 26, 77]])
    save('peaks.npy', peaks)
    save('pose_keypoints.npy', padded(keypoints, (25, 3)))
    save('pose_scores.npy', scores)
    save('top_2.npy', padded(keep_top(keypoints, scores, 2), (25, 3)))
    for mode in (1, 3, 4):
        save(f'keypoint_scale_{mode}.npy', padded(keypoint_scale(keypoints, mode, frame, r), (25, 3)))
    faces = [facehand.face_rect(person) for person in keypoints]
    hands = [facehand.hand_rects(person) for person in keypoints]
    save('face_rectangles.npy', padded(faces, (4,)))
    save('hand_rectangles.npy', padded(hands, (2, 4)))

    # A face and both hands at arbitrary places: the maps need not match the bodies.
    rectangles = np.array([[13.5, -7.25, 87.3, 87.3], [40.0, 21.7, 33.1, 33.1]], f32)
    points = []
    for channels, hand in ((71, None), (22, 0), (22, 1)):
        raw = rng.standard_normal((channels, 12, 12)).astype(f32)
        save(f'crop_{len(points)}_net_output.npy', raw)
        for rectangle in rectangles:
            matrix = facehand.crop_matrix(rectangle, 96, hand)
            points.append(facehand.keypoints(raw, matrix, 96, cuda))
        save(f'crop_{len(points) - 2}_keypoints.npy', np.array(points[-2:]))
    save('crop_rectangles.npy', rectangles)
    save('hand_scales.npy', facehand.hand_scale_rects(rectangles[0], 4, 0.4))
    with open(os.path.join(folder, 'scene.json'), 'w') as file:
        json.dump(dict(frame=frame, net=size, cuda=cuda, maximize=maximize, scales=scale_number), file)


SCENES = [  # frame, net, people, CUDA build, maximize_positives, scales
    ((960, 736), (240, 176), 1, True, False, 1),
    ((640, 480), (-1, 176), 3, True, False, 1),
    ((333, 500), (176, -1), 6, True, False, 1),
    ((1280, 720), (-1, 176), 12, True, False, 1),
    ((640, 480), (-1, 128), 4, True, True, 1),
    ((640, 480), (-1, 176), 5, False, False, 1),
    ((640, 480), (-1, 128), 4, False, True, 1),
    ((640, 480), (-1, 176), 3, True, False, 2),
    ((1280, 720), (-1, 208), 4, True, False, 3),
    ((640, 480), (-1, 128), 0, True, False, 1),
]
for number, values in enumerate(SCENES):
    scene(number, *values)
