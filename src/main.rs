//! `oppose-native`: video in, `.pose` out.

fn main() {}
