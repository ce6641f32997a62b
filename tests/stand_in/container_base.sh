#!/usr/bin/env bash
# Makes a small base to build Singularity.def on where the real one cannot be had: Debian 11 with a stand-in for OpenPose.
#
#   tests/stand_in/container_base.sh FOLDER MODELS
#   OPPOSE_CONTAINER_BASE=FOLDER cargo test --test container
#
# MODELS is OpenPose's models folder. Needs mmdebstrap and a C compiler, and no root. FOLDER belongs to whoever calls this, as it
# has to: Apptainer cannot copy the files of others for an ordinary user.
set -euo pipefail
[ $# = 2 ] || {
    sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
    exit 2
}
stand_in=$(dirname "$(realpath "$0")")/openpose
folder=$(realpath -m -- "$1")
models=$(realpath -- "$2")
mkdir -p "$folder"
# Its file systems in /dev and the owners of its files are not for the image.
mmdebstrap --variant=apt --include=ca-certificates bullseye - | tar --extract --directory "$folder" --no-same-owner --exclude='./dev/*'
libraries=$folder/openpose/build/src/openpose
mkdir -p "$libraries" "$folder/openpose/build/caffe/lib"
cp -r "$stand_in/include" "$folder/openpose/include"
cp -r "$models" "$folder/openpose/models"
# All of the stand-in is in its headers; the shim is linked with these all the same.
for library in openpose opencv_core; do
    cc -shared -o "$libraries/lib$library.so" -x c /dev/null
done
