//! Descriptions of tensors for Hopper's tensor memory accelerator.

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;

use cudarc::driver::sys;

use super::{DeviceBuffer, failed};
use crate::cuda::CudaError;

/// The description of a tensor for Hopper's tensor memory accelerator. The kernels take it by value, 64-byte aligned.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
#[derive(Default)]
pub struct TensorMap([u64; 16]);

/// The type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// Single precision.
    Single,
    /// Half precision.
    Half,
}

impl Element {
    /// Number of bytes of an element.
    pub fn bytes(self) -> usize {
        match self {
            Self::Single => 4,
            Self::Half => 2,
        }
    }

    fn raw(self) -> sys::CUtensorMapDataType {
        match self {
            Self::Single => sys::CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_FLOAT32,
            Self::Half => sys::CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_FLOAT16,
        }
    }
}

/// Number of bytes of a row in shared memory, within which it is swizzled.
pub const SWIZZLE_BYTES: usize = 128;

impl TensorMap {
    /// Rows of [`SWIZZLE_BYTES`] each; several are loaded at once.
    ///
    /// # Errors
    /// The driver refuses.
    ///
    /// # Panics
    /// The memory is smaller than that.
    pub fn of_rows(
        memory: &DeviceBuffer,
        element: Element,
        rows: usize,
        rows_at_once: usize,
    ) -> Result<Self, CudaError> {
        assert!(rows * SWIZZLE_BYTES <= memory.bytes, "rows within the memory");
        let columns = SWIZZLE_BYTES / element.bytes();
        let (sizes, strides) = ([columns as u64, rows as u64], [SWIZZLE_BYTES as u64]);
        Self::of_boxes(memory, element, &sizes, &strides, &[columns as u32, rows_at_once as u32])
    }

    /// Pictures for a convolution that keeps their size: images × height × width × channels. Several pixels are
    /// loaded at once, [`SWIZZLE_BYTES`] of channels each. If the convolution kernel is larger than 1 × 1, rows are one pixel longer
    /// than the pictures'.
    ///
    /// # Errors
    /// The driver refuses.
    ///
    /// # Panics
    /// The memory is smaller than the pictures, or the side of the kernel is even.
    pub fn of_pictures(
        memory: &DeviceBuffer,
        element: Element,
        shape: Pictures,
        kernel: usize,
        pixels_at_once: usize,
    ) -> Result<Self, CudaError> {
        assert!(shape.bytes(element) <= memory.bytes && kernel % 2 == 1, "pictures within the memory");
        let padding = kernel as c_int / 2;
        let longer = c_int::from(kernel > 1);
        let mut map = MaybeUninit::<sys::CUtensorMap>::uninit();
        // SAFETY: the arrays have as many entries as the tensor has dimensions (strides one less); corners have two.
        let code = unsafe {
            sys::cuTensorMapEncodeIm2col(
                map.as_mut_ptr(),
                element.raw(),
                4,
                memory.address as *mut c_void,
                shape.sizes().as_ptr(),
                shape.strides(element).as_ptr(),
                [-padding; 2].as_ptr(),
                [longer - padding, -padding].as_ptr(),
                (SWIZZLE_BYTES / element.bytes()) as u32,
                pixels_at_once as u32,
                [1; 4].as_ptr(),
                sys::CUtensorMapInterleave::CU_TENSOR_MAP_INTERLEAVE_NONE,
                sys::CUtensorMapSwizzle::CU_TENSOR_MAP_SWIZZLE_128B,
                sys::CUtensorMapL2promotion::CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                sys::CUtensorMapFloatOOBfill::CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE,
            )
        };
        code.result().map_err(failed("cuTensorMapEncodeIm2col"))?;
        // SAFETY: the call has filled it.
        Ok(Self(unsafe { map.assume_init() }.opaque))
    }
}

impl TensorMap {
    /// Pictures. Rectangles of pixels are loaded at once, [`SWIZZLE_BYTES`] of channels each; zeros outside.
    ///
    /// # Errors
    /// The driver refuses.
    ///
    /// # Panics
    /// The memory is smaller than that.
    pub fn of_tiles(
        memory: &DeviceBuffer,
        element: Element,
        shape: Pictures,
        tile_width: usize,
        tile_height: usize,
    ) -> Result<Self, CudaError> {
        assert!(shape.bytes(element) <= memory.bytes, "pictures within the memory");
        let tile = [(SWIZZLE_BYTES / element.bytes()) as u32, tile_width as u32, tile_height as u32, 1];
        Self::of_boxes(memory, element, &shape.sizes(), &shape.strides(element), &tile)
    }

    /// Describes a tensor with these sizes and, for all dimensions but the first, strides in bytes. It is loaded
    /// in boxes.
    fn of_boxes(
        memory: &DeviceBuffer,
        element: Element,
        sizes: &[u64],
        strides: &[u64],
        boxes: &[u32],
    ) -> Result<Self, CudaError> {
        assert!(strides.len() + 1 == sizes.len() && boxes.len() == sizes.len(), "one entry per dimension");
        let steps = vec![1; sizes.len()];
        let mut map = MaybeUninit::<sys::CUtensorMap>::uninit();
        // SAFETY: the arrays have as many entries as the tensor has dimensions (strides one less).
        let code = unsafe {
            sys::cuTensorMapEncodeTiled(
                map.as_mut_ptr(),
                element.raw(),
                sizes.len() as u32,
                memory.address as *mut c_void,
                sizes.as_ptr(),
                strides.as_ptr(),
                boxes.as_ptr(),
                steps.as_ptr(),
                sys::CUtensorMapInterleave::CU_TENSOR_MAP_INTERLEAVE_NONE,
                sys::CUtensorMapSwizzle::CU_TENSOR_MAP_SWIZZLE_128B,
                sys::CUtensorMapL2promotion::CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                sys::CUtensorMapFloatOOBfill::CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE,
            )
        };
        code.result().map_err(failed("cuTensorMapEncodeTiled"))?;
        // SAFETY: the call has filled it.
        Ok(Self(unsafe { map.assume_init() }.opaque))
    }
}

/// The shape of a tensor: images × height × width × channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pictures {
    /// Number of images.
    pub images: usize,
    /// Rows.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// Number of values per pixel.
    pub channels: usize,
}

impl Pictures {
    /// Sizes in the driver's order.
    fn sizes(self) -> [u64; 4] {
        [self.channels, self.width, self.height, self.images].map(|size| size as u64)
    }

    /// Strides in bytes of pixels, rows and images.
    fn strides(self, element: Element) -> [u64; 3] {
        let pixel = self.channels * element.bytes();
        [pixel, self.width * pixel, self.height * self.width * pixel].map(|stride| stride as u64)
    }

    fn bytes(self, element: Element) -> usize {
        self.images * self.height * self.width * self.channels * element.bytes()
    }
}
