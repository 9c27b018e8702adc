// Pooling of planes (N * C, H, W) into (N * C, pooled_h, pooled_w). A thread computes one element of what is written,
// backward too: it sums over the windows that a pixel lies in, so that no two threads write to one place.

#define LOWEST ((real)-3.402823466e+38f)

// The first window that reaches position i of the padded plane, and the one after the last.
__device__ inline int first_window(int i, int kernel, int stride) { return i < kernel ? 0 : (i - kernel) / stride + 1; }
__device__ inline int last_window(int i, int stride, int pooled) { return min(i / stride + 1, pooled); }

// How far window i reaches along one axis: over the plane and its padding, as Caffe divides an average.
__device__ inline int extent(int i, int size, int kernel, int stride, int pad) {
  const int start = i * stride - pad;
  return min(start + kernel, size + pad) - start;
}

extern "C" __global__ void max_pool(int n, const real* x, real* y, int* mask, bool masked, int height, int width,
                                    int pooled_h, int pooled_w, int kernel_h, int kernel_w, int stride_h, int stride_w,
                                    int pad_h, int pad_w) {
  ELEMENT(i, n);
  const int top = i / pooled_w % pooled_h * stride_h - pad_h, left = i % pooled_w * stride_w - pad_w;
  const real* plane = x + i / pooled_w / pooled_h * height * width;
  real best = LOWEST;
  int place = -1;
  for (int h = max(top, 0); h < min(top + kernel_h, height); ++h) {
    for (int w = max(left, 0); w < min(left + kernel_w, width); ++w) {
      if (plane[h * width + w] > best) {
        best = plane[h * width + w];
        place = h * width + w;
      }
    }
  }
  y[i] = best;
  if (masked) mask[i] = place;
}

// Of max_pool and sampled_pool: a pixel gets the gradients of the windows that chose it.
extern "C" __global__ void scatter(int n, const real* y_diff, const int* mask, real* x_diff, int height,
                                           int width, int pooled_h, int pooled_w, int kernel_h, int kernel_w,
                                           int stride_h, int stride_w, int pad_h, int pad_w) {
  ELEMENT(i, n);
  const int w = i % width, h = i / width % height;
  const int windows = i / width / height * pooled_h * pooled_w;
  real sum = 0;
  for (int a = first_window(h + pad_h, kernel_h, stride_h); a < last_window(h + pad_h, stride_h, pooled_h); ++a) {
    for (int b = first_window(w + pad_w, kernel_w, stride_w); b < last_window(w + pad_w, stride_w, pooled_w); ++b) {
      const int window = windows + a * pooled_w + b;
      if (mask[window] == h * width + w) sum += y_diff[window];
    }
  }
  x_diff[i] = sum;
}

extern "C" __global__ void average_pool(int n, const real* x, real* y, int height, int width, int pooled_h,
                                        int pooled_w, int kernel_h, int kernel_w, int stride_h, int stride_w,
                                        int pad_h, int pad_w) {
  ELEMENT(i, n);
  const int a = i / pooled_w % pooled_h, b = i % pooled_w;
  const int top = a * stride_h - pad_h, left = b * stride_w - pad_w;
  const real* plane = x + i / pooled_w / pooled_h * height * width;
  real sum = 0;
  for (int h = max(top, 0); h < min(top + kernel_h, height); ++h)
    for (int w = max(left, 0); w < min(left + kernel_w, width); ++w) sum += plane[h * width + w];
  y[i] = sum / (extent(a, height, kernel_h, stride_h, pad_h) * extent(b, width, kernel_w, stride_w, pad_w));
}

extern "C" __global__ void average_pool_backward(int n, const real* y_diff, real* x_diff, int height, int width,
                                            int pooled_h, int pooled_w, int kernel_h, int kernel_w, int stride_h,
                                            int stride_w, int pad_h, int pad_w) {
  ELEMENT(i, n);
  const int w = i % width, h = i / width % height;
  const int windows = i / width / height * pooled_h * pooled_w;
  real sum = 0;
  for (int a = first_window(h + pad_h, kernel_h, stride_h); a < last_window(h + pad_h, stride_h, pooled_h); ++a) {
    const int extent_h = extent(a, height, kernel_h, stride_h, pad_h);
    for (int b = first_window(w + pad_w, kernel_w, stride_w); b < last_window(w + pad_w, stride_w, pooled_w); ++b)
      sum += y_diff[windows + a * pooled_w + b] / (extent_h * extent(b, width, kernel_w, stride_w, pad_w));
  }
  x_diff[i] = sum;
}

// The first pixel where the running sum reaches a random share, in (0, 1], of the window's sum.
extern "C" __global__ void sampled_pool(int n, const real* x, real* y, int* mask, const real* share, int height,
                                        int width, int pooled_h, int pooled_w, int kernel_h, int kernel_w,
                                        int stride_h, int stride_w) {
  ELEMENT(i, n);
  const int top = i / pooled_w % pooled_h * stride_h, left = i % pooled_w * stride_w;
  const real* plane = x + i / pooled_w / pooled_h * height * width;
  real total = 0;
  for (int h = top; h < min(top + kernel_h, height); ++h)
    for (int w = left; w < min(left + kernel_w, width); ++w) total += plane[h * width + w];
  const real threshold = total * share[i];
  real value = 0;
  int place = -1;
  total = 0;
  for (int h = top; h < min(top + kernel_h, height); ++h) {
    for (int w = left; w < min(left + kernel_w, width); ++w) {
      total += plane[h * width + w];
      if (place < 0 && total >= threshold) {
        place = h * width + w;
        value = plane[place];
      }
    }
  }
  y[i] = value;
  mask[i] = place;
}

// The mean of a window under probabilities in proportion to its values, or 0 where their sum is not positive.
extern "C" __global__ void weighted_pool(int n, const real* x, real* y, real* sums, int height, int width, int pooled_h,
                                         int pooled_w, int kernel_h, int kernel_w, int stride_h, int stride_w) {
  ELEMENT(i, n);
  const int top = i / pooled_w % pooled_h * stride_h, left = i % pooled_w * stride_w;
  const real* plane = x + i / pooled_w / pooled_h * height * width;
  real sum = 0, squares = 0;
  for (int h = top; h < min(top + kernel_h, height); ++h) {
    for (int w = left; w < min(left + kernel_w, width); ++w) {
      const real value = plane[h * width + w];
      sum += value;
      squares += value * value;
    }
  }
  sums[i] = sum;
  y[i] = sum > 0 ? squares / sum : (real)0;
}

extern "C" __global__ void weighted_pool_backward(int n, const real* x, const real* y, const real* y_diff, const real* sums,
                                             real* x_diff, int height, int width, int pooled_h, int pooled_w,
                                             int kernel_h, int kernel_w, int stride_h, int stride_w) {
  ELEMENT(i, n);
  const int w = i % width, h = i / width % height;
  const int windows = i / width / height * pooled_h * pooled_w;
  real sum = 0;
  for (int a = first_window(h, kernel_h, stride_h); a < last_window(h, stride_h, pooled_h); ++a) {
    for (int b = first_window(w, kernel_w, stride_w); b < last_window(w, stride_w, pooled_w); ++b) {
      const int window = windows + a * pooled_w + b;
      if (sums[window] > 0) sum += y_diff[window] / sums[window] * (2 * x[i] - y[window]);
    }
  }
  x_diff[i] = sum;
}
