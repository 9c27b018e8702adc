// What a kernel reads at places that were moved, as in deformable_kernels.py. A thread has one place of one element of
// the kernel; places overlap, so that gradients of pixels are added atomically.

struct Place {
  bool inside;
  int top, bottom, left, right;
  real down, across;
};

// The pixel before a place that is inside, the one after it, and how far it is on, 0 to 1.
__device__ inline void settle(real at, int size, int* before, int* after, real* share) {
  *before = min((int)at, size - 1);
  *after = min(*before + 1, size - 1);
  *share = *after > *before ? at - *before : (real)0;
}

// Where the element k of the kernel reads for (i, j); `moved` are the offsets of a group of channels.
__device__ inline Place place_of(const real* moved, int k, int i, int j, int channels, int groups, int size,
                                 int height, int width, int rows, int columns, int kernel_w, int stride_h,
                                 int stride_w, int pad_h, int pad_w, int dilation_h, int dilation_w) {
  const int area = rows * columns;
  const real* offset = moved + 2ll * k * area + i * columns + j;
  const real y = offset[0] + (i * stride_h - pad_h + k / kernel_w * dilation_h);
  const real x = offset[area] + (j * stride_w - pad_w + k % kernel_w * dilation_w);
  Place place;
  place.inside = y >= 0 && x >= 0 && y < height && x < width;
  if (!place.inside) return place;
  settle(y, height, &place.top, &place.bottom, &place.down);
  settle(x, width, &place.left, &place.right, &place.across);
  return place;
}

#define GIVEN                                                                                                 \
  channels, groups, size, height, width, rows, columns, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, \
      dilation_w

extern "C" __global__ void unfold(int n, const real* x, const real* offsets, real* y, int channels, int groups,
                                  int size, int height, int width, int rows, int columns, int kernel_w, int stride_h,
                                  int stride_w, int pad_h, int pad_w, int dilation_h, int dilation_w) {
  ELEMENT(index, n);
  const int j = index % columns, i = index / columns % rows, k = index / columns / rows % size;
  const int map = index / columns / rows / size;  // of image and channel
  const int group = map / channels * groups + map % channels / (channels / groups);
  const Place at = place_of(offsets + 2ll * group * size * rows * columns, k, i, j, GIVEN);
  y[index] = 0;
  if (!at.inside) return;
  const real* plane = x + (long long)map * height * width;
  const real upper = (1 - at.across) * plane[at.top * width + at.left] + at.across * plane[at.top * width + at.right];
  const real lower =
      (1 - at.across) * plane[at.bottom * width + at.left] + at.across * plane[at.bottom * width + at.right];
  y[index] = (1 - at.down) * upper + at.down * lower;
}

extern "C" __global__ void fold(int n, const real* y_diff, const real* offsets, real* x_diff, int channels,
                                int groups, int size, int height, int width, int rows, int columns, int kernel_w,
                                int stride_h, int stride_w, int pad_h, int pad_w, int dilation_h, int dilation_w) {
  ELEMENT(index, n);
  const int j = index % columns, i = index / columns % rows, k = index / columns / rows % size;
  const int map = index / columns / rows / size;
  const int group = map / channels * groups + map % channels / (channels / groups);
  const Place at = place_of(offsets + 2ll * group * size * rows * columns, k, i, j, GIVEN);
  if (!at.inside) return;
  real* plane = x_diff + (long long)map * height * width;
  atomicAdd(&plane[at.top * width + at.left], (1 - at.down) * (1 - at.across) * y_diff[index]);
  atomicAdd(&plane[at.top * width + at.right], (1 - at.down) * at.across * y_diff[index]);
  atomicAdd(&plane[at.bottom * width + at.left], at.down * (1 - at.across) * y_diff[index]);
  atomicAdd(&plane[at.bottom * width + at.right], at.down * at.across * y_diff[index]);
}

extern "C" __global__ void offset_gradient(int n, const real* y_diff, const real* x, const real* offsets,
                                           real* offset_diff, int channels, int groups, int size, int height,
                                           int width, int rows, int columns, int kernel_w, int stride_h,
                                           int stride_w, int pad_h, int pad_w, int dilation_h, int dilation_w) {
  ELEMENT(index, n);
  const int area = rows * columns;
  const int j = index % columns, i = index / columns % rows, k = index / area % size, group = index / area / size;
  const Place at = place_of(offsets + 2ll * group * size * area, k, i, j, GIVEN);
  const int count = channels / groups;
  real by_y = 0, by_x = 0;
  for (int c = 0; at.inside && c < count; ++c) {
    const long long map = (long long)group / groups * channels + group % groups * count + c;
    const real* plane = x + map * height * width;
    const real diff = y_diff[(map * size + k) * area + i * columns + j];
    const real upper_left = plane[at.top * width + at.left], upper_right = plane[at.top * width + at.right];
    const real lower_left = plane[at.bottom * width + at.left], lower_right = plane[at.bottom * width + at.right];
    by_x += diff * ((1 - at.down) * (upper_right - upper_left) + at.down * (lower_right - lower_left));
    by_y += diff * ((1 - at.across) * (lower_left - upper_left) + at.across * (lower_right - upper_right));
  }
  real* gradient = offset_diff + 2ll * (group * size + k) * area + i * columns + j;
  gradient[0] = by_y;
  gradient[area] = by_x;
}
